"""Independent Brownian motions of the frames of a cloud whose translations have mean zero."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from manifolds.centered import Centered
from manifolds.heat.base import Kernel
from manifolds.heat.euclidean import CenteredKernel
from manifolds.heat.product import Levels, levels_of_factors
from manifolds.heat.so3 import SO3Kernel
from manifolds.poses import Poses
from manifolds.se3 import join
from manifolds.so3 import SO3


@dataclass(frozen=True)
class PosesKernel(Kernel):
    """Brownian rotation of every frame and normal, centred translations, independent.

    kappa: one level for both (a float, or broadcastable to the batch); or a pair (rotations in
    radians, translations in units of length); or a tensor (*batch, 6), constant over the first
    three entries and the last three. All frames of a cloud share it. mask: (*batch, nodes) bool,
    True at real nodes, as in `Poses`.
    """

    manifold: Poses

    def sample(
        self, clean: Tensor, kappa: Levels, generator=None, mask: Tensor | None = None
    ) -> Tensor:
        self._require(kappa, clean=clean)
        turn, shift = self._levels(clean, kappa)
        rotation = _ROTATION.sample(clean[..., :3, :3], _of_each(turn), generator=generator)
        if mask is not None:
            rotation = torch.where(mask[..., None, None], rotation, clean[..., :3, :3])
        return join(
            rotation, _TRANSLATION.sample(clean[..., :3, 3], shift, generator=generator, mask=mask)
        )

    def log_prob(
        self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None
    ) -> Tensor:
        self._require(kappa, x=x, clean=clean)
        turn, shift = self._levels(x, kappa)
        each = _ROTATION.log_prob(x[..., :3, :3], clean[..., :3, :3], _of_each(turn))
        if mask is not None:
            each = torch.where(mask, each, 0.0)
        return each.sum(-1) + _TRANSLATION.log_prob(
            x[..., :3, 3], clean[..., :3, 3], shift, mask=mask
        )

    def displacement(
        self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None
    ) -> Tensor:
        return self._both("displacement", x, clean, kappa, mask)

    def score(self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None) -> Tensor:
        return self._both("score", x, clean, kappa, mask)

    def _both(
        self, name: str, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None
    ) -> Tensor:
        self._require(kappa, x=x, clean=clean)
        turn, shift = self._levels(x, kappa)
        turns = getattr(_ROTATION, name)(x[..., :3, :3], clean[..., :3, :3], _of_each(turn))
        if mask is not None:
            turns = torch.where(mask[..., None], turns, 0.0)
        return torch.cat(
            [
                turns,
                getattr(_TRANSLATION, name)(x[..., :3, 3], clean[..., :3, 3], shift, mask=mask),
            ],
            -1,
        )

    def _levels(self, x: Tensor, kappa: Levels) -> list:
        return levels_of_factors(kappa, x.dim() - 2, [3, 3])


def _of_each(kappa: float | Tensor) -> float | Tensor:
    """A level of clouds, broadcastable to their frames."""
    return kappa[..., None] if torch.is_tensor(kappa) and kappa.dim() else kappa


_ROTATION = SO3Kernel(SO3())
_TRANSLATION = CenteredKernel(Centered(3))
