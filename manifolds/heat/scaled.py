"""Brownian motion on a space with another unit of length."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from manifolds.base import Generator, Kernel, Level, Levels, Manifold


@dataclass(frozen=True)
class ScaledKernel(Kernel):
    """The kernel of the space itself at the level kappa / scale, as a density against the larger
    volume.

    Args:
        manifold: the scaled space.
        kernel: of the space inside.
        scale: by what lengths are multiplied.
    """

    manifold: Manifold
    kernel: Kernel
    scale: float

    def sample(
        self, clean: Tensor, kappa: Levels, generator: Generator = None, mask: Tensor | None = None
    ) -> Tensor:
        return self.kernel.sample(clean, self._inside(kappa), generator=generator, mask=mask)

    def log_prob(
        self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None
    ) -> Tensor:
        density = self.kernel.log_prob(x, clean, self._inside(kappa), mask)
        return density - self._log_volume(x, mask)

    def displacement(
        self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None
    ) -> Tensor:
        # kappa^2 / scale^2 times the gradient in the metric of the space: both changes are the same
        # factor.
        return self.kernel.displacement(x, clean, self._inside(kappa), mask)

    def score(self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None) -> Tensor:
        return self.kernel.score(x, clean, self._inside(kappa), mask) / self.scale**2

    def log_prob_of_diffused(self, x: Tensor, kappa: Levels, mask: Tensor | None = None) -> Tensor:
        density = self.kernel.log_prob_of_diffused(x, self._inside(kappa), mask)
        return density - self._log_volume(x, mask)

    def independent(
        self, kappa: Levels, radius: float | None, per_entry: bool
    ) -> list[tuple[Kernel, Level, float | None]]:
        radius = None if radius is None else radius / self.scale
        return self.kernel.independent(self._inside(kappa), radius, per_entry)

    def _inside(self, kappa: Levels) -> Level:
        """The level in the unit of length of the space inside."""
        return self.one_level(kappa) / self.scale

    def _log_volume(self, x: Tensor, mask: Tensor | None) -> float | Tensor:
        """The logarithm of how many times volumes are larger."""
        return self.manifold.dim_of(x, mask) * math.log(self.scale)
