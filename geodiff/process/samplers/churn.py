"""Churn: a little exact noise before each step, which the step then removes, as in EDM."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from geodiff.process.samplers.base import (
    Displacement,
    Interval,
    Run,
    Stepper,
    interval_between,
    like,
)
from geodiff.process.samplers.heun import Heun


@dataclass(frozen=True)
class Churn(Stepper):
    """Noises the state from kappa to kappa (1 + gamma), then steps from there, u asked of the
    noised point at its own level. The calls are those of `stepper`.

    The noise is added as the corruption adds it, so the run must know one, and one with a score.
    No level goes above the corruption's highest. The inner stepper remembers nothing from step to
    step, as the noise lies between: a multistep rule would only make its first step.

    Args:
        gamma: above 0; Karras et al. take S_churn / steps, 0.414 at most.
        low: no noise is added at levels below.
        high: nor at levels above.
        scale: of the noise added, above 0; 1 keeps the law, 1.003 to 1.007 make up for a network
            that removes too much.
        stepper: crosses each churned interval.

    Raises: ValueError for numbers outside their range.
    Source: Karras et al. 2022, algorithm 2.
    """

    gamma: float = 0.1
    low: float = 0.0
    high: float = float("inf")
    scale: float = 1.0
    stepper: Stepper = Heun()

    def __post_init__(self) -> None:
        if not self.gamma > 0:
            raise ValueError(f"gamma: expected a number above 0, got {self.gamma}")
        if not 0 <= self.low < self.high:
            raise ValueError(f"low, high: expected 0 <= low < high, got {self.low}, {self.high}")
        if not self.scale > 0:
            raise ValueError(f"scale: expected a number above 0, got {self.scale}")

    @property
    def needs_score(self) -> bool:
        return True

    def step(
        self, run: Run, u: Displacement, x: Tensor, interval: Interval, memory: Any
    ) -> tuple[Tensor, Any]:
        kappa = interval.start
        if interval.to_noise or isinstance(kappa, Tensor):
            raise ValueError(
                "levels: Churn adds noise of its own on the way to clean points, by one level for "
                "all factors; give decreasing levels of one clock, or use a deterministic stepper"
            )
        assert run.corruption is not None  # check_score has seen to it
        top = float(run.corruption.clock.kappa(1.0).max())
        churned = min(kappa * (1 + self.gamma), max(top, kappa))
        if self.low <= kappa <= self.high and churned > kappa:
            added = like(self.scale * (churned**2 - kappa**2) ** 0.5, x)
            x = run.corruption.diffuse(x, added, generator=run.generator, mask=run.mask)
            interval = interval_between(churned, interval.end)
        return self.stepper.step(run, u, x, interval, None)[0], None
