"""Train an image model: from an npz or a folder to weights."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from geodiff.images.datasets import Images, pixels_to_points, read
from geodiff.images.model import NetworkConfig, build, new_config
from geodiff.images.objective import objective
from geodiff.training.batch import TrainingBatch
from geodiff.training.datamodule import TaskData
from geodiff.training.run import fit, write_model
from geodiff.training.settings import TrainingSettings

LABEL_DROPOUT = 0.1  # share of training images whose class is hidden
# 200 steps, so that runs of a thousand steps, a minute on a core, forget where they started
EMA_DECAY = 0.995
# images in an epoch, at least: validation, once an epoch, stays below a tenth of the time
EPOCH = 10_000


class ImageDataset(Dataset):
    """Images as training items (point, label); the label is `unknown` with probability `dropout`,
    drawn at each visit.

    A set of fewer than `least` images is gone through several times an epoch.
    """

    def __init__(self, images: Images, *, dropout: float = 0.0, least: int = 0):
        self.points = pixels_to_points(images.pixels)
        self.labels, self.unknown, self.dropout = images.labels, len(images.names), dropout
        rounds = max(1, -(-least // len(images)))
        self.items = list(range(len(images))) * rounds
        self.sizes = [images.shape[-1]] * len(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor | None]:
        item = self.items[index]
        if self.labels is None:
            return self.points[item], None
        hidden = self.dropout > 0 and bool(torch.rand(()) < self.dropout)
        return self.points[item], torch.tensor(self.unknown) if hidden else self.labels[item]


def collate(items: Sequence[tuple[Tensor, Tensor | None]]) -> TrainingBatch:
    """`TrainingBatch` of points, (batch, channels, height, width); its condition is the labels, or
    None.
    """
    points, labels = zip(*items)
    return TrainingBatch(torch.stack(points), None if labels[0] is None else torch.stack(labels))


def split(images: Images, validation: int = 100, seed: int = 0) -> tuple[Images, Images]:
    """Training and validation images; `validation` of them (at most a tenth), drawn by `seed`."""
    held = min(validation, len(images) // 10)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    return images.select(order[held:].sort().values), images.select(order[:held].sort().values)


def train(
    data: str | Path,
    out: Path,
    *,
    process: str = "flow",
    max_steps: int = 10_000,
    max_minutes: float | None = None,
    max_epochs: int = -1,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    width: int = 32,
    precision: str = "32",
    accelerator: str = "auto",
    devices: int = 1,
    strategy: str = "auto",
    seed: int = 0,
    resume: bool = False,
    progress_bar: bool = True,
) -> Path:
    """Train on the images at `data` (see `read`; "digits" is shipped); returns the path of the
    model's JSON in `out`.

    process: "flow" or "ddpm". Stops at the first of `max_steps`, `max_minutes` of training and
    `max_epochs` (-1: no limit). `resume` goes on from `out/last.ckpt`. With several devices,
    `batch_size` is that of each. The saved weights are the exponential moving average.
    """
    training, validation = split(read(data))
    config = new_config(training.shape, training.names, process, NetworkConfig(width=width))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        field = build(config)
    loaders = TaskData(
        ImageDataset(training, dropout=LABEL_DROPOUT, least=EPOCH),
        ImageDataset(validation) if len(validation) else None,
        collate,
        batch_size=batch_size,
        seed=seed,
    )
    settings = TrainingSettings(
        learning_rate=learning_rate,
        max_steps=max_steps,
        max_minutes=max_minutes,
        precision=precision,
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
        "images",
        config,
        data=data,
        seed=seed,
        batch_size=batch_size,
        images=len(training),
        validation_images=len(validation),
        process=process,
    )
