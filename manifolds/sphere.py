"""The unit sphere."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from manifolds import numerics
from manifolds.base import Manifold, largest, positive, randn, wrong_shape


@dataclass(frozen=True)
class Sphere(Manifold):
    """Unit vectors in R^(n+1); tangents are the vectors of R^(n+1) orthogonal to the point."""

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
        cosine = 1 - squared * numerics.cosc(squared)
        return self.project(cosine * x + numerics.sinc(squared) * v)

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        """Shortest tangent at `x` that `exp` carries to `y`.

        At the antipode every direction is shortest: a fixed one is returned, of length pi, and its gradient
        is finite. The direction is as uncertain as eps / (pi - angle) near there; the length is not.
        """
        # The part of y across x is formed from y - x, and projected twice: exact for near and far points.
        across = self.to_tangent(x, self.to_tangent(x, y - x))
        squared = numerics.squared_norm(across).unsqueeze(-1)
        cosine = (x * y).sum(-1, keepdim=True)
        eps = torch.finfo(squared.dtype).eps
        opposite = (cosine < 0) & (squared < (4 * eps) ** 2)
        safe = torch.where(opposite, torch.ones_like(across), across)
        squared = numerics.squared_norm(safe).unsqueeze(-1)
        v = numerics.arc(squared, cosine) * safe
        return torch.where(opposite, math.pi * self.frame(x)[..., 0, :], v)

    def transport(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        # Turn the part of v along the geodesic, keep the rest; written so, nothing divides at the antipode.
        w = self.log(x, y)
        squared = numerics.squared_norm(w).unsqueeze(-1)
        along = (w * v).sum(-1, keepdim=True)
        moved = v - along * (numerics.cosc(squared) * w + numerics.sinc(squared) * x)
        return self.to_tangent(y, moved)

    def project(self, x: Tensor) -> Tensor:
        return numerics.normalise(x)

    def to_tangent(self, x: Tensor, ambient: Tensor) -> Tensor:
        return ambient - (x * ambient).sum(-1, keepdim=True) * x

    def random_point(self, *size: int, generator=None, dtype=None, device=None) -> Tensor:
        return self.project(randn(*size, self.n + 1, generator=generator, dtype=dtype, device=device))

    def frame(self, x: Tensor) -> Tensor:
        # The Householder reflection that takes the first axis to x or -x takes the others to tangents.
        sign = torch.where(x[..., :1] < 0, -1.0, 1.0).to(x.dtype)
        normal = torch.cat([x[..., :1] + sign, x[..., 1:]], -1)
        identity = torch.eye(self.n + 1, dtype=x.dtype, device=x.device)
        scale = 2 / numerics.squared_norm(normal)[..., None, None]
        return (identity - scale * normal.unsqueeze(-1) * normal.unsqueeze(-2))[..., 1:, :]

    def uniform_log_prob(self) -> float:
        half = (self.n + 1) / 2
        return math.lgamma(half) - math.log(2) - half * math.log(math.pi)

    def check(self, x: Tensor) -> str | None:
        defect = wrong_shape(x, self.shape)
        if defect:
            return defect
        return largest((x.norm(dim=-1) - 1).abs(), numerics.tolerance(x.dtype), "points must have norm 1")
