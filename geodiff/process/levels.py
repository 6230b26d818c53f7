"""Levels: the list of noise levels that a sampler visits, made from a clock."""

from collections.abc import Callable
from typing import overload

import torch
from torch import Tensor

from geodiff.process.clocks import Clock


class Levels:
    """The noise levels that a sampler visits, in order: steps + 1 of them, strictly monotone.

    Levels are what `levels` makes; numbers of one's own go to `integrate` as a tensor.

    Args:
        s: (steps + 1,), what the clock reads at each; None where no clock is known.
        kappas: (steps + 1,) or, with a clock per factor of a product, (steps + 1, *tangent_shape);
            kept in float64. The last may be 0, the first infinite.
        clock: what the levels were read from.

    Raises: ValueError for fewer than 2 levels, and unless they are monotone and not negative.
    """

    def __init__(self, s: Tensor | None, kappas: Tensor, clock: Clock | None = None):
        self.kappas = torch.as_tensor(kappas, dtype=torch.float64)
        self.s = None if s is None else torch.as_tensor(s, dtype=torch.float64)
        self.clock = clock
        _check_levels(self.kappas)

    @classmethod
    def of(cls, kappas: Tensor) -> "Levels":
        """Levels from bare noise levels; no clock is known.

        Args:
            kappas: (steps + 1,) or (steps + 1, *tangent_shape), finite.

        Raises: ValueError for an infinite level.
        """
        kappas = torch.as_tensor(kappas, dtype=torch.float64).cpu()
        if not bool(torch.isfinite(kappas).all()):
            raise ValueError(
                "levels: a bare tensor must hold finite noise levels, got "
                f"{kappas.tolist()}; make levels with geodiff.levels(clock, steps)"
            )
        return cls(None, kappas)

    def __len__(self) -> int:
        return len(self.kappas)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...

    @overload
    def __getitem__(self, index: slice) -> "Levels": ...

    def __getitem__(self, index: int | slice) -> "Tensor | Levels":
        """The kappa at an integer, the shorter Levels at a slice."""
        if isinstance(index, slice):
            return Levels(None if self.s is None else self.s[index], self.kappas[index], self.clock)
        return self.kappas[index]

    def __repr__(self) -> str:
        first, last = self.kappas[0], self.kappas[-1]
        return f"Levels({len(self) - 1} steps of {self.clock}, kappa {first} to {last})"

    def middle(self, i: int) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        """The level half-way from level i to the next, and how fast -log kappa runs at start,
        middle and end.

        With one kappa: half-way in log kappa, where the rates are the whole step of -log kappa.
        With a clock per factor: half-way in s, where the rates are d(-log kappa) / ds times the
        step of s.

        Args:
            i: of the level that the step starts at.
        """
        if self.kappas.ndim > 1 and self.clock is not None and self.s is not None:
            s = torch.lerp(
                self.s[i], self.s[i + 1], torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
            )
            rates = -self.clock.log_rate(s) * (self.s[i + 1] - self.s[i])
            return self.clock.kappa(s[1]), (rates[0], rates[1], rates[2])
        h = torch.log(self.kappas[i] / self.kappas[i + 1])
        return torch.sqrt(self.kappas[i] * self.kappas[i + 1]), (h, h, h)

    def between(self, i: int, share: float) -> tuple[float | Tensor, float | Tensor]:
        """The level at a share of the way from level i to the next, and how fast -log kappa runs
        there, over the whole way.

        With one kappa: the share of log kappa, floats. With a clock per factor: the share of s.

        Args:
            i: of the level that the way starts at.
            share: from 0 to 1.
        """
        if self.kappas.ndim > 1 and self.clock is not None and self.s is not None:
            way = self.s[i + 1] - self.s[i]
            s = self.s[i] + share * way
            return self.clock.kappa(s), -self.clock.log_rate(s) * way
        start, h = self.kappas[i], torch.log(self.kappas[i] / self.kappas[i + 1])
        kappa = start * torch.exp(-share * h)
        return (kappa, h) if kappa.ndim else (kappa.item(), h.item())

    @property
    def starts_infinite(self) -> bool:
        """Whether alpha is 0 at the first level."""
        return bool(torch.isinf(self.kappas[0]).any())

    def reversed(self) -> "Levels":
        """The same levels from clean to noise, which inverts sampling; the last level must not be
        0.
        """
        s = None if self.s is None else self.s.flip(0)
        return Levels(s, self.kappas.flip(0), self.clock)


