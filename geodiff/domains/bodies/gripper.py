"""The Panda's parallel gripper in the ACRONYM gripper frame: frames, symmetry, boxes, points and
lines.

Origin at the base of the hand, +z approach, fingers open and close along x, metres. A pose is the
gripper frame in the object frame, (*batch, 4, 4): x_object = R x_gripper + t. Turned by 180 degrees
about z the gripper is the same, so that `flip(poses)` grasps as `poses` do.
"""

import math

import numpy as np
import torch
from torch import Tensor

from geodiff.paths import data_path

MAX_WIDTH = 0.08  # between the pads, fingers open
PAD_DEPTH = 0.1034  # from the base of the hand to the centre of the pads, along the approach
PAD_RANGE = 0.0945, 0.1115  # the flat part of a pad, along the approach
PAD_HALF = 0.0087  # half the pad, along y
TIP_DEPTH = 0.1122  # the farthest that the fingers reach
FINGER_DEPTH = 0.0584  # where the fingers begin

# Boxes (x, y, z from, to) that hold the convex bodies of data/grasps/panda_gripper, cut into slabs
# along z.
_HAND = (
    ((-0.0486, 0.1023), (-0.0206, 0.0206), (-0.0260, -0.0120)),
    ((-0.0906, 0.1040), (-0.0312, 0.0312), (-0.0120, 0.0)),
    ((-0.0989, 0.1041), (-0.0317, 0.0317), (0.0, 0.0300)),
    ((-0.1005, 0.1024), (-0.0257, 0.0257), (0.0300, 0.0480)),
    ((-0.1005, 0.1011), (-0.0212, 0.0212), (0.0480, 0.0661)),
)
# The finger that opens along +x, closed; its pad is the plane x = 0 to 0.2 mm.
_FINGER = (
    ((0.0011, 0.0265), (-0.0106, 0.0106), (0.0584, 0.0780)),
    ((-0.0002, 0.0252), (-0.0105, 0.0105), (0.0780, 0.0960)),
    ((-0.0002, 0.0195), (-0.0096, 0.0096), (0.0960, 0.1124)),
)


def to_panda_hand(poses: Tensor) -> Tensor:
    """Poses of the URDF's `panda_hand` frame for poses of the gripper frame, (*batch, 4, 4).

    The same z axis; the hand's fingers move along its y, which is the gripper's x turned by 90
    degrees about z.

    Args:
        poses: (*batch, 4, 4).
    """
    return poses @ _turn(math.pi / 2, poses)


def from_panda_hand(poses: Tensor) -> Tensor:
    """Poses of the gripper frame for poses of the URDF's `panda_hand` frame, (*batch, 4, 4).

    Args:
        poses: (*batch, 4, 4).
    """
    return poses @ _turn(-math.pi / 2, poses)


def flip(poses: Tensor) -> Tensor:
    """The poses, turned by 180 degrees about their approach: the gripper is the same, its fingers
    swapped.

    Args:
        poses: (*batch, 4, 4).
    """
    sign = torch.tensor([-1.0, -1.0, 1.0, 1.0], dtype=poses.dtype, device=poses.device)
    return poses * sign


def nearest_flip(poses: Tensor, reference: Tensor) -> Tensor:
    """Of each pose and its flip the one that is rotated less from `reference`, (*batch, 4, 4).

    Both broadcast. Where they are equally far, the pose itself.

    Args:
        poses: (*batch, 4, 4).
        reference: (*batch, 4, 4).
    """
    turned = flip(poses)
    # The trace of A^T R falls with the angle between A and R; only the first two columns differ in
    # sign.
    agreement = (reference[..., :3, :2] * poses[..., :3, :2]).sum((-1, -2))
    return torch.where((agreement < 0)[..., None, None], turned, poses)


def transform(poses: Tensor, points: Tensor) -> Tensor:
    """Points of the gripper frame in the object frame, (*batch, P, 3).

    Args:
        poses: (*batch, 4, 4).
        points: (P, 3) or (*batch, P, 3).
    """
    return points @ poses[..., :3, :3].transpose(-1, -2) + poses[..., None, :3, 3]


def into_gripper(poses: Tensor, points: Tensor) -> Tensor:
    """Points of the object frame in the gripper frame, (*batch, P, 3): the inverse of `transform`.

    Args:
        poses: (*batch, 4, 4).
        points: (P, 3) or (*batch, P, 3).
    """
    return (points - poses[..., None, :3, 3]) @ poses[..., :3, :3]


def control_points(
    dtype: torch.dtype | None = None, device: torch.device | str | None = None
) -> Tensor:
    """Nineteen points of the open gripper, (19, 3), gripper frame: hand, fingers, pads and the line
    between them.

    As a set they are the same after `flip`. Moved by a pose they say where the gripper is, and how
    it is turned up to that flip.

    Args:
        dtype: of the points; None: torch's default.
        device: of the points.
    """
    half = MAX_WIDTH / 2
    points: list[tuple[float, float, float]] = [(0, 0, 0), (0, 0, FINGER_DEPTH), (0, 0, PAD_DEPTH)]
    points += [(0, side * 0.0316, 0.006) for side in (-1, 1)]
    for side in (-half, half):
        points += [
            (side * 2.5, 0, 0.03),
            (side, 0, FINGER_DEPTH),
            (side, 0, PAD_DEPTH),
            (side, 0, TIP_DEPTH),
            (side / 2, 0, PAD_DEPTH),
            (side, -PAD_HALF, PAD_DEPTH),
            (side, PAD_HALF, PAD_DEPTH),
        ]
    return torch.tensor(points, dtype=dtype or torch.get_default_dtype(), device=device)


