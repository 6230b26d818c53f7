"""The flat torus of angles."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from manifolds.base import Device, Generator, Manifold, largest, positive, rand, wrong_shape

if TYPE_CHECKING:
    from manifolds.heat.torus import TorusKernel


@functools.cache
def _edge(dtype: torch.dtype) -> float:
    """Largest number of this dtype that is below pi, read as an exact real number."""
    nearest = torch.tensor(math.pi, dtype=dtype)
    while float(nearest) >= math.pi:
        nearest = torch.nextafter(nearest, torch.zeros_like(nearest))
    return float(nearest)


def wrap(angle: Tensor) -> Tensor:
    """The angle in [-pi, pi) that differs from `angle` by whole turns; radians.

    Numbers already in the interval are returned unchanged. Both ends hold exactly, in every dtype:
    the float32 number nearest to pi exceeds pi, and is never returned. The gradient is 1.

    Args:
        angle: radians, any shape.
    """
    edge = _edge(angle.dtype)
    inside = (angle >= -edge) & (angle <= edge)
    safe = torch.where(inside, 0.0, angle)
    turned = torch.atan2(safe.sin(), safe.cos())  # sin and cos reduce huge arguments exactly
    # Half a turn is -pi, not pi; the float next to pi stands for it.
    turned = turned + torch.where(turned > edge, -2 * math.pi, 0.0).to(turned.dtype)
    turned = turned + (turned.clamp(-edge, edge) - turned).detach()
    return torch.where(inside, angle, turned)


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

    def heat(self) -> TorusKernel:
        from manifolds.heat.torus import TorusKernel

        return TorusKernel(self)

    def check(self, x: Tensor, mask: Tensor | None = None) -> str | None:
        defect = wrong_shape(x, self.shape)
        if defect:
            return defect
        beyond = torch.where(
            (x >= -math.pi) & (x < math.pi), 0.0, (x.abs() - math.pi).abs() + 1e-30
        )
        return largest(beyond.amax(-1), 0.0, "angles must be in [-pi, pi)", "project(x) wraps them")
