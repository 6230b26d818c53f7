"""Straight lines against a mesh: every crossing, and what a depth camera sees of an object."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from geodiff.domains.bodies.records import GraspedObject
from geodiff.domains.bodies.surface import face_normals

_CHUNK = 4_000_000  # ray-edge pairs at a time: 32 MB
# along no axis, plane or diagonal of a made object
_TURN = np.array([0.5477225575, 0.3141592654, -0.7754877123])


@dataclass(frozen=True)
class Hits:
    """Crossings of rays with faces, ray by ray and near to far; the three arrays have one
    length.
    """

    ray: np.ndarray  # number of the ray
    face: np.ndarray  # number of the face
    distance: np.ndarray  # in lengths of the direction


def cast(
    vertices: np.ndarray, faces: np.ndarray, origins: np.ndarray, directions: np.ndarray
) -> Hits:
    """All crossings of rays with faces, both sides of each.

    A ray through an edge or a vertex crosses one of the faces that meet there, so that on a closed
    mesh entries and exits alternate.

    Args:
        vertices: (V, 3).
        faces: (F, 3).
        origins: (R, 3).
        directions: (R, 3); a ray is `origins + distance directions`, distance > 0.

    Source: side operator of two lines in Pluecker coordinates (Jones 2000); the sign is decided
        once for each edge.
    """
    centre = vertices.mean(0)
    vertices, origins = vertices - centre, origins - centre
    ends = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    edges, which = np.unique(np.sort(ends, axis=1), axis=0, return_inverse=True)
    which = which.reshape(-1, 3)
    against = (ends[:, 0] > ends[:, 1]).reshape(-1, 3)
    a, b = vertices[edges[:, 0]], vertices[edges[:, 1]]
    lines = np.concatenate([np.cross(a, b), b - a], 1).T
    rays = np.concatenate([directions, np.cross(origins, directions)], 1)
    turned = np.concatenate([np.broadcast_to(_TURN, directions.shape), np.cross(origins, _TURN)], 1)
    normals = np.cross(
        vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]]
    )
    found = []
    size = max(1, _CHUNK // len(edges))
    for start in range(0, len(rays), size):
        product = rays[start : start + size] @ lines
        side = product > 0
        # Where a ray meets an edge exactly, the side on which a slightly turned ray would pass
        # decides; the same turn for all edges of a ray, so that the faces round a corner agree.
        ray, edge = np.nonzero(product == 0)
        side[ray, edge] = (turned[start + ray] * lines.T[edge]).sum(1) > 0
        first, second, third = (side[:, which[:, k]] ^ against[:, k] for k in range(3))
        ray, face = np.nonzero((first == second) & (second == third))
        ray = ray + start
        slope = (directions[ray] * normals[face]).sum(1)
        height = ((vertices[faces[face, 0]] - origins[ray]) * normals[face]).sum(1)
        with np.errstate(divide="ignore", invalid="ignore"):
            # infinite for a ray within the plane of a face, which it does not cross
            distance = height / slope
        ahead = (distance > 0) & np.isfinite(distance)
        found.append((ray[ahead], face[ahead], distance[ahead]))
    ray, face, distance = (
        (np.concatenate(parts) for parts in zip(*found)) if found else (np.zeros(0, int),) * 3
    )
    order = np.lexsort((distance, ray))
    return Hits(ray[order], face[order], distance[order])


def look_at(
    eye: ArrayLike, target: ArrayLike = (0.0, 0.0, 0.0), up: ArrayLike = (0.0, 0.0, 1.0)
) -> np.ndarray:
    """Pose of a camera, (4, 4): x right, y down, z to the target, object frame.

    Args:
        eye: where it stands, (3,).
        target: where it looks, (3,).
        up: what is up in its picture, (3,). Where the view is along it, right is the object's x.

    Raises: ValueError if `eye` is `target`.
    """
    eye, target, up = (np.asarray(value, dtype=np.float64) for value in (eye, target, up))
    forward = target - eye
    length = np.linalg.norm(forward)
    if not length > 0:
        raise ValueError(f"eye: expected a place away from the target, got {eye.tolist()} for both")
    forward = forward / length
    right = np.cross(forward, up)
    if np.linalg.norm(right) < 1e-9 * np.linalg.norm(up):
        right = np.array([1.0, 0.0, 0.0]) - forward[0] * forward
    right = right / np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(forward, right), forward, eye], 1)
    return pose


def random_camera(
    item: GraspedObject, generator: np.random.Generator, distance: float = 0.6
) -> np.ndarray:
    """A camera that looks at the middle of the object from any side with equal chance, (4, 4).

    Args:
        item: the object.
        generator: what draws.
        distance: metres from the middle.
    """
    side = generator.normal(size=3)
    middle = (item.vertices.min(0) + item.vertices.max(0)) / 2
    return look_at(middle + distance * side / np.linalg.norm(side), middle)


def partial_cloud(
    item: GraspedObject,
    camera: np.ndarray,
    n: int = 1024,
    generator: np.random.Generator | None = None,
    *,
    noise: float = 0.0,
) -> np.ndarray:
    """`n` points of the object that a pinhole camera sees, (n, 3), object frame, metres.

    Rays pass through a jittered grid of pixels over the object; the first crossing of each counts.

    Args:
        item: the object.
        camera: its pose in the object frame, (4, 4): x right, y down, z ahead; see `look_at`.
        n: how many. Points repeat only where 64 n rays do not find n of them.
        generator: what draws; None for one with seed 0.
        noise: standard deviation along the ray, metres.

    Raises: ValueError if a part of the object is beside or behind the camera, or none of it is
        seen.
    """
    generator = np.random.default_rng(0) if generator is None else generator
    camera = np.asarray(camera, dtype=np.float64)
    local = (item.vertices - camera[:3, 3]) @ camera[:3, :3]
    if local[:, 2].min() <= 1e-3:
        raise ValueError(
            f"camera: {item.name} reaches to {local[:, 2].min():.3g} m along its view; it must be "
            "wholly in front. Move the camera away or turn it with look_at"
        )
    flat = local[:, :2] / local[:, 2:]
    low, high = flat.min(0), flat.max(0)
    rays = 2 * n
    while True:
        across = np.maximum(
            1, np.round(np.sqrt(rays * (high - low) / np.maximum((high - low)[::-1], 1e-12)))
        )
        columns, rows = np.minimum(across, rays).astype(int)
        grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2)
        pixels = low + (grid + generator.random(grid.shape)) / [columns, rows] * (high - low)
        directions = np.concatenate([pixels, np.ones((len(pixels), 1))], 1) @ camera[:3, :3].T
        hits = cast(
            item.vertices, item.faces, np.broadcast_to(camera[:3, 3], directions.shape), directions
        )
        seen, first = np.unique(hits.ray, return_index=True)
        if len(seen) >= n or rays >= 64 * n:
            break
        rays *= 4
    if not len(seen):
        raise ValueError(
            f"camera: no ray meets {item.name}; it is too thin from this side. Move the camera"
        )
    depth = hits.distance[first]
    if noise:
        lengths = np.linalg.norm(directions[seen], axis=1)
        depth = depth + noise * generator.normal(size=len(depth)) / lengths
    points = camera[:3, 3] + depth[:, None] * directions[seen]
    return points[generator.choice(len(points), n, replace=len(points) < n)]


def facing(item: GraspedObject, hits: Hits, directions: np.ndarray) -> np.ndarray:
    """Cosine between each crossing's ray and the face's outward normal: positive where the ray
    leaves the solid.

    Args:
        item: the object.
        hits: crossings, as `cast` gives them.
        directions: of all rays, (R, 3).
    """
    normals, _ = face_normals(item.vertices, item.faces)
    ray = directions[hits.ray]
    return (ray * normals[hits.face]).sum(1) / np.linalg.norm(ray, axis=1)
