"""A guide that keeps displacements from growing too long."""

from typing import Any

import torch
from torch import Tensor

from geodiff.process.field import Field
from geodiff.process.guidance.base import Guide
from manifolds.base import Manifold


class Clipped(Guide):
    """u, shortened to `length` where it is longer; its direction stays.

    By default at the injectivity radius, the longest Log_x(clean) there is (pi on unit spheres and
    rotations), each factor of a product and each node of a cloud by itself and flat factors not at
    all: a field on a `Geodesic` is left as it is, and a guide that overshoots leads to the farthest
    point and not beyond it. A given length is that of the whole tangent of a product or a cloud, in
    the manifold's metric. A level with alpha = 0 is left as without it.

    Args:
        field: what is clipped; a guide as a rule.
        length: the longest, above 0; radians on spheres and rotations. None is the injectivity
            radius.

    Raises: ValueError unless length is above 0.
    """

    def __init__(self, field: Field, length: float | None = None):
        super().__init__(field)
        if length is not None and not length > 0:
            raise ValueError(f"length: expected a number above 0, or None, got {length}")
        self.length = length

    def displacement(self, x: Tensor, s: Tensor, condition: Any, mask: Tensor | None) -> Tensor:
        u = self.field(x, s, condition, mask)
        if self.length is None:
            return self.corruption.manifold.within_radius(x, u)
        return _shortened(self.corruption.manifold, x, u, self.length)

    def clean_estimate(
        self, noisy: Tensor, s: float | Tensor, condition: Any = None, mask: Tensor | None = None
    ) -> Tensor:
        return self.field.clean_estimate(noisy, s, condition, mask)

    def extra_repr(self) -> str:
        return f"length={self.length}"


def _shortened(manifold: Manifold, x: Tensor, u: Tensor, length: float) -> Tensor:
    long = manifold.norm(x, u)
    share = torch.where(long > length, length / long.clamp(min=length), 1.0)
    return share[(...,) + (None,) * (u.ndim - share.ndim)] * u
