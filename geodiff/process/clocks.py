"""Clocks, which say how noised `s` is as a noise level kappa.

s runs from 0 (clean) to 1 (noise). kappa is sigma / alpha for `Gaussian`, the standard deviation of
the heat kernel for `HeatKernel`, and the share of the way to the noise for `Geodesic`. Every
kappa(s) increases.
"""

import abc
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor


class Clock(abc.ABC):
    """The noise level at each s in [0, 1]. Clocks are frozen dataclasses; s, kappa are floats or
    tensors.

    A float gives a float64 tensor without axes, which takes any other tensor's dtype in arithmetic.
    """

    per_factor: ClassVar[bool] = False  # whether kappa has the axes of a tangent behind those of s

    @abc.abstractmethod
    def kappa(self, s: float | Tensor) -> Tensor:
        """Noise level at s; same shape as s.

        Args:
            s: in [0, 1].
        """

    @abc.abstractmethod
    def s(self, kappa: float | Tensor) -> Tensor:
        """The s at which the noise level is kappa; clipped to [0, 1] below and above the clock's
        range.

        Args:
            kappa: at least 0.
        """

    def alpha(self, s: float | Tensor) -> Tensor:
        """What multiplies the clean point in `Gaussian`: 1 for variance-exploding clocks.

        Args:
            s: in [0, 1].
        """
        return torch.ones_like(_tensor(s))

    def sigma(self, s: float | Tensor) -> Tensor:
        """What multiplies the standard normal noise in `Gaussian`; kappa = sigma / alpha.

        Args:
            s: in [0, 1].
        """
        return self.kappa(s) * self.alpha(s)

    def for_gaussian(self) -> "Clock":
        """The clock of the same path as a `Gaussian`; itself, unless the path is a straight
        line.
        """
        return self

    def log_rate(self, s: float | Tensor) -> Tensor:
        """d log kappa / d s, by automatic differentiation.

        Args:
            s: in (0, 1].
        """
        return derivative(lambda s: torch.log(self.kappa(s)), s)


@dataclass(frozen=True)
class Linear(Clock):
    """kappa = s: the straight path of flow matching. To a `Gaussian` it means `LinearGaussian`."""

    def kappa(self, s: float | Tensor) -> Tensor:
        return _tensor(s)

    def s(self, kappa: float | Tensor) -> Tensor:
        return _tensor(kappa).clamp(0.0, 1.0)

    def log_rate(self, s: float | Tensor) -> Tensor:
        return 1 / _tensor(s)

    def for_gaussian(self) -> Clock:
        return LinearGaussian()


@dataclass(frozen=True)
class Exponential(Clock):
    """kappa = (e^(rate s) - 1) / (e^rate - 1): most of the noise leaves early, the rest as e^(rate
    s).

    With rate 10 it is the schedule by which rotations settle before translations.

    Args:
        rate: above 0.

    Source: Yim et al. 2023 (FrameFlow), section 3.
    """

    rate: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.rate < math.inf:
            raise ValueError(f"rate: expected a number above 0, got {self.rate}")

    def kappa(self, s: float | Tensor) -> Tensor:
        s = _tensor(s)
        # One function for both: math's and torch's expm1 differ in the last bit, and kappa(1) must
        # be 1.
        return torch.expm1(self.rate * s) / torch.expm1(self.rate * torch.ones_like(s))

    def s(self, kappa: float | Tensor) -> Tensor:
        return (torch.log1p(_tensor(kappa) * math.expm1(self.rate)) / self.rate).clamp(0.0, 1.0)


@dataclass(frozen=True)
class LinearGaussian(Clock):
    """alpha = 1 - s, sigma = s: what `Linear` means to a `Gaussian`; kappa(s) = s / (1 - s)."""

    def kappa(self, s: float | Tensor) -> Tensor:
        s = _tensor(s)
        return s / (1 - s)

    def s(self, kappa: float | Tensor) -> Tensor:
        kappa = _tensor(kappa)
        return torch.where(torch.isinf(kappa), torch.ones_like(kappa), kappa / (1 + kappa))

    def alpha(self, s: float | Tensor) -> Tensor:
        return 1 - _tensor(s)

    def sigma(self, s: float | Tensor) -> Tensor:
        return _tensor(s)


