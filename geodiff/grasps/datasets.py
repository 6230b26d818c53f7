"""Labelled grasps to train on: the shipped procedural set, what `prepare` made, or the user's own
ACRONYM files.
"""

import hashlib
import os
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from geodiff.domains.bodies.io import (
    GRASP_SUFFIXES,
    ObjectWarning,
    matrices,
    quaternions,
    read_arrays,
    read_grasps,
)
from geodiff.domains.bodies.objects import make_object
from geodiff.domains.bodies.rays import partial_cloud, random_camera
from geodiff.domains.bodies.records import GraspedObject, GraspSet
from geodiff.domains.bodies.surface import sample_surface
from geodiff.files import replacing
from geodiff.grasps.cloud import ANCHORS, Cloud, describe
from geodiff.grasps.model import to_network
from geodiff.paths import data_path
from geodiff.training.batch import TrainingBatch
from geodiff.training.datamodule import TaskData
from geodiff.training.epochs import repeated

HELD_OUT = 0.1  # of the objects
GRASPS = 24  # of one object in a training item, half as many labelled ones beside
POINTS = 1024  # of a cloud
EPOCH = 800  # objects in an epoch, at least: validation, once an epoch, stays a small part
# clouds of each object that are kept: of the whole surface, and as a depth camera sees it
VIEWS = 6, 2
# relative difference of mass at which an object made anew is no longer the one that was labelled
_SAME = 1e-4


@dataclass(frozen=True, eq=False)
class LabelledObject:
    """An object and grasps on it of which success is known."""

    item: GraspedObject  # with its mesh
    grasps: GraspSet  # with labels

    def __post_init__(self):
        if self.grasps.success is None:
            raise ValueError(
                f"{self.item.name}: its grasps have no labels; `geodiff prepare grasps` makes them"
            )

    def cloud(self, n: int = 1024, generator: np.random.Generator | None = None) -> np.ndarray:
        """Points spread evenly over the surface, (n, 3), object frame, metres.

        Args:
            n: how many.
            generator: None for seed 0.
        """
        generator = np.random.default_rng(0) if generator is None else generator
        return sample_surface(self.item.vertices, self.item.faces, n, generator)[0]


def read_training_data(
    path: str | os.PathLike | None = None,
    *,
    meshes: str | os.PathLike | None = None,
    held_out: float | Collection[str] | os.PathLike | None = None,
) -> tuple[list[LabelledObject], list[LabelledObject]]:
    """Objects to train on and objects held out, no object in both.

    Files that cannot be read, or without labels or mesh, are left out with one `ObjectWarning` that
    names them.

    Args:
        path: None for the shipped procedural objects; a folder that `prepare` made; a folder of
            ACRONYM's .h5 files or of the .npz form of `read_grasps`, itself or in its subfolder
            `objects` or `grasps`; or one file that `save_procedural` wrote.
        meshes: the folder in which ACRONYM's `object/file` is found; default, `path`.
        held_out: their names (of their files, without ending), or a text file with a name a line,
            or their share (None: a tenth), taken from the kinds in turn (the word before the first
            _ of the name). Of a share, sizes of one mesh, as ACRONYM names them
            (Mug_<mesh>_<scale>), stay on one side, and the same files are always split alike.

    Raises: ValueError if fewer than two objects are left; FileNotFoundError.
    """
    if held_out is None:
        held_out = HELD_OUT
    elif isinstance(held_out, os.PathLike):
        lines = Path(held_out).read_text(encoding="utf-8").splitlines()
        held_out = [line.strip() for line in lines if line.strip()]
    if isinstance(held_out, str) or (not isinstance(held_out, Collection) and not 0 < held_out < 1):
        raise ValueError(f"held_out: expected names or a share between 0 and 1, got {held_out!r}")
    if isinstance(held_out, Collection) and not held_out:
        raise ValueError("held_out: expected names of objects, one a line in a file, got none")
    path = data_path("grasps", "procedural.npz") if path is None else Path(path)
    found: list[tuple[str, LabelledObject]] = []
    bad: list[str] = []
    for file in _files(path):
        try:
            found += _labelled(file, path if meshes is None else Path(meshes))
        except (ValueError, FileNotFoundError) as error:
            bad.append(f"{file.name} ({error})")
    if len(found) < 2:
        raise ValueError(
            f"path: expected labelled grasps of at least two objects at {path}, found {len(found)}"
            + (f"; {len(bad)} files were left out, the first: {bad[0]}" if bad else "")
        )
    if bad:
        warnings.warn(
            f"{path}: left out {len(bad)} of {len(bad) + len(found)} objects: {'; '.join(bad[:5])}"
            + ("; ..." if len(bad) > 5 else ""),
            ObjectWarning,
            stacklevel=2,
        )
    names = sorted({name for name, _ in found})
    apart = set(held_out) if isinstance(held_out, Collection) else _held(names, held_out)
    if unknown := sorted(apart.difference(names)):
        raise ValueError(
            f"held_out: {path} holds no {unknown[0]} that can be used"
            + (f", nor {len(unknown) - 1} others of the names" if len(unknown) > 1 else "")
        )
    found.sort(key=lambda pair: pair[0])
    return [o for name, o in found if name not in apart], [o for name, o in found if name in apart]


