"""Autoguidance: away from what a weaker model of the same thing says."""

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

from geodiff.process.field import Field
from geodiff.process.guidance.base import Guide


class Autoguidance(Guide):
    """u(weak) + scale (u(field) - u(weak)): at scale 1 the field alone, above 1 away from the
    errors that a weaker model makes more of.

    Both hear the same condition, so none needs a null; one call of each. Where the weak law is the
    strong one blurred, N(0, 2) for N(0, 1), scale 2 gives variance 0.5: it narrows as
    `ClassifierFree` does, along what the two differ in.

    Args:
        field: the better one.
        weak: the same thing smaller, trained less, or on less; of the same corruption.
        scale: how far along the way from weak to field.

    Raises: ValueError for a scale that is no finite number, and for fields of two corruptions.
    Source: Karras et al. 2024 (Guiding a diffusion model with a bad version of itself).
    """

    def __init__(self, field: Field, weak: Field, scale: float):
        super().__init__(field)
        if not math.isfinite(scale):
            raise ValueError(f"scale: expected a finite number, got {scale}")
        if weak.corruption != field.corruption:
            raise ValueError(
                "weak: expected a field of the same corruption, whose tangents are at the same "
                f"states, got {weak.corruption} beside {field.corruption}"
            )
        self.weak, self.scale = weak, scale

    def displacement(self, x: Tensor, s: Tensor, condition: Any, mask: Tensor | None) -> Tensor:
        return self._guided(lambda field: field.displacement(x, s, condition, mask))

    def clean_estimate(
        self, noisy: Tensor, s: float | Tensor, condition: Any = None, mask: Tensor | None = None
    ) -> Tensor:
        return self._guided(lambda field: field.clean_estimate(noisy, s, condition, mask))

    def _guided(self, ask: Callable[[Field], Tensor]) -> Tensor:
        strong = ask(self.field)
        if self.scale == 1:
            return strong
        weak = ask(self.weak)
        return weak + self.scale * (strong - weak)

    def extra_repr(self) -> str:
        return f"scale={self.scale}"
