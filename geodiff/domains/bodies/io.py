"""The border between files of meshes, point clouds and grasps and the rest of the grasp task.

Inside, all lengths are metres. What a file holds is checked once, here; what was dropped is said in
a warning.
"""

import os
import warnings
import zipfile
from pathlib import Path

import numpy as np
import torch

from geodiff.domains.bodies import hdf5
from geodiff.domains.bodies.hdf5 import split_parts
from geodiff.domains.bodies.records import GraspedObject, GraspSet
from geodiff.domains.bodies.surface import face_normals, is_watertight, mass_properties
from geodiff.files import replacing
from manifolds.rotations import matrix_to_quaternion, quaternion_to_matrix

MESH_SUFFIXES = (".obj", ".stl", ".ply")
CLOUD_SUFFIXES = (".npy", ".npz", ".ply", ".xyz", ".txt")
GRASP_SUFFIXES = (".h5", ".hdf5", ".npz")
MIN_POINTS = 16  # fewer do not show a shape
# metres, largest side of the bounding box: outside, units are surely others
EXTENT_REFUSED = 0.002, 5.0
EXTENT_WARNED = 0.01, 1.0  # outside, a gripper of 8 cm has little to do
_UNITS = (("millimetres", 0.001), ("centimetres", 0.01), ("inches", 0.0254))
_CLOUD_KEYS = ("points", "xyz", "pc", "cloud", "vertices")


class ObjectWarning(UserWarning):
    """Something about a mesh or a cloud that does not stop the work but may spoil it; the text says
    what.
    """


def read_object(
    path: str | os.PathLike, *, scale: float = 1.0, name: str | None = None
) -> GraspedObject:
    """The object of a mesh file, all its bodies as one mesh, in metres and in the frame of the
    file.

    path: .obj, .stl (both kinds) or .ply with faces; also .npz with `vertices` and `faces`.
    scale: metres per unit of the file. name: default, the file name without its ending. Vertices at
    one place become one; faces without an area are dropped with an `ObjectWarning`, and so are, in
    words only, a mesh that is not watertight and a size that is odd for a gripper of 8 cm.
    Raises FileNotFoundError; ValueError for a file that is empty, cut off or of another kind,
    vertices that are not finite, or a size that cannot be metres (with the factor to try);
    ModuleNotFoundError without trimesh.
    """
    path = _existing(path)
    if path.suffix.lower() == ".npz":
        file = read_arrays(path)
        vertices, faces = _array(file, "vertices", path), _array(file, "faces", path)
    else:
        if path.suffix.lower() not in MESH_SUFFIXES:
            raise ValueError(
                f"path: expected a mesh ({', '.join(MESH_SUFFIXES)}, .npz), got {path}"
            )
        vertices, faces = _load_mesh(path)
        if not len(faces):
            raise ValueError(
                f"path: {path} holds {len(vertices)} points and no faces; it is no mesh, or the "
                "file is cut off. For a point cloud use read_points"
            )
    return _object(name or path.stem, vertices, faces, scale, str(path))


def read_points(source: str | os.PathLike | np.ndarray, *, scale: float = 1.0) -> np.ndarray:
    """The points of a cloud, (n, 3) float64, metres.

    source: an array (n, 3), or a file: .npy, .npz (array `points`, `xyz`, `pc`, `cloud` or
      `vertices`, or the only one), .ply, .xyz or .txt (three numbers a line). scale: metres per
      unit of the source. Points that are not finite, as depth cameras give them, are dropped with
      an `ObjectWarning`.
    Raises ValueError for fewer than `MIN_POINTS` points, points that are all at one place, and as
    `read_object`.
    """
    if isinstance(source, str | os.PathLike):
        path = _existing(source)
        shown, points = str(path), _load_cloud(path)
    else:
        shown, points = "points", np.asarray(source)
    if points.ndim != 2 or points.shape[1] != 3 or not np.issubdtype(points.dtype, np.number):
        raise ValueError(
            f"{shown}: expected points (n, 3), got {points.dtype} {points.shape}"
            + (
                "; pass [:, :3] for positions without normals or colours"
                if points.ndim == 2 and points.shape[1] > 3
                else ""
            )
        )
    points = points.astype(np.float64) * _positive("scale", scale)
    finite = np.isfinite(points).all(1)
    if finite.sum() < MIN_POINTS:
        raise ValueError(
            f"{shown}: expected at least {MIN_POINTS} finite points, got {int(finite.sum())} "
            f"of {len(points)}"
        )
    if not finite.all():
        _warn(
            f"{shown}: dropped {int((~finite).sum())} of {len(points)} points that are not finite"
        )
    points = points[finite]
    _check_extent(points, shown, "points")
    return points


