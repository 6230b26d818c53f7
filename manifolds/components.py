"""Small vectors and matrices with their components in front of the batch: (3, *batch), (3, 3,
*batch).

Operations on whole components run through memory in order, where those on batches of 3 x 3 matrices
take several times as long. Only the maps of rotations and poses work so, from their first line to
their last.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from manifolds import numerics

Map = Callable[..., Any]
"""Tensors with one batch -> a tensor of that batch, or a tuple of them."""

_TILE = 8192  # rotations at a time: what a map needs of memory then fits a core's cache


def to_front(x: Tensor, axes: int) -> Tensor:
    """(*batch, ...) to (..., *batch), where ... are the last `axes` axes.

    Args:
        x: (*batch, ...).
        axes: how many trailing axes are components.
    """
    return x.movedim(tuple(range(-axes, 0)), tuple(range(axes))).contiguous()


def to_back(x: Tensor, axes: int) -> Tensor:
    """(..., *batch) to (*batch, ...), where ... are the first `axes` axes.

    Args:
        x: (..., *batch).
        axes: how many leading axes are components.
    """
    if x.requires_grad:
        # A split into one piece is free, and its derivative is a copy with the components in front
        # again.
        x = x.split(len(x))[0]
    return x.movedim(tuple(range(axes)), tuple(range(-axes, 0))).contiguous()


def same_batch(x: Tensor, axes: int, y: Tensor, other: int) -> tuple[Tensor, Tensor]:
    """x and y, whose last `axes` and `other` axes are not batch, with as many batch axes each.

    Args:
        x: (*batch, ...).
        axes: how many axes of x are not batch.
        y: (*batch, ...).
        other: how many axes of y are not batch.
    """
    missing = (x.dim() - axes) - (y.dim() - other)
    if missing > 0:
        y = y.expand(*x.shape[:missing], *y.shape)
    elif missing < 0:
        x = x.expand(*y.shape[:-missing], *x.shape)
    return x, y


def product(a: Tensor, b: Tensor) -> Tensor:
    """Matrix product, (i, k, *batch) times (k, j, *batch).

    Args:
        a: (i, k, *batch).
        b: (k, j, *batch).
    """
    if _is_small(a):
        return (a.unsqueeze(2) * b.unsqueeze(0)).sum(1)
    columns, rows = a.split(1, 1), b.split(1)
    total = columns[0] * rows[0]
    for column, row in zip(columns[1:], rows[1:]):
        total = torch.addcmul(total, column, row)
    return total


def apply(a: Tensor, v: Tensor) -> Tensor:
    """Matrix times vector, (i, k, *batch) times (k, *batch).

    Args:
        a: (i, k, *batch).
        v: (k, *batch).
    """
    return (a * v.unsqueeze(0)).sum(1)


def squared_norm(v: Tensor) -> Tensor:
    """Sum of squares of a vector, (3, *batch) to (1, *batch); multiplied and added at once, so
    rounded less.

    Args:
        v: (3, *batch).
    """
    x, y, z = v.split(1)
    return torch.addcmul(torch.addcmul(x * x, y, y), z, z)


def cross(a: Tensor, b: Tensor, axis: int = 0) -> Tensor:
    """Cross product of vectors along an axis, (3, *batch) for axis 0.

    Args:
        a: vectors along the axis.
        b: vectors along the axis.
        axis: which has the three components.
    """
    if _is_small(a):
        return torch.linalg.cross(a, b, dim=axis)
    a, b = (torch.cat([x, x.narrow(axis, 0, 2)], axis) for x in (a, b))
    turned = a.narrow(axis, 1, 3) * b.narrow(axis, 2, 3)
    return numerics.add_product(turned, a.narrow(axis, 2, 3), b.narrow(axis, 1, 3), -1)


def spin(diagonal: Tensor, v: Tensor) -> Tensor:
    """diagonal times the identity plus the skew matrix of v, (1, *batch) and (3, *batch) to (3, 3,
    *batch).

    Args:
        diagonal: (1, *batch).
        v: (3, *batch).
    """
    (d,), (x, y, z), (minus_x, minus_y, minus_z) = diagonal.unbind(), v.unbind(), (-v).unbind()
    return torch.stack([d, minus_z, y, z, d, minus_x, minus_y, x, d]).unflatten(0, (3, 3))


def _is_small(x: Tensor) -> bool:
    """Whether the number of operations costs more than what they compute; a compiler merges them at
    any size.
    """
    return torch.compiler.is_compiling() or x.numel() < 9 * 512


class _Pulled(torch.autograd.Function):
    """A map with its own way backward. Every derivative but the first backward is that of the map's
    steps.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(function: Map, pull: Map, *given: Tensor) -> Tensor:
        return function(*given)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.function, ctx.pull, *given = inputs
        ctx.save_for_backward(*given, output)
        ctx.save_for_forward(*given)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        *given, output = ctx.saved_tensors
        if torch.is_grad_enabled():
            return None, None, *torch.func.vjp(ctx.function, *given)[1](gradient)
        return None, None, *ctx.pull(*given, output, gradient)

    @staticmethod
    def jvp(ctx: Any, _: None, __: None, *tangents: Tensor | None) -> Tensor:
        given = ctx.saved_tensors
        ways = tuple(torch.zeros_like(x) if t is None else t for x, t in zip(given, tangents))
        return torch.func.jvp(ctx.function, given, ways)[1]


