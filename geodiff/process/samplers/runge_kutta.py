"""The classical Runge-Kutta method of order 4."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from geodiff.process.samplers.base import (
    Displacement,
    Interval,
    Number,
    Run,
    Stepper,
    euler_step,
    scaled,
)


@dataclass(frozen=True)
class RungeKutta4(Stepper):
    """Four slopes a step, pulled back to normal coordinates at x. Order 4, four calls a step.

    In those coordinates, y = exp(x, w), the method is the flat one. A parallel transport of the
    slopes in place of the differential of log, as on spaces of geomstats, costs the last order
    where the space is curved. The middle level is the geometric mean of the ends; with a clock per
    factor, the levels at the middle s. A step to kappa = 0 is exponential Euler.
    Source: Munthe-Kaas 1999, whose Lie groups have these coordinates.
    """

    def step(
        self, run: Run, u: Displacement, x: Tensor, interval: Interval, memory: Any
    ) -> tuple[Tensor, Any]:
        manifold, first = run.manifold, u(x, interval.start)
        if interval.ends_clean:
            return euler_step(manifold, first, x, interval), None
        middle, (at_start, at_middle, at_end) = interval.middle()

        def slope(rate: Tensor, kappa: Number, walk: Tensor) -> Tensor:
            y = manifold.exp(x, walk)
            return scaled(rate, manifold.pull_back(x, y, u(y, kappa)))

        first = scaled(at_start, first)
        second = slope(at_middle, middle, first / 2)
        third = slope(at_middle, middle, second / 2)
        fourth = slope(at_end, interval.end, third)
        return manifold.exp(x, (first + 2 * second + 2 * third + fourth) / 6), None
