"""A mesh as convex pieces, which is what a simulator can collide: by CoACD, or the mesh itself if
it is convex.
"""

from dataclasses import replace

import numpy as np

from geodiff.domains.bodies.records import GraspedObject
from geodiff.domains.bodies.surface import face_normals, is_watertight

THRESHOLD = 0.03  # concavity that a piece may keep, as a share of the object's size
_FLAT = 1e-5  # metres; a thinner piece has no volume to speak of and MuJoCo refuses it


def with_parts(item: GraspedObject) -> GraspedObject:
    """The object with its convex parts, which `label` needs; itself if it has them.

    Args:
        item: whose parts may be unknown.
    """
    return item if item.parts else replace(item, parts=convex_parts(item))


def convex_parts(item: GraspedObject) -> tuple[np.ndarray, ...]:
    """Convex pieces that fill an object.

    A closed convex mesh is its own piece; others are cut by CoACD (Wei, Liu, Ling and Su 2022),
    which takes about 1 to 30 s. One that is not watertight is closed by CoACD first.

    Args:
        item: the object.

    Returns: vertices (k, 3) of each piece, object frame.
    Raises: ValueError if no piece has a volume; ModuleNotFoundError without coacd.
    """
    closed = is_watertight(item.faces)
    if closed and is_convex(item):
        return _solid(item, [item.vertices])
    try:
        import coacd
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{item.name} is not convex; cutting it into convex parts needs coacd: pip install "
            "'geodiff-manifolds[grasp]'"
        ) from error
    coacd.set_log_level("error")
    pieces = coacd.run_coacd(
        coacd.Mesh(item.vertices, item.faces),
        threshold=THRESHOLD,
        preprocess_mode="off" if closed else "on",
        resolution=1000,
        mcts_iterations=60,
        mcts_nodes=15,
        mcts_max_depth=2,
    )
    return _solid(item, [np.asarray(vertices, dtype=np.float64) for vertices, _ in pieces])


def is_convex(item: GraspedObject, tolerance: float = 1e-4) -> bool:
    """Whether no vertex stands before the plane of any face.

    Args:
        item: the object.
        tolerance: by how much one may, as a share of the object's size.
    """
    normals, areas = face_normals(item.vertices, item.faces)
    normals, corners = normals[areas > 0], item.vertices[item.faces[areas > 0, 0]]
    most = tolerance * item.extents.max()
    # A few faces at a time: a scan has more faces than a table of all pairs should hold.
    return all(
        ((item.vertices @ some.T) - (some * corner).sum(1)).max() <= most
        for some, corner in zip(
            np.array_split(normals, len(normals) // 256 + 1),
            np.array_split(corners, len(corners) // 256 + 1),
        )
        if len(some)
    )


def _solid(item: GraspedObject, pieces: list[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Those of the pieces that have a volume."""
    parts = tuple(piece for piece in pieces if not _flat(piece))
    if not parts:
        raise ValueError(
            f"{item.name}: none of its {len(pieces)} convex parts has a volume; is the mesh a "
            "flat sheet?"
        )
    return parts


def _flat(points: np.ndarray) -> bool:
    across = np.linalg.svd(points - points.mean(0), full_matrices=False)[2][-1]
    return len(points) < 4 or float(np.ptp(points @ across)) < _FLAT
