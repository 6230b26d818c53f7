"""A guide that acts at some levels only."""

from typing import Any, cast

import torch
from torch import Tensor

from geodiff.process.guidance.base import Guide


class Interval(Guide):
    """The guide from s_min to s_max, both included, and what it is around at every other level.

    Outside, the guide is not asked, so a step there costs what an unguided one costs. Where a batch
    has levels on both sides, as in training, both are asked. Guidance at high levels costs variety,
    at low levels does little.

    Args:
        guide: what acts inside.
        s_min: the lowest level, in [0, 1].
        s_max: the highest level, in [0, 1].

    Raises: TypeError for a field that is no guide, ValueError unless 0 <= s_min < s_max <= 1.
    Source: Kynkaanniemi et al. 2024.
    """

    def __init__(self, guide: Guide, s_min: float, s_max: float):
        if not isinstance(guide, Guide):
            raise TypeError(
                f"guide: expected a guide, whose inner field acts outside, got "
                f"{type(guide).__name__}; as Interval(ClassifierFree(field, 2.0), 0.2, 0.8)"
            )
        if not 0 <= s_min < s_max <= 1:
            raise ValueError(
                f"s_min, s_max: expected 0 <= s_min < s_max <= 1, got {s_min}, {s_max}"
            )
        super().__init__(guide)
        self.s_min, self.s_max = s_min, s_max

    @property
    def guide(self) -> Guide:
        """What acts inside."""
        return cast(Guide, self.field)

    def displacement(self, x: Tensor, s: Tensor, condition: Any, mask: Tensor | None) -> Tensor:
        inside = (s >= self.s_min) & (s <= self.s_max)
        if bool(inside.all()):
            return self.guide.displacement(x, s, condition, mask)
        plain = self.guide.field.displacement(x, s, condition, mask)
        if not bool(inside.any()):
            return plain
        inside = inside[(...,) + (None,) * (plain.ndim - inside.ndim)]
        return torch.where(inside, self.guide.displacement(x, s, condition, mask), plain)

    def clean_estimate(
        self, noisy: Tensor, s: float | Tensor, condition: Any = None, mask: Tensor | None = None
    ) -> Tensor:
        # Only the highest level has alpha = 0.
        field = self.guide if self.s_max == 1 else self.guide.field
        return field.clean_estimate(noisy, s, condition, mask)

    def extra_repr(self) -> str:
        return f"s_min={self.s_min}, s_max={self.s_max}"