@dataclass(frozen=True)
class LogLinear(Clock):
    """log kappa is linear in s.

    Args:
        kappa_min: at s = 0, above 0.
        kappa_max: at s = 1, finite.
    """

    kappa_min: float
    kappa_max: float

    def __post_init__(self) -> None:
        _check_range(self.kappa_min, self.kappa_max)

    def kappa(self, s: float | Tensor) -> Tensor:
        low, high = math.log(self.kappa_min), math.log(self.kappa_max)
        return torch.exp(low + _tensor(s) * (high - low))

    def s(self, kappa: float | Tensor) -> Tensor:
        low, high = math.log(self.kappa_min), math.log(self.kappa_max)
        return ((torch.log(_tensor(kappa)) - low) / (high - low)).clamp(0.0, 1.0)


@dataclass(frozen=True)
class Karras(Clock):
    """kappa^(1/rho) is linear in s.

    Args:
        kappa_min: at s = 0, above 0.
        kappa_max: at s = 1, finite.
        rho: the larger, the more levels are low.

    Source: Karras et al. 2022, eq. 5.
    """

    kappa_min: float = 0.002
    kappa_max: float = 80.0
    rho: float = 7.0

    def __post_init__(self) -> None:
        _check_range(self.kappa_min, self.kappa_max)

    def kappa(self, s: float | Tensor) -> Tensor:
        low, high = self.kappa_min ** (1 / self.rho), self.kappa_max ** (1 / self.rho)
        return (low + _tensor(s) * (high - low)) ** self.rho

    def s(self, kappa: float | Tensor) -> Tensor:
        low, high = self.kappa_min ** (1 / self.rho), self.kappa_max ** (1 / self.rho)
        return ((_tensor(kappa) ** (1 / self.rho) - low) / (high - low)).clamp(0.0, 1.0)


class _VariancePreserving(Clock):
    """alpha^2 + sigma^2 = 1."""

    def alpha(self, s: float | Tensor) -> Tensor:
        return 1 / torch.sqrt(1 + self.kappa(s) ** 2)

    def sigma(self, s: float | Tensor) -> Tensor:
        kappa = self.kappa(s)
        return torch.where(
            torch.isinf(kappa), torch.ones_like(kappa), kappa / torch.sqrt(1 + kappa**2)
        )


@dataclass(frozen=True)
class Cosine(_VariancePreserving):
    """alpha is a quarter of a cosine wave; kappa(1) is infinite.

    Args:
        offset: what keeps the first steps from being too short.

    Source: Nichol and Dhariwal 2021, eq. 17.
    """

    offset: float = 0.008

    def kappa(self, s: float | Tensor) -> Tensor:
        # With a = angle at s and b = angle at 0: kappa^2 = cos(b)^2 / cos(a)^2 - 1 = sin(a - b)
        # sin(a + b) / cos(a)^2, which loses no digits at s = 0; cos(a) is taken from the far end,
        # so that it is exactly 0 at s = 1.
        s, quarter = _tensor(s), math.pi / 2 / (1 + self.offset)
        product = torch.sin(quarter * s) * torch.sin(quarter * (s + 2 * self.offset))
        return torch.sqrt(product) / torch.sin(quarter * (1 - s))

    def s(self, kappa: float | Tensor) -> Tensor:
        quarter = math.pi / 2 / (1 + self.offset)
        start = math.cos(quarter * self.offset)
        # tan(a)^2 = (1 + kappa^2) / cos(b)^2 - 1
        tangent = torch.sqrt(
            (_tensor(kappa) ** 2 + math.sin(quarter * self.offset) ** 2) / start**2
        )
        return (torch.atan(tangent) / quarter - self.offset).clamp(0.0, 1.0)


