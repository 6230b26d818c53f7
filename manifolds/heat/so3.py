"""Brownian motion on rotations, also called IGSO(3)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from manifolds import numerics
from manifolds.base import Generator, Kernel, Levels, Manifold, expand, rand, randn
from manifolds.heat import angle


@dataclass(frozen=True)
class SO3Kernel(Kernel):
    """Isotropic normal of standard deviation kappa radians in each direction of the rotation
    vector.

    Exact at every level, one level per rotation; the volume of the space is 8 pi^2.

    Args:
        manifold: the rotations.
    """

    manifold: Manifold

    def sample(
        self, clean: Tensor, kappa: Levels, generator: Generator = None, mask: Tensor | None = None
    ) -> Tensor:
        level = self._require(kappa, clean=clean)
        return self.manifold.exp(clean, draw(clean.shape[:-2], level, clean, generator))

    def log_prob(
        self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None
    ) -> Tensor:
        level = self._require(kappa, x=x, clean=clean)
        squared = numerics.squared_norm(self.manifold.log(clean, x))
        t = expand(level, squared, 0).square()
        return angle.log_density(squared, t) - math.log(8 * math.pi**2)

    def displacement(
        self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None
    ) -> Tensor:
        level = self._require(kappa, x=x, clean=clean)
        w = self.manifold.log(clean, x)
        squared = numerics.squared_norm(w).unsqueeze(-1)
        # The rotation vector from clean to x has the same coordinates in the body frames of both.
        return angle.slope(squared, expand(level, w, 1).square()) * w


def draw(
    batch: tuple[int, ...], kappa: float | Tensor, like: Tensor, generator: Generator = None
) -> Tensor:
    """Rotation vectors (*batch, 3) of Brownian motion from the identity, in the dtype of `like`.

    Args:
        batch: how many.
        kappa: the level, broadcastable to the batch.
        like: a tensor of the dtype and device of the result.
        generator: where the numbers come from; None is torch's own.
    """
    options: dict[str, Any] = {
        "generator": generator,
        "dtype": torch.float64,
        "device": like.device,
    }
    probability, axis = rand(*batch, **options), numerics.normalise(randn(*batch, 3, **options))
    size = angle.quantile(probability, expand(kappa, probability, 0))
    return (size.unsqueeze(-1) * axis).to(like.dtype)
