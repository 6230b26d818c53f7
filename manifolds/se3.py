"""Rigid motions of space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from manifolds import components, numerics
from manifolds.base import (
    Device,
    Generator,
    Kernel,
    Manifold,
    expand,
    largest,
    randn,
    volume_is_infinite,
    wrong_shape,
)
from manifolds.components import tiled
from manifolds.euclidean import Euclidean
from manifolds.rotations import hat, turn, unturn
from manifolds.so3 import SO3

_SO3, _R3 = SO3(), Euclidean(3)


@dataclass(frozen=True)
class SE3(Manifold):
    """Poses as 4 x 4 matrices [[R, t], [0, 1]] with the metric of rotations times translations.

    Tangents (w, v): w a rotation vector in the body frame, radians; v a translation in the world
    frame, in the unit of t. exp((R, t), (w, v)) = (R expm(hat w), t + v). That is not the
    exponential of the group, whose paths are screws: for those see `group_exp`, `group_log`,
    `compose`, `inverse`, `adjoint`.
    """

    shape = (4, 4)
    tangent_shape = (6,)
    dim = 6
    injectivity_radius = math.pi

    def exp(self, x: Tensor, v: Tensor) -> Tensor:
        return join(_SO3.exp(x[..., :3, :3], v[..., :3]), x[..., :3, 3] + v[..., 3:])

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        turn = _SO3.log(x[..., :3, :3], y[..., :3, :3])
        return torch.cat([turn, y[..., :3, 3] - x[..., :3, 3]], -1)

    def geodesic_and_back(self, x: Tensor, y: Tensor, t: float | Tensor) -> tuple[Tensor, Tensor]:
        v = self.log(x, y)  # whose coordinates are the same all along
        v = expand(t, v, 1) * v
        return self.exp(x, v), -v

    def transport(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        turn = _SO3.transport(x[..., :3, :3], y[..., :3, :3], v[..., :3])
        return torch.cat([turn, v[..., 3:].expand_as(turn)], -1)

    def pull_back(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        turn = _SO3.pull_back(x[..., :3, :3], y[..., :3, :3], v[..., :3])
        return torch.cat([turn, v[..., 3:].expand_as(turn)], -1)

    def project(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return join(_SO3.project(x[..., :3, :3]), x[..., :3, 3])

    def to_tangent(self, x: Tensor, ambient: Tensor, mask: Tensor | None = None) -> Tensor:
        """`ambient` itself: all six coordinates are tangent at every pose."""
        return ambient

    def random_point(
        self,
        *size: int,
        mask: Tensor | None = None,
        generator: Generator = None,
        dtype: torch.dtype | None = None,
        device: Device = None,
    ) -> Tensor:
        """Poses with a uniform rotation and a standard normal translation."""
        rotation = _SO3.random_point(*size, generator=generator, dtype=dtype, device=device)
        return join(rotation, randn(*size, 3, generator=generator, dtype=dtype, device=device))

    def frame(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return torch.eye(6, dtype=x.dtype, device=x.device).expand(*x.shape[:-2], 6, 6)

    @property
    def factors(self) -> tuple[Manifold, ...]:
        """Rotations and translations."""
        return _SO3, _R3

    def split(self, x: Tensor) -> Sequence[Tensor]:
        return x[..., :3, :3], x[..., :3, 3]

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        return join(*parts)

    def split_tangent(self, v: Tensor) -> Sequence[Tensor]:
        return v[..., :3], v[..., 3:]

    def join_tangent(self, parts: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(parts), -1)

    def origin(self, *, dtype: torch.dtype | None = None, device: Device = None) -> Tensor:
        return torch.eye(4, dtype=dtype, device=device)

    def uniform_log_prob(self) -> float:
        raise volume_is_infinite(self)

    def heat(self) -> Kernel:
        from manifolds.heat.product import of_factors

        return of_factors(self)

    def check(self, x: Tensor, mask: Tensor | None = None) -> str | None:
        defect = wrong_shape(x, self.shape)
        if defect:
            return defect
        last = (x[..., 3, :] - torch.eye(4, dtype=x.dtype, device=x.device)[3]).abs().amax(-1)
        defect = _SO3.check(x[..., :3, :3])
        return defect or largest(last, 0.0, "the last row of a pose must be (0, 0, 0, 1)")

    def group_exp(self, twist: Tensor) -> Tensor:
        """Pose reached after unit time by the constant body twist (w, v), (*batch, 6) to (*batch,
        4, 4).

        Args:
            twist: angular and linear velocity in the body frame, (*batch, 6).
        """
        return _group_exp(twist)

    def group_log(self, x: Tensor) -> Tensor:
        """Twist of smallest angle whose `group_exp` is the pose, (*batch, 4, 4) to (*batch, 6).

        Args:
            x: poses, (*batch, 4, 4).
        """
        return _group_log(x)

    def compose(self, x: Tensor, y: Tensor) -> Tensor:
        """The motion `y` followed by `x`: the matrix product x y.

        Args:
            x: poses, (*batch, 4, 4).
            y: poses, (*batch, 4, 4).
        """
        return numerics.matmul(x, y)

    def inverse(self, x: Tensor) -> Tensor:
        """The motion that undoes `x`.

        Args:
            x: poses, (*batch, 4, 4).
        """
        back = x[..., :3, :3].transpose(-1, -2)
        return join(back, -numerics.matmul(back, x[..., :3, 3:]).squeeze(-1))

    def adjoint(self, x: Tensor) -> Tensor:
        """Matrix that carries twists by `x`, (*batch, 6, 6): x exp(twist) x^-1 = exp(adjoint(x)
        twist).

        Args:
            x: poses, (*batch, 4, 4).
        """
        rotation = x[..., :3, :3]
        lower = numerics.matmul(hat(x[..., :3, 3]), rotation)
        top = torch.cat([rotation, torch.zeros_like(rotation)], -1)
        return torch.cat([top, torch.cat([lower, rotation], -1)], -2)


@tiled(1)
def _group_exp(twist: Tensor) -> Tensor:
    w, v = components.to_front(twist, 1).split(3)
    squared = components.squared_norm(w)
    once = components.cross(w, v)
    twice = components.cross(w, once)
    translation = v + numerics.cosc(squared) * once + numerics.sinc_rest(squared) * twice
    top = torch.cat([turn(w), translation.unsqueeze(1)], 1).flatten(0, 1)
    last = torch.zeros_like(top[:4])
    last[3:] = 1
    return components.to_back(torch.cat([top, last]).unflatten(0, (4, 4)), 2)


@tiled(2)
def _group_log(x: Tensor) -> Tensor:
    rotation, t = components.to_front(x.narrow(-2, 0, 3), 2).split((3, 1), 1)
    w, t = unturn(rotation), t.squeeze(1)
    once = components.cross(w, t)
    v = t - 0.5 * once + numerics.half_cot(components.squared_norm(w)) * components.cross(w, once)
    return components.to_back(torch.cat([w, v]), 1)


def join(rotation: Tensor, translation: Tensor) -> Tensor:
    """Pose (*batch, 4, 4) of a rotation (*batch, 3, 3) and a translation (*batch, 3).

    Args:
        rotation: (*batch, 3, 3).
        translation: (*batch, 3).
    """
    batch = torch.broadcast_shapes(rotation.shape[:-2], translation.shape[:-1])
    top = torch.cat(
        [rotation.expand(*batch, 3, 3), translation.expand(*batch, 3).unsqueeze(-1)], -1
    )
    last = torch.zeros_like(top[..., :1, :])
    last[..., 3] = 1
    return torch.cat([top, last], -2)
