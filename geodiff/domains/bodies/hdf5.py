"""Grasp files in ACRONYM's HDF5 layout (Eppner, Mousavian and Fox 2021), read and written.

Read: `grasps/transforms` (n, 4, 4), `grasps/qualities/<judge>/object_in_gripper` (n,),
`object/file`, `object/scale`, `object/mass`, `object/com`. Files written here add
`object/vertices`, `object/faces` (metres), `object/parts` with `object/part_sizes` (vertices of the
convex pieces, one after the other), `grasps/cost` and `grasps/width`. Nothing outside the file is
followed. `object/inertia` is not read: ACRONYM's two published examples hold it with the sign of
every off-diagonal entry turned.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geodiff.domains.bodies.records import GraspedObject, GraspSet, check_poses

MAX_GRASPS = 5_000_000  # a header may claim any number; 5 million poses are 640 MB
_MAX_NUMBERS = 100_000_000


@dataclass(frozen=True)
class StoredObject:
    """What a file says of its object: a mesh in the file, or the name and scale of one outside."""

    name: str  # the stem of `file`
    file: str  # where the mesh is, as the file says
    scale: float  # metres per unit of `file`
    vertices: np.ndarray | None  # (V, 3), metres; None: the mesh is outside
    faces: np.ndarray | None  # (F, 3)
    mass: float | None  # kg
    com: np.ndarray | None  # (3,), centre of mass
    parts: tuple[np.ndarray, ...]  # convex pieces, vertices (k, 3) metres; () = unknown


def read(path: Path) -> tuple[GraspSet, StoredObject | None]:
    """Poses and labels of an HDF5 file, and what it says of the object; None if it says nothing.

    Args:
        path: of the file.

    Raises: ValueError that names the file and the key: missing, of another shape, linked outside,
        not rigid.
    """
    h5py = _h5py()
    try:
        with h5py.File(path, "r") as file:
            return _grasps(file, path), _stored(file, path)
    except OSError as error:
        raise ValueError(
            f"path: {path} cannot be read as HDF5; it is cut off or of another kind ({error})"
        ) from error


def write(path: Path, grasps: GraspSet) -> None:
    """Write grasps to a new file; `geodiff.domains.bodies.io.write_grasps` makes this atomic.

    Args:
        path: of the file.
        grasps: what to write, the object included.
    """
    with _h5py().File(path, "w") as file:
        file["grasps/transforms"] = grasps.poses
        for name in ("cost", "width"):
            if getattr(grasps, name) is not None:
                file[f"grasps/{name}"] = getattr(grasps, name)
        if grasps.success is not None:
            file[f"grasps/qualities/{grasps.judge or 'unknown'}/object_in_gripper"] = (
                grasps.success.astype(np.int64)
            )
        file["gripper/type"] = "panda"
        if grasps.object is not None:
            _write_object(file, grasps.object)


def _write_object(file, item: GraspedObject) -> None:
    file["object/file"] = item.name
    file["object/scale"] = 1.0
    file["object/vertices"] = item.vertices
    file["object/faces"] = item.faces
    if item.parts:
        file["object/parts"] = np.concatenate(item.parts)
        file["object/part_sizes"] = [len(part) for part in item.parts]
    for name in ("mass", "com", "inertia"):
        if getattr(item, name) is not None:
            file[f"object/{name}"] = getattr(item, name)


def _grasps(file, path: Path) -> GraspSet:
    poses = _numbers(file, "grasps/transforms", path, (None, 4, 4))
    wrong = check_poses(poses)
    if wrong is not None:
        raise ValueError(f"path: grasps/transforms of {path}: {wrong}")
    known = {
        name: _numbers(file, f"grasps/{name}", path, (len(poses),))
        for name in ("cost", "width")
        if _has(file, f"grasps/{name}", path)
    }
    judge, success = "", None
    if _has(file, "grasps/qualities", path):
        judges = list(_node(file, "grasps/qualities", path))
        judges = [
            j
            for j in sorted(judges, key=lambda j: (j != "flex", j))
            if _has(file, f"grasps/qualities/{j}/object_in_gripper", path)
        ]
        if not judges:
            raise ValueError(
                f"path: {path} has no grasps/qualities/flex/object_in_gripper; it is not in "
                "ACRONYM's layout"
            )
        judge = judges[0]
        success = (
            _numbers(file, f"grasps/qualities/{judge}/object_in_gripper", path, (len(poses),)) > 0.5
        )
    return GraspSet(poses, None, success, judge="" if judge == "unknown" else judge, **known)


def _stored(file, path: Path) -> StoredObject | None:
    if not _has(file, "object", path):
        return None
    name = _text(file, "object/file", path)
    arrays = {
        key: _numbers(file, f"object/{key}", path, shape)
        if _has(file, f"object/{key}", path)
        else None
        for key, shape in (
            ("vertices", (None, 3)),
            ("faces", (None, 3)),
            ("mass", ()),
            ("com", (3,)),
            ("parts", (None, 3)),
        )
    }
    if arrays["vertices"] is not None and arrays["faces"] is None:
        raise ValueError(f"path: {path} has object/vertices without object/faces")
    if arrays["faces"] is not None:
        arrays["faces"] = arrays["faces"].astype(np.int64)
    arrays["parts"] = (
        ()
        if arrays["parts"] is None
        else split_parts(arrays["parts"], _numbers(file, "object/part_sizes", path, (None,)), path)
    )
    if arrays["mass"] is not None:
        arrays["mass"] = float(arrays["mass"])
    scale = float(_numbers(file, "object/scale", path, ()))
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"path: object/scale of {path} should be a positive number, got {scale}")
    return StoredObject(Path(name).stem, name, scale, **arrays)


def split_parts(vertices: np.ndarray, sizes: np.ndarray, path: Path) -> tuple[np.ndarray, ...]:
    """Convex pieces that stand in a file one after the other.

    Args:
        vertices: of all pieces, (k, 3).
        sizes: vertices of each piece.
        path: of the file, for the error.

    Raises: ValueError if the sizes do not add up to k or a vertex is not finite.
    """
    sizes = np.asarray(sizes)
    if (
        vertices.ndim != 2
        or vertices.shape[1] != 3
        or sizes.ndim != 1
        or not np.isfinite(vertices).all()
        or (sizes < 1).any()
        or sizes.sum() != len(vertices)
    ):
        raise ValueError(
            f"path: parts of {path} should hold finite vertices (k, 3) and part_sizes that add up "
            f"to k, got {vertices.shape} and {sizes.tolist()[:8]}"
        )
    return tuple(np.split(vertices.astype(np.float64), np.cumsum(sizes.astype(np.int64))[:-1]))


def _node(file, key: str, path: Path):
    """The group or dataset at `key`, every step of the way inside the file."""
    h5py, node, walked = _h5py(), file, ""
    for step in key.split("/"):
        walked = f"{walked}/{step}".lstrip("/")
        link = node.get(step, getlink=True) if isinstance(node, h5py.Group) else None
        if link is None:
            has = (
                f"it has {', '.join(node)}"
                if isinstance(node, h5py.Group) and len(node)
                else "nothing is there"
            )
            raise ValueError(f"path: {path} has no {key}; {has} where {step!r} should be")
        if not isinstance(link, h5py.HardLink):
            target = getattr(link, "filename", "") or link.path
            raise ValueError(
                f"path: {walked} of {path} is a link to {target}; links are not followed. Copy "
                "the data into the file"
            )
        node = node[step]
    return node


def _has(file, key: str, path: Path) -> bool:
    """Whether `key` is there; a link counts, so that reading it can refuse it."""
    h5py, node = _h5py(), file
    for step in key.split("/"):
        if not isinstance(node, h5py.Group) or node.get(step, getlink=True) is None:
            return False
        if not isinstance(node.get(step, getlink=True), h5py.HardLink):
            return True
        node = node[step]
    return True


def _numbers(file, key: str, path: Path, shape: tuple[int | None, ...]) -> np.ndarray:
    dataset = _dataset(file, key, path)
    fits = len(dataset.shape) == len(shape) and all(
        b is None or a == b for a, b in zip(dataset.shape, shape)
    )
    if not fits or dataset.dtype.kind not in "fiub":
        wanted = ", ".join("n" if side is None else str(side) for side in shape)
        raise ValueError(
            f"path: {key} of {path} should hold numbers ({wanted}), got {dataset.dtype} "
            f"{dataset.shape}"
        )
    if (shape == (None, 4, 4) and len(dataset) > MAX_GRASPS) or dataset.size > _MAX_NUMBERS:
        raise ValueError(
            f"path: {key} of {path} claims {len(dataset)} rows, more than can be meant"
        )
    return np.asarray(dataset[()], dtype=np.float64)


def _text(file, key: str, path: Path) -> str:
    value = _dataset(file, key, path)[()]
    if not isinstance(value, bytes | str):
        raise ValueError(f"path: {key} of {path} should hold text, got {type(value).__name__}")
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _dataset(file, key: str, path: Path):
    node = _node(file, key, path)
    if not isinstance(node, _h5py().Dataset):
        raise ValueError(f"path: {key} of {path} should be a dataset, got a group")
    if node.external or node.is_virtual:
        raise ValueError(
            f"path: {key} of {path} keeps its data in another file, which is not followed. Copy "
            "the data into the file"
        )
    return node


def _h5py():
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "reading HDF5 needs h5py: pip install 'geodiff-manifolds[grasp]'"
        ) from error
    return h5py
