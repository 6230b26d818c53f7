"""Exponential Euler: DDIM, and the uniform Euler step of flow matching."""

from dataclasses import dataclass

from geodiff.process.samplers.base import Stepper, euler_step


@dataclass(frozen=True)
class ExponentialEuler(Stepper):
    """x' = Exp_x((1 - kappa' / kappa) u). Order 1, one call a step; exact where the denoised point
    does not move.

    Source: Song et al. 2021 (DDIM), eq. 12 with eta = 0.
    """

    def step(self, manifold, u, x, interval, memory, generator):
        return euler_step(manifold, u(x, interval.start), x, interval), None
