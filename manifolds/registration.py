"""Laying one set of points over another by a rigid motion."""

from __future__ import annotations

import torch
from torch import Tensor

from manifolds import numerics
from manifolds.rotations import nearest_rotation


def kabsch(
    x: Tensor, y: Tensor, weights: Tensor | None = None, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Rotation R and translation t that minimise sum_i w_i |R x_i + t - y_i|^2; never a reflection.

    Where the best rotation is not unique (points on a line, a single point) one of them is
    returned; its gradient is finite.

    Args:
        x: points, (*batch, n, 3).
        y: the points that correspond to them, (*batch, n, 3).
        weights: non-negative, (*batch, n); None is all 1.
        mask: (*batch, n) bool, False at points that do not count, whatever their coordinates.

    Returns: R (*batch, 3, 3) with determinant +1, and t (*batch, 3).
    Source: Kabsch 1976, Umeyama 1991.
    """
    x, y, w = _prepare(x, y, weights, mask)
    x_mean, y_mean = (w * x).sum(-2), (w * y).sum(-2)
    covariance = numerics.matmul(
        (w * (y - y_mean.unsqueeze(-2))).transpose(-1, -2), x - x_mean.unsqueeze(-2)
    )
    rotation = nearest_rotation(covariance)
    return rotation, y_mean - numerics.matmul(rotation, x_mean.unsqueeze(-1)).squeeze(-1)


def similarity(
    x: Tensor, y: Tensor, weights: Tensor | None = None, mask: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Scale s, rotation R and translation t that minimise sum_i w_i |s R x_i + t - y_i|^2; never a
    reflection, and s is not negative.

    Where all points of `x` coincide, no scale is better than another, and s is 0.

    Args:
        x: points, (*batch, n, 3).
        y: the points that correspond to them, (*batch, n, 3).
        weights: non-negative, (*batch, n); None is all 1.
        mask: (*batch, n) bool, False at points that do not count, whatever their coordinates.

    Returns: s (*batch,), R (*batch, 3, 3) with determinant +1, and t (*batch, 3).
    Source: Umeyama 1991.
    """
    rotation, _ = kabsch(x, y, weights, mask)
    x, y, w = _prepare(x, y, weights, mask)
    x_mean, y_mean = (w * x).sum(-2, keepdim=True), (w * y).sum(-2, keepdim=True)
    turned = numerics.matmul(x - x_mean, rotation.transpose(-1, -2))
    spread = (w * turned.square()).sum((-2, -1))
    along = (w * turned * (y - y_mean)).sum((-2, -1)).clamp(min=0)
    scale = torch.where(spread > 0, along / torch.where(spread > 0, spread, 1.0), 0.0)
    moved_mean = numerics.matmul(x_mean, rotation.transpose(-1, -2))
    shift = y_mean - scale[..., None, None] * moved_mean
    return scale, rotation, shift.squeeze(-2)


def align(
    x: Tensor, y: Tensor, weights: Tensor | None = None, mask: Tensor | None = None
) -> Tensor:
    """`x` moved onto `y` by the motion of `kabsch`, (*batch, n, 3); points outside the mask become
    0.

    Args:
        x: points, (*batch, n, 3).
        y: the points that correspond to them, (*batch, n, 3).
        weights: non-negative, (*batch, n); None is all 1.
        mask: (*batch, n) bool, False at points that do not count.
    """
    rotation, translation = kabsch(x, y, weights, mask)
    moved = numerics.matmul(x, rotation.transpose(-1, -2)) + translation.unsqueeze(-2)
    return moved if mask is None else torch.where(mask.unsqueeze(-1), moved, 0.0)


def rmsd(x: Tensor, y: Tensor, weights: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
    """Root of the weighted mean squared distance after `align`, (*batch,), in the unit of the
    points.

    Gradient 0 (not NaN) where the points coincide.

    Args:
        x: points, (*batch, n, 3).
        y: the points that correspond to them, (*batch, n, 3).
        weights: non-negative, (*batch, n); None is all 1.
        mask: (*batch, n) bool, False at points that do not count.
    """
    moved = align(x, y, weights, mask)
    moved, y, w = _prepare(moved, y, weights, mask)
    return numerics.norm(w.sqrt() * (moved - y), 2)


def _prepare(
    x: Tensor, y: Tensor, weights: Tensor | None, mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Points, 0 where not counted, and weights (*batch, n, 1) that sum to 1, or to 0 if none
    counts.
    """
    for name, points in (("x", x), ("y", y)):
        if points.dim() < 2 or points.shape[-1] != 3:
            raise ValueError(f"{name}: expected (*batch, n, 3), got {tuple(points.shape)}")
    if x.shape[-2] != y.shape[-2]:
        raise ValueError(
            f"x, y: expected the same number of points, got {x.shape[-2]} and {y.shape[-2]}"
        )
    w = torch.ones_like(x[..., 0]) if weights is None else weights.to(x.dtype)
    if mask is not None:
        w = torch.where(mask, w, 0.0)
        x, y = (torch.where(mask.unsqueeze(-1), points, 0.0) for points in (x, y))
    total = w.sum(-1, keepdim=True)
    return x, y, (w / torch.where(total > 0, total, 1.0)).unsqueeze(-1)
