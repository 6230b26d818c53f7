"""Brownian motion on spheres of more than two dimensions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from manifolds import numerics
from manifolds.base import Generator, Kernel, Levels, Manifold, expand, rand, randn

LARGEST = 64  # dimension; beyond, proposals of `sample` are accepted too seldom
_NODES = 24  # of the contour integral: 1e-14 for every n and kappa
_BREADTH = 8.5  # the integrand is followed until it has fallen by e^(-_BREADTH^2 / 2)
# the contour keeps this far from the singularities, in the same unit as lambda + 1
_STIFFNESS = 6.0
_TERMS = 24  # of the Gegenbauer series, which leave out e^-40 where it is used
# of proposals, of which half or more are accepted: all are refused with probability 1e-12
_ROUNDS = 40


@dataclass(frozen=True)
class HypersphereKernel(Kernel):
    """Heat kernel of the unit sphere S^n in R^(n+1), 3 <= n <= 64, at every kappa.

    With l = (n - 1) / 2, d the distance from `clean` and t = kappa^2, large t takes the Gegenbauer
    series, sum_k (k + l) / l C_k^l(cos d) e^(-k (k + n - 1) t / 2) over the volume. Small t, where
    that is long and cancels, takes its Laplace transform, which sums to a closed function F of z^2
    + d^2, along a contour H around the negative axis:

        p = C(t) e^(-d^2 / 2t) Im integral over H of e^(zeta / 2t) F(zeta) d zeta,
        F = (sinh z / z) / (2 cosh z - 2 cos d)^(l + 1),   z = sqrt(zeta - d^2).

    H passes the saddle point, so that nothing cancels: densities are right to 1e-13 relative to 1 +
    |log p| from the point itself to the antipode. The slope comes from the density on S^(n+2): dp_n
    / dd = -2 pi sin d e^(-n t / 2) p_(n+2). Computed in float64, returned in the dtype of x. On
    S^3, unit quaternions, kappa is half that of the rotation of `SO3`, of which each is one of two
    lifts. A draw is exact but for a probability of 1e-12, and takes as many random numbers whatever
    they are.

    Args:
        manifold: the sphere.
        n: its dimension.

    Source: the series, Bochner 1954 (Gegenbauer); the contour, Talbot 1979.
    """

    manifold: Manifold
    n: int

    def sample(
        self, clean: Tensor, kappa: Levels, generator: Generator = None, mask: Tensor | None = None
    ) -> Tensor:
        level = self._require(kappa, clean=clean)
        n = self.n
        t = _level(level, clean[..., 0].double())
        uniform = t > _uniform_from(n)
        # Brownian motion may be made of shorter ones; these propose better in many dimensions.
        count = 2 ** max(0, math.ceil(math.log2(n / 16)))
        x = clean.double()
        for step in range(count):
            share = torch.where(uniform, t if step == 0 else 0.0, t / count)
            x = self.manifold.exp(x, self._walk(x, share, uniform & (step == 0), generator))
        return self.manifold.project(x.to(clean.dtype))

    def log_prob(
        self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None
    ) -> Tensor:
        level = self._require(kappa, x=x, clean=clean)
        squared = numerics.squared_norm(self.manifold.log(clean, x).double())
        t = _level(level, squared)
        return (_rest(squared, t, self.n) + _normal(squared, t, self.n)).to(x.dtype)

    def displacement(
        self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None
    ) -> Tensor:
        level = self._require(kappa, x=x, clean=clean)
        towards = self.manifold.log(x, clean)
        squared = numerics.squared_norm(towards.double())
        factor = _slope(squared, _level(level, squared), self.n)
        return factor.unsqueeze(-1).to(x.dtype) * towards

    def _walk(self, x: Tensor, t: Tensor, uniform: Tensor, generator: Generator) -> Tensor:
        """Tangents at x whose end is Brownian motion after t. uniform: whether to propose uniform
        points.
        """
        n, batch = self.n, x.shape[:-1]
        options: dict[str, Any] = {
            "generator": generator,
            "dtype": torch.float64,
            "device": x.device,
        }
        noise, chance = randn(*batch, _ROUNDS, n + 1, **options), rand(*batch, _ROUNDS, **options)
        way = numerics.normalise(self.manifold.random_tangent(x, generator=generator))
        noise, chance = noise.reshape(-1, _ROUNDS, n + 1), chance.reshape(-1, _ROUNDS)
        t, uniform = t.expand(batch).reshape(-1).clamp(min=1e-30), uniform.expand(batch).reshape(-1)
        # The density of a distance over that of a normal tangent's length, of variance `variance`,
        # falls with the distance: its logarithm in d^2 is concave, with slope 0 at 0 for the widest
        # such tangent.
        zero = torch.zeros_like(t)
        bend = (1 - _slope(zero, t, n)) / (2 * t) - (n - 1) / 6
        variance, highest = 1 / (1 / t - 2 * bend), _rest(zero, t, n)
        distance, pending = zero, torch.arange(len(t), device=t.device)
        for round in range(_ROUNDS):
            drawn, level, flat = noise[pending, round], t[pending], uniform[pending]
            length = drawn[:, 1:].norm(dim=-1)
            proposed = torch.where(
                flat, torch.atan2(length, drawn[:, 0]), variance[pending].sqrt() * length
            )
            squared = proposed.clamp(max=math.pi).square()
            surplus = (n - 1) * numerics.sinc(squared).clamp(min=1e-300).log() - bend[
                pending
            ] * squared
            surplus = torch.where(flat, -squared / (2 * level), surplus)
            ratio = (surplus + _rest(squared, level, n) - highest[pending]).exp()
            accepted = (chance[pending, round] < ratio) & (proposed < math.pi)
            distance = distance.index_put((pending,), proposed.clamp(max=math.pi))
            pending = pending[~accepted]
            if len(pending) == 0:
                break
        return distance.reshape(*batch, 1) * way


def _level(kappa: float | Tensor, like: Tensor) -> Tensor:
    """t = kappa^2 for each point; beyond t = 1000 and below 1e-30 nothing changes in float64."""
    return expand(kappa, like, 0).square().clamp(1e-30, 1000.0).expand(like.shape)


def _uniform_from(n: int) -> float:
    """The t above which half or more of uniform points are accepted: (n + 1) e^(-n t / 2) = log
    2.
    """
    return 2 / n * math.log((n + 1) / math.log(2))


def _normal(squared: Tensor, t: Tensor, n: int) -> Tensor:
    """The log density of a normal distribution on R^n."""
    return -squared / (2 * t) - 0.5 * n * (2 * math.pi * t).log()


def _slope(squared: Tensor, t: Tensor, n: int) -> Tensor:
    """-t (d log p / dd) / d: 1 in the limit of small t, 0 of large t."""
    ratio = _rest(squared, t, n + 2) - _rest(squared, t, n) - 0.5 * n * t
    return numerics.sinc(squared) * ratio.exp()


def _rest(squared: Tensor, t: Tensor, n: int) -> Tensor:
    """log p less `_normal`, as a function of the squared distance, t in [1e-30, 1000]."""
    switch = min(0.5, 2 / n * math.log(n + 1))
    near = t < switch
    # Each form is evaluated where it is needed, and somewhere harmless elsewhere.
    contour = _contour(squared, torch.where(near, t, 0.5 * switch), n)
    late = torch.where(near, switch, t)
    series = (
        _series(squared, late, n).log()
        + numerics.log_uniform_on_sphere(n)
        - _normal(squared, late, n)
    )
    return torch.where(near, contour, series)


def _series(squared: Tensor, t: Tensor, n: int) -> Tensor:
    """p over the uniform density by Gegenbauer polynomials, each divided by its value at d = 0."""
    cosine = 1 - squared * numerics.cosc(squared)
    before, now, total = torch.ones_like(cosine), cosine, torch.ones_like(cosine)
    for k in range(1, _TERMS):
        count = math.exp(math.lgamma(k + n - 1) - math.lgamma(k + 1) - math.lgamma(n)) * (
            2 * k + n - 1
        )
        total = total + count * (-0.5 * k * (k + n - 1) * t).exp() * now
        before, now = now, ((2 * k + n - 1) * cosine * now - k * before) / (k + n - 1)
    return total


def _contour(squared: Tensor, t: Tensor, n: int) -> Tensor:
    """log p less `_normal` by the contour integral, t below 1/2."""
    order = 0.5 * (n + 1)
    with torch.no_grad():
        saddle, stiffness = _saddle(squared.detach(), t.detach(), order)
        saddle = saddle * (_STIFFNESS / stiffness).clamp(min=1)
        breadth = (_BREADTH / stiffness.clamp(min=_STIFFNESS).sqrt()).clamp(max=math.pi)
        # zeta = saddle phi (cot phi + i), from the saddle at phi = 0 to the far left at pi.
        phi = (
            breadth.unsqueeze(-1)
            * (torch.arange(_NODES, dtype=t.dtype, device=t.device) + 0.5)
            / _NODES
        )
        cot = 1 / phi.tan()
        saddle = saddle.unsqueeze(-1)
        zeta = torch.complex(saddle * phi * cot, saddle * phi)
        rate = torch.complex(saddle * (cot - phi / phi.sin().square()), saddle.expand(phi.shape))
    squared, t = squared.unsqueeze(-1), t.unsqueeze(-1)
    z = (zeta - squared).sqrt()
    # 2 cosh z - 2 cos d = e^z (1 - e^-(z + id)) (1 - e^-(z - id)), with (z + id)(z - id) = zeta.
    # Where d is small the same is written in d^2, which has a gradient there.
    small = squared < saddle
    d = torch.where(small, 1.0, squared).sqrt()
    outer = torch.complex(z.real, z.imag + d)
    apart = torch.expm1(-outer) * torch.expm1(-zeta / outer)
    close = torch.where(small, squared, 0.0)
    together = torch.expm1(-z).square() + (-z).exp() * (2 * close * numerics.cosc(close))
    exponent = zeta / (2 * t) - order * (z + torch.where(small, together, apart).log())
    exponent = exponent + z + (-torch.expm1(-2 * z)).log() - (2 * z).log()
    highest = exponent.detach().real.amax(-1, keepdim=True)
    total = ((exponent - highest).exp() * rate).imag.sum(-1) * (2 * breadth / _NODES)
    t = t.squeeze(-1)
    return (
        0.125 * (n - 1) ** 2 * t
        + numerics.log_uniform_on_sphere(n)
        + 0.5 * (n - 1) * (2 * math.pi * t).log()
        + highest.squeeze(-1)
        + total.log()
    )


def _saddle(squared: Tensor, t: Tensor, order: float) -> tuple[Tensor, Tensor]:
    """The zeta > 0 at which the integrand is least along the axis, and the curvature of its log in
    log zeta there.

    The log is convex. Newton's method starts at the saddle point of e^(zeta / 2t) / (zeta (zeta +
    b))^order, with the two singularities nearest 0.
    """
    d = squared.sqrt()
    b, a = 4 * math.pi * (math.pi - d).clamp(min=0), t * order
    root = ((b - 4 * a).square() + 8 * a * b).sqrt()
    zeta = torch.where(b > 4 * a, 4 * a * b / ((b - 4 * a).abs() + root), 0.5 * (4 * a - b + root))
    for _ in range(8):
        first, second = _slopes(zeta, squared, d, t, order)
        step = first / (first + second).clamp(min=1e-30)
        zeta = zeta * (-step.clamp(-1, 1)).exp()
    first, second = _slopes(zeta, squared, d, t, order)
    return zeta, second


def _slopes(
    zeta: Tensor, squared: Tensor, d: Tensor, t: Tensor, order: float
) -> tuple[Tensor, Tensor]:
    """zeta times the derivative of the log of the integrand, and zeta^2 times the second, on the
    axis.
    """
    w = zeta - squared
    # a small error of a point that need not be exact
    w = torch.where(w.abs() < 1e-4 * zeta, 1e-4 * zeta, w)
    y = w.abs().sqrt()
    sine = torch.where(w > 0, y.sinh(), y.sin()) / y
    cosine = torch.where(w > 0, y.cosh(), y.cos())
    gap = torch.where(
        w > 0,
        2 * ((0.5 * y).sinh().square() + (0.5 * d).sin().square()),
        2 * (0.5 * (d + y)).sin() * (0.5 * zeta / (d + y)).sin(),
    )  # cosh sqrt(w) - cos d
    rise, curve = 0.5 * sine, 0.25 * (cosine - sine) / w  # its derivatives in w
    slope = 2 * curve / sine  # of log(sinh(y) / y)
    bend = (0.25 * sine - 3 * curve) / w / sine - slope.square()
    first = 1 / (2 * t) - order * rise / gap + slope
    second = order * ((rise / gap).square() - curve / gap) + bend
    return zeta * first, zeta.square() * second