def read_grasps(path: str | os.PathLike, *, meshes: str | os.PathLike | None = None) -> GraspSet:
    """The grasps of a file, with their object where the file holds it or `meshes` does.

    path: HDF5 (.h5, .hdf5) in ACRONYM's layout or as `write_grasps` makes it; or .npz with
      `quat_wxyz` (n, 4) and `trans` (n, 3), and where known `success`, `cost`, `width`, `vertices`,
      `faces`, `mass`, `com`, and convex `parts` (vertices of one after the other) with
      `part_sizes`.
    meshes: the folder in which ACRONYM's `object/file` is found; the mesh is multiplied by
    `object/scale`.
    Raises ValueError, by name, for missing keys, shapes that do not fit, poses that are not rigid
    motions, links out of the file and files that are cut off.
    """
    path = _existing(path)
    kind = path.suffix.lower()
    if kind in (".h5", ".hdf5"):
        grasps, mesh = hdf5.read(path)
        if mesh is None or (meshes is None and mesh.vertices is None):
            return grasps
        known = {"mass": mesh.mass, "com": mesh.com}
        if mesh.vertices is not None:
            known["parts"] = mesh.parts
            item = _object(mesh.name, mesh.vertices, mesh.faces, 1.0, str(path), **known)
        else:
            vertices, faces = _load_mesh(_mesh_file(Path(meshes), mesh.file, path))
            item = _object(
                mesh.name, vertices, faces, mesh.scale, f"{mesh.file} of {path}", **known
            )
    elif kind == ".npz":
        file = read_arrays(path)
        poses = matrices(_array(file, "quat_wxyz", path), _array(file, "trans", path), path)
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
                solid["parts"] = split_parts(file["parts"], _array(file, "part_sizes", path), path)
            item = _object(
                path.stem, file["vertices"], _array(file, "faces", path), 1.0, str(path), **solid
            )
        grasps = _named(path, GraspSet, poses, None, judge=judge, **known)
    else:
        raise ValueError(f"path: expected grasps ({', '.join(GRASP_SUFFIXES)}), got {path}")
    known = {name: getattr(grasps, name) for name in ("success", "cost", "width", "judge")}
    return GraspSet(grasps.poses, item, **known)


def write_grasps(path: str | os.PathLike, grasps: GraspSet) -> Path:
    """Write grasps and their object as .h5 (ACRONYM's layout) or compact .npz; the file appears
    whole or not at all.

    .npz holds single precision: rotations return to 1e-6, translations to 1e-8 m. Returns `path`.
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


# ---- meshes ----


def _load_mesh(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of all bodies of a mesh file; no faces for a point cloud."""
    try:
        import trimesh
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "reading meshes needs trimesh: pip install 'geodiff[grasp]'"
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


def _object(
    name: str, vertices: np.ndarray, faces: np.ndarray, scale: float, shown: str, **known
) -> GraspedObject:
    """A checked object: one vertex a place, no face without area, a size that can be metres."""
    item = _named(shown, GraspedObject, name, vertices * _positive("scale", scale), faces, **known)
    used = np.unique(item.faces)
    places, index = np.unique(item.vertices[used], axis=0, return_inverse=True)
    place = np.zeros(len(item.vertices), dtype=np.int64)
    place[used] = index.reshape(-1)
    faces = place[item.faces]
    _check_extent(places, shown, "mesh")
    flat = face_normals(places, faces)[1] == 0
    if flat.all():
        raise ValueError(f"{shown}: none of the {len(flat)} faces has an area")
    if flat.any():
        _warn(f"{shown}: dropped {int(flat.sum())} of {len(flat)} faces that have no area")
    faces = faces[~flat]
    inertia = None
    if is_watertight(faces):
        volume, _, unit = _named(shown, mass_properties, places, faces)
        if volume < 0:
            _warn(f"{shown}: the faces look inwards; they were turned round")
            volume, unit, faces = -volume, -unit, faces[:, ::-1]
        inertia = None if known.get("mass") is None else unit * (known["mass"] / volume)
    else:
        _warn(
            f"{shown}: the mesh is not watertight; inside and outside are guesses where it has "
            "holes. Repair it, or expect wrong collisions and grasps on its edges"
        )
    return GraspedObject(name, places, faces, inertia=inertia, **known)


