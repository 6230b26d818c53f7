"""Exponential Euler: DDIM, and the uniform Euler step of flow matching."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from geodiff.process.samplers.base import Displacement, Interval, Run, Stepper, euler_step


@dataclass(frozen=True)
class ExponentialEuler(Stepper):
    """x' = Exp_x((1 - kappa' / kappa) u). Order 1, one call a step; exact where the denoised point
    does not move.

    Source: Song et al. 2021 (DDIM), eq. 12 with eta = 0.
    """

    def step(
        self, run: Run, u: Displacement, x: Tensor, interval: Interval, memory: Any
    ) -> tuple[Tensor, Any]:
        return euler_step(run.manifold, u(x, interval.start), x, interval), None
