"""Steps taken again and again from fresh noise, so that parts of a point can settle together."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from geodiff.process.samplers.ancestral import Ancestral
from geodiff.process.samplers.base import Displacement, Interval, Run, Stepper, like


@dataclass(frozen=True)
class RePaint(Stepper):
    """Each step `repeats` times: down to the next level, and by fresh noise back up, but for the
    last time. With `geodiff.Known` the rest adapts to what is known; the more, the more repeats.

    repeats calls for each of the stepper's own; the step that ends at kappa = 0 is taken once.

    Args:
        repeats: how often, at least 1; 1 is the stepper itself.
        stepper: what steps down.

    Raises: ValueError for repeats that are no whole number of at least 1.
    Source: Lugmayr et al. 2022, algorithm 1.
    """

    repeats: int
    stepper: Stepper = field(default_factory=Ancestral)

    def __post_init__(self) -> None:
        if self.repeats < 1 or int(self.repeats) != self.repeats:
            raise ValueError(f"repeats: expected a whole number of at least 1, got {self.repeats}")

    @property
    def needs_score(self) -> bool:
        return self.repeats > 1 or self.stepper.needs_score

    def step(
        self, run: Run, u: Displacement, x: Tensor, interval: Interval, memory: Any
    ) -> tuple[Tensor, Any]:
        if interval.to_noise:
            raise ValueError(
                "levels: RePaint adds noise of its own on the way to clean points and cannot "
                "invert; use a deterministic stepper for increasing levels"
            )
        if not interval.ends_clean:
            added = like((interval.start**2 - interval.end**2) ** 0.5, x)
            for _ in range(self.repeats - 1):
                x, _ = self.stepper.step(run, u, x, interval, memory)
                assert run.corruption is not None  # check_score has seen to it
                x = run.corruption.diffuse(x, added, generator=run.generator, mask=run.mask)
        return self.stepper.step(run, u, x, interval, memory)
