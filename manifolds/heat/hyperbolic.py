"""Brownian motion on hyperbolic 3-space."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from manifolds import numerics
from manifolds.base import Generator, Kernel, Levels, Manifold, expand, randn


@dataclass(frozen=True)
class HyperbolicKernel(Kernel):
    """Heat kernel of Hyperbolic(3), with t = kappa^2 and r the distance from `clean`:

        p = (2 pi t)^(-3/2) (r / sinh r) exp(-t / 2 - r^2 / 2t)

    Exact at every level. Small r takes the series of r / sinh r and of coth r; large r the
    logarithm, which does not overflow. At large kappa the motion drifts outwards, to r = t +
    O(kappa): nothing becomes uniform, and at kappa = 6 the draws leave the float32 range of
    `Hyperbolic`.

    Args:
        manifold: Hyperbolic(3).

    Source: Davies and Mandouvalos 1988, "Heat kernel bounds on hyperbolic space and Kleinian
    groups".
    """

    manifold: Manifold

    def sample(
        self, clean: Tensor, kappa: Levels, generator: Generator = None, mask: Tensor | None = None
    ) -> Tensor:
        level = self._require(kappa, clean=clean)
        # r has density sqrt(2 / pi) t^(-3/2) r sinh(r) exp(-t / 2 - r^2 / 2t): that of the length
        # of a normal of variance t around a vector of length t in R^3. Around a random one it has
        # every direction alike.
        noise, axis = (
            randn(*clean.shape[:-1], 3, generator=generator, dtype=clean.dtype, device=clean.device)
            for _ in range(2)
        )
        axis = numerics.normalise(axis)
        kappa = expand(level, noise, 1)
        w = kappa * noise + kappa.square() * axis
        return self.manifold.exp(clean, self.manifold.from_coordinates(clean, w))

    def log_prob(
        self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None
    ) -> Tensor:
        level = self._require(kappa, x=x, clean=clean)
        squared = numerics.squared_norm(
            self.manifold.coordinates(clean, self.manifold.log(clean, x))
        )
        t = expand(level, squared, 0).square()
        flat = -1.5 * (2 * math.pi * t).log() - squared / (2 * t)
        return flat - 0.5 * t - numerics.log_sinhc(squared)

    def displacement(
        self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None
    ) -> Tensor:
        level = self._require(kappa, x=x, clean=clean)
        towards = self.manifold.log(x, clean)
        squared = self.manifold.dist(x, clean).square().unsqueeze(-1)
        t = expand(level, towards, 1).square()
        return (1 + t * numerics.coth_rest(squared)) * towards

    def log_prob_of_diffused(self, x: Tensor, kappa: Levels, mask: Tensor | None = None) -> Tensor:
        if bool(torch.as_tensor(self._require(kappa, x=x) != 0).any()):
            raise ValueError(
                f"kappa: random points of {self.manifold} have no closed density after Brownian "
                "motion; use a Geodesic, which starts from the points themselves"
            )
        return self.manifold.log_prob_of_random(x)
