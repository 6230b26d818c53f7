"""What a stepper is, and the interval between two noise levels that it crosses."""

import abc
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from geodiff.process.corruption.base import PointCorruption
from geodiff.process.levels import Levels
from geodiff.process.randomness import Generator
from manifolds.base import Manifold

Number = float | Tensor
"""A float; with a clock per factor a float64 tensor (*tangent_shape). Write for both."""

Displacement = Callable[[Tensor, Number], Tensor]
"""(x, kappa) -> u, a tangent at x."""


@dataclass(frozen=True)
class Interval:
    """From noise level `start` to noise level `end`.

    Args:
        start: kappa here, finite and above 0.
        end: kappa there, which may be 0.
        h: log(start / end), the step in -log kappa; infinite at end = 0, negative on the way to
            noise.
        fraction: 1 - end / start, the share of u that an exponential Euler step walks.
        ends_clean: whether end is 0.
        to_noise: whether the levels rise.
        middle: called, what `Levels.middle` says; not where end = 0.
        at: called with a share of the way, what `Levels.between` says; not where end = 0.
    """

    start: Number
    end: Number
    h: Number
    fraction: Number
    ends_clean: bool
    to_noise: bool
    middle: Callable[[], tuple[Tensor, tuple[Tensor, Tensor, Tensor]]]
    at: Callable[[float], tuple[Number, Number]]


def intervals(levels: Levels) -> list[Interval]:
    """The intervals between finite levels in turn, worked out together: steps are many, and small
    tensors dear.

    Args:
        levels: finite, at least 2.
    """
    start, end = levels.kappas[:-1], levels.kappas[1:]
    h = torch.log1p((start - end) / end)
    starts, ends, steps, fractions = (
        column.tolist() if column.ndim == 1 else column.unbind()
        for column in (start, end, h, -torch.expm1(-h))
    )
    clean, rising = (end == 0).reshape(len(end), -1).any(1).tolist(), bool((end > start).all())
    return [
        Interval(
            *numbers,
            clean[i],
            rising,
            functools.partial(levels.middle, i),
            functools.partial(levels.between, i),
        )
        for i, numbers in enumerate(zip(starts, ends, steps, fractions))
    ]


def interval_between(start: Number, end: Number) -> Interval:
    """The interval between two levels that are in no list.

    Args:
        start: finite and above 0.
        end: another one, which may be 0.
    """
    ends = [torch.as_tensor(number, dtype=torch.float64) for number in (start, end)]
    return intervals(Levels.of(torch.stack(ends)))[0]


@dataclass(frozen=True)
class Run:
    """What a stepper may know of the run beside the field: it is told, and keeps nothing.

    Args:
        manifold: the space of the states.
        corruption: how they were noised; None where only u is known.
        mask: for clouds, (*batch, nodes) bool.
        generator: a `torch.Generator`, a `Noise`, or None.
    """

    manifold: Manifold
    corruption: PointCorruption | None = None
    mask: Tensor | None = None
    generator: Generator = None


class Stepper(abc.ABC):
    """A rule that crosses one interval. Steppers are frozen dataclasses; memory goes in and out."""

    @abc.abstractmethod
    def step(
        self, run: Run, u: Displacement, x: Tensor, interval: Interval, memory: Any
    ) -> tuple[Tensor, Any]:
        """The state at the end of the interval, and the memory for the next one.

        Args:
            run: the space, the corruption where it is known, the mask, and the source of noise.
            u: the displacement, callable (x, kappa); called at levels within the interval.
            x: the state at interval.start, (*batch, *shape).
            interval: the noise levels to cross.
            memory: what the last step returned, None at the first.

        Returns: (*batch, *shape), and anything.
        """

    @property
    def needs_score(self) -> bool:
        """Whether the rule adds noise on the way, which keeps the law only where u is a score."""
        return False


def check_score(stepper: Stepper, corruption: PointCorruption | None) -> None:
    """Raise ValueError, with the reason, where a noisy stepper meets what has no score.

    Args:
        stepper: the rule that will cross the levels.
        corruption: how the states were noised; None where it is not known.
    """
    if not stepper.needs_score:
        return
    if corruption is None:
        raise ValueError(
            f"stepper: {stepper} adds noise as the corruption does, and keeps the law only where u "
            "is a score; give integrate corruption=, or use a deterministic stepper"
        )
    if not corruption.has_score:
        raise ValueError(
            f"stepper: {type(corruption).__name__} has no score, so the noisy steps of {stepper} "
            "do not keep its law; use a deterministic stepper (Multistep, UniPC) or eta=0"
        )


def scaled(coefficient: Number, v: Tensor) -> Tensor:
    """coefficient * v in v's dtype and device.

    Args:
        coefficient: a float, or a tensor that broadcasts against v.
        v: tangents, (*batch, *tangent_shape).
    """
    return (coefficient.to(v) if isinstance(coefficient, Tensor) else coefficient) * v


def like(number: Number, x: Tensor) -> Tensor:
    """The number as a tensor in x's dtype and device.

    Args:
        number: a float or a tensor.
        x: whose dtype and device it takes.
    """
    return torch.as_tensor(number, dtype=x.dtype, device=x.device)


def displaced(manifold: Manifold, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
    """The denoised point that u shows from y, as a tangent at x: Log_x(y) plus u carried from y to
    x.

    Args:
        manifold: the space.
        x: where the tangent is wanted, (*batch, *shape).
        y: where u is, (*batch, *shape).
        u: tangents at y, (*batch, *tangent_shape).
    """
    return manifold.log(x, y) + manifold.transport(y, x, u)


def euler_step(manifold: Manifold, u: Tensor, x: Tensor, interval: Interval) -> Tensor:
    """Exp_x(fraction u): exact where the denoised point does not move.

    Args:
        manifold: the space.
        u: tangents at x, (*batch, *tangent_shape).
        x: the states, (*batch, *shape).
        interval: says the fraction.
    """
    return manifold.exp(x, scaled(interval.fraction, u))