def save_procedural(path: str | os.PathLike, objects: Sequence[LabelledObject]) -> Path:
    """Write labelled grasps of objects that `make_object` made as one compact .npz, whole or not at
    all.

    Of each object only kind, seed and mass are kept; poses in single precision (rotations to 1e-6,
    places to 1e-8 m).

    Args:
        path: of the file.
        objects: with labels of one judge.

    Raises: ValueError for another object, or judges that differ.
    """
    path = Path(path)
    judges = {o.grasps.judge for o in objects}
    if len(judges) != 1:
        raise ValueError(
            f"objects: expected labels of one judge, got {sorted(judges) or 'no objects'}"
        )
    kinds, seeds = [], []
    for o in objects:
        kind, _, seed = o.item.name.rpartition("_")
        if not seed.isdigit() or not np.array_equal(
            make_object(kind, int(seed)).faces, o.item.faces
        ):
            raise ValueError(
                f"{o.item.name}: expected an object of make_object, whose name gives kind and seed"
            )
        kinds.append(kind)
        seeds.append(int(seed))
    poses = np.concatenate([o.grasps.poses for o in objects])
    with replacing(path) as part, open(part, "wb") as file:
        np.savez_compressed(
            file,
            kind=np.array(kinds),
            seed=np.array(seeds),
            mass=np.array([o.item.mass for o in objects]),
            count=np.array([len(o.grasps) for o in objects]),
            quat_wxyz=quaternions(poses),
            trans=poses[:, :3, 3].astype(np.float32),
            judge=np.array(judges.pop()),
            success=np.packbits(np.concatenate([o.grasps.success for o in objects])),
        )
    return path


def _procedural(file: dict[str, np.ndarray], path: Path) -> list[tuple[str, LabelledObject]]:
    """What `save_procedural` wrote; objects are made again."""
    missing = {"seed", "mass", "count", "quat_wxyz", "trans", "success", "judge"} - set(file)
    if missing:
        raise ValueError(f"{path} has no array {' or '.join(sorted(missing))}")
    poses = matrices(file["quat_wxyz"], file["trans"], path)
    success = np.unpackbits(file["success"])[: len(poses)].astype(bool)
    if int(file["count"].sum()) != len(poses) or len(success) != len(poses):
        raise ValueError(
            f"{path}: {int(file['count'].sum())} grasps are announced, {len(poses)} poses and "
            f"{len(success)} labels are there"
        )
    found, start = [], 0
    for kind, seed, mass, count in zip(file["kind"], file["seed"], file["mass"], file["count"]):
        item = make_object(str(kind), int(seed))
        if abs(item.mass - mass) > _SAME * mass:
            raise ValueError(
                f"{path}: {item.name} weighs {1000 * mass:.2f} g there and {1000 * item.mass:.2f} "
                "g as this version makes it; label it anew with `geodiff prepare grasps "
                "--procedural`"
            )
        part = slice(start, start := start + int(count))
        grasps = GraspSet(poses[part], item, success[part], judge=str(file["judge"]))
        found.append((item.name, LabelledObject(item, grasps)))
    return found


def _labelled(path: Path, meshes: Path) -> list[tuple[str, LabelledObject]]:
    """The objects of one file, each with a name that says its kind."""
    if path.suffix.lower() == ".npz" and "kind" in (file := read_arrays(path)):
        return _procedural(file, path)
    grasps = read_grasps(path, meshes=meshes)
    if grasps.object is None:
        raise ValueError(f"{path} holds no mesh; pass the folder of meshes")
    if not len(grasps):
        raise ValueError(f"{path} holds no grasps")
    return [(path.stem, LabelledObject(grasps.object, grasps))]


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"path: {path} does not exist")
    for folder in (path, path / "objects", path / "grasps"):
        files = sorted(
            f for f in folder.glob("*") if f.suffix.lower() in GRASP_SUFFIXES and f.is_file()
        )
        if files:
            return files
    raise ValueError(
        f"path: {path} holds no grasps ({', '.join(GRASP_SUFFIXES)}), nor do its folders objects, "
        "grasps"
    )


def _held(names: Sequence[str], share: float) -> set[str]:
    """The names to hold out: whole meshes, the kinds in turn, in the order of a hash."""
    meshes: dict[str, dict[str, list[str]]] = {}
    for name in names:
        words = name.split("_")
        meshes.setdefault(words[0], {}).setdefault("_".join(words[:2]), []).append(name)
    rows = [
        [groups[mesh] for mesh in sorted(groups, key=_hash)]
        for _, groups in sorted(meshes.items(), key=lambda pair: _hash(pair[0]))
    ]
    wanted, held = max(1, round(share * len(names))), set()
    for group in (group for turn in zip_longest(*rows) for group in turn if group):
        if len(held) >= wanted or len(held) + len(group) == len(names):
            break
        held.update(group)
    return held


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


