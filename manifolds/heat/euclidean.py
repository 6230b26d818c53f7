"""The normal distribution on flat space."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from manifolds.base import Generator, Kernel, Levels, Manifold, expand, randn


@dataclass(frozen=True)
class EuclideanKernel(Kernel):
    """Normal with mean `clean` and standard deviation kappa.

    Args:
        manifold: the space.
    """

    manifold: Manifold

    def sample(
        self, clean: Tensor, kappa: Levels, generator: Generator = None, mask: Tensor | None = None
    ) -> Tensor:
        kappa = expand(self._require(kappa, clean=clean), clean, len(self.manifold.shape))
        noise = randn(*clean.shape, generator=generator, dtype=clean.dtype, device=clean.device)
        return clean + kappa * noise

    def log_prob(
        self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None
    ) -> Tensor:
        level = self._require(kappa, x=x, clean=clean)
        return self._normal(x - clean, expand(level, x, len(self.manifold.shape)))

    def displacement(
        self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None
    ) -> Tensor:
        self._require(kappa, x=x, clean=clean)
        return clean - x

    def log_prob_of_diffused(self, x: Tensor, kappa: Levels, mask: Tensor | None = None) -> Tensor:
        kappa = expand(self._require(kappa, x=x), x, len(self.manifold.shape))
        return self._normal(x, (1 + kappa.square()).sqrt())

    def _normal(self, away: Tensor, deviation: Tensor) -> Tensor:
        axes = len(self.manifold.shape)
        each = -0.5 * (away / deviation).square() - deviation.log() - 0.5 * math.log(2 * math.pi)
        return each.sum(tuple(range(-axes, 0))) if axes else each