def backward(pull: Map, *axes: int) -> Callable[[Map], Map]:
    """Decorate a map of tensors with one batch by its derivative backward, a formula cheaper than
    its steps.

    It is used in eager mode and for inputs of one batch shape; elsewhere, and for second
    derivatives, the steps of the map are differentiated.

    Args:
        pull: takes the arguments of the map, its result and the gradient of the result, and returns
            a tuple of the gradients of the arguments.
        axes: how many axes of each argument are not batch.
    """

    def decorate(function: Map) -> Map:
        @functools.wraps(function)
        def call(*given: Any) -> Any:
            if (
                torch.compiler.is_compiling()
                or not torch.is_grad_enabled()
                or not any(x.requires_grad for x in given)
            ):
                return function(*given)
            if len({x.shape[: x.dim() - n] for x, n in zip(given, axes)}) > 1:
                return function(*given)
            return _Pulled.apply(function, pull, *given)

        return call

    return decorate


def tiled(*axes: int) -> Callable[[Map], Map]:
    """Decorate a map of tensors with one batch to take large batches in pieces that stay in cache.

    Only on the CPU, in eager mode and for inputs of one batch shape; everywhere else the map is
    called as it is. The result is the same.

    Args:
        axes: how many axes of each tensor, the last arguments of the map, are not batch.
    """

    def decorate(function: Map) -> Map:
        @functools.wraps(function)
        def call(*given: Any) -> Any:
            first = given[-len(axes)]
            # Asked first: a compiled or exported map must not be tied to batch sizes by the
            # question after it.
            if (
                torch.compiler.is_compiling()
                or first.device.type != "cpu"
                or first.numel() < 3 * _TILE
            ):
                return function(*given)
            before, tensors = given[: -len(axes)], given[-len(axes) :]
            batches = {x.shape[: x.dim() - n] for x, n in zip(tensors, axes)}
            batch = batches.pop()
            if batches or math.prod(batch) <= 2 * _TILE:
                return function(*given)
            pieces = [
                x.reshape(-1, *x.shape[x.dim() - n :]).split(_TILE) for x, n in zip(tensors, axes)
            ]
            done = [function(*before, *piece) for piece in zip(*pieces)]
            if isinstance(done[0], Tensor):
                return _together(done, batch)
            return tuple(_together(part, batch) for part in zip(*done))

        return call

    return decorate


def _together(pieces: Iterable[Tensor], batch: torch.Size) -> Tensor:
    whole = torch.cat(tuple(pieces))
    return whole.reshape(*batch, *whole.shape[1:])
