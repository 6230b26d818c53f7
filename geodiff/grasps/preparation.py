"""From meshes, or from nothing, to labelled grasps: candidates on each object, judged in MuJoCo."""

import math
import os
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from geodiff.domains.bodies.antipodal import candidates
from geodiff.domains.bodies.convex import with_parts
from geodiff.domains.bodies.gripper import PAD_DEPTH
from geodiff.domains.bodies.io import (
    MESH_SUFFIXES,
    ObjectWarning,
    read_grasps,
    read_object,
    write_grasps,
)
from geodiff.domains.bodies.objects import make_object, make_objects
from geodiff.domains.bodies.records import GraspedObject, GraspSet
from geodiff.domains.bodies.simulate import Protocol, label
from geodiff.grasps.datasets import LabelledObject, save_procedural
from geodiff.jobs.failures import Failure, write_failures
from geodiff.jobs.pool import Failed, run_each
from geodiff.jobs.resume import check_same_run, folder_for
from manifolds.rotations import rotation_vector_to_matrix

OBJECTS, FAILURES, SETTINGS, PROCEDURAL = (
    "objects",
    "failures.csv",
    "settings.json",
    "procedural.npz",
)
# of the grasps: candidates alone succeed so often that a ranking has little to learn from
DISTURBED = 0.4
# metres and radians a disturbed candidate is off along and about each axis, rms
MOVE, TURN = 0.01, math.radians(10)


@dataclass(frozen=True)
class Settings:
    """What shapes the grasps of a run, as `prepare` takes it; written beside the data."""

    n: int  # grasps of each object
    seed: int  # of objects and grasps
    scale: float  # metres per unit of the mesh files
    disturbed: float  # share of the grasps that are moved and turned
    protocol: Protocol  # how the simulation judges


@dataclass(frozen=True)
class Task:
    """An object to be worked on."""

    name: str  # of the object
    path: Path | None  # of its mesh, absolute; None for a procedural object
    out: Path  # absolute
    settings: Settings  # of the run


@dataclass(frozen=True)
class Counts:
    """What a run of `prepare` made."""

    objects: int  # asked for
    made: int  # in this run
    kept: int  # from runs before
    failed: int  # in this run
    grasps: int  # of all objects that are there
    successes: int  # of these grasps

    def __str__(self) -> str:
        share = (
            f", {100 * self.successes / self.grasps:.0f} % of them succeed" if self.grasps else ""
        )
        return (
            f"{self.objects} objects: {self.made} made, {self.kept} there before, {self.failed} "
            f"failed; {self.grasps} labelled grasps{share}"
        )


def prepare(
    source: str | os.PathLike | None,
    out: str | os.PathLike,
    *,
    n: int = 300,
    procedural: int | None = None,
    seed: int = 0,
    scale: float = 1.0,
    disturbed: float = DISTURBED,
    protocol: Protocol = Protocol(),
    workers: int | None = None,
    time_limit: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Counts:
    """Find and label `n` grasps on each object, one file an object in `out`/objects; a second call
    goes on.

    An error, a crash or a hang costs one object; those that fail are listed with the reason in
    `out`/failures.csv and tried again by the next call. The grasps depend on `seed` and the
    object's name alone. What a mesh lacks (see `read_object`) is said in an `ObjectWarning`. When
    all objects are `procedural`, `out`/procedural.npz holds them in the compact form of
    `save_procedural`.

    Args:
        source: a mesh file or a folder of them (.obj, .stl, .ply; subfolders too); None with
            `procedural`.
        out: a folder.
        n: grasps of each object, at least 1.
        procedural: how many objects that `make_objects` makes, in the place of `source`.
        seed: of objects and grasps.
        scale: metres per unit of the mesh files.
        disturbed: the share of the grasps that are candidates moved by about 1 cm and turned by
            about 10 degrees along and about each axis, for failures of all kinds; below 1.
        protocol: how the simulation judges.
        workers: processes; None takes one for each core.
        time_limit: seconds an object may take; None takes 120 + 5 n.
        progress: called as progress(done, objects) after each.

    Returns:
        What was made.

    Raises:
        ValueError, FileNotFoundError: for wrong arguments, and if `out` holds a run with other
            settings.
    """
    if (source is None) == (procedural is None):
        raise ValueError(
            "source: expected a mesh file, a folder of meshes, or the number of procedural "
            f"objects; give one of them, got {'both' if source is not None else 'none'}"
        )
    for name, value in (("n", n), ("workers", workers), ("procedural", procedural)):
        if value is not None and value < 1:
            raise ValueError(f"{name}: expected at least 1, got {value}")
    if not 0 <= disturbed < 1:
        raise ValueError(f"disturbed: expected a share from 0 to below 1, got {disturbed}")
    paths = (
        _meshes(Path(source))
        if source is not None
        else {item.name: None for item in make_objects(procedural, seed)}
    )
    settings = Settings(n, seed, scale, disturbed, protocol)
    folder = folder_for(Path(out)) / OBJECTS
    folder.mkdir(exist_ok=True)
    files = {name: folder / f"{name}.npz" for name in paths}
    begun = any(folder.glob("*.npz"))
    check_same_run(Path(out, SETTINGS), asdict(settings), begun=begun)
    kept = {name for name, file in files.items() if file.exists()}
    tasks = [
        Task(name, path, files[name].resolve(), settings)
        for name, path in paths.items()
        if name not in kept
    ]
    failures = _label_each(
        tasks,
        workers=workers,
        limit=120.0 + 5.0 * n if time_limit is None else time_limit,
        done=lambda done: progress and progress(len(kept) + done, len(paths)),
    )
    for part in folder.glob("*.part"):  # of processes that were stopped while they wrote
        part.unlink(missing_ok=True)
    places = {name: index for index, name in enumerate(paths)}
    listed = [Failure(places[name], name, failures[name]) for name in sorted(failures)]
    write_failures(Path(out, FAILURES), listed)
    labelled = {
        name: _read_again(file) for name, file in sorted(files.items()) if name not in failures
    }
    if procedural is not None and labelled:
        objects = [LabelledObject(_made(name), grasps) for name, grasps in labelled.items()]
        save_procedural(Path(out, PROCEDURAL), objects)
    return Counts(
        len(paths),
        len(paths) - len(kept) - len(failures),
        len(kept),
        len(failures),
        sum(map(len, labelled.values())),
        sum(int(grasps.success.sum()) for grasps in labelled.values()),
    )


def _label_each(
    tasks: Sequence[Task], *, workers: int | None, limit: float, done: Callable[[int], None]
) -> dict[str, str]:
    """`work` on each task; by name, why some failed. What meshes lack is said as warnings."""
    failures: dict[str, str] = {}
    said: dict[int, list[str]] = {}

    def ended(place: int, outcome: list[str] | Failed) -> None:
        if isinstance(outcome, Failed):
            failures[tasks[place].name] = outcome.reason
        else:
            said[place] = outcome
        done(len(said) + len(failures))

    run_each(work, tasks, workers=workers, limit=limit, done=ended)
    for place in sorted(said):
        for text in said[place]:
            warnings.warn(text, ObjectWarning, stacklevel=3)
    return failures


def _read_again(file: Path) -> GraspSet:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ObjectWarning)  # said when it was made
        return read_grasps(file)


