"""What a stepper is, and the interval between two noise levels that it crosses."""

import abc
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from manifolds.base import Manifold

Displacement = Callable[[Tensor, Tensor], Tensor]
"""(x, kappa) -> u, a tangent at x."""


@dataclass(frozen=True)
class Interval:
    """From noise level `start` to noise level `end`; float64, without axes or (*tangent_shape), end possibly
    0.

    middle: the level half-way in the variable that a Runge-Kutta step integrates over, and rates: d(-log
    kappa) over that variable, times its step, at start, middle and end. Both None where end = 0.
    """

    start: Tensor
    end: Tensor
    middle: Tensor | None = None
    rates: tuple[Tensor, Tensor, Tensor] | None = None

    @property
    def h(self) -> Tensor:
        """log(start / end), the step in -log kappa; infinite at end = 0, negative on the way to noise."""
        return torch.log1p((self.start - self.end) / self.end)

    @property
    def fraction(self) -> Tensor:
        """1 - end / start, the share of u that an exponential Euler step walks."""
        return -torch.expm1(-self.h)

    @property
    def ends_clean(self) -> bool:
        return bool((self.end == 0).any())


class Stepper(abc.ABC):
    """A rule that crosses one interval. Steppers are frozen dataclasses; memory goes in and out."""

    @abc.abstractmethod
    def step(self, manifold: Manifold, u: Displacement, x: Tensor, interval: Interval, memory, generator):
        """The state at the end of the interval, and the memory for the next one.

        x: the state at interval.start, (*batch, *shape). memory: what the last step returned, None at the
        first.
        """

    def bind(self, corruption, mask: Tensor | None = None) -> "Stepper":
        """The stepper for this corruption; ValueError if it does not apply. Deterministic ones always do."""
        return self


def scaled(coefficient: Tensor, v: Tensor) -> Tensor:
    """coefficient * v in v's dtype and device."""
    return coefficient.to(v) * v


def displaced(manifold: Manifold, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
    """The denoised point that u shows from y, as a tangent at x: Log_x(y) plus u carried from y to x."""
    return manifold.log(x, y) + manifold.transport(y, x, u)


def euler_step(manifold: Manifold, u: Tensor, x: Tensor, interval: Interval) -> Tensor:
    """Exp_x(fraction u): exact where the denoised point does not move."""
    return manifold.exp(x, scaled(interval.fraction, u))
