"""The divergence of a tangent field on a manifold, exactly or along random probes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from geodiff.process.randomness import Generator
from manifolds.base import Manifold, rand


def divergence(
    manifold: Manifold, field: Callable[[Tensor], Tensor], x: Tensor, directions: Tensor
) -> tuple[Tensor, Tensor]:
    """The field at x, and the sum over directions d of <covariant derivative of the field along d,
    d>.

    With the vectors of an orthonormal frame as directions the sum is the divergence; with probes
    from `rademacher` its mean is, once divided by their number. One forward pass and `count`
    forward-mode derivatives; differentiable in x and in whatever the field depends on.

    Args:
        manifold: the space.
        field: callable, points -> tangents there; the rows of a batch must not mix.
        x: (*batch, *shape).
        directions: tangents at x, (count, *batch, *tangent_shape).

    Returns: (*batch, *tangent_shape) and (*batch,).
    """

    def carried(walk: Tensor) -> Tensor:
        # Near x, carried back to x: its plain derivative at walk = 0 is the covariant derivative.
        y = manifold.exp(x, walk)
        return manifold.transport(y, x, field(y))

    def along(direction: Tensor) -> tuple[Tensor, Tensor]:
        value, slope = torch.func.jvp(carried, (torch.zeros_like(direction),), (direction,))[:2]
        return value, manifold.inner(x, slope, direction)

    values, slopes = torch.func.vmap(along, randomness="same")(directions)
    return values[0], slopes.sum(0)


def frame(manifold: Manifold, x: Tensor, mask: Tensor | None = None) -> Tensor:
    """An orthonormal basis of the tangents at x as directions, (dim, *batch, *tangent_shape).

    Args:
        manifold: the space.
        x: (*batch, *shape).
        mask: (*batch, nodes) bool, for clouds.
    """
    return manifold.frame(x, mask).movedim(-1 - len(manifold.tangent_shape), 0)


def rademacher(
    manifold: Manifold,
    x: Tensor,
    probes: int,
    *,
    generator: Generator = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Random directions at x with identity covariance, (probes, *batch, *tangent_shape).

    Each is a sum of the vectors of a frame with random signs, so the estimate of a divergence has
    no variance from the diagonal.

    Args:
        manifold: the space.
        x: (*batch, *shape).
        probes: how many.
        generator: a `torch.Generator`, a `Noise`, or None.
        mask: (*batch, nodes) bool, for clouds.

    Source: Hutchinson 1989.
    """
    basis = frame(manifold, x, mask)
    batch = basis.shape[1 : basis.ndim - len(manifold.tangent_shape)]
    # Probes last: the signs of a small cloud are the same with any padding behind it.
    drawn = rand(*batch, len(basis), probes, generator=generator, dtype=x.dtype, device=x.device)
    signs = torch.where(drawn < 0.5, -1.0, 1.0).to(x.dtype).movedim((-2, -1), (1, 0))
    return (signs[(...,) + (None,) * len(manifold.tangent_shape)] * basis).sum(1)


def check_divergence(kind: str, probes: int) -> None:
    """Raise ValueError unless `kind` and `probes` name a way to take a divergence.

    Args:
        kind: "exact" or "hutchinson".
        probes: how many random directions, at least 1.
    """
    if kind not in ("exact", "hutchinson"):
        raise ValueError(f"divergence: expected 'exact' or 'hutchinson', got {kind!r}")
    if isinstance(probes, bool) or not isinstance(probes, int) or probes < 1:
        raise ValueError(f"probes: expected a whole number of at least 1, got {probes!r}")