def grasps_on(
    item: GraspedObject, n: int, generator: np.random.Generator, disturbed: float = DISTURBED
) -> GraspSet:
    """Candidates on an object in random order, a share of them `disturb`ed.

    Args:
        item: the object.
        n: how many; fewer where fewer are found.
        generator: of candidates, disturbance and order.
        disturbed: the share.
    """
    off = round(disturbed * n)
    found = candidates(item, n - off, generator)
    moved = disturb(found.poses[generator.integers(len(found), size=off)], generator)
    poses = np.concatenate([found.poses, moved])
    return GraspSet(poses[generator.permutation(len(poses))], item)


def disturb(
    poses: np.ndarray, generator: np.random.Generator, move: float = MOVE, turn: float = TURN
) -> np.ndarray:
    """Poses (n, 4, 4) moved and turned about their pads' middle by normal noise.

    Args:
        poses: (n, 4, 4).
        generator: of the noise.
        move: metres along each axis, root mean square.
        turn: radians about each axis, root mean square.
    """
    shift = move * generator.normal(size=(len(poses), 3))
    turned = rotation_vector_to_matrix(
        torch.from_numpy(turn * generator.normal(size=(len(poses), 3)))
    ).numpy()
    pads = np.array([0.0, 0.0, PAD_DEPTH])
    local = np.tile(np.eye(4), (len(poses), 1, 1))
    local[:, :3, :3] = turned
    local[:, :3, 3] = shift + pads - turned @ pads
    return poses @ local


def work(task: Task) -> list[str]:
    """Make the file of one object, as `prepare` starts it in a process of its own; what the mesh
    lacks.

    Args:
        task: the object, and what is asked of it.
    """
    settings = task.settings
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ObjectWarning)
        item = (
            _made(task.name)
            if task.path is None
            else read_object(task.path, scale=settings.scale, name=task.name)
        )
        item = with_parts(item)
        generator = np.random.default_rng([settings.seed, zlib.crc32(task.name.encode())])
        grasps = grasps_on(item, settings.n, generator, settings.disturbed)
        write_grasps(task.out, label(grasps, settings.protocol))
    return [str(w.message) for w in caught if issubclass(w.category, ObjectWarning)]


def _made(name: str) -> GraspedObject:
    kind, _, seed = name.rpartition("_")
    return make_object(kind, int(seed))


def _meshes(source: Path) -> dict[str, Path]:
    """Mesh files by the name of their object, which for one in a subfolder begins with the
    folder's.
    """
    if source.is_file():
        return {source.stem: source.resolve()}
    if not source.is_dir():
        raise FileNotFoundError(f"source: {source} does not exist")
    found: dict[str, Path] = {}
    for path in sorted(source.rglob("*")):
        if path.suffix.lower() not in MESH_SUFFIXES or not path.is_file():
            continue
        name = "_".join(path.relative_to(source).with_suffix("").parts)
        if name in found:
            raise ValueError(
                f"source: {found[name]} and {path} would both be called {name}; rename one"
            )
        found[name] = path.resolve()
    if not found:
        raise ValueError(f"source: {source} holds no meshes ({', '.join(MESH_SUFFIXES)})")
    return found
