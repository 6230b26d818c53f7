"""Train a grasp model: from labelled objects to weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from geodiff.domains.bodies.rays import partial_cloud, random_camera
from geodiff.grasps.cloud import ANCHORS, Cloud, describe
from geodiff.grasps.datasets import LabelledObject, read_training_data
from geodiff.grasps.model import build, new_config, to_network
from geodiff.grasps.network import NetworkConfig
from geodiff.grasps.objective import objective
from geodiff.training.batch import TrainingBatch
from geodiff.training.datamodule import TaskData
from geodiff.training.run import fit, write_model
from geodiff.training.settings import TrainingSettings

GRASPS = 24  # of one object in a training item, half as many labelled ones beside
POINTS = 1024  # of a cloud
EMA_DECAY = 0.998
EPOCH = 800  # objects in an epoch, at least: validation, once an epoch, stays a small part
# clouds of each object that are kept: of the whole surface, and as a depth camera sees it
VIEWS = 6, 2


@dataclass(frozen=True)
class Labelled:
    """What a batch of objects is trained with, beside grasps that hold.

    cloud: of the objects. poses: (objects * k, 4, 4), in network coordinates, k of each object.
    success: (objects * k,) 1.0 where the grasp holds.
    """

    cloud: Cloud
    poses: Tensor
    success: Tensor

    def to(self, device) -> "Labelled":
        return Labelled(self.cloud.to(device), self.poses.to(device), self.success.to(device))


class GraspDataset(Dataset):
    """Objects as training items: a cloud, grasps that hold, and labelled grasps of both kinds, new
    at each visit.

    A cloud is drawn from a few that are made at their first use. A set of fewer than `least`
    objects is gone through several times an epoch. Objects without a grasp that holds are left out.
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
        rounds = max(1, -(-least // len(self.objects)))
        self.items = list(range(len(self.objects))) * rounds
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
    """`TrainingBatch` of grasps that hold, (objects * grasps, 4, 4); its condition is
    `Labelled`.
    """
    clouds, held, poses, success = zip(*items)
    return TrainingBatch(
        torch.cat(held), Labelled(Cloud.stack(clouds), torch.cat(poses), torch.cat(success))
    )


def train(
    data: Path | None = None,
    out: Path = Path("grasps-model"),
    *,
    held_out: Path | None = None,
    max_steps: int = 20_000,
    max_minutes: float | None = None,
    max_epochs: int = -1,
    batch_size: int = 8,
    grasps: int = GRASPS,
    learning_rate: float = 2e-3,
    width: int = 128,
    rounds: int = 3,
    anchors: int = ANCHORS,
    accelerator: str = "auto",
    devices: int = 1,
    strategy: str = "auto",
    seed: int = 0,
    resume: bool = False,
    progress_bar: bool = True,
) -> Path:
    """Train on labelled objects; returns the path of the model's JSON in `out`.

    data: as `geodiff prepare grasps` writes it; None takes the procedural objects that are shipped.
    held_out: a text file of the names to validate on, a name a line; None holds out a tenth of the
    objects. batch_size: in objects, of each device; grasps: of each of them. anchors: points of an
    object that the network reads. Stops at the first of `max_steps`, `max_minutes` of training and
    `max_epochs` (-1: no limit). `resume` goes on from `out/last.ckpt`. The saved weights are the
    exponential moving average.
    """
    training, validation = read_training_data(data, held_out=held_out)
    config = new_config(NetworkConfig(width=width, rounds=rounds))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        field = build(config)
    sizes = {"grasps": grasps, "anchors": anchors}
    loaders = TaskData(
        GraspDataset(training, least=EPOCH, **sizes),
        GraspDataset(validation, **sizes),
        collate,
        batch_size=batch_size,
        seed=seed,
    )
    settings = TrainingSettings(
        learning_rate=learning_rate,
        max_steps=max_steps,
        max_minutes=max_minutes,
        warmup_steps=200,
        ema_decay=EMA_DECAY,
    )
    module = fit(
        field,
        loaders,
        out,
        settings,
        objective=objective(config),
        resume=resume,
        seed=seed,
        max_epochs=max_epochs,
        accelerator=accelerator,
        devices=devices,
        strategy=strategy,
        progress_bar=progress_bar,
    )
    return write_model(
        module,
        out,
        "grasps",
        config,
        data="procedural.npz" if data is None else data,
        seed=seed,
        batch_size=batch_size,
        objects=len(training),
        grasps=sum(len(o.grasps) for o in training),
        validation_objects=len(validation),
    )
