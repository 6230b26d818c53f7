"""What every heat kernel can do."""

from __future__ import annotations

import abc
from collections.abc import Sequence

import torch
from torch import Tensor

from manifolds.base import Generator, Manifold, expand

Level = float | Tensor
Levels = float | Tensor | Sequence[float | Tensor]


class Kernel(abc.ABC):
    """Law of Brownian motion from `clean` after variance kappa^2 in each direction.

    kappa: a float; or a tensor broadcastable to the batch, one level per point. Points are (*batch,
    *shape). On a flat space or a torus it may also have the shape of a tangent: one level per
    coordinate. Where the space is a product, also a list, one per factor. Tensors of another shape,
    dtype or device than points and each other are refused with a ValueError; whether their numbers
    are points is not looked at here, which `manifold.require(x=x, clean=clean)` does. mask:
    (*batch, nodes) bool, True at real nodes, for clouds; others do not read it.

    Args:
        manifold: where the motion is.
    """

    manifold: Manifold

    @abc.abstractmethod
    def sample(
        self, clean: Tensor, kappa: Levels, generator: Generator = None, mask: Tensor | None = None
    ) -> Tensor:
        """An exact draw for each clean point.

        Args:
            clean: where the motion starts, (*batch, *shape).
            kappa: the level, as the class says.
            generator: where the numbers come from; None is torch's own.
            mask: (*batch, nodes) bool, for clouds; the other nodes stay.
        """

    @abc.abstractmethod
    def log_prob(
        self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None
    ) -> Tensor:
        """Log density at `x`, (*batch,), in nats against Riemannian volume.

        Args:
            x: points, (*batch, *shape).
            clean: where the motion starts, (*batch, *shape).
            kappa: the level, as the class says.
            mask: (*batch, nodes) bool, for clouds; the other nodes do not count.
        """

    @abc.abstractmethod
    def displacement(
        self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None
    ) -> Tensor:
        """kappa^2 times the score: a tangent at `x`, which becomes log(x, clean) as kappa goes to
        0.

        Args:
            x: points, (*batch, *shape).
            clean: where the motion starts, (*batch, *shape).
            kappa: the level, as the class says.
            mask: (*batch, nodes) bool, for clouds; 0 at the other nodes.
        """

    def score(self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None) -> Tensor:
        """Riemannian gradient of `log_prob` in `x`, a tangent at `x`.

        Args:
            x: points, (*batch, *shape).
            clean: where the motion starts, (*batch, *shape).
            kappa: the level, as the class says.
            mask: (*batch, nodes) bool, for clouds; 0 at the other nodes.
        """
        u = self.displacement(x, clean, kappa, mask)
        return u / expand(self.one_level(kappa), u, len(self.manifold.tangent_shape)).square()

    def log_prob_of_diffused(self, x: Tensor, kappa: Levels, mask: Tensor | None = None) -> Tensor:
        """Log density at `x`, (*batch,), of a `random_point` after motion of level kappa.

        Uniform stays uniform; a standard normal one becomes N(0, 1 + kappa^2).

        Args:
            x: points, (*batch, *shape).
            kappa: the level, as the class says.
            mask: (*batch, nodes) bool, for clouds; the other nodes do not count.

        Raises: ValueError where it has no closed form.
        """
        return self.manifold.log_prob_of_random(x, mask)

    def independent(
        self, kappa: Levels, radius: float | None, per_entry: bool
    ) -> list[tuple[Kernel, Level, float | None]]:
        """The parts of this law that are independent, with the level and the radius of each.

        Args:
            kappa: a level, or one per factor; tensors of any shape.
            radius: of the clean point from the mean, for `prior_tv`.
            per_entry: whether the last axis of kappa has a level for each entry of a tangent.
        """
        level = self.one_level(kappa)
        return [(self, level[..., 0] if per_entry and torch.is_tensor(level) else level, radius)]

    def one_level(self, kappa: Levels) -> Level:
        """The level itself.

        Args:
            kappa: the level, as the class says.

        Raises: ValueError for a list of levels.
        """
        if isinstance(kappa, Sequence):
            raise ValueError(f"kappa: expected one level on {self.manifold}, got {len(kappa)}")
        return kappa

    def _require(self, kappa: Levels, **points: Tensor) -> Level:
        """The level; ValueError for tensors that are no points by their form, or what is no
        level.
        """
        self.manifold.require_shape(**points)
        level = self.one_level(kappa)
        if not torch.is_tensor(level) and not level >= 0:
            raise ValueError(f"kappa: expected a level of at least 0, got {level!r}")
        return level


def levels_of_factors(kappa: Levels, axes: int, sizes: Sequence[int]) -> list[Level]:
    """The level of each factor.

    Args:
        kappa: one for all, a list with one per factor, or a tensor with one per entry.
        axes: how many a level per entry has, batch included.
        sizes: of the factors in a tangent.
    """
    if not torch.is_tensor(kappa) and isinstance(kappa, Sequence):
        if len(kappa) != len(sizes):
            raise ValueError(
                f"kappa: expected one level, or {len(sizes)}, one per factor, got {len(kappa)}"
            )
        return list(kappa)
    if torch.is_tensor(kappa) and kappa.dim() == axes and kappa.shape[-1] == sum(sizes):
        return [part[..., 0] for part in kappa.split(list(sizes), -1)]
    return [kappa] * len(sizes)


def parts_of_factors(kappa: Levels, sizes: Sequence[int], per_entry: bool) -> list[Levels]:
    """The levels of each factor, whose last axis stays where it is one per entry.

    Args:
        kappa: one for all, a list with one per factor, or a tensor.
        sizes: of the factors in a tangent.
        per_entry: whether the last axis of kappa has a level for each entry of a tangent.
    """
    if not per_entry:
        return list(levels_of_factors(kappa, -1, sizes))
    if not torch.is_tensor(kappa) or kappa.shape[-1:] != (sum(sizes),):
        got = tuple(kappa.shape) if torch.is_tensor(kappa) else kappa
        raise ValueError(
            f"kappa: expected (..., {sum(sizes)}), one level per coordinate, got {got}"
        )
    return list(kappa.split(list(sizes), -1))
