"""The unit sphere."""

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
    expand,
    largest,
    no_heat_kernel,
    positive,
    randn,
    wrong_shape,
)


@dataclass(frozen=True)
class Sphere(Manifold):
    """Unit vectors in R^(n+1); tangents are the vectors of R^(n+1) orthogonal to the point.

    Args:
        n: the dimension; 1 is a circle, 2 the sphere in space.
    """

    n: int

    injectivity_radius = math.pi

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

    def exp(self, x: Tensor, v: Tensor) -> Tensor:
        squared = numerics.squared_norm(v).unsqueeze(-1)
        # Both at once: sin(a) / a, and sin(a/2) / (a/2), whose square is (1 - cos a) / (a^2 / 2).
        sine, half = numerics.sinc(torch.cat([squared, 0.25 * squared], -1)).split(1, -1)
        cosine = 1 - 0.5 * squared * half.square()
        point = torch.addcmul(cosine * x, sine, v)
        # Its length is 1 to rounding: no need of what `project` does for tiny and huge vectors.
        return point / numerics.squared_norm(point).unsqueeze(-1).sqrt()

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        """Shortest tangent at `x` that `exp` carries to `y`.

        At the antipode every direction is shortest: a fixed one is returned, of length pi, and its
        gradient is finite. The direction is as uncertain as eps / (pi - angle) near there; the
        length is not.
        """
        across, cosine = self._across(x, y)
        return numerics.arc(numerics.squared_norm(across).unsqueeze(-1), cosine) * across

    def geodesic(self, x: Tensor, y: Tensor, t: float | Tensor) -> Tensor:
        return self.geodesic_and_back(x, y, t)[0]

    def geodesic_and_back(self, x: Tensor, y: Tensor, t: float | Tensor) -> tuple[Tensor, Tensor]:
        # With a the angle and e the direction to y: cos(ta) x + sin(ta) e, and back along ta
        # (sin(ta) x - cos(ta) e).
        across, cosine = self._across(x, y)
        # At equal points the least root stands in for 0: the ratios to it are then right, and so
        # are derivatives.
        sine = torch.linalg.vector_norm(across, dim=-1, keepdim=True).clamp(
            min=torch.finfo(across.dtype).tiny ** 0.5
        )
        turned, direction = expand(t, x, 1) * torch.atan2(sine, cosine), across / sine
        low, high = turned.cos(), turned.sin()
        return torch.addcmul(low * x, high, direction), turned * numerics.add_product(
            high * x, low, direction, -1
        )

    def _across(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The part of `y` across `x`, and the cosine of their angle, (*batch, 1).

        For opposite points a fixed tangent at x, and a cosine with which any sine makes a half
        turn.
        """
        cosine = (x * y).sum(-1, keepdim=True)
        side = cosine.sign()
        # Formed from the difference to x or to -x, whichever is nearer: exact for near and far
        # points.
        away = numerics.add_product(y, side, x, -1)
        eps = torch.finfo(away.dtype).eps
        opposite = torch.linalg.vector_norm(away, dim=-1, keepdim=True) < -6 * eps * side
        # Axis 0 of the coordinates, or axis 1 where x lies near axis 0.
        axis = torch.arange(self.n + 1, dtype=x.dtype, device=x.device) == x[..., :1].abs().round()
        across = self.to_tangent(x, torch.where(opposite, axis, away))
        return across, cosine.masked_fill(opposite, -16 / eps)

    def transport(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        # Turn the part of v along the geodesic, keep the rest; written so, nothing divides at the
        # antipode.
        w = self.log(x, y)
        squared = numerics.squared_norm(w).unsqueeze(-1)
        along = (w * v).sum(-1, keepdim=True)
        moved = v - along * (numerics.cosc(squared) * w + numerics.sinc(squared) * x)
        return self.to_tangent(y, moved)

    def pull_back(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        # The differential of (a / sin a) (y - cos(a) x), where cos(a) changes by <x, v>.
        across, cosine = self._across(x, y)
        stretch = numerics.arc(numerics.squared_norm(across).unsqueeze(-1), cosine)
        w = stretch * across
        rest = 4 * numerics.half_cot(4 * numerics.squared_norm(w).unsqueeze(-1))
        rate = (x * v).sum(-1, keepdim=True)
        return stretch * (v - rate * torch.addcmul(x, rest, w))

    def project(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return numerics.normalise(x)

    def to_tangent(self, x: Tensor, ambient: Tensor, mask: Tensor | None = None) -> Tensor:
        return numerics.add_product(ambient, (x * ambient).sum(-1, keepdim=True), x, -1)

    def random_point(
        self,
        *size: int,
        mask: Tensor | None = None,
        generator: Generator = None,
        dtype: torch.dtype | None = None,
        device: Device = None,
    ) -> Tensor:
        return self.project(
            randn(*size, self.n + 1, generator=generator, dtype=dtype, device=device)
        )

    def frame(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        # The Householder reflection that takes the first axis to x or -x takes the others to
        # tangents.
        sign = torch.where(x[..., :1] < 0, -1.0, 1.0).to(x.dtype)
        normal = torch.cat([x[..., :1] + sign, x[..., 1:]], -1)
        identity = torch.eye(self.n + 1, dtype=x.dtype, device=x.device)
        scale = 2 / numerics.squared_norm(normal)[..., None, None]
        return (identity - scale * normal.unsqueeze(-1) * normal.unsqueeze(-2))[..., 1:, :]

    def origin(self, *, dtype: torch.dtype | None = None, device: Device = None) -> Tensor:
        return torch.eye(1, self.n + 1, dtype=dtype, device=device)[0]

    def log_prob_of_dist(self, d: Tensor) -> Tensor:
        # The points at distance d are a sphere of one dimension less and radius sin d.
        across = -Sphere(self.n - 1).uniform_log_prob() if self.n > 1 else math.log(2)
        return (self.n - 1) * d.sin().log() + across + self.uniform_log_prob()

    def heat(self) -> Kernel:
        from manifolds.heat.circle import CircleKernel
        from manifolds.heat.hypersphere import LARGEST, HypersphereKernel
        from manifolds.heat.sphere import SphereKernel

        if self.n > LARGEST:
            raise no_heat_kernel(self)
        if self.n > 2:
            return HypersphereKernel(self, self.n)
        return SphereKernel(self) if self.n == 2 else CircleKernel(self)

    def uniform_log_prob(self) -> float:
        return numerics.log_uniform_on_sphere(self.n)

    def check(self, x: Tensor, mask: Tensor | None = None) -> str | None:
        defect = wrong_shape(x, self.shape)
        if defect:
            return defect
        return largest(
            (x.norm(dim=-1) - 1).abs(), numerics.tolerance(x.dtype), "points must have norm 1"
        )
