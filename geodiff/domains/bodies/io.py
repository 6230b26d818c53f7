"""Grasps from files and into them, with their objects.

Inside, all lengths are metres. What a file holds is checked once, here; what was dropped is said in
a warning.
"""

import os
from pathlib import Path

import numpy as np
import torch

from geodiff.domains.bodies import hdf5
from geodiff.domains.bodies.checks import ObjectWarning as ObjectWarning
from geodiff.domains.bodies.checks import array_of, existing, named
from geodiff.domains.bodies.checks import read_arrays as read_arrays
from geodiff.domains.bodies.hdf5 import split_parts
from geodiff.domains.bodies.meshes import MESH_SUFFIXES as MESH_SUFFIXES
from geodiff.domains.bodies.meshes import load_mesh, object_of
from geodiff.domains.bodies.meshes import read_object as read_object
from geodiff.domains.bodies.records import GraspSet
from geodiff.domains.clouds.points import MIN_POINTS as MIN_POINTS
from geodiff.domains.clouds.points import read_points as read_points
from geodiff.files import replacing
from manifolds.rotations import matrix_to_quaternion, quaternion_to_matrix

GRASP_SUFFIXES = (".h5", ".hdf5", ".npz")


def read_grasps(path: str | os.PathLike, *, meshes: str | os.PathLike | None = None) -> GraspSet:
    """The grasps of a file, with their object where the file holds it or `meshes` does.

    Args:
        path: HDF5 (.h5, .hdf5) in ACRONYM's layout or as `write_grasps` makes it; or .npz with
            `quat_wxyz` (n, 4) and `trans` (n, 3), and where known `success`, `cost`, `width`,
            `vertices`, `faces`, `mass`, `com`, and convex `parts` (vertices of one after the other)
            with `part_sizes`.
        meshes: the folder in which ACRONYM's `object/file` is found; the mesh is multiplied by
            `object/scale`.

    Raises: ValueError, by name, for missing keys, shapes that do not fit, poses that are not rigid
        motions, links out of the file and files that are cut off.
    """
    path = existing(path)
    kind = path.suffix.lower()
    if kind in (".h5", ".hdf5"):
        grasps, mesh = hdf5.read(path)
        if mesh is None or (meshes is None and mesh.vertices is None):
            return grasps
        known = {"mass": mesh.mass, "com": mesh.com}
        if mesh.vertices is not None:
            known["parts"] = mesh.parts
            item = object_of(mesh.name, mesh.vertices, mesh.faces, 1.0, str(path), **known)
        else:
            vertices, faces = load_mesh(_mesh_file(Path(meshes), mesh.file, path))
            item = object_of(
                mesh.name, vertices, faces, mesh.scale, f"{mesh.file} of {path}", **known
            )
    elif kind == ".npz":
        file = read_arrays(path)
        poses = matrices(array_of(file, "quat_wxyz", path), array_of(file, "trans", path), path)
        known = {key: file[key] for key in ("success", "cost", "width") if key in file}
        judge = str(file["judge"]) if "judge" in file else "flex" if "close_lin" in file else ""
        solid = {
            key: float(file[key]) if key == "mass" else file[key]
            for key in ("mass", "com")
            if key in file
        }
        item = None
        if "vertices" in file:
            if "parts" in file:
                solid["parts"] = split_parts(
                    file["parts"], array_of(file, "part_sizes", path), path
                )
            item = object_of(
                path.stem, file["vertices"], array_of(file, "faces", path), 1.0, str(path), **solid
            )
        grasps = named(path, GraspSet, poses, None, judge=judge, **known)
    else:
        raise ValueError(f"path: expected grasps ({', '.join(GRASP_SUFFIXES)}), got {path}")
    known = {name: getattr(grasps, name) for name in ("success", "cost", "width", "judge")}
    return GraspSet(grasps.poses, item, **known)


