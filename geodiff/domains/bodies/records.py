"""The two nouns of the grasp task: a rigid object and a set of gripper poses on it. Units are
metres and kilograms.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

ROTATION_TOLERANCE = 1e-4  # largest entry of |R^T R - 1|; float32 files stay below 1e-6


@dataclass(frozen=True, eq=False)
class GraspedObject:
    """A rigid object in its own frame: a triangle mesh in metres, and its mass where that is
    known.
    """

    name: str  # without the folder and the ending of its file
    vertices: np.ndarray  # (V, 3) float64, metres
    faces: np.ndarray  # (F, 3) int64, counterclockwise from outside
    mass: float | None = None  # kg
    com: np.ndarray | None = None  # (3,), centre of mass in the object frame
    inertia: np.ndarray | None = None  # (3, 3), about the centre of mass, axes of the object frame
    # convex pieces, vertices (k, 3); () = unknown
    parts: tuple[np.ndarray, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        vertices, faces = np.asarray(self.vertices), np.asarray(self.faces)
        if vertices.ndim != 2 or vertices.shape[1] != 3:
            raise ValueError(f"vertices: expected (V, 3) in metres, got {vertices.shape}")
        if faces.ndim != 2 or faces.shape[1] != 3 or not np.issubdtype(faces.dtype, np.integer):
            raise ValueError(
                f"faces: expected whole numbers (F, 3), got {faces.dtype} {faces.shape}"
            )
        if not len(vertices) or not len(faces):
            raise ValueError(
                f"{self.name}: expected a mesh, got {len(vertices)} vertices and {len(faces)} faces"
            )
        if not np.isfinite(vertices).all():
            bad = int((~np.isfinite(vertices).all(1)).sum())
            raise ValueError(
                f"{self.name}: {bad} of {len(vertices)} vertices are not finite; repair the mesh"
            )
        if faces.min() < 0 or faces.max() >= len(vertices):
            raise ValueError(
                f"{self.name}: faces name vertex {int(faces.max())} of {len(vertices)} (from 0); "
                "the file may be cut off"
            )
        object.__setattr__(self, "vertices", vertices.astype(np.float64))
        object.__setattr__(self, "faces", faces.astype(np.int64))
        for name, shape in (("com", (3,)), ("inertia", (3, 3))):
            value = getattr(self, name)
            if value is not None:
                value = np.asarray(value, dtype=np.float64)
                if value.shape != shape or not np.isfinite(value).all():
                    raise ValueError(f"{name}: expected finite numbers {shape}, got {value.shape}")
                object.__setattr__(self, name, value)

    @property
    def extents(self) -> np.ndarray:
        """Lengths of the bounding box, (3,), metres."""
        return np.ptp(self.vertices, axis=0)


@dataclass(frozen=True, eq=False)
class GraspSet:
    """Gripper poses on one object, with whatever is known of each: a label, a cost, an opening."""

    poses: np.ndarray  # (n, 4, 4) float64: x_object = R x_gripper + t
    object: GraspedObject | None = None  # None: only the poses are known
    success: np.ndarray | None = None  # (n,) bool
    cost: np.ndarray | None = None  # (n,) float64, lower is better
    width: np.ndarray | None = None  # (n,) float64, metres between the pads
    judge: str = ""  # who decided on success: "flex" (ACRONYM), "mujoco", ...

    def __post_init__(self) -> None:
        poses = np.asarray(self.poses, dtype=np.float64)
        if poses.ndim != 3 or poses.shape[1:] != (4, 4):
            raise ValueError(f"poses: expected (n, 4, 4), got {poses.shape}")
        wrong = check_poses(poses)
        if wrong is not None:
            raise ValueError(f"poses: {wrong}")
        object.__setattr__(self, "poses", poses)
        for name, kind in (("success", bool), ("cost", np.float64), ("width", np.float64)):
            value = getattr(self, name)
            if value is not None:
                value = np.asarray(value)
                if value.shape != (len(poses),):
                    raise ValueError(
                        f"{name}: expected one for each of {len(poses)} poses, got {value.shape}"
                    )
                object.__setattr__(self, name, value.astype(kind))

    def __len__(self) -> int:
        return len(self.poses)

    def __getitem__(self, index: slice | Sequence[int] | np.ndarray) -> "GraspSet":
        """The poses that a slice, an index array or a mask chooses, with what is known of them."""
        index = np.arange(len(self))[index].reshape(-1)
        known = {
            name: None if (value := getattr(self, name)) is None else value[index]
            for name in ("success", "cost", "width")
        }
        return GraspSet(self.poses[index], self.object, judge=self.judge, **known)


def check_poses(poses: np.ndarray) -> str | None:
    """What is wrong with poses as rigid motions, in words; None if nothing is.

    Args:
        poses: (n, 4, 4).
    """
    if not len(poses):
        return None
    rotation = poses[:, :3, :3]
    with np.errstate(invalid="ignore", over="ignore"):
        defect = np.abs(rotation.swapaxes(1, 2) @ rotation - np.eye(3)).max((1, 2))
        mirrored = np.linalg.det(np.where(np.isfinite(rotation), rotation, 0.0)) < 0
    last_row = np.abs(poses[:, 3] - [0, 0, 0, 1]).max(1)
    for bad, why in (
        (~np.isfinite(poses).all((1, 2)), "not finite"),
        (
            ~(defect <= ROTATION_TOLERANCE),
            f"no rotations (R^T R differs from 1 by up to {defect.max():.2g}, "
            f"at most {ROTATION_TOLERANCE} is taken)",
        ),
        (mirrored, "reflections (det R = -1)"),
        (last_row > 1e-6, "without the last row 0 0 0 1"),
    ):
        if bad.any():
            first = int(bad.argmax())
            return f"{int(bad.sum())} of {len(poses)} are {why}; the first is number {first}"
    return None
