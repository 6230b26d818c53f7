"""Rotations in space."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from manifolds import components, numerics
from manifolds.base import Device, Generator, Kernel, Manifold, expand, largest, randn, wrong_shape
from manifolds.components import tiled
from manifolds.rotations import (
    coordinates_back,
    matrix_back,
    nearest_rotation,
    quaternion_to_matrix,
    rate_of,
    rotation_vector_to_matrix,
    turn,
    turn_of,
    unturn,
)


@dataclass(frozen=True)
class SO3(Manifold):
    """Rotation matrices, with rotation vectors in the body frame as tangents: exp(R, w) = R
    expm(hat w).

    The length of a tangent is its angle in radians, so the volume of the space is 8 pi^2.
    """

    shape = (3, 3)
    tangent_shape = (3,)
    dim = 3
    injectivity_radius = math.pi

    def exp(self, x: Tensor, v: Tensor) -> Tensor:
        return exp(x, v)

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        """Shortest body-frame rotation vector at `x` that `exp` carries to `y`, norm at most pi.

        At angle pi the axis has two signs; one of them is returned, always finite.
        """
        return log(x, y)

    def geodesic_and_back(self, x: Tensor, y: Tensor, t: float | Tensor) -> tuple[Tensor, Tensor]:
        # A rotation about an axis has the same body-frame coordinates all along.
        v = self.log(x, y)
        v = expand(t, v, 1) * v
        return self.exp(x, v), -v

    def transport(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        # A parallel vector turns against the geodesic at half speed: dv/dt = -w x v / 2 in the body
        # frame.
        half = rotation_vector_to_matrix(-0.5 * self.log(x, y))
        return numerics.matmul(half, v.unsqueeze(-1)).squeeze(-1)

    def pull_back(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        return rate_of(self.log(x, y), v)

    def project(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return nearest_rotation(x)

    def to_tangent(self, x: Tensor, ambient: Tensor, mask: Tensor | None = None) -> Tensor:
        """`ambient` itself: three body-frame coordinates are tangent at every rotation."""
        return ambient

    def random_point(
        self,
        *size: int,
        mask: Tensor | None = None,
        generator: Generator = None,
        dtype: torch.dtype | None = None,
        device: Device = None,
    ) -> Tensor:
        return quaternion_to_matrix(
            randn(*size, 4, generator=generator, dtype=dtype, device=device)
        )

    def frame(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return torch.eye(3, dtype=x.dtype, device=x.device).expand(*x.shape[:-2], 3, 3)

    def origin(self, *, dtype: torch.dtype | None = None, device: Device = None) -> Tensor:
        return torch.eye(3, dtype=dtype, device=device)

    def uniform_log_prob(self) -> float:
        return -math.log(8 * math.pi**2)

    def log_prob_of_dist(self, d: Tensor) -> Tensor:
        return (2 * (d / 2).sin().square() / math.pi).log()  # (1 - cos d) / pi

    def heat(self) -> Kernel:
        from manifolds.heat.so3 import SO3Kernel

        return SO3Kernel(self)

    def check(self, x: Tensor, mask: Tensor | None = None) -> str | None:
        defect = wrong_shape(x, self.shape)
        if defect:
            return defect
        gram = numerics.matmul(x.transpose(-1, -2), x)
        off = (gram - torch.eye(3, dtype=x.dtype, device=x.device)).abs().amax((-2, -1))
        defect = largest(off, numerics.tolerance(x.dtype), "rotation matrices must be orthonormal")
        triple = (torch.linalg.cross(x[..., 0, :], x[..., 1, :]) * x[..., 2, :]).sum(-1)
        reflected = (triple < 0).to(x.dtype)
        return defect or largest(reflected, 0.0, "rotation matrices must not be reflections")

    def compose(self, x: Tensor, y: Tensor) -> Tensor:
        """The rotation `y` followed by `x`: the matrix product x y.

        Args:
            x: rotations, (*batch, 3, 3).
            y: rotations, (*batch, 3, 3).
        """
        return numerics.matmul(x, y)

    def inverse(self, x: Tensor) -> Tensor:
        """The rotation that undoes `x`, its transpose.

        Args:
            x: rotations, (*batch, 3, 3).
        """
        return x.transpose(-1, -2)


@tiled(2, 1, 2, 2)
def _exp_back(x: Tensor, v: Tensor, y: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of a rotation and a tangent from that of the point they lead to."""
    x, y, gradient = (components.to_front(part, 2) for part in (x, y, gradient))
    turned = turn_of(y, gradient)
    # Row k of y is that of x in other coordinates, and a small turn u moves it by its cross product
    # with u. Of a change of the first two rows, `exp` lets through what turns the first, and the
    # second out of their plane.
    along_first, along_second, along_third = components.apply(y, turned)
    first, second, third = x
    of_x = torch.stack(
        [along_second * third - along_third * second, -along_first * third, torch.zeros_like(third)]
    )
    of_v = coordinates_back(v.movedim(-1, 0), turned)
    return components.to_back(of_x, 2), components.to_back(of_v, 1)


@components.backward(_exp_back, 2, 1)
@tiled(2, 1)
def exp(x: Tensor, v: Tensor) -> Tensor:
    """`SO3().exp`, (*batch, 3, 3) and (*batch, 3) to (*batch, 3, 3).

    Args:
        x: rotations, (*batch, 3, 3).
        v: rotation vectors in the body frame, (*batch, 3), radians.
    """
    x, v = components.same_batch(x, 2, v, 1)
    rows = components.to_front(x.narrow(-2, 0, 2), 2)
    rows = components.product(rows, turn(components.to_front(v, 1)))
    # A long walk stays orthonormal, where rounding would add up over the steps: after a Newton step
    # of both rows towards length 1, the second is made anew from the first and from their cross
    # product.
    first, second = numerics.add_product(rows, rows, 1 - (rows * rows).sum(1, keepdim=True), 0.5)
    third = components.cross(first, second)
    return components.to_back(torch.stack([first, components.cross(third, first), third]), 2)


@tiled(2, 2, 1, 1)
def _log_back(x: Tensor, y: Tensor, v: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of two rotations from that of the tangent between them."""
    between = matrix_back(components.to_front(v, 1), components.to_front(gradient, 1))
    x, y = components.to_front(x, 2), components.to_front(y, 2)
    of_x = components.product(y, between.transpose(0, 1))
    return components.to_back(of_x, 2), components.to_back(components.product(x, between), 2)


@components.backward(_log_back, 2, 2)
@tiled(2, 2)
def log(x: Tensor, y: Tensor) -> Tensor:
    """`SO3().log`, (*batch, 3, 3) twice to (*batch, 3).

    Args:
        x: rotations, (*batch, 3, 3).
        y: rotations, (*batch, 3, 3).
    """
    x, y = components.same_batch(x, 2, y, 2)
    x, y = components.to_front(x, 2), components.to_front(y, 2)
    return components.to_back(unturn(components.product(x.transpose(0, 1), y)), 1)
