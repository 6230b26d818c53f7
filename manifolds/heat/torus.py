"""The wrapped normal distribution on angles."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from manifolds.angles import wrap
from manifolds.base import Generator, Kernel, Level, Levels, Manifold, expand, randn
from manifolds.heat.levels import parts_of_factors

# Below, 5 images of the normal leave out e^-49 of it; above, 6 waves leave out e^-98.
_SWITCH = 2.0
_IMAGES = 2
_WAVES = 6


@dataclass(frozen=True)
class TorusKernel(Kernel):
    """Normal of standard deviation kappa in each angle, wrapped around; angles are independent.

    Small kappa: the sum over images 2 pi apart. Large kappa: the Fourier series of the same
    function.

    Args:
        manifold: the torus.
        circle: the torus of one angle.
    """

    manifold: Manifold
    circle: Manifold

    def sample(
        self, clean: Tensor, kappa: Levels, generator: Generator = None, mask: Tensor | None = None
    ) -> Tensor:
        level = self._require(kappa, clean=clean)
        # In float64, as many turns may pass before wrapping; beyond 1000 rad it is uniform to
        # rounding.
        noise = randn(*clean.shape, generator=generator, dtype=torch.float64, device=clean.device)
        turned = wrap(clean.double() + expand(level, noise, 1).clamp(max=1e3) * noise)
        return self.manifold.project(turned.to(clean.dtype))

    def log_prob(
        self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None
    ) -> Tensor:
        level = self._require(kappa, x=x, clean=clean)
        away = wrap(x - clean)
        kappa = expand(level, away, 1)
        near = kappa < _SWITCH
        few, many = torch.where(near, kappa, _SWITCH), torch.where(near, _SWITCH, kappa)
        images = (
            torch.logsumexp(_exponents(away, few), -1) - few.log() - 0.5 * math.log(2 * math.pi)
        )
        waves = _waves(away, many)[0].log() - math.log(2 * math.pi)
        return torch.where(near, images, waves).sum(-1)

    def displacement(
        self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None
    ) -> Tensor:
        level = self._require(kappa, x=x, clean=clean)
        away = wrap(x - clean)
        kappa = expand(level, away, 1)
        near = kappa < _SWITCH
        few, many = torch.where(near, kappa, _SWITCH), torch.where(near, _SWITCH, kappa)
        weights = _exponents(away, few).softmax(-1)
        # The mean image less the angle itself keeps the relative accuracy of small angles.
        turns = (
            2 * math.pi * torch.arange(-_IMAGES, _IMAGES + 1, dtype=away.dtype, device=away.device)
        )
        images = -away - (weights * turns).sum(-1)
        density, slope = _waves(away, many)
        return torch.where(near, images, slope / density)

    def independent(
        self, kappa: Levels, radius: float | None, per_entry: bool
    ) -> list[tuple[Kernel, Level, float | None]]:
        if self.manifold == self.circle:
            return super().independent(kappa, radius, per_entry)
        circle = TorusKernel(self.circle, self.circle)
        return [
            part
            for level in parts_of_factors(kappa, [1] * (self.manifold.dim or 0), per_entry)
            for part in circle.independent(level, radius, per_entry)
        ]


def _exponents(away: Tensor, kappa: Tensor) -> Tensor:
    """-(away + 2 pi k)^2 / (2 kappa^2) for each image k, in a new last axis."""
    turns = 2 * math.pi * torch.arange(-_IMAGES, _IMAGES + 1, dtype=away.dtype, device=away.device)
    tiny = torch.finfo(away.dtype).tiny ** 0.25
    return -0.5 * ((away.unsqueeze(-1) + turns) / kappa.clamp(min=tiny).unsqueeze(-1)).square()


def _waves(away: Tensor, kappa: Tensor) -> tuple[Tensor, Tensor]:
    """2 pi times the density, and kappa^2 times its derivative, by the Fourier series."""
    order = torch.arange(1, _WAVES + 1, dtype=away.dtype, device=away.device)
    # Beyond kappa = 40 every wave is 0 in float64 too; the bound keeps 0 times infinity out.
    squared = kappa.clamp(max=40.0).square().unsqueeze(-1)
    height = 2 * (-0.5 * order.square() * squared).exp()
    phase = order * away.unsqueeze(-1)
    return 1 + (height * phase.cos()).sum(-1), -(squared * height * order * phase.sin()).sum(-1)
