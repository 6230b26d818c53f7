"""Runge-Kutta steps of the length that a tolerance allows."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from geodiff.process.samplers.base import Displacement, Interval, Run, Stepper, euler_step, scaled

# Each row: the share of the step where a slope is taken, and the slopes that lead there.
_STAGES = ((1 / 2, (1 / 2,)), (3 / 4, (0.0, 3 / 4)), (1.0, (2 / 9, 1 / 3, 4 / 9)))
# The embedded rule of order 2, less the rule of order 3, which the last row is.
_ERROR = (5 / 72, -1 / 12, -1 / 9, 1 / 8)


@dataclass(frozen=True)
class AdaptiveRungeKutta(Stepper):
    """Crosses each interval in as many steps as the tolerance asks for; longer ones are refused and
    tried again. Order 3 with an error of order 2 embedded, three calls a try and one at the start.

    Slopes are pulled back to normal coordinates at the state, and the error is the length of a
    tangent there. All points of a batch share their steps, set by the worst one, so that a sample
    depends on its batch within the tolerance. Give few levels: each ends a step. An interval to
    kappa = 0 is exponential Euler, whatever the tolerance.

    Args:
        rtol: error of a step, as a share of the distance to the denoised point.
        atol: error of a step that is always allowed, in the units of `manifold.dist`.
        limit: tries in one interval before RuntimeError.

    Raises: ValueError for tolerances that are not above 0.
    Source: Bogacki and Shampine 1989; Munthe-Kaas 1999 for the coordinates.
    """

    rtol: float = 1e-3
    atol: float = 1e-5
    limit: int = 10_000

    def __post_init__(self) -> None:
        if not (self.rtol > 0 and self.atol > 0):
            raise ValueError(
                f"rtol, atol: expected numbers above 0, got {self.rtol} and {self.atol}"
            )

    def step(
        self, run: Run, u: Displacement, x: Tensor, interval: Interval, memory: Any
    ) -> tuple[Tensor, Any]:
        manifold, here = run.manifold, u(x, interval.start)
        if interval.ends_clean:
            return euler_step(manifold, here, x, interval), None
        done, length, tries = 0.0, 0.1, 0
        while done < 1:
            if tries == self.limit:
                raise RuntimeError(
                    f"AdaptiveRungeKutta: {self.limit} tries did not cross the interval from kappa "
                    f"{interval.start} to {interval.end}; allow a larger rtol or atol"
                )
            tries += 1
            length = min(length, 1 - done)
            reached, there, error = _attempt(run, u, x, here, interval, done, length)
            allowed = self.atol + self.rtol * manifold.norm(x, here)
            excess = (error / allowed).max().item()
            if excess <= 1:
                # The last slope, at the new state in its own coordinates, is the next one's first.
                done, x, here = (1.0 if length == 1 - done else done + length), reached, there
            # A field that is nan far away is asked again, nearer.
            growth = 0.9 * max(excess, 1e-9) ** (-1 / 3) if excess >= 0 else 0.2
            length *= min(5.0, max(0.2, growth))
        return x, None


def _attempt(
    run: Run,
    u: Displacement,
    x: Tensor,
    here: Tensor,
    interval: Interval,
    done: float,
    length: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The state after a share of the interval, u there, and the size of the error, (*batch,)."""
    manifold = run.manifold
    slopes = [scaled(interval.at(done)[1], here)]
    y = x
    there = here
    for share, coefficients in _STAGES:
        walk = sum(
            (length * a * slope for a, slope in zip(coefficients, slopes)), torch.zeros_like(here)
        )
        y = manifold.exp(x, walk)
        level, rate = interval.at(done + share * length)
        there = u(y, level)
        slopes.append(scaled(rate, manifold.pull_back(x, y, there)))
    error = sum((length * b * slope for b, slope in zip(_ERROR, slopes)), torch.zeros_like(here))
    return y, there, manifold.norm(x, error)
