"""From meshes, or from nothing, to labelled grasps: candidates on each object, judged in MuJoCo."""

import csv
import json
import math
import os
import sys
import warnings
import zlib
from collections.abc import Callable
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
from geodiff.files import replacing
from geodiff.grasps.data import LabelledObject, save_procedural
from geodiff.jobs.processes import run_each
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
_CHILD = "from geodiff.grasps.preparation import work; work()"


@dataclass(frozen=True)
class Counts:
    """What a run of `prepare` made."""

    objects: int  # asked for
    made: int  # in this run
    kept: int  # from runs before
    failed: int
    grasps: int  # of all objects that are there
    successes: int

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

    source: a mesh file or a folder of them (.obj, .stl, .ply; subfolders too); None with
      `procedural`, the number of objects that `make_objects` makes. scale: metres per unit of the
      mesh files.
    disturbed: the share of the grasps that are candidates moved by about 1 cm and turned by about
      10 degrees along and about each axis, for failures of all kinds. The grasps depend on `seed`
      and the object's name alone.
    workers: processes, default one for each core. time_limit: seconds an object may take, default
    120 + 5 n.
    progress: called as progress(done, objects) after each. Each object is worked on in a process of
    its own, so that an error, a crash or a hang costs one object. Those that fail are listed with
    the reason in `out`/failures.csv and tried again by the next call. What a mesh lacks (see
    `read_object`) is said in an `ObjectWarning`. When all objects are `procedural`,
    `out`/procedural.npz holds them in the compact form of `save_procedural`.
    Raises ValueError, FileNotFoundError for wrong arguments, and if `out` holds a run with other
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
    limit = 120.0 + 5.0 * n if time_limit is None else time_limit
    workers = (os.cpu_count() or 1) if workers is None else workers
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"out: {out} is a file; give a folder")
    if procedural is None:
        tasks = {
            name: {"path": str(path.resolve())} for name, path in _meshes(Path(source)).items()
        }
    else:
        names = [item.name for item in make_objects(procedural, seed)]
        tasks = {name: {"procedural": name} for name in names}
    settings = {
        "n": n,
        "seed": seed,
        "scale": scale,
        "disturbed": disturbed,
        "protocol": asdict(protocol),
    }
    (out / OBJECTS).mkdir(parents=True, exist_ok=True)
    _check_same_run(out / SETTINGS, settings)
    files = {name: out / OBJECTS / f"{name}.npz" for name in tasks}
    kept = {name for name in tasks if files[name].exists()}
    todo = {
        name: {"name": name, "out": str(files[name].resolve()), **settings, **task}
        for name, task in tasks.items()
        if name not in kept
    }
    results, failures = run_each(
        _CHILD,
        todo,
        workers=workers,
        limit=limit,
        done=lambda done: progress and progress(len(kept) + done, len(tasks)),
    )
    for part in (out / OBJECTS).glob("*.part"):  # of processes that were stopped while they wrote
        part.unlink(missing_ok=True)
    for text in (text for result in results.values() for text in result["warnings"]):
        warnings.warn(text, ObjectWarning, stacklevel=2)
    _write_failures(out / FAILURES, failures)
    labelled = []
    for name in tasks.keys() - failures.keys():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ObjectWarning)  # said when it was made
            grasps = read_grasps(files[name])
        labelled.append((name, grasps))
    labelled.sort(key=lambda pair: pair[0])
    if procedural is not None and labelled:
        save_procedural(
            out / PROCEDURAL, [LabelledObject(_made(name), grasps) for name, grasps in labelled]
        )
    return Counts(
        len(tasks),
        len(tasks) - len(kept) - len(failures),
        len(kept),
        len(failures),
        sum(len(g) for _, g in labelled),
        sum(int(g.success.sum()) for _, g in labelled),
    )


def grasps_on(
    item: GraspedObject, n: int, generator: np.random.Generator, disturbed: float = DISTURBED
) -> GraspSet:
    """`n` candidates on `item` in random order, a share of them `disturb`ed; fewer where fewer are
    found.
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

    move: metres along each axis, turn: radians about each axis, both root mean square.
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


def work() -> None:
    """Do one task, as `prepare` starts it in a process of its own: read it from standard input,
    write what it says.
    """
    task = json.load(sys.stdin)
    result: dict = {"warnings": []}
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ObjectWarning)
            item = (
                _made(task["procedural"])
                if "procedural" in task
                else read_object(task["path"], scale=task["scale"], name=task["name"])
            )
            item = with_parts(item)
            generator = np.random.default_rng([task["seed"], zlib.crc32(task["name"].encode())])
            grasps = grasps_on(item, task["n"], generator, task["disturbed"])
            write_grasps(task["out"], label(grasps, Protocol(**task["protocol"])))
        result["warnings"] = [
            str(w.message) for w in caught if issubclass(w.category, ObjectWarning)
        ]
    except Exception as error:  # the parent process reports it, whatever it is
        result["error"] = str(error) or type(error).__name__
    Path(task["result"]).write_text(json.dumps(result))


def _made(name: str) -> GraspedObject:
    kind, _, seed = name.rpartition("_")
    return make_object(kind, int(seed))


def _meshes(source: Path) -> dict[str, Path]:
    """Mesh files by the name of their object, which for one in a subfolder begins with the
    folder's.
    """
    if source.is_file():
        return {source.stem: source}
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
        found[name] = path
    if not found:
        raise ValueError(f"source: {source} holds no meshes ({', '.join(MESH_SUFFIXES)})")
    return found


def _check_same_run(path: Path, settings: dict) -> None:
    settings = json.loads(json.dumps(settings))
    # a run that made nothing binds nobody
    if path.exists() and any((path.parent / OBJECTS).glob("*.npz")):
        there = json.loads(path.read_text())
        if there != settings:
            other = sorted(
                key for key in settings.keys() | there.keys() if settings.get(key) != there.get(key)
            )
            raise ValueError(
                f"out: {path.parent} holds a run with another {' and '.join(other)} (see "
                f"{path.name}); go on with the same, or choose another folder"
            )
    with replacing(path) as part:
        part.write_text(json.dumps(settings, indent=1) + "\n")


def _write_failures(path: Path, failures: dict[str, str]) -> None:
    if not failures:
        path.unlink(missing_ok=True)
        return
    with replacing(path) as part, open(part, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("name", "reason"))
        writer.writerows(sorted(failures.items()))
