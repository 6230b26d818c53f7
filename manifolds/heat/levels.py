"""Levels of noise where a space is a product: one for all factors, or one for each."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from manifolds.base import Level, Levels


def levels_of_factors(kappa: Levels, axes: int, sizes: Sequence[int]) -> list[Level]:
    """The level of each factor.

    Args:
        kappa: one for all, a list with one per factor, or a tensor with one per entry.
        axes: how many a level per entry has, batch included.
        sizes: of the factors in a tangent.
    """
    if not torch.is_tensor(kappa) and isinstance(kappa, Sequence):
        if len(kappa) != len(sizes):
            raise ValueError(
                f"kappa: expected one level, or {len(sizes)}, one per factor, got {len(kappa)}"
            )
        return list(kappa)
    if torch.is_tensor(kappa) and kappa.dim() == axes and kappa.shape[-1] == sum(sizes):
        return [part[..., 0] for part in kappa.split(list(sizes), -1)]
    return [kappa] * len(sizes)


def parts_of_factors(kappa: Levels, sizes: Sequence[int], per_entry: bool) -> list[Levels]:
    """The levels of each factor, whose last axis stays where it is one per entry.

    Args:
        kappa: one for all, a list with one per factor, or a tensor.
        sizes: of the factors in a tangent.
        per_entry: whether the last axis of kappa has a level for each entry of a tangent.
    """
    if not per_entry:
        return list(levels_of_factors(kappa, -1, sizes))
    if not torch.is_tensor(kappa) or kappa.shape[-1:] != (sum(sizes),):
        got = tuple(kappa.shape) if torch.is_tensor(kappa) else kappa
        raise ValueError(
            f"kappa: expected (..., {sum(sizes)}), one level per coordinate, got {got}"
        )
    return list(kappa.split(list(sizes), -1))
