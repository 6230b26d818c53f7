"""Point clouds whose mean is zero: coordinates without the freedom to translate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from manifolds import numerics
from manifolds.base import Manifold, largest, positive, randn, volume_is_infinite, wrong_shape


@dataclass(frozen=True)
class Centered(Manifold):
    """Clouds (*batch, nodes, point_dim) with zero mean over the nodes, any number of nodes.

    Clouds of different sizes share a batch by padding: `mask` (*batch, nodes) is True at real
    nodes; the mean is theirs, and the others are exactly 0 in every point and tangent.
    """

    point_dim: int = 3

    takes_mask = True
    dim = None
    injectivity_radius = math.inf

    def __post_init__(self) -> None:
        positive("point_dim", self.point_dim)

    @property
    def shape(self) -> tuple[None, int]:
        return (None, self.point_dim)

    @property
    def tangent_shape(self) -> tuple[None, int]:
        return (None, self.point_dim)

    def exp(self, x: Tensor, v: Tensor) -> Tensor:
        return x + v

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        return y - x

    def transport(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        return v + torch.zeros_like(y - x)

    def pull_back(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        return self.transport(y, x, v)

    def project(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """The cloud moved to mean zero; nodes outside the mask become 0."""
        if mask is None:
            return x - x.mean(-2, keepdim=True)
        real = mask.unsqueeze(-1)
        x = torch.where(real, x, 0.0)
        count = real.sum(-2, keepdim=True).clamp(min=1).to(x.dtype)
        return torch.where(real, x - x.sum(-2, keepdim=True) / count, 0.0)

    def to_tangent(self, x: Tensor, ambient: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.project(ambient, mask)

    def random_point(
        self,
        *size: int,
        nodes: int | None = None,
        mask: Tensor | None = None,
        generator=None,
        dtype=None,
        device=None,
    ) -> Tensor:
        """Standard normal clouds (*size, nodes, point_dim), centred.

        nodes: needed unless `mask` (broadcastable to (*size, nodes)) says it.
        """
        if nodes is None and mask is None:
            raise ValueError("nodes: a centred cloud has any number of nodes; pass nodes= or mask=")
        nodes = mask.shape[-1] if nodes is None else nodes
        if mask is not None and mask.shape[-1] != nodes:
            raise ValueError(f"mask: expected (*batch, {nodes}), got {tuple(mask.shape)}")
        noise = randn(*size, nodes, self.point_dim, generator=generator, dtype=dtype, device=device)
        return self.project(noise, mask)

    def random_tangent(self, x: Tensor, generator=None, mask: Tensor | None = None) -> Tensor:
        return self.project(
            randn(*x.shape, generator=generator, dtype=x.dtype, device=x.device), mask
        )

    def frame(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Orthonormal basis of the centred clouds, (*batch, (nodes - 1) point_dim, nodes,
        point_dim).

        With a mask, smaller clouds have fewer basis vectors; the surplus ones are 0.
        """
        nodes = x.shape[-2]
        if mask is None:
            mask = torch.ones((), dtype=torch.bool, device=x.device)
        mask = mask.expand(x.shape[:-1])
        place = (mask.cumsum(-1) - 1).unsqueeze(-2)
        step = torch.arange(1, nodes, device=x.device).unsqueeze(-1)
        # Helmert's contrasts: node number `step` against the mean of those before it.
        contrast = (place < step).to(x.dtype) - step * (place == step).to(x.dtype)
        contrast = contrast / (step * (step + 1)).to(x.dtype).sqrt()
        real = mask.unsqueeze(-2) & (step < mask.sum(-1)[..., None, None])
        contrast = torch.where(real, contrast, 0.0)
        identity = torch.eye(self.point_dim, dtype=x.dtype, device=x.device)
        basis = contrast[..., :, None, :, None] * identity[:, None, :]
        return basis.flatten(-4, -3)

    def uniform_log_prob(self) -> float:
        raise volume_is_infinite(self)

    def check(self, x: Tensor, mask: Tensor | None = None) -> str | None:
        defect = wrong_shape(x, self.shape)
        if defect:
            return defect
        if mask is not None:
            stray = torch.where(mask.unsqueeze(-1), 0.0, x).abs().amax((-2, -1))
            defect = largest(stray, 0.0, "nodes outside the mask must be 0")
            if defect:
                return defect
        # Relative to the size of the cloud: the mean of large coordinates rounds more.
        size = x.abs().amax((-2, -1)).clamp(min=1)
        nodes = x.shape[-2] if mask is None else mask.sum(-1).clamp(min=1)
        mean = (x.sum(-2).abs().amax(-1) / nodes) / size
        return largest(mean, numerics.tolerance(x.dtype), "clouds must have mean 0")
