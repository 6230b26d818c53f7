"""Multistep exponential integrator: DPM-Solver++ 2M with exp, log and transport in place of
sums.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from geodiff.process.samplers.base import (
    Displacement,
    Interval,
    Run,
    Stepper,
    displaced,
    euler_step,
    scaled,
)


@dataclass(frozen=True)
class Multistep(Stepper):
    """Extrapolates the denoised point from this level and the last. Order 2, one call a step.

    The first step, and a step to kappa = 0, are exponential Euler.

    Args:
        order: 2, the one there is.

    Raises: ValueError for another order.
    Source: Lu et al. 2022 (DPM-Solver++), algorithm 2.
    """

    order: int = 2

    def __post_init__(self) -> None:
        if self.order != 2:
            raise ValueError(f"order: expected 2, got {self.order}; ExponentialEuler has order 1")

    def step(
        self, run: Run, u: Displacement, x: Tensor, interval: Interval, memory: Any
    ) -> tuple[Tensor, Any]:
        here = u(x, interval.start)
        ahead = here
        if memory is not None and not interval.ends_clean:
            last_x, last_u, last_h = memory
            change = here - displaced(run.manifold, x, last_x, last_u)
            ahead = here + scaled(interval.h / (2 * last_h), change)
        return euler_step(run.manifold, ahead, x, interval), (x, here, interval.h)
