"""Grasps of an object: noise, the field, poses in metres, the energy's order."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geodiff.domains.bodies.io import (
    GRASP_SUFFIXES,
    read_arrays,
    read_grasps,
    read_object,
    read_points,
    write_grasps,
)
from geodiff.domains.bodies.records import GraspedObject, GraspSet
from geodiff.domains.bodies.surface import sample_surface
from geodiff.grasps.energy import CostField, Known
from geodiff.grasps.model import DEFAULT_MODEL, to_metres
from geodiff.process import sampling
from geodiff.process.field import Field
from geodiff.process.randomness import Noise
from geodiff.training.models import trained
from manifolds import SE3

STEPS = 16
POINTS = 1024  # of a mesh's surface
_BATCH = 256  # poses at a time

Source = GraspedObject | np.ndarray | Tensor | str | os.PathLike


def sample(
    source: Source,
    n: int = 200,
    *,
    seed: int = 0,
    model: Field | str | Path | None = None,
    steps: int = STEPS,
    batch_size: int | None = None,
    device: str | torch.device = "auto",
) -> GraspSet:
    """`n` grasps, best first: a `GraspSet` with `poses` (n, 4, 4), the gripper in the object frame,
    metres, and `cost`.

    Before they are put in order of cost, grasp i depends on the points, `seed` and i only.

    Args:
        source: an object, points of its surface (m, 3) in metres, or a file of a mesh or of points.
        n: grasps to make.
        seed: the same seed makes the same grasps.
        model: a field, a path, or a shipped name; None takes the shipped default.
        steps: network evaluations a grasp.
        batch_size: grasps made at once; None takes 256.
        device: "auto", "cpu", "cuda", "cuda:1"; "auto" leaves a field where it is.

    Raises: ValueError as `read_object` and `read_points`, and for n or batch_size < 1.
    """
    if n < 1:
        raise ValueError(f"n: expected at least 1, got {n}")
    at_once = _BATCH if batch_size is None else batch_size
    if at_once < 1:
        raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
    field = trained(model, "grasps", DEFAULT_MODEL, device=device)
    item, points = read_source(source)
    cost = CostField(field)
    known = cost.encode(points)
    poses, costs = [], []
    for first in range(0, n, at_once):
        generator = Noise(seed, samples=range(first, min(n, first + at_once)))
        some = draw(field, known, len(generator.samples), generator=generator, steps=steps)
        poses.append(some)
        with torch.no_grad():
            costs.append(cost(some, known))
    poses, costs = torch.cat(poses), torch.cat(costs)
    order = costs.argsort(stable=True)
    return GraspSet(poses[order].cpu().numpy(), item, cost=costs[order].cpu().numpy())


def draw(
    field: Field, known: Known, n: int | Tensor, *, generator: Any = None, steps: int = STEPS
) -> Tensor:
    """Gripper poses on an encoded object, (n, 4, 4) float64, metres.

    Args:
        field: of grasps.
        known: the object.
        n: how many; or a tensor, the noise that flows to them: draws of the field's base, (n, 4,
            4), network coordinates.
        generator: a torch.Generator, a `Noise`, or None for torch's own.
        steps: network evaluations a grasp.
    """
    x = sampling.sample(field, n, steps=steps, condition=known.encoding, generator=generator)
    # In double precision: the rotations are then orthonormal to what files are checked for.
    return to_metres(SE3().project(x.double()), known.centre.double())


def sample_file(
    source: str | os.PathLike,
    out: str | os.PathLike,
    n: int = 200,
    *,
    seed: int = 0,
    scale: float = 1.0,
    model: Field | str | Path | None = None,
    steps: int = STEPS,
    batch_size: int | None = None,
    device: str | torch.device = "auto",
) -> tuple[GraspSet, GraspedObject | np.ndarray]:
    """`sample` for a file, written to `out` (.h5, .hdf5 or .npz) with cost and mesh, if the source
    has one.

    Args:
        source: a file of a mesh or of points.
        out: the file.
        n: grasps to make.
        seed: the same seed makes the same grasps.
        scale: metres per unit of the source.
        model: a field, a path, or a shipped name; None takes the shipped default.
        steps: network evaluations a grasp.
        batch_size: grasps made at once; None takes 256.
        device: "auto", "cpu", "cuda", "cuda:1"; "auto" leaves a field where it is.

    Returns: the grasps, and the object or points they are for.
    """
    out = Path(out)
    if out.suffix.lower() not in GRASP_SUFFIXES:
        raise ValueError(f"out: expected a file ending in {', '.join(GRASP_SUFFIXES)}, got {out}")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"out: folder {out.parent} does not exist; create it first")
    thing = read_thing(source, scale=scale)
    grasps = sample(
        thing, n, seed=seed, model=model, steps=steps, batch_size=batch_size, device=device
    )
    write_grasps(out, grasps)
    return grasps, thing


def read_source(source: Source, points: int = POINTS) -> tuple[GraspedObject | None, np.ndarray]:
    """The object, where the source has its mesh, and points of its surface, (m, 3), metres.

    Args:
        source: as `sample` takes it.
        points: how many to take of a mesh.
    """
    if isinstance(source, str | os.PathLike):
        source = read_thing(source)
    if isinstance(source, GraspedObject):
        return source, sample_surface(
            source.vertices, source.faces, points, np.random.default_rng(0)
        )[0]
    return None, read_points(
        source.detach().cpu().numpy() if isinstance(source, Tensor) else source
    )


def read_thing(path: str | os.PathLike, *, scale: float = 1.0) -> GraspedObject | np.ndarray:
    """The object of a file if it holds a mesh, else its points, (m, 3). Files of grasps give the
    object they carry.

    Args:
        path: of the file.
        scale: metres per unit of the file.

    Raises: ValueError for grasps without a mesh, and as `read_object` and `read_points`.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind in (".h5", ".hdf5"):
        item = read_grasps(path).object
        if item is None:
            raise ValueError(
                f"path: {path} holds grasps without a mesh; give a mesh or a cloud of points"
            )
        return item
    if kind in (".obj", ".stl"):
        return read_object(path, scale=scale)
    if (kind == ".npz" and path.is_file() and "faces" in read_arrays(path)) or (
        kind == ".ply" and _has_faces(path)
    ):
        return read_object(path, scale=scale)
    return read_points(path, scale=scale)


def _has_faces(path: Path) -> bool:
    """Whether the head of a .ply announces faces; the rest is for its reader to judge."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        head = file.read(1 << 16).split(b"end_header")[0]
    return any(
        line.split()[:2] == [b"element", b"face"] and line.split()[2:] not in ([], [b"0"])
        for line in head.splitlines()
    )
