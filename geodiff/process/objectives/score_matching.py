"""Losses that learn the score of a law from its points alone, with no kernel to compare against.

Both are the squared distance of a field to grad log p, half of it, less a part that does not depend
on the field. They serve laws that are not made by noise with a known score; where one is known,
`matching_loss` has less variance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from geodiff.process.divergence import check_divergence, frame, rademacher
from geodiff.process.divergence import divergence as divergence_of
from geodiff.process.field import Field
from geodiff.process.randomness import Generator
from manifolds.base import Manifold

Score = Callable[[Tensor], Tensor]
"""Points -> tangents there; rows of a batch must not mix, forward-mode derivatives must exist."""


def implicit_loss(
    score: Score,
    manifold: Manifold,
    x: Tensor,
    *,
    divergence: str = "exact",
    probes: int = 1,
    generator: Generator = None,
    mask: Tensor | None = None,
) -> Tensor:
    """|score|^2 / 2 + div score at each point, (*batch,); its mean over a law is least at grad log
    of its density.

    It holds on manifolds without boundary, for densities that vanish at infinity; lengths and
    divergence are those of the metric. The least value is minus half the Fisher information: it
    falls below any bound where a field can be arbitrarily steep around single training points, so
    stop early or match a noised law.

    Args:
        score: callable, points -> tangents there.
        manifold: the space.
        x: points of the law, (*batch, *shape).
        divergence: "exact", one derivative per dimension, or "hutchinson", by random directions,
            which is unbiased (and the sliced loss with its variance reduced).
        probes: how many random directions.
        generator: draws the random directions.
        mask: (*batch, nodes) bool, for clouds.

    Source: Hyvarinen 2005, theorem 1; on manifolds De Bortoli et al. 2022.
    """
    check_divergence(divergence, probes)
    _check_points(manifold, x, mask)
    if divergence == "exact":
        directions, share = frame(manifold, x, mask), 1.0
    else:
        directions, share = (
            rademacher(manifold, x, probes, generator=generator, mask=mask),
            1 / probes,
        )
    value, change = divergence_of(manifold, score, x, directions)
    return 0.5 * manifold.inner(x, value, value) + share * change


def sliced_loss(
    score: Score,
    manifold: Manifold,
    x: Tensor,
    *,
    probes: int = 1,
    generator: Generator = None,
    mask: Tensor | None = None,
) -> Tensor:
    """<score, v>^2 / 2 + <derivative of the score along v, v>, mean over random tangents v, at each
    point, (*batch,).

    Its expectation over v is `implicit_loss`; it looks at the score along v only, for one
    derivative a probe. The v have identity covariance (`divergence.rademacher`).

    Args:
        score: callable, points -> tangents there.
        manifold: the space.
        x: points of the law, (*batch, *shape).
        probes: how many v.
        generator: draws the v.
        mask: (*batch, nodes) bool, for clouds.

    Source: Song et al. 2019 (Sliced score matching).
    """
    check_divergence("hutchinson", probes)
    _check_points(manifold, x, mask)
    directions = rademacher(manifold, x, probes, generator=generator, mask=mask)
    value, change = divergence_of(manifold, score, x, directions)
    along = manifold.inner(x.unsqueeze(0), value.unsqueeze(0), directions)
    return 0.5 * along.square().mean(0) + change / probes


def score_of(
    field: Field, s: float | Tensor, condition: Any = None, mask: Tensor | None = None
) -> Score:
    """The score that a field gives to the law of its states at s: x -> u(x, s) / kappa(s)^2.

    With it a `Field` trains by these losses on noised points: x = field.corruption.corrupt(clean,
    s).x, and implicit_loss(score_of(field, s), manifold, x).mean().

    Args:
        field: on a `HeatKernel` or a `Gaussian`.
        s: a number or (*batch,).
        condition: what the field is told.
        mask: (*batch, nodes) bool, for clouds.

    Raises: ValueError where u is not a score (`Geodesic`).
    """
    corruption = field.corruption
    if not corruption.has_score:
        raise ValueError(
            f"field: u of a {type(corruption).__name__} is not a score; give one on a HeatKernel "
            "or a Gaussian, or use matching_loss"
        )

    def score(x: Tensor) -> Tensor:
        _, kappa = corruption.level(s, x)
        return field(x, s, condition, mask) / corruption.against_tangent(kappa).square()

    return score


def _check_points(manifold: Manifold, x: Tensor, mask: Tensor | None) -> None:
    defect = manifold.check(x, mask)
    if defect:
        raise ValueError(f"x: not points of {manifold}: {defect}")
