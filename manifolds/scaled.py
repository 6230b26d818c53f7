"""A space with all its lengths multiplied by one number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from manifolds.base import Manifold


@dataclass(frozen=True)
class Scaled(Manifold):
    """The points, tangents and geodesics of `space`, with every length multiplied by `scale`.

    Only the metric changes: Scaled(Sphere(2), 3.0) is the sphere of radius 3, written with unit
    vectors. An inner product is scale^2 times that of `space`, a volume scale^dim times;
    `random_point` draws the same points. In a product it says how much a radian of one factor
    counts against an angstrom of another.
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
    def takes_mask(self) -> bool:
        return self.space.takes_mask

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

    def project(self, x: Tensor, *mask: Tensor | None, **options) -> Tensor:
        return self.space.project(x, *mask, **options)

    def to_tangent(self, x: Tensor, ambient: Tensor, *mask: Tensor | None, **options) -> Tensor:
        return self.space.to_tangent(x, ambient, *mask, **options)

    def random_point(
        self, *size: int, generator=None, dtype=None, device=None, **options
    ) -> Tensor:
        return self.space.random_point(
            *size, generator=generator, dtype=dtype, device=device, **options
        )

    def random_tangent(self, x: Tensor, generator=None, **options) -> Tensor:
        return self.space.random_tangent(x, generator=generator, **options) / self.scale

    def frame(self, x: Tensor, *mask: Tensor | None, **options) -> Tensor:
        return self.space.frame(x, *mask, **options) / self.scale

    def inner(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        return self.scale**2 * self.space.inner(x, u, v)

    def norm(self, x: Tensor, v: Tensor) -> Tensor:
        return self.scale * self.space.norm(x, v)

    def dist(self, x: Tensor, y: Tensor) -> Tensor:
        return self.scale * self.space.dist(x, y)

    def uniform_log_prob(self) -> float:
        return self.space.uniform_log_prob() - self.dim * math.log(self.scale)

    def check(self, x: Tensor, *mask: Tensor | None, **options) -> str | None:
        return self.space.check(x, *mask, **options)
