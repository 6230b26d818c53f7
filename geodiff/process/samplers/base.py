"""What a stepper is, and the interval between two noise levels that it crosses."""

import abc
import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from geodiff.process.levels import Levels
from manifolds.base import Manifold

Displacement = Callable[[Tensor, Tensor], Tensor]
"""(x, kappa) -> u, a tangent at x."""


Number = float | Tensor
"""A float; with a clock per factor a float64 tensor (*tangent_shape). Write for both."""


@dataclass(frozen=True)
class Interval:
    """From noise level `start` to noise level `end`, which may be 0.

    h: log(start / end), the step in -log kappa; infinite at end = 0, negative on the way to noise.
    fraction: 1 - end / start, the share of u that an exponential Euler step walks. middle(): see
    `Levels.middle`; not where end = 0.
    """

    start: Number
    end: Number
    h: Number
    fraction: Number
    ends_clean: bool
    to_noise: bool
    middle: Callable[[], tuple[Tensor, tuple[Tensor, Tensor, Tensor]]]


def intervals(levels: Levels) -> list[Interval]:
    """The intervals between finite levels in turn, worked out together: steps are many, and small
    tensors dear.
    """
    start, end = levels.kappas[:-1], levels.kappas[1:]
    h = torch.log1p((start - end) / end)
    columns = [
        column.tolist() if column.ndim == 1 else column.unbind()
        for column in (start, end, h, -torch.expm1(-h))
    ]
    clean, rising = ((end == 0).reshape(len(end), -1).any(1).tolist(), bool((end > start).all()))
    return [
        Interval(*row, ends, rising, functools.partial(levels.middle, i))
        for i, (*row, ends) in enumerate(zip(*columns, clean))
    ]


class Stepper(abc.ABC):
    """A rule that crosses one interval. Steppers are frozen dataclasses; memory goes in and out."""

    @abc.abstractmethod
    def step(
        self, manifold: Manifold, u: Displacement, x: Tensor, interval: Interval, memory, generator
    ):
        """The state at the end of the interval, and the memory for the next one.

        x: the state at interval.start, (*batch, *shape). memory: what the last step returned, None
        at the first.
        """

    def bind(self, corruption, mask: Tensor | None = None) -> "Stepper":
        """The stepper for this corruption; ValueError if it does not apply. Deterministic ones
        always do.
        """
        return self


def scaled(coefficient: Number, v: Tensor) -> Tensor:
    """coefficient * v in v's dtype and device."""
    return (coefficient.to(v) if isinstance(coefficient, Tensor) else coefficient) * v


def like(number: Number, x: Tensor) -> Tensor:
    """The number as a tensor in x's dtype and device."""
    return torch.as_tensor(number, dtype=x.dtype, device=x.device)


def displaced(manifold: Manifold, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
    """The denoised point that u shows from y, as a tangent at x: Log_x(y) plus u carried from y to
    x.
    """
    return manifold.log(x, y) + manifold.transport(y, x, u)


def euler_step(manifold: Manifold, u: Tensor, x: Tensor, interval: Interval) -> Tensor:
    """Exp_x(fraction u): exact where the denoised point does not move."""
    return manifold.exp(x, scaled(interval.fraction, u))
