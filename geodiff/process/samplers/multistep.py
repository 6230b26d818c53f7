"""Multistep exponential integrator: DPM-Solver++ 2M and 3M with exp, log and transport in place of
sums.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from geodiff.process.samplers.base import Displacement, Interval, Run, Stepper, euler_step
from geodiff.process.samplers.interpolation import History, predict
from geodiff.process.samplers.unipc import UniPC


@dataclass(frozen=True)
class Multistep(Stepper):
    """Extrapolates the denoised point from this level and the last ones. One call a step.

    A step to kappa = 0 is exponential Euler, and so is one more than twice as long as the last,
    over which extrapolation runs away, and with order 2 the first one. With order 3 the first is
    corrected with the point found at its end, which costs no call more and keeps the order; the
    parabola is integrated exactly, where published 3M has half of its last term and order 2.

    Args:
        order: 2 or 3.

    Raises: ValueError for another order.
    Source: Lu et al. 2022 (DPM-Solver++), algorithm 2.
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
        manifold, history = run.manifold, memory
        if history is None and self.order == 3:
            return UniPC(1).step(run, u, x, interval, None)
        known = None if history is None else history.here
        here = u(x, interval.start) if known is None else known
        if interval.ends_clean:
            return euler_step(manifold, here, x, interval), None
        behind = () if history is None else history.seen_from(manifold, x, self.order - 1)
        end = predict(manifold, x, interval, here, behind)
        return end, History(x, interval, ((0.0, here), *behind))