@dataclass(frozen=True)
class Labelled:
    """What a batch of objects is trained with, beside grasps that hold.

    Args:
        cloud: of the objects.
        poses: (objects * k, 4, 4), in network coordinates, k of each object.
        success: (objects * k,) 1.0 where the grasp holds.
    """

    cloud: Cloud
    poses: Tensor
    success: Tensor

    def to(self, device: Any) -> "Labelled":
        """The same on `device`.

        Args:
            device: as `Tensor.to` takes it.
        """
        return Labelled(self.cloud.to(device), self.poses.to(device), self.success.to(device))


class GraspDataset(Dataset):
    """Objects as training items: a cloud, grasps that hold, and labelled grasps of both kinds, new
    at each visit.

    A cloud is drawn from a few that are made at their first use. Objects without a grasp that holds
    are left out.

    Args:
        objects: with labels.
        least: a set of fewer objects is gone through several times an epoch.
        grasps: of each object that hold; half as many labelled ones come beside.
        anchors: points of an object that the network reads.
        views: clouds of each object that are kept: of the whole surface, and as a depth camera sees
            it.
    """

    def __init__(
        self,
        objects: Sequence[LabelledObject],
        *,
        least: int = 0,
        grasps: int = GRASPS,
        anchors: int = ANCHORS,
        views: tuple[int, int] = VIEWS,
    ):
        self.objects = [o for o in objects if o.grasps.success.any()]
        if not self.objects:
            raise ValueError(
                f"data: none of {len(objects)} objects has a grasp that holds; label more "
                "candidates"
            )
        self.poses = [torch.from_numpy(o.grasps.poses) for o in self.objects]
        self.success = [torch.from_numpy(o.grasps.success) for o in self.objects]
        self.grasps, self.anchors, self.views = grasps, anchors, views
        self._clouds: dict[tuple[int, int], Cloud] = {}
        self.items = repeated(range(len(self.objects)), least)
        self.sizes = [1] * len(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Cloud, Tensor, Tensor, Tensor]:
        number = self.items[index]
        cloud = self._cloud(number, int(torch.randint(sum(self.views), ())))
        poses, success = self.poses[number], self.success[number]
        held, lost = torch.nonzero(success).squeeze(1), torch.nonzero(~success).squeeze(1)
        labelled = self.grasps // 2
        lost = _some(lost, labelled // 2)
        shown = torch.cat([lost, _some(held, labelled - len(lost))])
        centre = cloud.centre[0].double()
        return (
            cloud,
            to_network(poses[_some(held, self.grasps)], centre).float(),
            to_network(poses[shown], centre).float(),
            success[shown].float(),
        )

    def _cloud(self, number: int, view: int) -> Cloud:
        if (number, view) not in self._clouds:
            generator, thing = np.random.default_rng([number, view]), self.objects[number]
            points = (
                thing.cloud(POINTS, generator)
                if view < self.views[0]
                else partial_cloud(
                    thing.item, random_camera(thing.item, generator), POINTS, generator
                )
            )
            points = torch.as_tensor(np.asarray(points), dtype=torch.float32)
            self._clouds[number, view] = describe(points, self.anchors)
        return self._clouds[number, view]


def _some(index: Tensor, count: int) -> Tensor:
    """`count` of the entries by chance, with repetition only if there are fewer; none of none."""
    if not len(index):
        return index
    order = torch.cat([torch.randperm(len(index)) for _ in range(-(-count // len(index)))])
    return index[order[:count]]


def collate(items: Sequence[tuple[Cloud, Tensor, Tensor, Tensor]]) -> TrainingBatch:
    """`TrainingBatch` of grasps that hold, (objects * grasps, 4, 4); its condition is `Labelled`.

    Args:
        items: of a `GraspDataset`.
    """
    clouds, held, poses, success = zip(*items)
    return TrainingBatch(
        torch.cat(held), Labelled(Cloud.stack(clouds), torch.cat(poses), torch.cat(success))
    )


def data(
    source: str | os.PathLike | None = None,
    *,
    held_out: float | Collection[str] | os.PathLike | None = None,
    batch_size: int = 8,
    grasps: int = GRASPS,
    anchors: int = ANCHORS,
    seed: int = 0,
    workers: int = 0,
) -> TaskData:
    """Labelled objects as a data module, for any `pytorch_lightning.Trainer`.

    Args:
        source: as `geodiff prepare grasps` writes it; None takes the procedural objects that are
            shipped.
        held_out: as `read_training_data` takes it.
        batch_size: objects in a batch.
        grasps: of each object that hold; half as many labelled ones come beside.
        anchors: points of an object that the network reads.
        seed: of the order of objects.
        workers: processes that load; 0 loads in this one.
    """
    training, validation = read_training_data(source, held_out=held_out)
    sizes = {"grasps": grasps, "anchors": anchors}
    return TaskData(
        GraspDataset(training, least=EPOCH, **sizes),
        GraspDataset(validation, **sizes),
        collate,
        batch_size=batch_size,
        seed=seed,
        workers=workers,
        facts={
            "objects": len(training),
            "grasps": sum(len(o.grasps) for o in training),
            "validation_objects": len(validation),
        },
    )
