"""Clouds whose mean is zero: taking the mean of flat factors, their directions, and checking it.

The space is that of a node, and clouds have their nodes in the axis before it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from manifolds import numerics
from manifolds.base import Manifold, largest


def against(mask: Tensor, shape: tuple[int | None, ...]) -> Tensor:
    """A mask of nodes with the axes of a node behind it.

    Args:
        mask: (*batch, nodes) bool.
        shape: of a node.
    """
    for _ in shape:
        mask = mask.unsqueeze(-1)
    return mask


def flat_dim(space: Manifold) -> int:
    """The dimension of all flat factors of the space of a node.

    Args:
        space: of a node.
    """
    if space.flat:
        return space.dim or 0
    return sum(map(flat_dim, space.factors)) if len(space.factors) > 1 else 0


def in_parts(space: Manifold, centred: bool) -> bool:
    """Whether some factors of the space are centred and others not.

    Args:
        space: of a node.
        centred: whether flat factors are.
    """
    return centred and len(space.factors) > 1 and not space.flat


def zero_mean(x: Tensor, axes: int, mask: Tensor | None) -> Tensor:
    """Vectors, 0 outside the mask, less the mean of the others.

    Args:
        x: (*batch, nodes, ...).
        axes: of a node.
        mask: (*batch, nodes) bool, or None.
    """
    if mask is None:
        return x - x.mean(-1 - axes, keepdim=True)
    real = against(mask, (1,) * axes)
    count = real.sum(-1 - axes, keepdim=True).clamp(min=1).to(x.dtype)
    return torch.where(real, x - x.sum(-1 - axes, keepdim=True) / count, 0.0)


def padded(space: Manifold, x: Tensor, mask: Tensor | None) -> Tensor:
    """Nodes with the origin of their space outside the mask.

    Args:
        space: of a node.
        x: (*batch, nodes, *shape of a node).
        mask: (*batch, nodes) bool, or None.
    """
    if mask is None:
        return x
    origin = 0.0 if space.flat else space.origin(dtype=x.dtype, device=x.device)
    return torch.where(against(mask, space.shape), x, origin)


def centre(space: Manifold, x: Tensor, mask: Tensor | None) -> Tensor:
    """Points with the flat factors of their space moved to mean zero.

    Args:
        space: of a node.
        x: (*batch, nodes, *shape of a node).
        mask: (*batch, nodes) bool, or None.
    """
    if space.flat:
        return zero_mean(x, len(space.shape), mask)
    if len(space.factors) == 1:
        return x
    parts = zip(space.factors, space.split(x))
    return space.join([centre(factor, part, mask) for factor, part in parts])


def centre_tangent(space: Manifold, v: Tensor, mask: Tensor | None) -> Tensor:
    """`centre` of tangents.

    Args:
        space: of a node.
        v: (*batch, nodes, *tangent_shape of a node).
        mask: (*batch, nodes) bool, or None.
    """
    if space.flat:
        return zero_mean(v, len(space.tangent_shape), mask)
    if len(space.factors) == 1:
        return v
    parts = zip(space.factors, space.split_tangent(v))
    return space.join_tangent([centre_tangent(factor, part, mask) for factor, part in parts])


def frame(space: Manifold, centred: bool, x: Tensor, mask: Tensor | None) -> Tensor:
    """Orthonormal basis of the tangents of clouds, factor by factor.

    Args:
        space: of a node.
        centred: whether its flat factors are.
        x: (*batch, nodes, *shape of a node).
        mask: (*batch, nodes) bool, or None.
    """
    axes = len(space.tangent_shape)
    if in_parts(space, centred):
        rows = []
        parts = space.split(x)
        for number, (factor, part) in enumerate(zip(space.factors, parts)):
            basis = frame(factor, centred, part, mask)
            size = basis.shape[: basis.dim() - len(factor.tangent_shape)]
            across = [
                basis if other == number else basis.new_zeros(*size, *_known(one.tangent_shape))
                for other, one in enumerate(space.factors)
            ]
            rows.append(space.join_tangent(across))
        return torch.cat(rows, -2 - axes)
    if centred and space.flat:
        first = x.narrow(-1 - len(space.shape), 0, 1)
        contrast = _contrasts(x, x.dim() - len(space.shape), mask)
        # The directions of a flat space are the same at every node.
        directions = space.frame(first).unsqueeze(-1 - axes)
        basis = contrast.reshape(*contrast.shape[:-1], 1, contrast.shape[-1], *[1] * axes)
        return (basis * directions).flatten(-3 - axes, -2 - axes)
    each = space.frame(x)
    if mask is not None:
        each = torch.where(against(mask, (1, *space.tangent_shape)), each, 0.0)
    own = torch.eye(x.shape[-1 - len(space.shape)], dtype=torch.bool, device=x.device)
    own = own.reshape(len(own), 1, len(own), *[1] * axes)
    return torch.where(own, each.unsqueeze(-1 - axes), 0.0).flatten(-3 - axes, -2 - axes)


def _known(shape: tuple[int | None, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size is not None)


def _contrasts(x: Tensor, axes: int, mask: Tensor | None) -> Tensor:
    """Helmert's contrasts, (*batch, nodes - 1, nodes): node number k against the mean of those
    before it, orthonormal. axes: of x up to its nodes.
    """
    nodes = x.shape[axes - 1]
    if mask is None:
        mask = torch.ones((), dtype=torch.bool, device=x.device)
    mask = mask.expand(x.shape[:axes])
    place = (mask.cumsum(-1) - 1).unsqueeze(-2)
    step = torch.arange(1, nodes, device=x.device).unsqueeze(-1)
    contrast = (place < step).to(x.dtype) - step * (place == step).to(x.dtype)
    contrast = contrast / (step * (step + 1)).to(x.dtype).sqrt()
    real = mask.unsqueeze(-2) & (step < mask.sum(-1)[..., None, None])
    return torch.where(real, contrast, 0.0)


def check_mean(space: Manifold, x: Tensor, mask: Tensor | None) -> str | None:
    """Sentence for clouds whose flat factors have another mean than 0, else None.

    Args:
        space: of a node.
        x: (*batch, nodes, *shape of a node).
        mask: (*batch, nodes) bool, or None.
    """
    if in_parts(space, True):
        defects = (check_mean(a, b, mask) for a, b in zip(space.factors, space.split(x)))
        return next(filter(None, defects), None)
    if not space.flat:
        return None
    x = x.flatten(x.dim() - len(space.shape)) if space.shape else x.unsqueeze(-1)
    # Relative to the size of the cloud: the mean of large coordinates rounds more.
    size = x.abs().amax((-2, -1)).clamp(min=1)
    nodes = x.shape[-2] if mask is None else mask.sum(-1).clamp(min=1)
    mean = (x.sum(-2).abs().amax(-1) / nodes) / size
    return largest(mean, numerics.tolerance(x.dtype), "clouds must have mean 0")


def sum_over_nodes(each: Tensor, mask: Tensor | None, shared: Tensor | float = 0.0) -> Tensor:
    """The log density of a cloud from that of each node, (*batch, nodes) to (*batch,).

    Args:
        each: log density of each node.
        mask: (*batch, nodes) bool, or None.
        shared: what centring takes away: the density, at its mean, of one node. The mean of n
            centred normals, times the root of n, is one more, and it is left out.
    """
    if mask is None:
        return each.sum(-1) - (shared if each.shape[-1] else 0.0)
    return torch.where(mask, each, 0.0).sum(-1) - shared * mask.any(-1)
