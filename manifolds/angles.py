"""Angles of the circle, each written in one way."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor


@functools.cache
def _edge(dtype: torch.dtype) -> float:
    """Largest number of this dtype that is below pi, read as an exact real number."""
    nearest = torch.tensor(math.pi, dtype=dtype)
    while float(nearest) >= math.pi:
        nearest = torch.nextafter(nearest, torch.zeros_like(nearest))
    return float(nearest)


def wrap(angle: Tensor) -> Tensor:
    """The angle in [-pi, pi) that differs from `angle` by whole turns; radians.

    Numbers already in the interval are returned unchanged. Both ends hold exactly, in every dtype:
    the float32 number nearest to pi exceeds pi, and is never returned. The gradient is 1.

    Args:
        angle: radians, any shape.
    """
    edge = _edge(angle.dtype)
    inside = (angle >= -edge) & (angle <= edge)
    safe = torch.where(inside, 0.0, angle)
    turned = torch.atan2(safe.sin(), safe.cos())  # sin and cos reduce huge arguments exactly
    # Half a turn is -pi, not pi; the float next to pi stands for it.
    turned = turned + torch.where(turned > edge, -2 * math.pi, 0.0).to(turned.dtype)
    turned = turned + (turned.clamp(-edge, edge) - turned).detach()
    return torch.where(inside, angle, turned)
