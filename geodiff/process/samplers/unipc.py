"""UniPC: the multistep predictor, corrected with the denoised point found at the next level."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from geodiff.process.samplers.base import (
    Displacement,
    Interval,
    Number,
    Run,
    Stepper,
    displaced,
    euler_step,
    scaled,
)


@dataclass(frozen=True)
class UniPC(Stepper):
    """Predicts with `Multistep`, then walks again with the denoised points behind, here and ahead.

    Order 2 promised, 3 measured; one call a step and one at the start. The denoised point is
    interpolated in -log kappa, by a line in the first step and a parabola after it, and integrated
    exactly. A step to kappa = 0 is exponential Euler.

    Args:
        order: 2, the one there is.

    Raises: ValueError for another order.
    Source: Zhao et al. 2023, algorithms 1 and 2.
    """

    order: int = 2

    def __post_init__(self) -> None:
        if self.order != 2:
            raise ValueError(f"order: expected 2, got {self.order}")

    def step(
        self, run: Run, u: Displacement, x: Tensor, interval: Interval, memory: Any
    ) -> tuple[Tensor, Any]:
        manifold = run.manifold
        here, behind, last_h = (u(x, interval.start), None, 0.0) if memory is None else memory
        if interval.ends_clean:
            return euler_step(manifold, here, x, interval), None
        h, fraction = interval.h, interval.fraction
        slope = None if behind is None else here - behind
        ahead = here if slope is None else here + scaled(h / (2 * last_h), slope)
        predicted = euler_step(manifold, ahead, x, interval)
        u_predicted = u(predicted, interval.end)
        change = displaced(manifold, x, predicted, u_predicted) - here
        walk = scaled(fraction, here)
        first, second = _moments(interval)
        if slope is None:
            walk = walk + scaled(first / h, change)
        else:
            # The parabola through -slope at -last_h, 0 at 0 and change at h.
            curvature = scaled(1 / (h + last_h), scaled(1 / h, change) - scaled(1 / last_h, slope))
            walk = walk + scaled(first / last_h, slope) + scaled(second + last_h * first, curvature)
        corrected = manifold.exp(x, walk)
        # The denoised points stay; seen from the corrected state they are the next step's history.
        return corrected, (
            displaced(manifold, corrected, predicted, u_predicted),
            displaced(manifold, corrected, x, here),
            h,
        )


def _moments(interval: Interval) -> tuple[Number, Number]:
    """Integrals over t from 0 to h of exp(t - h) t and exp(t - h) t^2."""
    h = interval.h
    first = h - interval.fraction
    return first, h**2 - 2 * first
