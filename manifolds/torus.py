"""The flat torus of angles."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from manifolds.angles import wrap as wrap
from manifolds.base import Device, Generator, Kernel, Manifold, largest, positive, rand, wrong_shape


@dataclass(frozen=True)
class Torus(Manifold):
    """n angles in [-pi, pi), radians, each a circle of radius 1: torsions.

    Args:
        n: the number of angles.
    """

    n: int

    injectivity_radius = math.pi

    def __post_init__(self) -> None:
        positive("n", self.n)

    @property
    def shape(self) -> tuple[int]:
        return (self.n,)

    @property
    def tangent_shape(self) -> tuple[int]:
        return (self.n,)

    @property
    def dim(self) -> int:
        return self.n

    def exp(self, x: Tensor, v: Tensor) -> Tensor:
        return wrap(x + v)

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        return wrap(y - x)

    def transport(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        return v + torch.zeros_like(y - x)

    def pull_back(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        return self.transport(y, x, v)

    def project(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return wrap(x)

    def to_tangent(self, x: Tensor, ambient: Tensor, mask: Tensor | None = None) -> Tensor:
        return ambient

    def random_point(
        self,
        *size: int,
        mask: Tensor | None = None,
        generator: Generator = None,
        dtype: torch.dtype | None = None,
        device: Device = None,
    ) -> Tensor:
        uniform = rand(*size, self.n, generator=generator, dtype=dtype, device=device)
        return wrap((2 * uniform - 1) * math.pi)

    def frame(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return torch.eye(self.n, dtype=x.dtype, device=x.device).expand(
            *x.shape[:-1], self.n, self.n
        )

    def origin(self, *, dtype: torch.dtype | None = None, device: Device = None) -> Tensor:
        return torch.zeros(self.n, dtype=dtype, device=device)

    def uniform_log_prob(self) -> float:
        return -self.n * math.log(2 * math.pi)

    def log_prob_of_dist(self, d: Tensor) -> Tensor:
        if self.n > 1:
            return super().log_prob_of_dist(d)
        return torch.full_like(d, -math.log(math.pi))

    def heat(self) -> Kernel:
        from manifolds.heat.torus import TorusKernel

        return TorusKernel(self, Torus(1))

    def check(self, x: Tensor, mask: Tensor | None = None) -> str | None:
        defect = wrong_shape(x, self.shape)
        if defect:
            return defect
        beyond = torch.where(
            (x >= -math.pi) & (x < math.pi), 0.0, (x.abs() - math.pi).abs() + 1e-30
        )
        return largest(beyond.amax(-1), 0.0, "angles must be in [-pi, pi)", "project(x) wraps them")
