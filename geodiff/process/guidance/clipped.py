"""A guide that keeps displacements from growing too long."""

from typing import Any

import torch
from torch import Tensor

from geodiff.process.field import Field
from geodiff.process.guidance.base import Guide


class Clipped(Guide):
    """u, shortened to `length` where it is longer; its direction stays.

    On a sphere or on rotations, the injectivity radius is the longest Log_x(clean) there is: a
    field on a `Geodesic` is left as it is, and a guide that overshoots leads to the farthest point
    and not beyond it. Lengths are those of the manifold's metric, of the whole tangent of a product
    or a cloud. A level with alpha = 0 is left as without it.

    Args:
        field: what is clipped; a guide as a rule.
        length: the longest, above 0; radians on spheres and rotations.

    Raises: ValueError unless length is above 0.
    """

    def __init__(self, field: Field, length: float):
        super().__init__(field)
        if not length > 0:
            raise ValueError(f"length: expected a number above 0, got {length}")
        self.length = length

    def displacement(self, x: Tensor, s: Tensor, condition: Any, mask: Tensor | None) -> Tensor:
        u = self.field(x, s, condition, mask)
        long = self.corruption.manifold.norm(x, u)
        share = torch.where(long > self.length, self.length / long.clamp(min=self.length), 1.0)
        return share[(...,) + (None,) * (u.ndim - share.ndim)] * u

    def clean_estimate(
        self, noisy: Tensor, s: float | Tensor, condition: Any = None, mask: Tensor | None = None
    ) -> Tensor:
        return self.field.clean_estimate(noisy, s, condition, mask)

    def extra_repr(self) -> str:
        return f"length={self.length}"
