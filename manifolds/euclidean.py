"""Flat space, of tensors of any fixed shape."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from manifolds.base import Manifold, positive, randn, volume_is_infinite, wrong_shape


@dataclass(frozen=True)
class Euclidean(Manifold):
    """R^shape with the inner product of entries: vectors, images, coordinates.

    shape: an int for vectors, or a tuple; () is the real line without a coordinate axis.
    """

    shape: int | tuple[int, ...]

    injectivity_radius = math.inf

    def __post_init__(self) -> None:
        shape = (self.shape,) if isinstance(self.shape, int) else tuple(self.shape)
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

    def pull_back(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        return self.transport(y, x, v)

    def project(self, x: Tensor) -> Tensor:
        return x

    def to_tangent(self, x: Tensor, ambient: Tensor) -> Tensor:
        return ambient

    def random_point(self, *size: int, generator=None, dtype=None, device=None) -> Tensor:
        return randn(*size, *self.shape, generator=generator, dtype=dtype, device=device)

    def frame(self, x: Tensor) -> Tensor:
        batch = x.shape[: x.dim() - len(self.shape)]
        basis = torch.eye(self.dim, dtype=x.dtype, device=x.device).reshape(self.dim, *self.shape)
        return basis.expand(*batch, self.dim, *self.shape)

    def uniform_log_prob(self) -> float:
        raise volume_is_infinite(self)

    def check(self, x: Tensor) -> str | None:
        return wrong_shape(x, self.shape)
