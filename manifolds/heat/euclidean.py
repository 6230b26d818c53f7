"""The normal distribution, on flat space and on centred clouds."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from manifolds import numerics
from manifolds.base import expand, randn
from manifolds.centered import Centered
from manifolds.euclidean import Euclidean
from manifolds.heat.base import Kernel


@dataclass(frozen=True)
class EuclideanKernel(Kernel):
    """Normal with mean `clean` and standard deviation kappa."""

    manifold: Euclidean

    def sample(self, clean: Tensor, kappa: float | Tensor, generator=None) -> Tensor:
        self._require(kappa, clean=clean)
        kappa = expand(kappa, clean, len(self.manifold.shape))
        noise = randn(*clean.shape, generator=generator, dtype=clean.dtype, device=clean.device)
        return clean + kappa * noise

    def log_prob(self, x: Tensor, clean: Tensor, kappa: float | Tensor) -> Tensor:
        self._require(kappa, x=x, clean=clean)
        axes = len(self.manifold.shape)
        away = x - clean
        kappa = expand(kappa, away, axes)
        each = -0.5 * (away / kappa).square() - kappa.log() - 0.5 * math.log(2 * math.pi)
        return each.sum(tuple(range(-axes, 0))) if axes else each

    def displacement(self, x: Tensor, clean: Tensor, kappa: float | Tensor) -> Tensor:
        self._require(kappa, x=x, clean=clean)
        return clean - x


@dataclass(frozen=True)
class CenteredKernel(Kernel):
    """Normal on the centred clouds, which have one node less of freedom than nodes.

    mask: (*batch, nodes) bool, True at real nodes, as in `Centered`.
    """

    manifold: Centered

    def sample(
        self, clean: Tensor, kappa: float | Tensor, generator=None, mask: Tensor | None = None
    ) -> Tensor:
        self._require(kappa, clean=clean)
        noise = self.manifold.random_tangent(clean, generator=generator, mask=mask)
        return clean + expand(kappa, clean, 2) * noise

    def log_prob(
        self, x: Tensor, clean: Tensor, kappa: float | Tensor, mask: Tensor | None = None
    ) -> Tensor:
        self._require(kappa, x=x, clean=clean)
        away = self.manifold.to_tangent(x, x - clean, mask)
        squared = numerics.squared_norm(away, 2)
        kappa = expand(kappa, squared, 0)
        nodes = x.shape[-2] if mask is None else mask.sum(-1)
        dim = (nodes - 1) * self.manifold.point_dim
        return -0.5 * squared / kappa.square() - dim * (kappa.log() + 0.5 * math.log(2 * math.pi))

    def displacement(
        self, x: Tensor, clean: Tensor, kappa: float | Tensor, mask: Tensor | None = None
    ) -> Tensor:
        self._require(kappa, x=x, clean=clean)
        return self.manifold.to_tangent(x, clean - x, mask)

    def score(
        self, x: Tensor, clean: Tensor, kappa: float | Tensor, mask: Tensor | None = None
    ) -> Tensor:
        return self.displacement(x, clean, kappa, mask) / expand(kappa, x, 2).square()
