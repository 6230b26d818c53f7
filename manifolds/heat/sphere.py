"""Brownian motion on the sphere in space."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from manifolds import numerics
from manifolds.base import Generator, Kernel, Levels, Manifold, expand
from manifolds.heat import angle
from manifolds.heat.so3 import draw
from manifolds.rotations import rotation_vector_to_matrix

_NODES = 24
_DEPTH = 75.0  # the integrand is followed until it has fallen by e^(-_DEPTH / 2)


@dataclass(frozen=True)
class SphereKernel(Kernel):
    """Heat kernel of the unit sphere in R^3, from that of the rotations that carry `clean` to `x`.

    A rotation in Brownian motion carries a point in Brownian motion, so a draw is exact; and the
    density at angular distance d is the integral of that of the rotations that carry one point to
    the other, which have angle a, cos(a/2) = cos(d/2) cos(b/2), b in [-pi, pi]. The trapezoidal
    rule integrates it to rounding. Unlike the Legendre series, sum_l (2l + 1)/(4 pi) e^(-l (l + 1)
    kappa^2 / 2) P_l(cos d), it does not cancel or grow long at small kappa. Computed in float64,
    returned in the dtype of x.

    Args:
        manifold: the sphere.
    """

    manifold: Manifold

    def sample(
        self, clean: Tensor, kappa: Levels, generator: Generator = None, mask: Tensor | None = None
    ) -> Tensor:
        level = self._require(kappa, clean=clean)
        turn = rotation_vector_to_matrix(draw(clean.shape[:-1], level, clean, generator))
        return self.manifold.project(numerics.matmul(turn, clean.unsqueeze(-1)).squeeze(-1))

    def log_prob(
        self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None
    ) -> Tensor:
        level = self._require(kappa, x=x, clean=clean)
        away = self.manifold.log(clean, x).double()
        squared = numerics.squared_norm(away)
        t = expand(level, squared, 0).square()
        exponents, _, _, width = _fibre(squared, t)
        return (torch.logsumexp(exponents, -1) + width.log() - math.log(8 * math.pi**2)).to(x.dtype)

    def displacement(
        self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None
    ) -> Tensor:
        level = self._require(kappa, x=x, clean=clean)
        towards = self.manifold.log(x, clean)
        squared = numerics.squared_norm(towards.double())
        t = expand(level, squared, 0).square()
        exponents, rotation_squared, cosine, _ = _fibre(squared, t)
        # da/dd = sin(d/2) cos(b/2) / sin(a/2)
        lever = (
            cosine * numerics.sinc(squared / 4).unsqueeze(-1) / numerics.sinc(rotation_squared / 4)
        )
        factor = (
            exponents.softmax(-1) * angle.slope(rotation_squared, t.unsqueeze(-1)) * lever
        ).sum(-1)
        return -factor.unsqueeze(-1).to(x.dtype) * towards


def _fibre(squared: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Nodes of the integral over b, in a new last axis, for squared angular distances (*batch,).

    Returns the log of weight times density, the squared rotation angle, cos(b/2); and the width
    (*batch,) of the interval of b, by which the sum is to be multiplied.
    """
    t = t.clamp(min=1e-30)
    with torch.no_grad():
        half = 0.5 * squared.detach().sqrt()
        furthest = 0.5 * (squared.detach() + _DEPTH * t).sqrt().clamp(max=math.pi)
        # sin^2(a/2) = sin^2(d/2) + cos^2(d/2) sin^2(b/2), and the difference of squared sines as a
        # product.
        rise = (furthest - half).sin() * (furthest + half).sin()
        whole = furthest >= 0.5 * math.pi
        sine = (rise / half.cos().square()).clamp(0, 1).sqrt()
        last = torch.where(whole, math.pi, 2 * torch.asin(sine))
        step = torch.linspace(0, 1, _NODES + 1, dtype=t.dtype, device=t.device)
        b = last.unsqueeze(-1) * step
        weight = torch.full_like(step, 1 / _NODES)
        weight[0] = weight[-1] = 0.5 / _NODES
        width = 2 * last
    cosine, sine_squared = (b / 2).cos(), (b / 2).sin().square()
    half_cosine = (1 - squared / 4 * numerics.cosc(squared / 4)).unsqueeze(-1)  # cos(d/2)
    half_sine_squared = (squared / 4 * numerics.sinc(squared / 4).square()).unsqueeze(-1)
    half_rotation_sine = half_sine_squared + half_cosine.square() * sine_squared
    quotient = numerics.arc(half_rotation_sine, half_cosine * cosine)
    rotation_squared = 4 * quotient.square() * half_rotation_sine
    exponents = angle.log_density(rotation_squared, t.unsqueeze(-1)) + weight.log()
    return exponents, rotation_squared, cosine, width
