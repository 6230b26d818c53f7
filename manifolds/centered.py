"""Point clouds whose mean is zero: coordinates without the freedom to translate."""

from __future__ import annotations

from dataclasses import dataclass, field

from manifolds.base import Manifold, positive
from manifolds.euclidean import Euclidean
from manifolds.power import Cloud


@dataclass(frozen=True)
class Centered(Cloud):
    """Clouds (*batch, nodes, point_dim) with zero mean over the nodes, any number of nodes.

    Clouds of different sizes share a batch by padding: `mask` (*batch, nodes) is True at real
    nodes; the mean is theirs, and the others are exactly 0 in every point and tangent. That is
    Power(Euclidean(point_dim), centred=True).

    Args:
        point_dim: the dimension of a point.
        space: of a node, made from it.
    """

    point_dim: int = 3
    space: Euclidean = field(init=False, repr=False, compare=False)

    centred = True
    # The same sums as over nodes, with the last digits that training has always had.
    inner, norm = Manifold.inner, Manifold.norm

    def __post_init__(self) -> None:
        positive("point_dim", self.point_dim)
        object.__setattr__(self, "space", Euclidean(self.point_dim))