@dataclass(frozen=True)
class DDPMLinear(_VariancePreserving):
    """The chain whose step j of `chain_steps` adds variance beta_j, linear in j; s = j /
    chain_steps.

    log alpha^2 is interpolated linearly between the steps of the chain.

    Args:
        beta_min: variance added by the first step.
        beta_max: variance added by the last.
        chain_steps: how many.

    Source: Ho et al. 2020, section 4.
    """

    beta_min: float = 1e-4
    beta_max: float = 0.02
    chain_steps: int = 1000

    def kappa(self, s: float | Tensor) -> Tensor:
        s = _tensor(s)
        table = self._table(s)
        position = (s * self.chain_steps).clamp(0, self.chain_steps)
        below = position.floor().clamp(max=self.chain_steps - 1).long()
        return torch.sqrt(torch.expm1(torch.lerp(table[below], table[below + 1], position - below)))

    def s(self, kappa: float | Tensor) -> Tensor:
        kappa = _tensor(kappa)
        table = self._table(kappa)
        value = torch.log1p(kappa**2)
        above = torch.searchsorted(table, value.contiguous()).clamp(1, self.chain_steps)
        share = (value - table[above - 1]) / (table[above] - table[above - 1])
        return ((above - 1 + share) / self.chain_steps).clamp(0.0, 1.0)

    def _table(self, like: Tensor) -> Tensor:
        """-log alpha^2 at s = 0, 1 / chain_steps, ..., 1, increasing."""
        return _ddpm_table(self.beta_min, self.beta_max, self.chain_steps).to(like)


@functools.lru_cache(maxsize=16)
def _ddpm_table(beta_min: float, beta_max: float, steps: int) -> Tensor:
    beta = torch.linspace(beta_min, beta_max, steps, dtype=torch.float64)
    return torch.cat([beta.new_zeros(1), -torch.log1p(-beta).cumsum(0)])


def derivative(function: Callable[[Tensor], Tensor], s: float | Tensor) -> Tensor:
    """d function(s) / d s, elementwise; works under `torch.no_grad` and `torch.inference_mode`.

    Args:
        function: of s, elementwise.
        s: where.
    """
    with torch.inference_mode(False):
        return torch.func.grad(lambda s: function(s).sum())(_tensor(s).clone().detach())


@dataclass(frozen=True)
class PerFactor(Clock):
    """A clock for each factor of a product space, tied by the common s; kappa has the axes of s and
    one of the tangent.

    Each clock must increase throughout, so that any of them gives s back.

    Args:
        clocks: one per factor.
        sizes: the length of each factor's tangent in the product's flat tangent, as (3, 3) for
            rotations before translations.
        leader: which clock gives s back. It matters where a field is sampled along levels of other
            clocks than it was trained with, as with rotations that settle early: the leader's level
            decides what the network hears.
    """

    clocks: tuple[Clock, ...]
    sizes: tuple[int, ...]
    leader: int = 0

    per_factor = True

    def kappa(self, s: float | Tensor) -> Tensor:
        return self._spread([clock.kappa(s) for clock in self.clocks])

    def s(self, kappa: float | Tensor) -> Tensor:
        return self.clocks[self.leader].s(_tensor(kappa)[..., sum(self.sizes[: self.leader])])

    def alpha(self, s: float | Tensor) -> Tensor:
        return self._spread([clock.alpha(s) for clock in self.clocks])

    def sigma(self, s: float | Tensor) -> Tensor:
        return self._spread([clock.sigma(s) for clock in self.clocks])

    def log_rate(self, s: float | Tensor) -> Tensor:
        return self._spread([clock.log_rate(s) for clock in self.clocks])

    def for_gaussian(self) -> Clock:
        return replace(self, clocks=tuple(clock.for_gaussian() for clock in self.clocks))

    def _spread(self, values: list[Tensor]) -> Tensor:
        pairs = zip(values, self.sizes, strict=True)
        return torch.cat([value[..., None].expand(*value.shape, size) for value, size in pairs], -1)


def _check_range(kappa_min: float, kappa_max: float) -> None:
    if not 0 < kappa_min < kappa_max < math.inf:
        raise ValueError(
            "kappa_min, kappa_max: expected 0 < kappa_min < kappa_max, got "
            f"{kappa_min}, {kappa_max}"
        )


def _tensor(value: float | Tensor) -> Tensor:
    return (
        value
        if isinstance(value, Tensor) and value.is_floating_point()
        else torch.as_tensor(value, dtype=torch.float64)
    )
