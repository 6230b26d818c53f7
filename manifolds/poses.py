"""Clouds of rigid frames: rotations and translations of many bodies, without the freedom to
translate them all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from manifolds.base import Manifold, expand, largest, volume_is_infinite, wrong_shape
from manifolds.centered import Centered
from manifolds.se3 import SE3, join
from manifolds.so3 import SO3

_SO3, _SE3, _CENTERED = SO3(), SE3(), Centered(3)


@dataclass(frozen=True)
class Poses(Manifold):
    """Clouds (*batch, nodes, 4, 4) of poses whose translations have mean zero: SO(3)^n times
    `Centered`.

    Tangents (*batch, nodes, 6) are those of `SE3`: a rotation vector in the body frame, radians,
    then a translation in the world frame. Clouds of different sizes share a batch by padding:
    `mask` (*batch, nodes) is True at real nodes; the others are the identity in every point and 0
    in every tangent.
    """

    shape = (None, 4, 4)
    tangent_shape = (None, 6)
    takes_mask = True
    dim = None
    injectivity_radius = math.pi

    def exp(self, x: Tensor, v: Tensor) -> Tensor:
        return _SE3.exp(x, v)

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        return _SE3.log(x, y)

    def geodesic_and_back(self, x: Tensor, y: Tensor, t: float | Tensor) -> tuple[Tensor, Tensor]:
        return _SE3.geodesic_and_back(x, y, expand(t, x[..., 0], 2))

    def transport(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        return _SE3.transport(x, y, v)

    def project(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Rotations made orthonormal, translations of mean zero; nodes outside the mask become the
        identity.
        """
        rotation = x[..., :3, :3]
        if mask is not None:
            rotation = torch.where(mask[..., None, None], rotation, _identity(x))
        return join(_SO3.project(rotation), _CENTERED.project(x[..., :3, 3], mask))

    def to_tangent(self, x: Tensor, ambient: Tensor, mask: Tensor | None = None) -> Tensor:
        turn = (
            ambient[..., :3]
            if mask is None
            else torch.where(mask[..., None], ambient[..., :3], 0.0)
        )
        return torch.cat([turn, _CENTERED.project(ambient[..., 3:], mask)], -1)

    def random_point(
        self,
        *size: int,
        nodes: int | None = None,
        mask: Tensor | None = None,
        generator=None,
        dtype=None,
        device=None,
    ) -> Tensor:
        """Uniform rotations and standard normal, centred translations, (*size, nodes, 4, 4).

        nodes: needed unless `mask` (broadcastable to (*size, nodes)) says it.
        """
        options = {"generator": generator, "dtype": dtype, "device": device}
        translation = _CENTERED.random_point(*size, nodes=nodes, mask=mask, **options)
        rotation = _SO3.random_point(*translation.shape[:-1], **options)
        if mask is not None:
            rotation = torch.where(mask[..., None, None], rotation, _identity(rotation))
        return join(rotation, translation)

    def random_tangent(self, x: Tensor, generator=None, mask: Tensor | None = None) -> Tensor:
        return self.to_tangent(x, _SE3.random_tangent(x, generator=generator), mask)

    def frame(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Orthonormal basis, (*batch, 3 nodes + 3 (nodes - 1), nodes, 6): the turns first.

        With a mask, smaller clouds have fewer basis vectors; the surplus ones are 0.
        """
        *batch, nodes, _, _ = x.shape
        turns = torch.eye(3 * nodes, dtype=x.dtype, device=x.device).unflatten(-1, (nodes, 3))
        turns = turns.expand(*batch, 3 * nodes, nodes, 3)
        if mask is not None:
            turns = torch.where(mask[..., None, :, None], turns, 0.0)
        shifts = _CENTERED.frame(x[..., :3, 3], mask)
        return torch.cat(
            [torch.nn.functional.pad(turns, (0, 3)), torch.nn.functional.pad(shifts, (3, 0))], -3
        )

    def uniform_log_prob(self) -> float:
        raise volume_is_infinite(self)

    def check(self, x: Tensor, mask: Tensor | None = None) -> str | None:
        defect = wrong_shape(x, self.shape)
        if defect:
            return defect
        defect = _SE3.check(x)
        if defect:
            return defect
        if mask is not None:
            stray = (
                torch.where(mask[..., None, None], 0.0, x[..., :3, :3] - _identity(x))
                .abs()
                .amax((-3, -2, -1))
            )
            defect = largest(stray, 0.0, "nodes outside the mask must be the identity")
            if defect:
                return defect
        return _CENTERED.check(x[..., :3, 3], mask)


def _identity(like: Tensor) -> Tensor:
    return torch.eye(3, dtype=like.dtype, device=like.device)
