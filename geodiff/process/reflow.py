"""Reflow: pairs of a model's own making, which straighten the paths of the next model."""

from collections.abc import Sequence

import torch
from torch import Tensor

from geodiff.process.corruption import HeatKernel
from geodiff.process.sampling import sample


def reflow(field, size_or_noise: int | Sequence[int] | Tensor, **options) -> tuple[Tensor, Tensor]:
    """Pairs (clean, noise) of a model's own ODE: each clean point is what its noise flows to.

    A second field trained on them, `matching_loss(field, clean, noise=noise)` on a corruption
    without a coupling, has straighter paths and needs fewer steps.
    size_or_noise, options: those of `geodiff.sample` (steps, levels, condition, mask, generator).
    The stepper must be deterministic. A field on a `HeatKernel` has no such pairs.
    Source: Liu et al. 2023 (rectified flow).
    """
    corruption = field.corruption
    if isinstance(corruption, HeatKernel):
        raise ValueError(
            "field: a HeatKernel mixes clean points with a law, not with one noise; reflow needs "
            "a field on a Geodesic or a Gaussian"
        )
    noise = size_or_noise
    if not isinstance(noise, Tensor):
        size = (noise,) if isinstance(noise, int) else tuple(noise)
        like = next(iter(field.parameters()), torch.empty(0))
        noise = corruption.base(
            *size,
            generator=options.get("generator"),
            dtype=like.dtype,
            device=like.device,
            mask=options.get("mask"),
            condition=options.get("condition"),
        )
    return sample(field, noise, **options), noise
