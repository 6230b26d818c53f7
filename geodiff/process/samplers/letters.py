"""Steps of letters: from the probabilities of the clean ones to letters at a lower level."""

import abc
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from geodiff.process.corruption.letters import Letters
from geodiff.process.levels import Levels
from geodiff.process.randomness import Generator
from geodiff.process.samplers.base import Interval, Number, intervals
from geodiff.process.samplers.integrate import Crossing
from manifolds.base import rand

Probabilities = Callable[[Tensor, Number], Tensor]
"""(x, kappa) -> the probabilities of each clean letter, (*batch, n, classes)."""


@dataclass(frozen=True)
class LetterRun:
    """What a stepper of letters may know of the run beside the probabilities.

    Args:
        corruption: how the letters were noised.
        mask: (*batch, n) bool; where it is False, letters stay.
        generator: where random numbers come from.
    """

    corruption: Letters
    mask: Tensor | None = None
    generator: Generator = None


class LetterStepper(abc.ABC):
    """A rule that takes letters over one interval. Steppers are frozen dataclasses."""

    @abc.abstractmethod
    def step(self, run: LetterRun, clean: Probabilities, x: Tensor, interval: Interval) -> Tensor:
        """The letters at the end of the interval, (*batch, n).

        Args:
            run: the corruption, the mask, and the source of noise.
            clean: callable (x, kappa) -> the probabilities of each clean letter.
            x: the letters at interval.start, (*batch, n).
            interval: the levels to cross.
        """


@dataclass(frozen=True)
class LetterAncestral(LetterStepper):
    """Draws each letter from its exact law at the next level, `Letters.posterior`. One call a step.

    Exact in any number of steps where the letters of a word do not depend on each other; else each
    step draws those that it changes as if they did not, an error of order 1 in the step.
    Source: Austin et al. 2021 (D3PM), eq. 4.
    """

    def step(self, run: LetterRun, clean: Probabilities, x: Tensor, interval: Interval) -> Tensor:
        if interval.to_noise:
            raise ValueError(
                "levels: letters are drawn on the way to clean ones only; give decreasing levels"
            )
        law = run.corruption.posterior(clean(x, interval.start), x, interval.start, interval.end)
        drawn = draw(law, run.generator)
        return drawn if run.mask is None else torch.where(run.mask, drawn, x)


def draw(law: Tensor, generator: Generator = None) -> Tensor:
    """A letter from each law, (*batch, n), by one uniform number each; never one of probability 0.

    Args:
        law: probabilities, up to a factor, (*batch, n, states).
        generator: a `torch.Generator`, a `Noise`, or None.
    """
    total = law.cumsum(-1)
    number = rand(*law.shape[:-1], generator=generator, dtype=law.dtype, device=law.device)
    below = total <= number[..., None] * total[..., -1:]
    return below.sum(-1).clamp(max=law.shape[-1] - 1)


def letter_crossings(run: LetterRun, levels: Levels, stepper: LetterStepper) -> list[Crossing]:
    """One function (probabilities, x) -> letters for each interval, as `crossings` for points.

    Args:
        run: what the stepper may know.
        levels: decreasing, from 1 at most.
        stepper: the rule that crosses each interval.
    """

    def crossing(interval: Interval) -> Crossing:
        return lambda clean, x: stepper.step(run, clean, x, interval)

    return [crossing(interval) for interval in intervals(levels)]
