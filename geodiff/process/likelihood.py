"""The density that a field's ODE gives to points, in nats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from geodiff.process.clocks import derivative
from geodiff.process.corruption import PointCorruption
from geodiff.process.divergence import check_divergence, frame, rademacher
from geodiff.process.divergence import divergence as divergence_of
from geodiff.process.randomness import Generator

Displacement = Callable[..., Tensor]
"""(x, s, condition, mask) -> u, a tangent at x; a Field, or any function."""


def log_prob(
    field: Displacement,
    corruption: PointCorruption,
    x: Tensor,
    *,
    steps: int,
    divergence: str = "exact",
    probes: int = 1,
    generator: Generator = None,
    condition: Any = None,
    mask: Tensor | None = None,
    s_min: float = 1e-4,
) -> Tensor:
    """Log density at clean points x of the law that `base`, carried by the field's ODE, has at
    kappa = 0.

    Differentiable in x, the condition and the field's parameters (wrap in torch.no_grad() to
    evaluate only). Where a clock starts above kappa = 0, one more step crosses from there to
    kappa(0): the scaled field (u / kappa^2 with a score, else u / kappa) is held at its value at
    s = 0, a relative error of order kappa(0)^2 over the squared width of the data.

    Args:
        field: a Field, or any callable (x, s, condition, mask) -> u. It must treat the rows of a
            batch apart, and allow forward-mode derivatives.
        corruption: the way to noise; a `base` function of a Geodesic must have a method
            log_prob(noise, condition, mask).
        x: points, (*batch, *shape).
        steps: Runge-Kutta steps of order 4, uniform in s; four calls each.
        divergence: "exact", by one derivative per dimension, or "hutchinson", by random directions
            carried parallel along each path: an unbiased estimate of the exact value.
        probes: how many random directions.
        generator: draws the random directions.
        condition: what the field is told.
        mask: (*batch, nodes) bool, for clouds.
        s_min: where kappa(0) = 0, the velocity in s is held below s_min, and likewise above
            1 - s_min where kappa(1) is infinite; both cost an error of order s_min / steps (a
            Gaussian of width 0.5, 40 steps: 3e-5).

    Returns: (*batch,), nats against Riemannian volume, in x's dtype.
    Raises: ValueError for points that are none, for options out of range, and for a base whose
        density is not known.
    Source: Chen et al. 2018; Song et al. 2021, section 4.3; on manifolds Lou et al. 2020.
    """
    check_divergence(divergence, probes)
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"steps: expected a whole number of at least 1, got {steps!r}")
    if not 0 < s_min < 0.5:
        raise ValueError(f"s_min: expected a number above 0 and below 1/2, got {s_min!r}")
    manifold = corruption.manifold
    defect = manifold.check(x, mask)
    if defect:
        raise ValueError(f"x: not points of {manifold}: {defect}")

    directions = None
    if divergence == "hutchinson":
        directions = rademacher(manifold, x, probes, generator=generator, mask=mask)
    flow = _Flow(field, corruption, condition, mask, s_min)
    total = x.new_zeros(corruption.batch_shape(x))
    if flow.starts_noisy:
        x, directions, gain = _step(flow.first_velocity, flow, x, directions, 0.0, 1.0)
        total = total + gain
    times = torch.linspace(0, 1, steps + 1, dtype=torch.float64).tolist()
    for start, end in zip(times[:-1], times[1:]):
        x, directions, gain = _step(flow.velocity, flow, x, directions, start, end)
        total = total + gain
    return total + base_log_prob(
        corruption, x, scale=flow.scale_at_0, condition=condition, mask=mask
    )


class _Flow:
    """The ODE from data to noise in coordinates that are finite at both ends.

    They are those of `noisy`; for a `Gaussian`, noisy / alpha(0), so that they begin at the clean
    point.
    """

    def __init__(
        self,
        field: Displacement,
        corruption: PointCorruption,
        condition: Any,
        mask: Tensor | None,
        s_min: float,
    ):
        self.field, self.corruption, self.condition, self.mask = field, corruption, condition, mask
        clock = corruption.clock
        self.manifold = corruption.manifold
        self.starts_at = clock.kappa(0.0)
        self.low = s_min if bool((self.starts_at == 0).any()) else 0.0
        self.high = 1 - s_min if bool(torch.isinf(clock.kappa(1.0)).any()) else 1.0
        self.starts_noisy = bool((self.starts_at > 0).any())
        divides = corruption.divides_by_alpha
        self.scale_at_0 = clock.alpha(0.0) if divides else torch.ones(())

    def velocity(self, s: float) -> Callable[[Tensor], Tensor]:
        """d x / d s at s, as a function of x."""
        clock, s = self.corruption.clock, min(max(s, self.low), self.high)
        rate = _two_sided(clock.log_rate, s)
        if not self.corruption.divides_by_alpha:
            return lambda x: -rate.to(x) * self._u(x, s)
        alpha = clock.alpha(s) / self.scale_at_0
        alpha_rate = _two_sided(lambda s: derivative(clock.alpha, s), s) / self.scale_at_0

        def velocity(x: Tensor) -> Tensor:
            state = x / alpha.to(x)
            return alpha_rate.to(x) * state - (alpha * rate).to(x) * self._u(state, s)

        return velocity

    def first_velocity(self, time: float) -> Callable[[Tensor], Tensor]:
        """d x / d (kappa / kappa(0))^power between kappa = 0 and kappa(0), with the scaled field
        held.

        power: 2 where u is kappa^2 times a score, 1 where it is kappa times a velocity.
        """
        rate = (self.starts_at > 0).double() / (2 if self.corruption.has_score else 1)
        return lambda x: -rate.to(x) * self._u(x, 0.0)

    def _u(self, x: Tensor, s: float) -> Tensor:
        return self.field(x, s, self.condition, self.mask)


def _two_sided(rate: Callable[[float], Tensor], s: float) -> Tensor:
    """The mean of a rate just before s and just after.

    A clock read from a table has rates that jump at its entries; steps that meet them all from one
    side would be biased (DDPMLinear, 50 steps: log p of a Gaussian off by 0.02).
    """
    return (rate(max(s - 1e-9, 0.0)) + rate(min(s + 1e-9, 1.0))) / 2


def _step(
    velocity: Callable[[float], Callable[[Tensor], Tensor]],
    flow: _Flow,
    x: Tensor,
    directions: Tensor | None,
    start: float,
    end: float,
) -> tuple[Tensor, Tensor | None, Tensor]:
    """One classical Runge-Kutta step of the point, and of the integral of the divergence along its
    path.

    directions: probes at x, carried along and returned at the end; None takes a frame at every
    point.
    """
    manifold, h = flow.manifold, end - start

    def carry(y: Tensor) -> Tensor | None:
        return None if directions is None else manifold.transport(x, y, directions)

    def slope(s: float, walk: Tensor | None) -> tuple[Tensor, Tensor]:
        y = x if walk is None else manifold.exp(x, walk)
        if directions is None:
            along = frame(manifold, y, flow.mask)
        else:
            along = directions if walk is None else manifold.transport(x, y, directions)
        v, change = divergence_of(manifold, velocity(s), y, along)
        # in normal coordinates the method is the flat one
        v = v if walk is None else manifold.pull_back(x, y, v)
        return v, change if directions is None else change / len(directions)

    first, a = slope(start, None)
    second, b = slope((start + end) / 2, h / 2 * first)
    third, c = slope((start + end) / 2, h / 2 * second)
    fourth, d = slope(end, h * third)
    y = manifold.exp(x, h / 6 * (first + 2 * second + 2 * third + fourth))
    return y, carry(y), h / 6 * (a + 2 * b + 2 * c + d)


def base_log_prob(
    corruption: PointCorruption,
    noise: Tensor,
    *,
    scale: Tensor | float = 1.0,
    condition: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Log density of `corruption.base` at noise, (*batch,), nats.

    For a `Gaussian`, of noisy = sigma(1) noise, in coordinates divided by `scale`.

    Args:
        corruption: the way to noise.
        noise: (*batch, *shape).
        scale: of the coordinates.
        condition: what a base that depends on it is told.
        mask: (*batch, nodes) bool, for clouds.

    Raises: ValueError for a base whose density is not known.
    """
    return corruption.log_prob_of_base(noise, scale=scale, condition=condition, mask=mask)


def prior_tv(corruption: PointCorruption, radius: float | None = None) -> Tensor:
    """Total variation between the noisiest law of one clean point, at s = 1, and `base`, in [0, 1];
    float64, ().

    What sampling from the base instead of that law changes in any probability, at most. `Geodesic`:
    0, its paths end at the base. `HeatKernel`: `manifolds.heat.prior_tv`. `Gaussian`: erf(radius /
    (2 sqrt(2) kappa(1))) exactly.

    Args:
        corruption: the way to noise.
        radius: of a `Gaussian`, how far the clean point is from the origin, by default as far as
            standard normal ones, sqrt(dim); of a `HeatKernel`, that of the flat factors.
    """
    return corruption.prior_tv(radius)
