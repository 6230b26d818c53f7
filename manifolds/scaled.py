"""A space with all its lengths multiplied by one number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from manifolds.base import Device, Generator, Kernel, Manifold


@dataclass(frozen=True)
class Scaled(Manifold):
    """The points, tangents and geodesics of `space`, with every length multiplied by `scale`.

    Only the metric changes: Scaled(Sphere(2), 3.0) is the sphere of radius 3, written with unit
    vectors. An inner product is scale^2 times that of `space`, a volume scale^dim times;
    `random_point` draws the same points. In a product it says how much a radian of one factor
    counts against an angstrom of another.

    Args:
        space: the space whose lengths are multiplied.
        scale: by what; positive and finite.
    """

    space: Manifold  # not `inner`, which is the inner product
    scale: float

    def __post_init__(self) -> None:
        if not isinstance(self.space, Manifold):
            raise TypeError(f"space: expected a manifold, got {self.space!r}")
        number = isinstance(self.scale, (int, float)) and not isinstance(self.scale, bool)
        if not number or not 0 < self.scale < math.inf:
            raise ValueError(f"scale: expected a positive finite number, got {self.scale!r}")
        object.__setattr__(self, "scale", float(self.scale))

    @property
    def shape(self) -> tuple[int | None, ...]:
        return self.space.shape

    @property
    def tangent_shape(self) -> tuple[int | None, ...]:
        return self.space.tangent_shape

    @property
    def dim(self) -> int | None:
        return self.space.dim

    @property
    def injectivity_radius(self) -> float:
        return self.scale * self.space.injectivity_radius

    @property
    def flat(self) -> bool:
        return self.space.flat

    @property
    def magnification(self) -> float:
        return max(1.0, self.scale) * self.space.magnification

    @property
    def unmet(self) -> Mapping[str, str]:
        return self.space.unmet

    def exp(self, x: Tensor, v: Tensor) -> Tensor:
        return self.space.exp(x, v)

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        return self.space.log(x, y)

    def transport(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        return self.space.transport(x, y, v)

    def pull_back(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        return self.space.pull_back(x, y, v)

    def project(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.space.project(x, mask)

    def to_tangent(self, x: Tensor, ambient: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.space.to_tangent(x, ambient, mask)

    def random_point(
        self,
        *size: int,
        mask: Tensor | None = None,
        generator: Generator = None,
        dtype: torch.dtype | None = None,
        device: Device = None,
        **options: int,
    ) -> Tensor:
        """The random points of `space`.

        Args:
            options: what else those of `space` take: nodes= of a cloud.
        """
        return self.space.random_point(
            *size, mask=mask, generator=generator, dtype=dtype, device=device, **options
        )

    def draw(
        self,
        size: Sequence[int],
        *,
        mask: Tensor | None = None,
        generator: Generator = None,
        dtype: torch.dtype | None = None,
        device: Device = None,
    ) -> Tensor:
        return self.space.draw(size, mask=mask, generator=generator, dtype=dtype, device=device)

    def random_tangent(
        self, x: Tensor, generator: Generator = None, mask: Tensor | None = None
    ) -> Tensor:
        return self.space.random_tangent(x, generator=generator, mask=mask) / self.scale

    def frame(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.space.frame(x, mask) / self.scale

    def origin(self, *, dtype: torch.dtype | None = None, device: Device = None) -> Tensor:
        return self.space.origin(dtype=dtype, device=device)

    def inner(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        return self.scale**2 * self.space.inner(x, u, v)

    def norm(self, x: Tensor, v: Tensor) -> Tensor:
        return self.scale * self.space.norm(x, v)

    def gradient(self, x: Tensor, slope: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.space.gradient(x, slope, mask) / self.scale**2

    def within_radius(self, x: Tensor, v: Tensor) -> Tensor:
        return self.space.within_radius(x, v)

    def dist(self, x: Tensor, y: Tensor) -> Tensor:
        return self.scale * self.space.dist(x, y)

    def uniform_log_prob(self) -> float:
        density = self.space.uniform_log_prob()
        return density if self.dim is None else density - self.dim * math.log(self.scale)

    def log_prob_of_random(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        inside = self.space.log_prob_of_random(x, mask)
        return inside - self.dim_of(x, mask) * math.log(self.scale)

    def log_prob_of_dist(self, d: Tensor) -> Tensor:
        return self.space.log_prob_of_dist(d / self.scale) - math.log(self.scale)

    def check(self, x: Tensor, mask: Tensor | None = None) -> str | None:
        return self.space.check(x, mask)

    def dim_of(self, x: Tensor, mask: Tensor | None = None) -> float | Tensor:
        return self.space.dim_of(x, mask)

    def coordinates_of(self, x: Tensor, mask: Tensor | None = None) -> float | Tensor:
        return self.space.coordinates_of(x, mask)

    def size_of(self, x: Tensor) -> tuple[int, ...]:
        return self.space.size_of(x)

    def require_mask(self, x: Tensor, mask: Tensor | None) -> None:
        self.space.require_mask(x, mask)

    def heat(self) -> Kernel:
        from manifolds.heat.product import of_factors
        from manifolds.heat.scaled import ScaledKernel

        if len(self.factors) > 1:
            return of_factors(self)
        return ScaledKernel(self, self.space.heat(), self.scale)

    @property
    def factors(self) -> tuple[Manifold, ...]:
        """Those of `space`, each with its lengths multiplied."""
        factors = self.space.factors
        if len(factors) == 1:
            return (self,)
        return tuple(Scaled(factor, self.scale) for factor in factors)

    def split(self, x: Tensor) -> Sequence[Tensor]:
        return self.space.split(x)

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        return self.space.join(parts)

    def split_tangent(self, v: Tensor) -> Sequence[Tensor]:
        return self.space.split_tangent(v)

    def join_tangent(self, parts: Sequence[Tensor]) -> Tensor:
        return self.space.join_tangent(parts)
