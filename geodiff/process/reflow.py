"""Reflow: pairs of a model's own making, which straighten the paths of the next model."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from geodiff.process.field import Field
from geodiff.process.sampling import base_draw, sample


def reflow(
    field: Field, size_or_noise: int | Sequence[int] | Tensor, **options: Any
) -> tuple[Tensor, Tensor]:
    """Pairs (clean, noise) of a model's own ODE: each clean point is what its noise flows to.

    A second field trained on them, `matching_loss(field, clean, noise=noise)` on a corruption
    without a coupling, has straighter paths and needs fewer steps.

    Args:
        field: a field on a `Geodesic` or a `Gaussian`.
        size_or_noise: as in `geodiff.sample`.
        options: those of `geodiff.sample` (steps, levels, condition, mask, generator). The stepper
            must be deterministic.

    Raises: ValueError for a field on a `HeatKernel`, which has no such pairs.
    Source: Liu et al. 2023 (rectified flow).
    """
    corruption = field.corruption
    if corruption.mixes_with_a_law:
        raise ValueError(
            f"field: a {type(corruption).__name__} mixes clean points with a law, not with one "
            "noise; reflow needs a field on a Geodesic or a Gaussian"
        )
    drawn = (options.get(name) for name in ("generator", "mask", "condition"))
    noise = base_draw(field, corruption, size_or_noise, *drawn)
    return sample(field, noise, **options), noise
