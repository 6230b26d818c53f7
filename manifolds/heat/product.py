"""Independent Brownian motions on the factors of a product, and on poses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from manifolds.euclidean import Euclidean
from manifolds.heat.base import Kernel
from manifolds.heat.euclidean import EuclideanKernel
from manifolds.heat.so3 import SO3Kernel
from manifolds.product import Product
from manifolds.se3 import SE3, join
from manifolds.so3 import SO3

Levels = float | Tensor | Sequence[float | Tensor]


@dataclass(frozen=True)
class ProductKernel(Kernel):
    """The product of the kernels of the factors.

    kappa: one level for all factors (a float, or broadcastable to the batch); or a list, one per
    factor; or a tensor (*batch, tangent size) with as many axes as the tangents, constant over each
    factor's entries.
    """

    manifold: Product
    kernels: tuple[Kernel, ...]

    def sample(self, clean: Tensor, kappa: Levels, generator=None) -> Tensor:
        self._require(kappa, clean=clean)
        parts = zip(self.kernels, self.manifold.split(clean), self._levels(clean, kappa))
        drawn = [kernel.sample(a, level, generator=generator) for kernel, a, level in parts]
        return self.manifold.join(drawn)

    def log_prob(self, x: Tensor, clean: Tensor, kappa: Levels) -> Tensor:
        self._require(kappa, x=x, clean=clean)
        return sum(
            kernel.log_prob(a, b, level) for kernel, a, b, level in self._parts(x, clean, kappa)
        )

    def displacement(self, x: Tensor, clean: Tensor, kappa: Levels) -> Tensor:
        self._require(kappa, x=x, clean=clean)
        parts = [
            kernel.displacement(a, b, level) for kernel, a, b, level in self._parts(x, clean, kappa)
        ]
        return self.manifold.join_tangent(parts)

    def score(self, x: Tensor, clean: Tensor, kappa: Levels) -> Tensor:
        self._require(kappa, x=x, clean=clean)
        parts = [kernel.score(a, b, level) for kernel, a, b, level in self._parts(x, clean, kappa)]
        return self.manifold.join_tangent(parts)

    def _parts(self, x: Tensor, clean: Tensor, kappa: Levels):
        return zip(
            self.kernels, self.manifold.split(x), self.manifold.split(clean), self._levels(x, kappa)
        )

    def _levels(self, x: Tensor, kappa: Levels) -> list:
        sizes = [math.prod(space.tangent_shape) for space in self.manifold.spaces]
        return levels_of_factors(kappa, x.dim(), sizes)


@dataclass(frozen=True)
class SE3Kernel(Kernel):
    """Brownian rotation and normal translation, independent.

    kappa: one level for both; or a pair (rotation in radians, translation in units of length); or a
    tensor (*batch, 6) with as many axes as the tangents, constant over the first three entries and
    the last three.
    """

    manifold: SE3

    def sample(self, clean: Tensor, kappa: Levels, generator=None) -> Tensor:
        self._require(kappa, clean=clean)
        turn, shift = self._levels(clean, kappa)
        rotation = _ROTATION.sample(clean[..., :3, :3], turn, generator=generator)
        return join(rotation, _TRANSLATION.sample(clean[..., :3, 3], shift, generator=generator))

    def log_prob(self, x: Tensor, clean: Tensor, kappa: Levels) -> Tensor:
        self._require(kappa, x=x, clean=clean)
        turn, shift = self._levels(x, kappa)
        rotation = _ROTATION.log_prob(x[..., :3, :3], clean[..., :3, :3], turn)
        return rotation + _TRANSLATION.log_prob(x[..., :3, 3], clean[..., :3, 3], shift)

    def displacement(self, x: Tensor, clean: Tensor, kappa: Levels) -> Tensor:
        self._require(kappa, x=x, clean=clean)
        return self._both("displacement", x, clean, kappa)

    def score(self, x: Tensor, clean: Tensor, kappa: Levels) -> Tensor:
        self._require(kappa, x=x, clean=clean)
        return self._both("score", x, clean, kappa)

    def _both(self, name: str, x: Tensor, clean: Tensor, kappa: Levels) -> Tensor:
        turn, shift = self._levels(x, kappa)
        rotation = getattr(_ROTATION, name)(x[..., :3, :3], clean[..., :3, :3], turn)
        return torch.cat(
            [rotation, getattr(_TRANSLATION, name)(x[..., :3, 3], clean[..., :3, 3], shift)], -1
        )

    def _levels(self, x: Tensor, kappa: Levels) -> list:
        return levels_of_factors(kappa, x.dim() - 1, [3, 3])


_ROTATION = SO3Kernel(SO3())
_TRANSLATION = EuclideanKernel(Euclidean(3))


def levels_of_factors(kappa: Levels, axes: int, sizes: list[int]) -> list[float | Tensor]:
    """The level of each factor. axes: of a tangent, batch included; sizes: of the factors in a
    tangent.
    """
    if not torch.is_tensor(kappa) and isinstance(kappa, Sequence):
        if len(kappa) != len(sizes):
            raise ValueError(
                f"kappa: expected one level, or {len(sizes)}, one per factor, got {len(kappa)}"
            )
        return list(kappa)
    if torch.is_tensor(kappa) and kappa.dim() == axes and kappa.shape[-1] == sum(sizes):
        return [part[..., 0] for part in kappa.split(sizes, -1)]
    return [kappa] * len(sizes)
