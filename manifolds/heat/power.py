"""Independent Brownian motions of the nodes of a cloud."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from manifolds.base import Generator, Kernel, Level, Levels, Manifold, expand
from manifolds.centring import against, sum_over_nodes


@dataclass(frozen=True)
class PowerKernel(Kernel):
    """The product of the kernels of the nodes; on centred clouds, which are flat, less the motion
    of the mean.

    kappa: one level for all nodes of a cloud (a float, or broadcastable to the batch); or a tensor
    (*batch, last axis of a tangent), the same at all nodes; or one as wide as the tangents.

    Args:
        manifold: the clouds, of a space of one factor.
        kernel: of a node's space.
        centred: whether clouds have zero mean over the nodes.
    """

    manifold: Manifold
    kernel: Kernel
    centred: bool

    def sample(
        self, clean: Tensor, kappa: Levels, generator: Generator = None, mask: Tensor | None = None
    ) -> Tensor:
        level = self._of_nodes(self._require(kappa, clean=clean), clean)
        if self.centred:
            noise = self.manifold.random_tangent(clean, generator=generator, mask=mask)
            return clean + self._against(level, clean) * noise
        drawn = self.kernel.sample(clean, level, generator=generator)
        return (
            drawn
            if mask is None
            else torch.where(against(mask, self.kernel.manifold.shape), drawn, clean)
        )

    def log_prob(
        self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None
    ) -> Tensor:
        level = self._of_nodes(self._require(kappa, x=x, clean=clean), x)
        if not self.centred:
            return sum_over_nodes(self.kernel.log_prob(x, clean, level), mask)
        away = self.manifold.to_tangent(x, x - clean, mask)
        each = self.kernel.log_prob(away, torch.zeros_like(away), level)
        origin, level = self._of_one(x, level)
        return sum_over_nodes(each, mask, self.kernel.log_prob(origin, origin, level).squeeze(-1))

    def displacement(
        self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None
    ) -> Tensor:
        level = self._of_nodes(self._require(kappa, x=x, clean=clean), x)
        if self.centred:
            return self.manifold.to_tangent(x, clean - x, mask)
        each = self.kernel.displacement(x, clean, level)
        return (
            each
            if mask is None
            else torch.where(against(mask, self.kernel.manifold.tangent_shape), each, 0.0)
        )

    def score(self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None) -> Tensor:
        u = self.displacement(x, clean, kappa, mask)
        return u / self._against(self._of_nodes(self.one_level(kappa), x), u).square()

    def log_prob_of_diffused(self, x: Tensor, kappa: Levels, mask: Tensor | None = None) -> Tensor:
        level = self._of_nodes(self._require(kappa, x=x), x)
        each = self.kernel.log_prob_of_diffused(x, level)
        if not self.centred:
            return sum_over_nodes(each, mask)
        at_mean = self.kernel.log_prob_of_diffused(*self._of_one(x, level))
        return sum_over_nodes(each, mask, at_mean.squeeze(-1))

    def _of_nodes(self, kappa: Level, x: Tensor) -> Level:
        """A level of clouds, broadcastable to the batch of their nodes or to its tangents."""
        batch = x.dim() - len(self.manifold.shape)
        if not torch.is_tensor(kappa) or kappa.dim() == 0 or kappa.dim() > batch + 1:
            return kappa
        if kappa.dim() <= batch:
            return kappa.unsqueeze(-1)
        between = [1] * (len(self.manifold.tangent_shape) - 1)
        return kappa.reshape(*kappa.shape[:-1], *between, kappa.shape[-1])

    def _of_one(self, x: Tensor, level: Level) -> tuple[Tensor, Level]:
        """The origin of flat space as clouds of one node, and its level."""
        axis = x.dim() - len(self.manifold.shape)
        if torch.is_tensor(level) and level.dim() == x.dim():
            level = level.narrow(axis, 0, 1)
        return torch.zeros_like(x.narrow(axis, 0, 1)), level

    def _against(self, level: Level, v: Tensor) -> Tensor:
        """A level of nodes with the axes it lacks to multiply tangents."""
        return expand(level, v, len(self.manifold.tangent_shape) - 1)
