"""Singlestep exponential integrator: DPM-Solver++ 2S and 3S with exp, log and transport."""

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
    interval_between,
)
from geodiff.process.samplers.interpolation import correct


@dataclass(frozen=True)
class Singlestep(Stepper):
    """Finds the denoised point at levels within the step. Order and calls a step as told.

    Order 2 walks by the point half-way in -log kappa (with a clock per factor, in s); order 3 by
    the one at two thirds, reached by the one at a third. Nothing is remembered, so a start costs no
    order and levels may be of any lengths. A step to kappa = 0 is exponential Euler, one call.

    Args:
        order: 2 or 3.

    Raises: ValueError for another order.
    Source: Lu et al. 2022 (DPM-Solver), algorithms 1 and 2, for the denoised point.
    """

    order: int = 2

    def __post_init__(self) -> None:
        if self.order not in (2, 3):
            raise ValueError(
                f"order: expected 2 or 3, got {self.order}; ExponentialEuler has order 1"
            )

    def step(
        self, run: Run, u: Displacement, x: Tensor, interval: Interval, memory: Any
    ) -> tuple[Tensor, Any]:
        manifold, here = run.manifold, u(x, interval.start)
        if interval.ends_clean:
            return euler_step(manifold, here, x, interval), None
        between = None
        for i in range(1, self.order):
            part = interval_between(interval.start, interval.at(i / self.order)[0])
            y = correct(manifold, x, part, here, (), between)
            between = (part.h, displaced(manifold, x, y, u(y, part.end)))
        assert between is not None
        if self.order == 2:
            return euler_step(manifold, between[1], x, interval), None
        return correct(manifold, x, interval, here, (), between), None
