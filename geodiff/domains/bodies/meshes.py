"""Objects from files of meshes."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from geodiff.domains.bodies.checks import (
    array_of,
    check_extent,
    existing,
    named,
    positive,
    read_arrays,
    warn,
)
from geodiff.domains.bodies.records import GraspedObject
from geodiff.domains.bodies.surface import face_normals, is_watertight, mass_properties

MESH_SUFFIXES = (".obj", ".stl", ".ply")


def read_object(
    path: str | os.PathLike, *, scale: float = 1.0, name: str | None = None
) -> GraspedObject:
    """The object of a mesh file, all its bodies as one mesh, in metres and in the frame of the
    file.

    Vertices at one place become one; faces without an area are dropped with an `ObjectWarning`, and
    so are, in words only, a mesh that is not watertight and a size that is odd for a gripper of 8
    cm.

    Args:
        path: .obj, .stl (both kinds) or .ply with faces; also .npz with `vertices` and `faces`.
        scale: metres per unit of the file.
        name: of the object; None: the file name without its ending.

    Raises: FileNotFoundError; ValueError for a file that is empty, cut off or of another kind,
        vertices that are not finite, or a size that cannot be metres (with the factor to try);
        ModuleNotFoundError without trimesh.
    """
    path = existing(path)
    if path.suffix.lower() == ".npz":
        file = read_arrays(path)
        vertices, faces = array_of(file, "vertices", path), array_of(file, "faces", path)
    else:
        if path.suffix.lower() not in MESH_SUFFIXES:
            raise ValueError(
                f"path: expected a mesh ({', '.join(MESH_SUFFIXES)}, .npz), got {path}"
            )
        vertices, faces = load_mesh(path)
        if not len(faces):
            raise ValueError(
                f"path: {path} holds {len(vertices)} points and no faces; it is no mesh, or the "
                "file is cut off. For a point cloud use read_points"
            )
    return object_of(name or path.stem, vertices, faces, scale, str(path))


def load_mesh(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (v, 3) and faces (f, 3) of all bodies of a mesh file; no faces for a point cloud.

    Args:
        path: of a kind that trimesh reads.

    Raises:
        ValueError: naming the file, if it cannot be read.
        ModuleNotFoundError: without trimesh.
    """
    try:
        import trimesh
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "reading meshes needs trimesh: pip install 'geodiff-manifolds[grasp]'"
        ) from error
    if path.stat().st_size == 0:
        raise ValueError(f"path: {path} is empty")
    try:
        # process=False: trimesh would drop vertices that are not finite without a word.
        scene = trimesh.load_scene(str(path), process=False, skip_materials=True)
        bodies = [
            body for body in scene.dump() if isinstance(body, trimesh.Trimesh | trimesh.PointCloud)
        ]
    # trimesh lets through whatever its parsers meet: IndexError, KeyError, ...
    except Exception as error:
        raise ValueError(
            f"path: {path} cannot be read as {path.suffix.lower()[1:]}; it is cut off or of "
            f"another kind ({type(error).__name__}: {error})"
        ) from error
    if not bodies:
        raise ValueError(f"path: {path} holds no mesh; it is empty, cut off or of another kind")
    vertices, faces, before = [], [], 0
    for body in bodies:
        vertices.append(np.asarray(body.vertices, dtype=np.float64))
        faces.append(np.asarray(getattr(body, "faces", np.zeros((0, 3))), dtype=np.int64) + before)
        before += len(vertices[-1])
    return np.concatenate(vertices), np.concatenate(faces)


def object_of(
    name: str, vertices: np.ndarray, faces: np.ndarray, scale: float, shown: str, **known: Any
) -> GraspedObject:
    """A checked object: one vertex a place, no face without area, a size that can be metres.

    Args:
        name: of the object.
        vertices: (v, 3).
        faces: (f, 3), numbers of vertices.
        scale: metres per unit of the vertices.
        shown: what messages call the source.
        known: further fields of `GraspedObject`.
    """
    item = named(shown, GraspedObject, name, vertices * positive("scale", scale), faces, **known)
    used = np.unique(item.faces)
    places, index = np.unique(item.vertices[used], axis=0, return_inverse=True)
    place = np.zeros(len(item.vertices), dtype=np.int64)
    place[used] = index.reshape(-1)
    faces = place[item.faces]
    check_extent(places, shown, "mesh")
    flat = face_normals(places, faces)[1] == 0
    if flat.all():
        raise ValueError(f"{shown}: none of the {len(flat)} faces has an area")
    if flat.any():
        warn(f"{shown}: dropped {int(flat.sum())} of {len(flat)} faces that have no area")
    faces = faces[~flat]
    inertia = None
    if is_watertight(faces):
        volume, _, unit = named(shown, mass_properties, places, faces)
        if volume < 0:
            warn(f"{shown}: the faces look inwards; they were turned round")
            volume, unit, faces = -volume, -unit, faces[:, ::-1]
        inertia = None if known.get("mass") is None else unit * (known["mass"] / volume)
    else:
        warn(
            f"{shown}: the mesh is not watertight; inside and outside are guesses where it has "
            "holes. Repair it, or expect wrong collisions and grasps on its edges"
        )
    return GraspedObject(name, places, faces, inertia=inertia, **known)
