"""Clouds of rigid frames: rotations and translations of many bodies, without the freedom to
translate them all.
"""

from __future__ import annotations

from dataclasses import dataclass

from manifolds.base import Manifold
from manifolds.power import Cloud
from manifolds.se3 import SE3


@dataclass(frozen=True)
class Poses(Cloud):
    """Clouds (*batch, nodes, 4, 4) of poses whose translations have mean zero: SO(3)^n times
    `Centered`.

    Tangents (*batch, nodes, 6) are those of `SE3`: a rotation vector in the body frame, radians,
    then a translation in the world frame. Clouds of different sizes share a batch by padding:
    `mask` (*batch, nodes) is True at real nodes; the others are the identity in every point and 0
    in every tangent. That is Power(SE3(), centred=True).
    """

    space = SE3()
    centred = True
    # The same sums as over nodes, with the last digits that training has always had.
    inner, norm = Manifold.inner, Manifold.norm