def write_grasps(path: str | os.PathLike, grasps: GraspSet) -> Path:
    """Write grasps and their object; the file appears whole or not at all.

    Args:
        path: .h5 (ACRONYM's layout) or compact .npz, which holds single precision: rotations return
            to 1e-6, translations to 1e-8 m.
        grasps: what to write.

    Returns: `path`.
    """
    path = Path(path)
    if path.suffix.lower() not in GRASP_SUFFIXES:
        raise ValueError(f"path: expected a name ending in {', '.join(GRASP_SUFFIXES)}, got {path}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path: folder {path.parent} does not exist; create it first")
    with replacing(path) as part:
        if path.suffix.lower() == ".npz":
            with open(part, "wb") as file:
                np.savez_compressed(file, **_columns(grasps))
        else:
            hdf5.write(part, grasps)
    return path


def _mesh_file(folder: Path, name: str, source: Path) -> Path:
    """ACRONYM's `object/file` below `folder`, with or without its leading `meshes/`; never outside
    of it.
    """
    root = folder.resolve()
    for relative in (name, name.removeprefix("meshes/"), Path(name).name):
        path = (root / relative).resolve()
        if path.is_relative_to(root) and path.is_file():
            return path
    raise FileNotFoundError(
        f"meshes: {folder} does not hold {name}, which {source} names as its object/file"
    )


def matrices(quaternion: np.ndarray, translation: np.ndarray, path: Path) -> np.ndarray:
    """Poses (n, 4, 4) of quaternions and translations.

    Args:
        quaternion: wxyz, (n, 4).
        translation: (n, 3).
        path: of the file that holds them, for the error.
    """
    if (
        quaternion.ndim != 2
        or quaternion.shape[1] != 4
        or translation.shape != (len(quaternion), 3)
    ):
        raise ValueError(
            f"path: {path} should hold quat_wxyz (n, 4) and trans (n, 3), got {quaternion.shape} "
            f"and {translation.shape}"
        )
    quaternion = quaternion.astype(np.float64)
    off = ~(np.abs(np.linalg.norm(quaternion, axis=1) - 1) < 1e-3)
    if off.any():
        raise ValueError(
            f"path: {int(off.sum())} of {len(off)} quaternions of {path} have no unit length; the "
            f"first is number {int(off.argmax())}"
        )
    poses = np.tile(np.eye(4), (len(quaternion), 1, 1))
    poses[:, :3, :3] = quaternion_to_matrix(torch.from_numpy(quaternion)).numpy()
    poses[:, :3, 3] = translation
    return poses


def quaternions(poses: np.ndarray) -> np.ndarray:
    """Rotations of poses as quaternions wxyz, (n, 4) float32.

    Args:
        poses: (n, 4, 4).
    """
    rotation = torch.from_numpy(np.ascontiguousarray(poses[:, :3, :3]))
    return matrix_to_quaternion(rotation).numpy().astype(np.float32)


def _columns(grasps: GraspSet) -> dict[str, np.ndarray]:
    columns = {
        "quat_wxyz": quaternions(grasps.poses),
        "trans": grasps.poses[:, :3, 3].astype(np.float32),
        "judge": np.array(grasps.judge),
    }
    for name, kind in (("success", np.uint8), ("cost", np.float32), ("width", np.float32)):
        if getattr(grasps, name) is not None:
            columns[name] = getattr(grasps, name).astype(kind)
    if grasps.object is not None:
        columns |= {
            "vertices": grasps.object.vertices.astype(np.float32),
            "faces": grasps.object.faces.astype(np.int32),
        }
        if grasps.object.parts:
            columns |= {
                "parts": np.concatenate(grasps.object.parts).astype(np.float32),
                "part_sizes": np.array([len(part) for part in grasps.object.parts], dtype=np.int32),
            }
        columns |= {
            name: np.asarray(value, dtype=np.float64)
            for name in ("mass", "com", "inertia")
            if (value := getattr(grasps.object, name)) is not None
        }
    return columns
