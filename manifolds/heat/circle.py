"""Brownian motion on the unit circle in the plane."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from manifolds.base import Generator, Kernel, Levels, Manifold, expand
from manifolds.torus import Torus

_ANGLE = Torus(1).heat()


@dataclass(frozen=True)
class CircleKernel(Kernel):
    """The wrapped normal of `Torus(1)`, on unit vectors: the angle from `clean` to x has it.

    Args:
        manifold: the circle.
    """

    manifold: Manifold

    def sample(
        self, clean: Tensor, kappa: Levels, generator: Generator = None, mask: Tensor | None = None
    ) -> Tensor:
        level = self._require(kappa, clean=clean)
        way = self.manifold.frame(clean).squeeze(-2)
        angle = _ANGLE.sample(0 * clean[..., :1], expand(level, clean, 1), generator=generator)
        return self.manifold.exp(clean, angle * way)

    def log_prob(
        self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None
    ) -> Tensor:
        level = self._require(kappa, x=x, clean=clean)
        angle = self._angle(x, clean)
        return _ANGLE.log_prob(0 * angle, angle, expand(level, angle, 1))

    def displacement(
        self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None
    ) -> Tensor:
        level = self._require(kappa, x=x, clean=clean)
        angle = self._angle(x, clean)
        return _ANGLE.displacement(0 * angle, angle, expand(level, angle, 1)) * self.manifold.frame(
            x
        ).squeeze(-2)

    def _angle(self, x: Tensor, clean: Tensor) -> Tensor:
        """The signed angle from x to clean, along the frame at x, (*batch, 1)."""
        return (self.manifold.log(x, clean) * self.manifold.frame(x).squeeze(-2)).sum(
            -1, keepdim=True
        )