def levels(
    clock: Clock,
    steps: int,
    spacing: str = "s",
    s_max: float = 1.0,
    s_min: float = 0.0,
    warp: Callable[[Tensor], Tensor] | None = None,
    end_clean: bool | None = None,
) -> Levels:
    """`steps` steps from s_max down to s_min: uniform in s, or with spacing="log" uniform in log
    kappa.

    Args:
        clock: says kappa at each s.
        steps: how many, at least 1.
        spacing: "s" or "log".
        s_max: where the levels start, at most 1.
        s_min: where they end, at least 0.
        warp: an increasing map of [0, 1] onto itself (1 is s_max) that moves the levels after
            spacing.
        end_clean: whether the last level is kappa = 0 exactly; by default when s_min = 0. A clock
            whose kappa(s_min) is above 0 then reaches it one step before the end (with steps = 1,
            starts at s_max all the same).

    Raises: ValueError if steps < 1, if not 0 <= s_min < s_max <= 1, or if log spacing meets kappa =
        0 or infinity.
    """
    if steps < 1 or int(steps) != steps:
        raise ValueError(f"steps: expected a whole number of at least 1, got {steps}")
    if not 0 <= s_min < s_max <= 1:
        raise ValueError(f"s_min, s_max: expected 0 <= s_min < s_max <= 1, got {s_min}, {s_max}")
    end_clean = s_min == 0 if end_clean is None else end_clean
    lowest = clock.kappa(s_min)
    append_zero = end_clean and bool((lowest > 0).all())
    points = steps if append_zero else steps + 1
    ratio = torch.linspace(1, 0, points, dtype=torch.float64)
    if warp is not None:
        ratio = warp(ratio)
    if spacing == "s":
        s = s_min + (s_max - s_min) * ratio
    elif spacing == "log":
        s = _log_spaced(clock, ratio, s_min, s_max)
    else:
        raise ValueError(f"spacing: expected 's' or 'log', got {spacing!r}")
    kappas = clock.kappa(s)
    if append_zero:
        s = torch.cat([s, s.new_full((1,), s_min)])
        kappas = torch.cat([kappas, torch.zeros_like(kappas[:1])])
    elif end_clean:
        kappas[-1] = 0  # all factors, where only some clocks reach 0 by themselves
    return Levels(s, kappas, clock)


def _log_spaced(clock: Clock, ratio: Tensor, s_min: float, s_max: float) -> Tensor:
    """The s at which log kappa is at `ratio` of its range; the ends exactly."""
    low, high = torch.log(clock.kappa(s_min)), torch.log(clock.kappa(s_max))
    if low.ndim or not torch.isfinite(low + high):
        raise ValueError(
            f"spacing='log': expected one finite range of kappa above 0, got {clock.kappa(s_min)} "
            f"to {clock.kappa(s_max)} on {clock}; give s_min > 0 (with end_clean=True to end at "
            "0) and an s_max where kappa is finite, or use spacing='s'"
        )
    s = clock.s(torch.exp(low + (high - low) * ratio))
    return torch.where(ratio == 1, s_max, torch.where(ratio == 0, s_min, s))


def _check_levels(kappas: Tensor) -> None:
    if len(kappas) < 2:
        raise ValueError(f"levels: expected at least 2 noise levels, got {len(kappas)}")
    change = kappas[1:] - kappas[:-1]
    if not (bool((change < 0).all()) or bool((change > 0).all())):
        raise ValueError(
            "levels: expected noise levels that strictly decrease (sampling) or strictly "
            f"increase (inversion), got {kappas.tolist()}"
        )
    if not bool((kappas[:-1] > 0).all()) or not bool((kappas[-1] >= 0).all()):
        raise ValueError(
            "levels: only the last noise level may be 0, and none negative; to invert, start "
            f"from a small level above 0. Got {kappas.tolist()}"
        )
