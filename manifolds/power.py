"""Any space for each node of a cloud."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from manifolds import numerics
from manifolds.base import (
    Device,
    Generator,
    Kernel,
    Manifold,
    largest,
    volume_is_infinite,
    wrong_shape,
)
from manifolds.centring import (
    against,
    centre,
    centre_tangent,
    check_mean,
    flat_dim,
    frame,
    in_parts,
    padded,
    sum_over_nodes,
    zero_mean,
)


class Cloud(Manifold):
    """Clouds (*batch, nodes, *shape of a node's space): one point of a space for each node.

    Tangents (*batch, nodes, ...) are those of the nodes, and the metric is the sum of theirs.
    `centred` clouds have zero mean over the nodes in every flat factor of the space: coordinates
    without the freedom to translate them all. `mask` (*batch, nodes) is True at real nodes; the
    others stand at the `origin` of the node's space in every point, are 0 in every tangent, and
    never count: the mean is that of the real ones.
    """

    if TYPE_CHECKING:  # what a cloud has as fields or class attributes

        @property
        def space(self) -> Manifold:
            """The space of a node."""

        @property
        def centred(self) -> bool:
            """Whether flat factors have mean zero over the nodes."""

    dim = None

    @property
    def shape(self) -> tuple[int | None, ...]:
        return (None, *self.space.shape)

    @property
    def tangent_shape(self) -> tuple[int | None, ...]:
        return (None, *self.space.tangent_shape)

    @property
    def injectivity_radius(self) -> float:
        return self.space.injectivity_radius

    @property
    def flat(self) -> bool:
        return self.space.flat

    @property
    def magnification(self) -> float:
        return self.space.magnification

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

    def geodesic_and_back(self, x: Tensor, y: Tensor, t: float | Tensor) -> tuple[Tensor, Tensor]:
        batch = max(x.dim(), y.dim()) - len(self.shape)
        if torch.is_tensor(t) and 0 < t.dim() <= batch:
            t = t.reshape(t.shape + (1,) * len(self.tangent_shape))
        return self.space.geodesic_and_back(x, y, t)

    def inner(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        return self.space.inner(x, u, v).sum(-1)

    def norm(self, x: Tensor, v: Tensor) -> Tensor:
        return numerics.norm(self.space.norm(x, v))

    def gradient(self, x: Tensor, slope: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.to_tangent(x, self.space.gradient(x, slope), mask)

    def within_radius(self, x: Tensor, v: Tensor) -> Tensor:
        return self.space.within_radius(x, v)

    def project(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Each node moved onto its space and flat factors to mean zero; nodes outside the mask
        become the origin.
        """
        x = self.space.project(padded(self.space, x, mask))
        return centre(self.space, x, mask) if self.centred else x

    def to_tangent(self, x: Tensor, ambient: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is not None:
            ambient = torch.where(against(mask, self.space.tangent_shape), ambient, 0.0)
        ambient = self.space.to_tangent(x, ambient)
        return centre_tangent(self.space, ambient, mask) if self.centred else ambient

    def random_point(
        self,
        *size: int,
        nodes: int | None = None,
        mask: Tensor | None = None,
        generator: Generator = None,
        dtype: torch.dtype | None = None,
        device: Device = None,
    ) -> Tensor:
        """A random point of the space for each node, centred where it is flat.

        Args:
            size: the batch.
            nodes: how many; needed unless `mask` says it.
            mask: (*size, nodes) bool, or broadcastable to it.

        Raises: ValueError if neither is given, or they differ.
        """
        if nodes is None:
            if mask is None:
                raise ValueError("nodes: a cloud has any number of nodes; pass nodes= or mask=")
            nodes = mask.shape[-1]
        if mask is not None and mask.shape[-1] != nodes:
            raise ValueError(f"mask: expected (*batch, {nodes}), got {tuple(mask.shape)}")
        source: dict[str, Any] = {"generator": generator, "dtype": dtype, "device": device}
        return _random(self.space, self.centred, (*size, nodes), mask, source)

    def draw(
        self,
        size: Sequence[int],
        *,
        mask: Tensor | None = None,
        generator: Generator = None,
        dtype: torch.dtype | None = None,
        device: Device = None,
    ) -> Tensor:
        *batch, nodes = size
        return self.random_point(
            *batch, nodes=nodes, mask=mask, generator=generator, dtype=dtype, device=device
        )

    def random_tangent(
        self, x: Tensor, generator: Generator = None, mask: Tensor | None = None
    ) -> Tensor:
        return self.to_tangent(x, self.space.random_tangent(x, generator=generator), mask)

    def frame(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Orthonormal basis, factor by factor: one vector for each node and direction, one node
        less where the factor is centred.

        With a mask, smaller clouds have fewer basis vectors; the surplus ones are 0.
        """
        return frame(self.space, self.centred, x, mask)

    def uniform_log_prob(self) -> float:
        if flat_dim(self.space):
            raise volume_is_infinite(self)
        raise ValueError(
            f"{self}: the volume depends on the number of nodes; use log_prob_of_random(x, mask)"
        )

    def log_prob_of_random(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if len(self.factors) > 1:
            return super().log_prob_of_random(x, mask)
        each = self.space.log_prob_of_random(x)
        if not self.centred:
            return sum_over_nodes(each, mask)
        origin = self.space.origin(dtype=x.dtype, device=x.device)
        return sum_over_nodes(each, mask, self.space.log_prob_of_random(origin))

    def dim_of(self, x: Tensor, mask: Tensor | None = None) -> float | Tensor:
        nodes, shared = self.nodes_of(x, mask), flat_dim(self.space) if self.centred else 0
        every = nodes * (self.space.dim or 0)
        if torch.is_tensor(nodes):
            return every - shared * (nodes > 0)
        return every - shared * bool(nodes)

    def coordinates_of(self, x: Tensor, mask: Tensor | None = None) -> float | Tensor:
        return self.nodes_of(x, mask) * (self.space.dim or 0)

    def nodes_of(self, x: Tensor, mask: Tensor | None = None) -> float | Tensor:
        """How many real nodes each cloud has: a number, or (*batch,) in the dtype of `x`.

        Args:
            x: points, (*batch, *shape).
            mask: (*batch, nodes) bool.
        """
        return x.shape[x.dim() - len(self.shape)] if mask is None else mask.sum(-1).to(x.dtype)

    def size_of(self, x: Tensor) -> tuple[int, ...]:
        return tuple(x.shape[: x.dim() - len(self.shape) + 1])

    def require_mask(self, x: Tensor, mask: Tensor | None) -> None:
        if mask is None:
            return
        nodes = x.shape[x.dim() - len(self.shape)]
        if mask.dtype != torch.bool or mask.shape[-1:] != (nodes,):
            raise ValueError(
                f"mask: expected bool, (*batch, {nodes}), True at real nodes, got {mask.dtype} "
                f"{tuple(mask.shape)}"
            )

    def check(self, x: Tensor, mask: Tensor | None = None) -> str | None:
        defect = wrong_shape(x, self.shape) or self.space.check(x)
        if defect:
            return defect
        if mask is not None:
            origin = self.space.origin(dtype=x.dtype, device=x.device)
            away = torch.where(against(mask, self.space.shape), 0.0, x - origin).abs()
            # Exactly, but on spaces whose own maps move even that point by their rounding.
            limit = (self.magnification - 1) * numerics.tolerance(x.dtype)
            defect = largest(
                away.flatten(x.dim() - len(self.shape)).amax(-1),
                limit,
                f"nodes outside the mask must be at the origin of {self.space}",
                "project(x, mask) puts them there",
            )
        return defect or (check_mean(self.space, x, mask) if self.centred else None)

    def heat(self) -> Kernel:
        from manifolds.heat.power import PowerKernel
        from manifolds.heat.product import of_factors

        if len(self.factors) > 1:
            return of_factors(self)
        return PowerKernel(self, self.space.heat(), self.centred)

    @property
    def factors(self) -> tuple[Manifold, ...]:
        """The clouds of each factor of the node's space."""
        factors = self.space.factors
        if len(factors) == 1:
            return (self,)
        return tuple(Power(space, self.centred and flat_dim(space) > 0) for space in factors)

    def split(self, x: Tensor) -> Sequence[Tensor]:
        return self.space.split(x)

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        return self.space.join(parts)

    def split_tangent(self, v: Tensor) -> Sequence[Tensor]:
        return self.space.split_tangent(v)

    def join_tangent(self, parts: Sequence[Tensor]) -> Tensor:
        return self.space.join_tangent(parts)


@dataclass(frozen=True)
class Power(Cloud):
    """Clouds with a point of `space` for each node, any number of nodes.

    Power(Torus(1)) are the torsions of molecules of different sizes, Power(SE3(), centred=True)
    many rigid bodies whose translations have mean zero (`Poses`).

    Args:
        space: of a node; any but a cloud.
        centred: whether the flat factors of the space have mean zero over the nodes.
    """

    space: Manifold
    centred: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.space, Manifold):
            raise TypeError(f"space: expected a manifold, got {self.space!r}")
        if None in self.space.shape:
            raise ValueError(
                f"space: {self.space} has points of any number of nodes, so that a node of it has "
                "no fixed shape; make one cloud of all nodes"
            )
        if self.centred and not flat_dim(self.space):
            raise ValueError(
                f"centred: {self.space} has no flat factor, so its points have no mean; use "
                "centred=False"
            )


def _random(
    space: Manifold,
    centred: bool,
    size: tuple[int, ...],
    mask: Tensor | None,
    source: dict[str, Any],
) -> Tensor:
    if in_parts(space, centred):
        # The last factor first: translations, then rotations. Another order would be another
        # sample of every seed.
        factors = reversed(space.factors)
        parts = [_random(factor, centred, size, mask, source) for factor in factors]
        return space.join(parts[::-1])
    x = padded(space, space.random_point(*size, **source), mask)
    return zero_mean(x, len(space.shape), mask) if centred and space.flat else x
