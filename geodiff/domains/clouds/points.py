"""Clouds of points from arrays and files."""

import os
from pathlib import Path

import numpy as np

from geodiff.domains.bodies.checks import check_extent, existing, positive, read_arrays, warn
from geodiff.domains.bodies.meshes import load_mesh

CLOUD_SUFFIXES = (".npy", ".npz", ".ply", ".xyz", ".txt")
MIN_POINTS = 16  # fewer do not show a shape
_CLOUD_KEYS = ("points", "xyz", "pc", "cloud", "vertices")


def read_points(source: str | os.PathLike | np.ndarray, *, scale: float = 1.0) -> np.ndarray:
    """The points of a cloud, (n, 3) float64, metres.

    Points that are not finite, as depth cameras give them, are dropped with an `ObjectWarning`.

    Args:
        source: an array (n, 3), or a file: .npy, .npz (array `points`, `xyz`, `pc`, `cloud` or
            `vertices`, or the only one), .ply, .xyz or .txt (three numbers a line).
        scale: metres per unit of the source.

    Raises: ValueError for fewer than `MIN_POINTS` points, points that are all at one place, and as
        `read_object`.
    """
    if isinstance(source, str | os.PathLike):
        path = existing(source)
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
    points = points.astype(np.float64) * positive("scale", scale)
    finite = np.isfinite(points).all(1)
    if finite.sum() < MIN_POINTS:
        raise ValueError(
            f"{shown}: expected at least {MIN_POINTS} finite points, got {int(finite.sum())} "
            f"of {len(points)}"
        )
    if not finite.all():
        warn(f"{shown}: dropped {int((~finite).sum())} of {len(points)} points that are not finite")
    points = points[finite]
    check_extent(points, shown, "points")
    return points


def _load_cloud(path: Path) -> np.ndarray:
    kind = path.suffix.lower()
    if kind == ".ply":
        return load_mesh(path)[0]
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
