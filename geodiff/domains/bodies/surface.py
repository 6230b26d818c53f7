"""What a triangle mesh is as a surface and as a solid: areas, normals, random points, mass."""

import numpy as np


def face_normals(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit normals, by the right-hand rule, and areas of the faces; a normal of no area is 0.

    Args:
        vertices: (V, 3).
        faces: (F, 3).

    Returns: (F, 3) and (F,).
    """
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    twice = np.cross(b - a, c - a)
    length = np.linalg.norm(twice, axis=1)
    return twice / np.where(length > 0, length, 1.0)[:, None], length / 2


def sample_surface(
    vertices: np.ndarray, faces: np.ndarray, n: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Points spread over the surface in proportion to area.

    Args:
        vertices: (V, 3).
        faces: (F, 3).
        n: how many.
        generator: what draws.

    Returns: points (n, 3) and the face of each (n,).
    Raises: ValueError if no face has an area.
    """
    _, areas = face_normals(vertices, faces)
    if not areas.sum() > 0:
        raise ValueError(
            f"faces: none of the {len(faces)} faces has an area; there is nothing to sample"
        )
    face = generator.choice(len(faces), n, p=areas / areas.sum())
    u, v = np.sqrt(generator.random((n, 1))), generator.random((n, 1))
    a, b, c = (vertices[faces[face, corner]] for corner in range(3))
    return (1 - u) * a + u * (1 - v) * b + u * v * c, face


def mass_properties(
    vertices: np.ndarray, faces: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Volume, centre of mass and inertia at density 1 of the solid inside a closed mesh.

    The solid is a signed sum of tetrahedra from one point to each face, whose second moments are
    V/20 (sum_i p_i p_i^T + (sum_i p_i)(sum_i p_i)^T).

    Args:
        vertices: (V, 3).
        faces: (F, 3), counterclockwise from outside.

    Returns: volume, centre (3,) and inertia about it (3, 3). Negative volume means that faces look
        inwards.
    Raises: ValueError if the volume is zero.
    """
    start = vertices.mean(0)  # any point will do; a near one loses fewer digits
    corners = (vertices - start)[faces]
    volumes = np.linalg.det(corners) / 6
    volume = volumes.sum()
    if volume == 0:
        raise ValueError(
            "faces: they enclose no volume; a flat or empty mesh has no centre of mass"
        )
    total = corners.sum(1)
    com = (volumes[:, None] * total).sum(0) / 4 / volume
    second = (
        np.einsum("f,fki,fkj->ij", volumes, corners, corners)
        + np.einsum("f,fi,fj->ij", volumes, total, total)
    ) / 20 - volume * np.outer(com, com)
    return float(volume), com + start, np.trace(second) * np.eye(3) - second


def is_watertight(faces: np.ndarray) -> bool:
    """Whether every edge is passed once in each direction: the mesh is closed and its faces agree
    on a side.

    Args:
        faces: (F, 3).
    """
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    if not len(edges) or (edges[:, 0] == edges[:, 1]).any():
        return False
    key = edges.astype(np.int64) @ [faces.max() + 1, 1]
    back = edges[:, ::-1].astype(np.int64) @ [faces.max() + 1, 1]
    return len(np.unique(key)) == len(key) and np.array_equal(np.sort(key), np.sort(back))
