"""Small vectors and matrices with their components in front of the batch: (3, *batch), (3, 3, *batch).

Operations on whole components run through memory in order, where those on batches of 3 x 3 matrices take several
times as long. Only the maps of rotations and poses work so, from their first line to their last.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor

_TILE = 8192  # rotations at a time: what a map needs of memory then fits a core's cache


def to_front(x: Tensor, axes: int) -> Tensor:
    """(*batch, ...) to (..., *batch), where ... are the last `axes` axes."""
    return x.movedim(tuple(range(-axes, 0)), tuple(range(axes))).contiguous()


def to_back(x: Tensor, axes: int) -> Tensor:
    """(..., *batch) to (*batch, ...), where ... are the first `axes` axes."""
    if x.requires_grad:
        # A split into one piece is free, and its derivative is a copy with the components in front again.
        x = x.split(len(x))[0]
    return x.movedim(tuple(range(axes)), tuple(range(-axes, 0))).contiguous()


def same_batch(x: Tensor, axes: int, y: Tensor, other: int) -> tuple[Tensor, Tensor]:
    """x and y, whose last `axes` and `other` axes are not batch, with as many batch axes each."""
    missing = (x.dim() - axes) - (y.dim() - other)
    if missing > 0:
        y = y.expand(*x.shape[:missing], *y.shape)
    elif missing < 0:
        x = x.expand(*y.shape[:-missing], *x.shape)
    return x, y


def product(a: Tensor, b: Tensor) -> Tensor:
    """Matrix product, (i, k, *batch) times (k, j, *batch)."""
    return (a.unsqueeze(2) * b.unsqueeze(0)).sum(1)


def apply(a: Tensor, v: Tensor) -> Tensor:
    """Matrix times vector, (i, k, *batch) times (k, *batch)."""
    return (a * v.unsqueeze(0)).sum(1)


def squared_norm(v: Tensor) -> Tensor:
    """Sum of squares of a vector, (3, *batch) to (1, *batch); multiplied and added at once, so rounded less."""
    x, y, z = v.split(1)
    return torch.addcmul(torch.addcmul(x * x, y, y), z, z)


def cross(a: Tensor, b: Tensor) -> Tensor:
    """Cross product, (3, *batch)."""
    a, b = torch.cat([a, a[:2]]), torch.cat([b, b[:2]])
    return torch.addcmul(a[1:4] * b[2:5], a[2:5], b[1:4], value=-1)


def tiled(*axes: int) -> Callable:
    """Decorate a map of tensors with one batch to take large batches in pieces that stay in cache.

    axes: how many axes of each tensor, the last arguments of the map, are not batch. Only on the CPU, in eager mode
    and for inputs of one batch shape; everywhere else the map is called as it is. The result is the same.
    """

    def decorate(function: Callable) -> Callable:
        @functools.wraps(function)
        def call(*given):
            first = given[-len(axes)]
            # Asked first: a compiled or exported map must not be tied to batch sizes by the question after it.
            if torch.compiler.is_compiling() or first.device.type != "cpu" or first.numel() < 3 * _TILE:
                return function(*given)
            before, tensors = given[: -len(axes)], given[-len(axes) :]
            batches = {x.shape[: x.dim() - n] for x, n in zip(tensors, axes)}
            batch = batches.pop()
            if batches or math.prod(batch) <= 2 * _TILE:
                return function(*given)
            pieces = [x.reshape(-1, *x.shape[x.dim() - n :]).split(_TILE) for x, n in zip(tensors, axes)]
            done = torch.cat([function(*before, *piece) for piece in zip(*pieces)])
            return done.reshape(*batch, *done.shape[1:])

        return call

    return decorate
