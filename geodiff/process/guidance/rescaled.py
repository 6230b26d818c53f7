"""A guide that keeps the lengths that displacements have without it."""

from typing import Any, cast

import torch
from torch import Tensor

from geodiff.process.field import Field
from geodiff.process.guidance.base import Guide


class Rescaled(Guide):
    """The guide's direction at the length that its inner field has there, or between the two.

    Guidance far above 1 makes displacements too long, and with them samples too alike: between the
    laws N(0, 1) of a null and N(0, 0.5^2) of a condition, `ClassifierFree` at scale 3 leaves
    variance 0.0156, rescaled it leaves 0.25, the condition's own. One more call of the inner field.
    Lengths are those of the manifold's metric, of the whole tangent of a product or a cloud. A
    level with alpha = 0 is left as without it.

    Args:
        guide: what is rescaled, `ClassifierFree` as a rule.
        share: in [0, 1], how far: 1 is the inner field's length, 0 the guide's own.

    Raises: TypeError for a field that is no guide, ValueError for a share outside [0, 1].
    Source: Lin et al. 2024 (Common diffusion noise schedules), section 3.4, with the length of
        the displacement for the deviation of the clean estimate.
    """

    def __init__(self, guide: Guide, share: float = 1.0):
        if not isinstance(guide, Guide):
            raise TypeError(
                "guide: expected a guide, whose inner field says the length, got "
                f"{type(guide).__name__}; as Rescaled(ClassifierFree(field, 3.0))"
            )
        if not 0 <= share <= 1:
            raise ValueError(f"share: expected a number in [0, 1], got {share}")
        super().__init__(guide)
        self.share = share

    def displacement(self, x: Tensor, s: Tensor, condition: Any, mask: Tensor | None) -> Tensor:
        u = self.field(x, s, condition, mask)
        plain: Field = cast(Guide, self.field).field
        length = self.corruption.manifold.norm(x, u)
        wanted = self.corruption.manifold.norm(x, plain(x, s, condition, mask))
        some = length > 0
        ratio = torch.where(some, wanted / torch.where(some, length, 1), 1)
        ratio = 1 + self.share * (ratio - 1)
        return ratio[(...,) + (None,) * (u.ndim - ratio.ndim)] * u

    def clean_estimate(
        self, noisy: Tensor, s: float | Tensor, condition: Any = None, mask: Tensor | None = None
    ) -> Tensor:
        return self.field.clean_estimate(noisy, s, condition, mask)

    def extra_repr(self) -> str:
        return f"share={self.share}"
