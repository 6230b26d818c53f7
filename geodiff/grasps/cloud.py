"""What a grasp network sees of an object: a few hundred anchors on it and the shape around each,
from a point cloud.

The shape is given by moments of the cloud in Gaussian windows of several sizes. Nothing here is
learned, so a cloud is described once. Scalars stay when the object moves, vectors and tensors turn
with it, also in a mirror.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from geodiff.networks.graph import farthest_points
from geodiff.process.condition import Rows

# metres in the network's unit of length: 0.05 of it, 5 mm, is about as much to a grasp as 0.05
# radians
UNIT = 0.1
ANCHORS = 192
SCALES = (0.06, 0.12, 0.25, 0.5, 1.0)  # standard deviations of the windows, network units
SCALARS, VECTORS, TENSORS = 6 * len(SCALES) + 1, 3 * len(SCALES) + 1, len(SCALES)
_MOST = 4096  # points that the moments are taken over


@dataclass(frozen=True)
class Cloud(Rows):
    """Described clouds, one for each object; lengths in network units, from the centre.

    Args:
        centre: (objects, 3), the mean of the points, in metres and the object frame.
        anchors: (objects, P, 3).
        scalars: (objects, P, SCALARS).
        vectors: (objects, P, VECTORS, 3).
        tensors: (objects, P, TENSORS, 3, 3), symmetric.
    """

    centre: Tensor
    anchors: Tensor
    scalars: Tensor
    vectors: Tensor
    tensors: Tensor

    def null(self, rows: Tensor | None = None) -> "Cloud":
        """Refused: as `without_object` says.

        Args:
            rows: (objects,) bool.

        Raises: ValueError.
        """
        raise without_object()

    @staticmethod
    def stack(clouds: "Sequence[Cloud]") -> "Cloud":
        """One Cloud of the objects of several.

        Args:
            clouds: with equally many anchors.
        """
        return Cloud(*(torch.cat([getattr(c, f.name) for c in clouds]) for f in fields(Cloud)))


def without_object() -> ValueError:
    """The error of `null`: a grasp network was never trained without an object."""
    return ValueError(
        "condition: the grasp network was never trained without an object, so a Cloud or Encoding "
        "has no null; guide grasps by an energy (CostField)"
    )


@torch.no_grad()
def describe(points: Tensor, anchors: int = ANCHORS) -> Cloud:
    """Describe clouds of points: anchors on them, and the shape around each.

    The order of the points does not matter, nor does a common motion, but for rounding. Of more
    than 4096 points 4096 count, by chance but always the same places in the order.

    Args:
        points: (N, 3) or (objects, N, 3), metres.
        anchors: how many at most, the farthest points.
    """
    points = points[None] if points.ndim == 2 else points
    if points.shape[1] > _MOST:
        kept = torch.randperm(points.shape[1], generator=torch.Generator().manual_seed(0))[:_MOST]
        points = points[:, kept.to(points.device)]
    centre = points.mean(1)
    points = (points - centre[:, None]) / UNIT
    places = _take(points, farthest_points(points, min(anchors, points.shape[1])))
    scalars, vectors, tensors = [places.square().sum(-1)], [places], []
    # By differences, not by |a|^2 - 2 ab + |b|^2: windows are narrow.
    apart = points[:, None] - places[:, :, None]
    squared = apart.square().sum(-1)
    for scale in SCALES:
        weight = torch.exp(squared * (-0.5 / scale**2))
        total = weight.sum(-1)  # at least 1: an anchor is in its own window
        mean = (weight[..., None, :] @ apart).squeeze(-2) / (total[..., None] * scale)
        spread = (
            (apart * weight[..., None]).transpose(-1, -2)
            @ apart
            / (total[..., None, None] * scale**2)
        )
        once = (spread @ mean[..., None]).squeeze(-1)
        twice = (spread @ once[..., None]).squeeze(-1)
        trace = spread.diagonal(dim1=-2, dim2=-1).sum(-1)
        scalars += [
            torch.log(total / points.shape[1]),
            mean.square().sum(-1),
            trace,
            spread.square().sum((-1, -2)),
            _determinant(spread),
            (mean * once).sum(-1),
        ]
        vectors += [mean, once, twice]
        tensors.append(spread)
    return Cloud(
        centre, places, torch.stack(scalars, -1), torch.stack(vectors, -2), torch.stack(tensors, -3)
    )


def _take(points: Tensor, index: Tensor) -> Tensor:
    return points.gather(1, index[..., None].expand(-1, -1, 3))


def _determinant(matrix: Tensor) -> Tensor:
    """Of 3 x 3 matrices: a triple product of rows, finite for flat spreads, where LU divides by
    rounding errors.
    """
    one, two, three = matrix.unbind(-2)
    return (torch.linalg.cross(one, two) * three).sum(-1)
