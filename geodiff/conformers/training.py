"""Train a conformer flow on GFN2 ensembles: from an npz to shipped weights."""

from pathlib import Path

import torch

from geodiff.conformers.datasets import EnsembleDataset, collate_training, read_training_data
from geodiff.conformers.model import build, new_config
from geodiff.conformers.network import NetworkConfig
from geodiff.conformers.objective import objective
from geodiff.training.datamodule import TaskData
from geodiff.training.run import fit, write_model
from geodiff.training.settings import TrainingSettings


def train(
    data: Path,
    out: Path,
    *,
    max_steps: int = 20_000,
    max_minutes: float | None = None,
    max_epochs: int = -1,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    width: int = 128,
    layers: int = 6,
    vector_width: int = 48,
    precision: str = "32",
    accelerator: str = "auto",
    devices: int = 1,
    strategy: str = "auto",
    seed: int = 0,
    resume: bool = False,
    progress_bar: bool = True,
) -> Path:
    """Train on the ensembles at `data` (npz or folder of chunks); returns the path of the model's
    JSON in `out`.

    Stops at the first of `max_steps`, `max_minutes` of training and `max_epochs` (-1: no limit).
    `resume` goes on from `out/last.ckpt`. With several devices, `batch_size` is that of each. The
    saved weights are the exponential moving average.
    """
    training, validation = read_training_data(data)
    config = new_config(NetworkConfig(width=width, layers=layers, vector_width=vector_width))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        field = build(config)
    datasets = EnsembleDataset(training), EnsembleDataset(validation) if validation else None
    # 64 molecules of 24 atoms: pair tensors stay well below 32 MB, where the allocator turns slow.
    loaders = TaskData(
        *datasets, collate_training, batch_size=batch_size, seed=seed, pair_budget=576 * batch_size
    )
    settings = TrainingSettings(
        learning_rate=learning_rate,
        max_steps=max_steps,
        max_minutes=max_minutes,
        precision=precision,
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
    # Half precision on disk moves conformers by less than 0.01 angstrom and halves the file.
    return write_model(
        module,
        out,
        "conformers",
        config,
        data=data,
        seed=seed,
        batch_size=batch_size,
        dtype=torch.float16,
        molecules=len(training),
        conformers=sum(len(e.positions) for e in training),
        validation_molecules=len(validation),
    )
