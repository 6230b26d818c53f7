"""Hyperbolic space, of curvature -1."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from manifolds import numerics
from manifolds.base import (
    Device,
    Generator,
    Kernel,
    Manifold,
    largest,
    no_heat_kernel,
    positive,
    randn,
    volume_is_infinite,
    wrong_shape,
)


@dataclass(frozen=True)
class Hyperbolic(Manifold):
    """The upper sheet of -x0^2 + x1^2 + ... + xn^2 = -1 in R^(n+1): the Lorentz model.

    Tangents are the vectors of R^(n+1) with -x0 v0 + x1 v1 + ... = 0, measured by -v0^2 + v1^2 +
    ... Points and tangents are determined by their last n coordinates, the spatial ones, and only
    those are read: x0 and v0 are made from them, so rounding never leaves the space.

    At distance r from the origin (1, 0, ..., 0) coordinates are as large as e^r / 2, and so many
    times the rounding of one is a distance: at r = 5 that is 74 times, in any code that stores
    these coordinates, and a walk of length d multiplies it by sinh(d) / d. The laws therefore allow
    `magnification` times the usual error, e^(2 r) at the root mean square r = sqrt(n) of random
    points, twice. `dist` and `log` of far points are as exact as the points themselves, up to r =
    44 in float32 and 350 in float64. Tangents lose more: a unit one along the radius is written
    with numbers of size e^r, and beyond r = log(1 / eps), 16 in float32 and 36 in float64, rounding
    alone is as long as it. There `exp` is finite and no more.

    `to_poincare` and `from_poincare` convert to the unit ball.

    Args:
        n: the dimension.
    """

    n: int

    injectivity_radius = math.inf

    def __post_init__(self) -> None:
        positive("n", self.n)

    @property
    def shape(self) -> tuple[int]:
        return (self.n + 1,)

    @property
    def tangent_shape(self) -> tuple[int]:
        return (self.n + 1,)

    @property
    def dim(self) -> int:
        return self.n

    @property
    def magnification(self) -> float:
        return 2 * math.exp(2 * math.sqrt(self.n))

    def exp(self, x: Tensor, v: Tensor) -> Tensor:
        """Point reached from `x` along the geodesic with velocity `v` after unit time.

        A way that leads further from the origin than coordinates can be written (radius 43 in
        float32, 354 in float64) ends there: the point is finite whatever the tangent.
        """
        w = _coordinates(x, v)
        longest = math.log(_largest(w))
        squared = numerics.squared_norm(w).unsqueeze(-1).clamp(max=longest**2)
        return _point(_shortened(_boost(x[..., 1:], _shortened(numerics.sinhc(squared) * w))))

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        return _tangent(x, _towards(x, y))

    def dist(self, x: Tensor, y: Tensor) -> Tensor:
        """Length of the geodesic between `x` and `y`, (*batch,), exact relative to itself for near
        points.
        """
        return numerics.norm(_towards(x, y))

    def transport(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        # v + <y, v> / (1 - <x, y>) (x + y), with both products in the frame of x, where they do not
        # cancel.
        z = _boost(-x[..., 1:], y[..., 1:])
        along = (z * _coordinates(x, v)).sum(-1, keepdim=True) / (1 + _time(z))
        moved = v[..., 1:] + along * (x[..., 1:] + y[..., 1:])
        return _with_time(y, moved)

    def pull_back(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        # Across the geodesic a tangent carried to x is divided by sinh(d) / d; z has length sinh d.
        z = _boost(-x[..., 1:], y[..., 1:])
        squared = numerics.squared_norm(z).unsqueeze(-1)
        carried = _coordinates(x, self.transport(y, x, v))
        along = (z * carried).sum(-1, keepdim=True)
        rest = numerics.asinhc_rest(squared) * along * z
        return _tangent(x, numerics.asinhc(squared) * carried + rest)

    def project(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """The point with the same spatial coordinates: x0 becomes sqrt(1 + x1^2 + ... + xn^2)."""
        return _point(x[..., 1:])

    def to_tangent(self, x: Tensor, ambient: Tensor, mask: Tensor | None = None) -> Tensor:
        """The tangent with the same spatial coordinates as `ambient`; v0 is made from them.

        `inner` reads the spatial coordinates alone, and in it this projection is orthogonal. The
        projection along x, ambient + <x, ambient> x, is the same on tangents, but lengthens other
        vectors, and rounding itself, by the square of x0.
        """
        return _with_time(x, ambient[..., 1:])

    def random_point(
        self,
        *size: int,
        mask: Tensor | None = None,
        generator: Generator = None,
        dtype: torch.dtype | None = None,
        device: Device = None,
    ) -> Tensor:
        """Points exp(w) of standard normal tangents w at the origin (1, 0, ..., 0)."""
        w = randn(*size, self.n, generator=generator, dtype=dtype, device=device)
        return _point(numerics.sinhc(numerics.squared_norm(w).unsqueeze(-1)) * w)

    def random_tangent(
        self, x: Tensor, generator: Generator = None, mask: Tensor | None = None
    ) -> Tensor:
        w = randn(*x.shape[:-1], self.n, generator=generator, dtype=x.dtype, device=x.device)
        return _tangent(x, w)

    def frame(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        identity = torch.eye(self.n, dtype=x.dtype, device=x.device)
        return _tangent(x.unsqueeze(-2), identity)

    def inner(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        return (_coordinates(x, u) * _coordinates(x, v)).sum(-1)

    def norm(self, x: Tensor, v: Tensor) -> Tensor:
        return numerics.norm(_coordinates(x, v))

    def coordinates(self, x: Tensor, v: Tensor) -> Tensor:
        """Coordinates of a tangent in `frame(x)`, (*batch, n + 1) to (*batch, n): a row of length
        |v|.

        Args:
            x: points, (*batch, n + 1).
            v: tangents at `x`, (*batch, n + 1).
        """
        return _coordinates(x, v)

    def from_coordinates(self, x: Tensor, w: Tensor) -> Tensor:
        """Tangent at `x` with these coordinates in `frame(x)`, (*batch, n) to (*batch, n + 1).

        Args:
            x: points, (*batch, n + 1).
            w: coordinates, (*batch, n).
        """
        return _tangent(x, w)

    def origin(self, *, dtype: torch.dtype | None = None, device: Device = None) -> Tensor:
        return torch.eye(1, self.n + 1, dtype=dtype, device=device)[0]

    def uniform_log_prob(self) -> float:
        raise volume_is_infinite(self)

    def log_prob_of_random(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        squared = numerics.squared_norm(_towards(self.origin(dtype=x.dtype, device=x.device), x))
        flat = -0.5 * (squared + self.n * math.log(2 * math.pi))
        # The volume of a geodesic ball grows as sinh(r)^(n - 1), where that of a flat one does as
        # r^(n - 1).
        return flat - (self.n - 1) * numerics.log_sinhc(squared)

    def heat(self) -> Kernel:
        from manifolds.heat.hyperbolic import HyperbolicKernel

        if self.n != 3:
            raise no_heat_kernel(self)
        return HyperbolicKernel(self)

    def check(self, x: Tensor, mask: Tensor | None = None) -> str | None:
        defect = wrong_shape(x, self.shape)
        if defect:
            return defect
        # Relative to x0, whose own rounding grows with it.
        off = ((x[..., :1] - _time(x[..., 1:])) / _time(x[..., 1:])).abs().squeeze(-1)
        return largest(
            off, numerics.tolerance(x.dtype), "points must have x0 = sqrt(1 + x1^2 + ... + xn^2)"
        )

    def to_poincare(self, x: Tensor) -> Tensor:
        """Point of the open unit ball, (*batch, n + 1) to (*batch, n): stereographic from (-1, 0,
        ..., 0).

        Args:
            x: points, (*batch, n + 1).
        """
        return x[..., 1:] / (1 + _time(x[..., 1:]))

    def from_poincare(self, ball: Tensor) -> Tensor:
        """Point of the sheet from one of the open unit ball, (*batch, n) to (*batch, n + 1).

        Points on or beyond the unit sphere are at infinity.

        Args:
            ball: (*batch, n).

        Raises: ValueError where the last axis is not n.
        """
        if ball.dim() == 0 or ball.shape[-1] != self.n:
            raise ValueError(f"ball: expected (*batch, {self.n}), got {tuple(ball.shape)}")
        return _point(2 * ball / (1 - ball.square().sum(-1, keepdim=True)))


def _time(spatial: Tensor) -> Tensor:
    """x0 of the point with these spatial coordinates, (*batch, n) to (*batch, 1)."""
    return (1 + numerics.squared_norm(spatial).unsqueeze(-1)).sqrt()


def _point(spatial: Tensor) -> Tensor:
    return torch.cat([_time(spatial), spatial], -1)


def _largest(spatial: Tensor) -> float:
    """How large a coordinate may be for sums of some of its squares to be finite."""
    return float(torch.finfo(spatial.dtype).max) ** 0.5 / 4


def _shortened(spatial: Tensor) -> Tensor:
    """The same direction, with no coordinate beyond the largest."""
    size = spatial.detach().abs().amax(-1, keepdim=True)
    return spatial * (_largest(spatial) / size).clamp(max=1)


def _with_time(x: Tensor, spatial: Tensor) -> Tensor:
    """Tangent at x with these spatial coordinates."""
    time = (x[..., 1:] * spatial).sum(-1, keepdim=True) / _time(x[..., 1:])
    return torch.cat([time, spatial.expand(*time.shape[:-1], -1)], -1)


def _coordinates(x: Tensor, v: Tensor) -> Tensor:
    """Coordinates (*batch, n) of a tangent in the frame that is carried to x from the origin."""
    base, spatial = x[..., 1:], v[..., 1:]
    time = _time(base)
    return spatial - (base * spatial).sum(-1, keepdim=True) / (time * (1 + time)) * base


def _tangent(x: Tensor, w: Tensor) -> Tensor:
    """Tangent at x with these coordinates: the inverse of `_coordinates`."""
    base = x[..., 1:]
    time = (base * w).sum(-1, keepdim=True)
    spatial = w + time / (1 + _time(base)) * base
    return torch.cat([time.expand(*spatial.shape[:-1], 1), spatial], -1)


def _towards(x: Tensor, y: Tensor) -> Tensor:
    """Coordinates of log(x, y)."""
    z = _boost(-x[..., 1:], y[..., 1:])
    return numerics.asinhc(numerics.squared_norm(z).unsqueeze(-1)) * z


def _boost(x: Tensor, y: Tensor) -> Tensor:
    """Image of the point y under the boost that carries the origin to x; spatial coordinates
    (*batch, n).

    That is y + (x.y / (1 + x0) + y0) x, 0 at y = -x. Accurate relative to itself in each of three
    forms: as it stands where x.y >= 0 and all terms add up; by differences from y = -x for small x;
    and, for others, by parts across x and along it, where the difference of the large x0 y_along
    and |x| y0 is factored.
    """
    x_squared = numerics.squared_norm(x).unsqueeze(-1)
    x_time, y_time = (1 + x_squared).sqrt(), _time(y)
    dot = (x * y).sum(-1, keepdim=True)
    added = y + (dot / (1 + x_time) + y_time) * x
    rest = x + y
    factor = (x * rest).sum(-1, keepdim=True) / (1 + x_time)
    factor = factor + (rest * (y - x)).sum(-1, keepdim=True) / (x_time + y_time)
    near = rest + factor * x
    parted = (dot < 0) & (x_squared >= 1)
    size = torch.where(x_squared >= 1, x_squared, 1.0).sqrt()
    unit = x / size
    excess = (unit * rest).sum(-1, keepdim=True)  # y_along + |x|
    across = rest - excess * unit
    across = across - (unit * across).sum(-1, keepdim=True) * unit
    # Both parts of the difference are divided by |x| and by the sum before they are multiplied, so
    # that no product has more than two large factors.
    sum_of_both = torch.where(parted, (size - excess) * (x_time / size) + y_time, 1.0)
    along = (
        size * (across * (across / sum_of_both)).sum(-1, keepdim=True)
        - excess * (excess / size - 2) / sum_of_both
    )
    return torch.where(parted, across + along * unit, torch.where(dot < 0, near, added))
