"""Flat space, of tensors of any fixed shape."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from manifolds.base import (
    Device,
    Generator,
    Kernel,
    Manifold,
    positive,
    randn,
    volume_is_infinite,
    wrong_shape,
)


@dataclass(frozen=True, init=False)
class Euclidean(Manifold):
    """R^shape with the inner product of entries: vectors, images, coordinates.

    Args:
        shape: an int for vectors, or a tuple; () is the real line without a coordinate axis.
    """

    shape: tuple[int, ...]

    flat = True
    injectivity_radius = math.inf

    def __init__(self, shape: int | tuple[int, ...]) -> None:
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        for size in shape:
            positive("shape", size)
        object.__setattr__(self, "shape", shape)

    @property
    def tangent_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def dim(self) -> int:
        return math.prod(self.shape)

    def exp(self, x: Tensor, v: Tensor) -> Tensor:
        return x + v

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        return y - x

    def transport(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        return v + torch.zeros_like(y - x)

    def gradient(self, x: Tensor, slope: Tensor, mask: Tensor | None = None) -> Tensor:
        return slope

    def pull_back(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        return self.transport(y, x, v)

    def project(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return x

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
        return randn(*size, *self.shape, generator=generator, dtype=dtype, device=device)

    def frame(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        batch = x.shape[: x.dim() - len(self.shape)]
        basis = torch.eye(self.dim, dtype=x.dtype, device=x.device).reshape(self.dim, *self.shape)
        return basis.expand(*batch, self.dim, *self.shape)

    def origin(self, *, dtype: torch.dtype | None = None, device: Device = None) -> Tensor:
        return torch.zeros(self.shape, dtype=dtype, device=device)

    def uniform_log_prob(self) -> float:
        raise volume_is_infinite(self)

    def log_prob_of_random(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        each = -0.5 * (x.square() + math.log(2 * math.pi))
        return each.sum(tuple(range(-len(self.shape), 0))) if self.shape else each

    def heat(self) -> Kernel:
        from manifolds.heat.euclidean import EuclideanKernel

        return EuclideanKernel(self)

    def check(self, x: Tensor, mask: Tensor | None = None) -> str | None:
        return wrong_shape(x, self.shape)