def boxes(
    width: float | Tensor = MAX_WIDTH,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> tuple[Tensor, Tensor]:
    """Boxes along the axes that hold the gripper: the first five hold the hand, then three each
    finger.

    Args:
        width: metres between the pads, a number or (*batch,).
        dtype: of the boxes; None: that of `width`, or torch's default.
        device: of the boxes.

    Returns: centres (*batch, 11, 3) and half sides (11, 3), gripper frame.
    """
    width = torch.as_tensor(width, dtype=dtype, device=device)
    if not width.is_floating_point():
        width = width.to(torch.get_default_dtype())
    edges = torch.tensor(_HAND + _FINGER + _FINGER, dtype=width.dtype, device=width.device)
    sign = torch.tensor([1.0] * 8 + [-1.0] * 3, dtype=width.dtype, device=width.device)
    opens = torch.tensor([0.0] * 5 + [0.5] * 3 + [-0.5] * 3, dtype=width.dtype, device=width.device)
    centre = edges.mean(-1)
    x = centre[:, 0] * sign + width[..., None] * opens
    yz = centre[:, 1:].expand(*x.shape, 2)
    return torch.cat([x[..., None], yz], -1), (edges[..., 1] - edges[..., 0]) / 2


def collides(
    poses: Tensor, points: Tensor, width: float | Tensor = MAX_WIDTH, margin: float = 0.0
) -> Tensor:
    """Whether any of the object's `points` is inside the gripper, (*batch,) bool.

    Boxes hold the bodies with at most 1.4 times their volume: a near miss counts as a collision.

    Args:
        poses: (*batch, 4, 4).
        points: on the object's surface, (P, 3) or (*batch, P, 3), object frame.
        width: metres between the pads, a number or (*batch,).
        margin: metres that the boxes grow on all sides; negative allows that depth.
    """
    centres, halves = boxes(torch.as_tensor(width, dtype=poses.dtype, device=poses.device))
    back = poses[..., :3, :3].transpose(-1, -2)
    # One row a coordinate, (*batch, P): comparing along a last axis of three is several times
    # slower.
    x, y, z = (back @ points.to(poses.dtype).transpose(-1, -2) - back @ poses[..., :3, 3:]).unbind(
        -2
    )
    hit = torch.zeros_like(x, dtype=torch.bool)
    for index in range(len(halves)):
        cx, cy, cz = centres[..., None, index, :].unbind(-1)
        hx, hy, hz = (halves[index] + margin).unbind()
        hit |= ((x - cx).abs() <= hx) & ((y - cy).abs() <= hy) & ((z - cz).abs() <= hz)
    return hit.any(-1)


def outline(width: float = MAX_WIDTH) -> Tensor:
    """The gripper as line segments for pictures, (9, 2, 3), gripper frame: stem, hand, fingers,
    pads.

    Args:
        width: metres between the pads.
    """
    half = width / 2
    lines: list[tuple[tuple[float, float, float], tuple[float, float, float]]] = [
        ((0, 0, -0.026), (0, 0, FINGER_DEPTH)),
        ((-half, 0, FINGER_DEPTH), (half, 0, FINGER_DEPTH)),
    ]
    lines += [((side, 0, FINGER_DEPTH), (side, 0, TIP_DEPTH)) for side in (-half, half)]
    lines += [
        ((side, -PAD_HALF, depth), (side, PAD_HALF, depth))
        for side in (-half, half)
        for depth in PAD_RANGE
    ]
    lines += [((0, -0.0316, 0.006), (0, 0.0316, 0.006))]
    return torch.tensor(lines)


def bodies(width: float = MAX_WIDTH) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The convex bodies `hand`, `left` (+x) and `right` (-x), gripper frame.

    Args:
        width: metres between the pads.

    Returns: vertices (V, 3) float64 and faces (F, 3) of each.
    Raises: ValueError for a width that the gripper does not reach.
    """
    if not 0 <= width <= MAX_WIDTH:
        raise ValueError(f"width: expected 0 to {MAX_WIDTH} m, got {width}")
    # panda_hand axes to gripper axes
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    hand, faces = _read_body("hand")
    finger, finger_faces = _read_body("finger")
    # The URDF's left finger opens along its +y, which is the gripper's -x.
    right = finger @ turn.T + [-width / 2, 0, FINGER_DEPTH]
    return {
        "hand": (hand @ turn.T, faces),
        "left": (right * [-1, -1, 1], finger_faces),
        "right": (right, finger_faces),
    }


def _read_body(name: str) -> tuple[np.ndarray, np.ndarray]:
    lines = [
        line.split()
        for line in data_path("grasps", "panda_gripper", f"{name}.obj").read_text().splitlines()
    ]
    return (
        np.array([[float(x) for x in words[1:]] for words in lines if words[0] == "v"]),
        np.array([[int(x) - 1 for x in words[1:]] for words in lines if words[0] == "f"]),
    )


def _turn(angle: float, like: Tensor) -> Tensor:
    """A turn about z by a multiple of 90 degrees, exact, (4, 4)."""
    c, s = round(math.cos(angle)), round(math.sin(angle))
    return torch.tensor(
        [[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
        dtype=like.dtype,
        device=like.device,
    )
