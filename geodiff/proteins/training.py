"""Train a backbone model: from chains to weights."""

from pathlib import Path

import torch

from geodiff.proteins.datasets import ChainDataset, collate_training, read_training_data
from geodiff.proteins.model import build, new_config
from geodiff.proteins.network import NetworkConfig
from geodiff.proteins.objective import objective
from geodiff.training.datamodule import TaskData
from geodiff.training.run import fit, write_model
from geodiff.training.settings import TrainingSettings

# clusters in an epoch, at least: validation, once an epoch, stays below a tenth of the time
EPOCH = 5_000


def train(
    data: Path | None = None,
    out: Path = Path("geodiff-proteins"),
    *,
    process: str = "flow",
    max_steps: int = 100_000,
    max_minutes: float | None = None,
    max_epochs: int = -1,
    batch_size: int = 24,
    pair_budget: int = 100_000,
    longest: int = 128,
    learning_rate: float = 1e-3,
    width: int = 128,
    layers: int = 4,
    precision: str = "32",
    accelerator: str = "auto",
    devices: int = 1,
    strategy: str = "auto",
    seed: int = 0,
    resume: bool = False,
    progress_bar: bool = True,
) -> Path:
    """Train on the chains at `data` (None: the shipped ones); returns the path of the model's JSON
    in `out`.

    process: "flow" (geodesics) or "diffusion" (heat kernels). Chains longer than `longest` are
    cropped. A batch holds at most `batch_size` chains and `pair_budget` pairs of residues. Stops at
    the first of `max_steps`, `max_minutes` of training and `max_epochs` (-1: no limit). `resume`
    goes on from `out/last.ckpt`. With several devices, `batch_size` and `pair_budget` are those of
    each. The saved weights are the exponential moving average.
    """
    training, validation = read_training_data(data)
    config = new_config(process, NetworkConfig(width=width, layers=layers))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        field = build(config)
    datasets = (
        ChainDataset(training, longest=longest, least=EPOCH),
        ChainDataset(validation, cluster=False, longest=longest) if validation else None,
    )
    loaders = TaskData(
        *datasets, collate_training, batch_size=batch_size, seed=seed, pair_budget=pair_budget
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
    return write_model(
        module,
        out,
        "proteins",
        config,
        data="backbones_train.npz" if data is None else data,
        seed=seed,
        batch_size=batch_size,
        pair_budget=pair_budget,
        longest=longest,
        chains=len(training),
        residues=sum(map(len, training)),
        validation_chains=len(validation),
        process=process,
    )