def _check_extent(points: np.ndarray, shown: str, noun: str) -> None:
    extent = float(np.ptp(points, axis=0).max())
    low, high = EXTENT_REFUSED
    if extent == 0:
        raise ValueError(f"{shown}: all {len(points)} points of the {noun} are at one place")
    hints = [
        f"scale={factor:g} if they are {unit}"
        for unit, factor in _UNITS
        if EXTENT_WARNED[0] <= extent * factor <= EXTENT_WARNED[1]
    ]
    way = (
        "pass " + " or ".join(hints)
        if hints
        else f"pass scale={0.1 / extent:.1e} for an object of 10 cm"
    )
    if not low <= extent <= high:
        raise ValueError(
            f"{shown}: the {noun} is {extent:.3g} units large, and metres cannot be meant "
            f"({low:g} to {high:g} are taken); {way}"
        )
    if not EXTENT_WARNED[0] <= extent <= EXTENT_WARNED[1]:
        _warn(
            f"{shown}: the {noun} is {extent:.3g} m large, odd for a gripper of 8 cm. If these "
            f"are not metres, {way}"
        )


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


# ---- clouds ----


def _load_cloud(path: Path) -> np.ndarray:
    kind = path.suffix.lower()
    if kind == ".ply":
        return _load_mesh(path)[0]
    if kind == ".npz":
        file = read_arrays(path)
        names = [key for key in _CLOUD_KEYS if key in file] or list(file)
        if len(names) != 1 and not set(names) & set(_CLOUD_KEYS):
            raise ValueError(
                f"path: {path} has no array named {' or '.join(_CLOUD_KEYS)}; it has "
                f"{', '.join(names) or 'none'}"
            )
        return file[names[0]]
    if kind not in CLOUD_SUFFIXES:
        raise ValueError(
            f"path: expected points ({', '.join(CLOUD_SUFFIXES)}), got {path}; "
            "read_object reads meshes"
        )
    if path.stat().st_size == 0:
        raise ValueError(f"path: {path} is empty")
    try:
        return np.load(path, allow_pickle=False) if kind == ".npy" else np.loadtxt(path, ndmin=2)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(
            f"path: {path} cannot be read as {kind[1:]}; it is cut off or of another kind ({error})"
        ) from error


# ---- npz ----


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz; whatever its reading raises becomes a ValueError that names the
    file.
    """
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (
        ValueError,
        TypeError,
        EOFError,
        OSError,
        KeyError,
        AttributeError,
        zipfile.BadZipFile,
    ) as error:
        raise ValueError(
            f"path: {path} cannot be read as npz; it is cut off or of another kind ({error})"
        ) from error


def _array(file: dict[str, np.ndarray], key: str, path: Path) -> np.ndarray:
    if key not in file:
        raise ValueError(f"path: {path} has no array {key!r}; it has {', '.join(file) or 'none'}")
    return file[key]


def matrices(quaternion: np.ndarray, translation: np.ndarray, path: Path) -> np.ndarray:
    """Poses (n, 4, 4) of quaternions wxyz (n, 4) and translations (n, 3), which `path` holds."""
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
    """Rotations of poses (n, 4, 4) as quaternions wxyz, (n, 4) float32."""
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


# ---- small checks ----


def _existing(path: str | os.PathLike) -> Path:
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"path: {path} is a folder; give a file in it")
    if not path.is_file():
        raise FileNotFoundError(f"path: {path} does not exist")
    return path


def _positive(name: str, value: float) -> float:
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"{name}: expected a positive number, got {value}")
    return float(value)


def _named(shown, make, *arguments, **known):
    """What `make` makes; its ValueError names the file."""
    try:
        return make(*arguments, **known)
    except ValueError as error:
        raise ValueError(f"{shown}: {error}") from error


def _warn(text: str) -> None:
    warnings.warn(text, ObjectWarning, stacklevel=4)
