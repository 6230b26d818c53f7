"""UniPC: the multistep predictor, corrected with the denoised point found at the next level."""

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
)
from geodiff.process.samplers.interpolation import History, correct, predict


@dataclass(frozen=True)
class UniPC(Stepper):
    """Predicts as `Multistep` does, then walks again with the denoised points behind, here and
    ahead.

    The corrector has one order more than the predictor, and costs one call at the start; every
    step costs one. The denoised point is interpolated in -log kappa and integrated exactly. The
    first steps have fewer points behind, and so the order that those give. A step more than twice
    as long as the last forgets the points behind; one to kappa = 0 is exponential Euler.

    Args:
        order: of the predictor, 1, 2 or 3.
        corrector: whether to walk again.

    Raises: ValueError for another order.
    Source: Zhao et al. 2023, algorithms 1 and 2.
    """

    order: int = 2
    corrector: bool = True

    def __post_init__(self) -> None:
        if self.order not in (1, 2, 3):
            raise ValueError(f"order: expected 1, 2 or 3, got {self.order}")

    def step(
        self, run: Run, u: Displacement, x: Tensor, interval: Interval, memory: Any
    ) -> tuple[Tensor, Any]:
        manifold, history = run.manifold, memory
        known = None if history is None else history.here
        here = u(x, interval.start) if known is None else known
        if interval.ends_clean:
            return euler_step(manifold, here, x, interval), None
        behind = () if history is None else history.seen_from(manifold, x, self.order - 1)
        predicted = predict(manifold, x, interval, here, behind)
        points = ((0.0, here), *behind)
        if not self.corrector:
            return predicted, History(x, interval, points)
        there = u(predicted, interval.end)
        ahead = (interval.h, displaced(manifold, x, predicted, there))
        end = correct(manifold, x, interval, here, behind, ahead)
        # The denoised point stays; seen from the corrected state it is the next step's first.
        return end, History(x, interval, points, displaced(manifold, end, predicted, there))
