"""Brownian motion on a space with another unit of length."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from manifolds.base import expand
from manifolds.heat.base import Kernel
from manifolds.scaled import Scaled


@dataclass(frozen=True)
class ScaledKernel(Kernel):
    """The kernel of the space itself at the level kappa / scale, as a density against the larger
    volume.

    A level per factor or coordinate (a list, a wide tensor) is not taken; scale the factors
    instead.
    """

    manifold: Scaled
    kernel: Kernel

    def sample(self, clean: Tensor, kappa: float | Tensor, generator=None, **options) -> Tensor:
        return self.kernel.sample(
            clean, kappa / self.manifold.scale, generator=generator, **options
        )

    def log_prob(self, x: Tensor, clean: Tensor, kappa: float | Tensor, **options) -> Tensor:
        space, scale = self.manifold.space, self.manifold.scale
        density = self.kernel.log_prob(x, clean, kappa / scale, **options)
        return density - _dim(space, x, **options) * math.log(scale)

    def displacement(self, x: Tensor, clean: Tensor, kappa: float | Tensor, **options) -> Tensor:
        # kappa^2 / scale^2 times the gradient in the metric of the space: both changes are the same
        # factor.
        return self.kernel.displacement(x, clean, kappa / self.manifold.scale, **options)

    def score(self, x: Tensor, clean: Tensor, kappa: float | Tensor, **options) -> Tensor:
        u = self.displacement(x, clean, kappa, **options)
        return u / expand(kappa, u, len(self.manifold.tangent_shape)).square()


def _dim(space, x: Tensor, mask: Tensor | None = None) -> int | Tensor:
    """Dimension of a space; of the clouds x (*batch, nodes, point_dim) where it depends on their
    number.
    """
    if space.dim is not None:
        return space.dim
    return ((x.shape[-2] if mask is None else mask.sum(-1)) - 1) * x.shape[-1]
