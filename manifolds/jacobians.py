"""How rotations and rigid motions turn as their vectors change: Jacobians of the exponentials.

A vector is a rotation vector (*batch, 3), radians, with `rotation_vector_to_matrix` as its
exponential, or a twist (w, v), (*batch, 6), with `SE3().group_exp`. To first order in d

    exp(vector + d) = exp(left d) exp(vector) = exp(vector) exp(right d).

They have full rank, and their inverses are finite, for angles |w| below 2 pi. A motion is a
rotation whose numbers have an infinitesimal part, w + e v with e^2 = 0, so that the lower left
block for a twist is the derivative of the Jacobian at w along v.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from manifolds import numerics
from manifolds.rotations import hat


def left_jacobian(vector: Tensor) -> Tensor:
    """Matrix from a change of the vector to the turn that it adds on the left.

    Args:
        vector: rotation vectors (*batch, 3) or twists (*batch, 6).

    Returns: (*batch, 3, 3) or (*batch, 6, 6).
    Raises: ValueError if the last axis is neither 3 nor 6.
    """
    w, v = _parts(vector)
    squared = numerics.squared_norm(w)[..., None, None]
    turn, first, second = hat(w), numerics.cosc(squared), numerics.sinc_rest(squared)
    twice = numerics.matmul(turn, turn)
    block = _identity(turn) + first * turn + second * twice
    if v is None:
        return block
    move, rate = hat(v), 2 * (w * v).sum(-1)[..., None, None]
    mixed = numerics.matmul(turn, move)
    both = mixed + mixed.mT
    first_slope, second_slope = _slopes(squared, first, second)
    lower = first * move + second * both + rate * (first_slope * turn + second_slope * twice)
    return _blocks(block, lower)


def right_jacobian(vector: Tensor) -> Tensor:
    """Matrix from a change of the vector to the turn that it adds on the right, in the body frame.

    Args:
        vector: rotation vectors (*batch, 3) or twists (*batch, 6).

    Returns: (*batch, 3, 3) or (*batch, 6, 6).
    Raises: ValueError if the last axis is neither 3 nor 6.
    """
    return left_jacobian(-vector)


def left_jacobian_inverse(vector: Tensor) -> Tensor:
    """Matrix from a turn on the left to the change of the vector that it makes.

    Args:
        vector: rotation vectors (*batch, 3) or twists (*batch, 6), of angles below 2 pi.

    Returns: (*batch, 3, 3) or (*batch, 6, 6).
    Raises: ValueError if the last axis is neither 3 nor 6.
    """
    w, v = _parts(vector)
    turn, rest = hat(w), numerics.half_cot(numerics.squared_norm(w))[..., None, None]
    block = _identity(turn) - 0.5 * turn + rest * numerics.matmul(turn, turn)
    if v is None:
        return block
    lower = left_jacobian(vector)[..., 3:, :3]
    return _blocks(block, -numerics.matmul(numerics.matmul(block, lower), block))


def right_jacobian_inverse(vector: Tensor) -> Tensor:
    """Matrix from a turn on the right, in the body frame, to the change of the vector that it
    makes.

    Args:
        vector: rotation vectors (*batch, 3) or twists (*batch, 6), of angles below 2 pi.

    Returns: (*batch, 3, 3) or (*batch, 6, 6).
    Raises: ValueError if the last axis is neither 3 nor 6.
    """
    return left_jacobian_inverse(-vector)


def _parts(vector: Tensor) -> tuple[Tensor, Tensor | None]:
    if vector.dim() == 0 or vector.shape[-1] not in (3, 6):
        raise ValueError(
            "vector: expected rotation vectors (*batch, 3) or twists (*batch, 6), got "
            f"{tuple(vector.shape)}"
        )
    return vector[..., :3], vector[..., 3:] if vector.shape[-1] == 6 else None


def _identity(like: Tensor) -> Tensor:
    return torch.eye(3, dtype=like.dtype, device=like.device)


def _slopes(squared: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Derivatives by a^2 of cosc = (1 - cos a) / a^2 and sinc_rest = (a - sin a) / a^3."""
    small, near, far = squared < 1, squared.clamp(max=1), squared.clamp(min=1)
    series = [
        numerics.polynomial(
            near, [(-1) ** (n + 1) * (n + 1) / math.factorial(2 * n + k) for n in range(10)]
        )
        for k in (4, 5)
    ]
    closed = (numerics.sinc(far) - 2 * first) / (2 * far), (first - 3 * second) / (2 * far)
    return torch.where(small, series[0], closed[0]), torch.where(small, series[1], closed[1])


def _blocks(block: Tensor, lower: Tensor) -> Tensor:
    top = torch.cat([block, torch.zeros_like(block)], -1)
    return torch.cat([top, torch.cat([lower, block], -1)], -2)
