"""Heun's method in kappa, the sampler of EDM."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from geodiff.process.samplers.base import Displacement, Interval, Run, Stepper, euler_step, scaled


@dataclass(frozen=True)
class Heun(Stepper):
    """Trapezium rule for dx / dkappa = -u / kappa, slopes carried back to x. Order 2, two calls a
    step.

    A step to kappa = 0 is exponential Euler, one call. Source: Karras et al. 2022, algorithm 1.
    """

    def step(
        self, run: Run, u: Displacement, x: Tensor, interval: Interval, memory: Any
    ) -> tuple[Tensor, Any]:
        manifold, here = run.manifold, u(x, interval.start)
        if interval.ends_clean:
            return euler_step(manifold, here, x, interval), None
        predicted = euler_step(manifold, here, x, interval)
        there = manifold.transport(predicted, x, u(predicted, interval.end))
        walked = interval.start - interval.end
        walk = scaled(walked / (2 * interval.start), here) + scaled(
            walked / (2 * interval.end), there
        )
        return manifold.exp(x, walk), None
