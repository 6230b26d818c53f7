"""Independent Brownian motions on the factors of a product."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from manifolds.base import Generator, Kernel, Level, Levels, Manifold, total
from manifolds.heat.levels import levels_of_factors, parts_of_factors


@dataclass(frozen=True)
class ProductKernel(Kernel):
    """The product of the kernels of the factors: on products, poses, and clouds of them.

    kappa: one level for all factors (a float, or broadcastable to the batch); or a list, one per
    factor (SE3: rotation in radians, translation in units of length); or a tensor (*batch, last
    axis of a tangent), constant over each factor's entries. All nodes of a cloud share it.

    Args:
        manifold: the space.
        kernels: of its `factors`.
    """

    manifold: Manifold
    kernels: tuple[Kernel, ...]

    def sample(
        self, clean: Tensor, kappa: Levels, generator: Generator = None, mask: Tensor | None = None
    ) -> Tensor:
        self.manifold.require_shape(clean=clean)
        parts = zip(self.kernels, self.manifold.split(clean), self._levels(clean, kappa))
        return self.manifold.join(
            [kernel.sample(a, level, generator=generator, mask=mask) for kernel, a, level in parts]
        )

    def log_prob(
        self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None
    ) -> Tensor:
        parts = self._parts(x, clean, kappa)
        return total(kernel.log_prob(a, b, level, mask) for kernel, a, b, level in parts)

    def displacement(
        self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None
    ) -> Tensor:
        parts = self._parts(x, clean, kappa)
        return self.manifold.join_tangent(
            [kernel.displacement(a, b, level, mask) for kernel, a, b, level in parts]
        )

    def score(self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None) -> Tensor:
        parts = self._parts(x, clean, kappa)
        return self.manifold.join_tangent(
            [kernel.score(a, b, level, mask) for kernel, a, b, level in parts]
        )

    def log_prob_of_diffused(self, x: Tensor, kappa: Levels, mask: Tensor | None = None) -> Tensor:
        self.manifold.require_shape(x=x)
        parts = zip(self.kernels, self.manifold.split(x), self._levels(x, kappa))
        return total(kernel.log_prob_of_diffused(a, level, mask) for kernel, a, level in parts)

    def independent(
        self, kappa: Levels, radius: float | None, per_entry: bool
    ) -> list[tuple[Kernel, Level, float | None]]:
        levels = parts_of_factors(kappa, self._sizes(), per_entry)
        return [
            part
            for kernel, level in zip(self.kernels, levels)
            for part in kernel.independent(level, radius, per_entry)
        ]

    def _parts(
        self, x: Tensor, clean: Tensor, kappa: Levels
    ) -> Iterator[tuple[Kernel, Tensor, Tensor, Level]]:
        self.manifold.require_shape(x=x, clean=clean)
        split = self.manifold.split
        return zip(self.kernels, split(x), split(clean), self._levels(x, kappa))

    def _levels(self, x: Tensor, kappa: Levels) -> list[Level]:
        return levels_of_factors(kappa, len(self.manifold.batch_of(x)) + 1, self._sizes())

    def _sizes(self) -> list[int]:
        """How many entries each factor has in a tangent, or in that of a node."""
        return [
            math.prod(size for size in kernel.manifold.tangent_shape if size is not None)
            for kernel in self.kernels
        ]


def of_factors(manifold: Manifold) -> ProductKernel:
    """The kernel of a space from those of its factors.

    Args:
        manifold: a space whose `factors` are several.

    Raises: ValueError where a factor has no heat kernel.
    """
    return ProductKernel(manifold, tuple(space.heat() for space in manifold.factors))
