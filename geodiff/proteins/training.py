"""Train a backbone model: from chains to weights."""

import json
import sys
import time
from pathlib import Path

import torch

from geodiff import weights
from geodiff.proteins.data import ChainDataset, collate_training, read_training_data
from geodiff.proteins.model import build, new_config
from geodiff.proteins.network import NetworkConfig
from geodiff.proteins.objective import objective
from geodiff.training import TaskData, TrainingSettings, fit

EPOCH = 5_000  # chains in an epoch, at least: validation, once an epoch, stays below a tenth of the time


class _Repeated(torch.utils.data.Dataset):
    """A data set gone through several times an epoch, until it has `least` items."""

    def __init__(self, dataset: ChainDataset, least: int):
        rounds = max(1, -(-least // len(dataset)))
        self.dataset, self.items = dataset, list(range(len(dataset))) * rounds
        self.sizes = dataset.sizes * rounds

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int):
        return self.dataset[self.items[index]]


def train(data: Path | None = None, out: Path = Path("geodiff-proteins"), *, process: str = "flow",
          max_steps: int = 100_000, max_minutes: float | None = None, max_epochs: int = -1, batch_size: int = 24, pair_budget: int = 100_000,
          longest: int = 128, learning_rate: float = 1e-3, width: int = 128, layers: int = 4, precision: str = "32",
          accelerator: str = "auto", seed: int = 0, resume: bool = False, progress_bar: bool = True) -> Path:
    """Train on the chains at `data` (None: the shipped ones); returns the path of the model's JSON in `out`.

    process: "flow" (geodesics) or "diffusion" (heat kernels). Chains longer than `longest` are cropped. A batch holds
    at most `batch_size` chains and `pair_budget` pairs of residues. Stops at the first of `max_steps`, `max_minutes`
    of training and `max_epochs` (-1: no limit). `resume` goes on from `out/last.ckpt`. The saved weights are the
    exponential moving average.
    """
    started = time.time()
    training, validation = read_training_data(data)
    config = new_config(process, NetworkConfig(width=width, layers=layers))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        field = build(config)
    datasets = (_Repeated(ChainDataset(training, longest=longest), EPOCH),
                ChainDataset(validation, cluster=False, longest=longest) if validation else None)
    loaders = TaskData(*datasets, collate_training, batch_size=batch_size, seed=seed, pair_budget=pair_budget)
    settings = TrainingSettings(learning_rate=learning_rate, max_steps=max_steps, max_minutes=max_minutes,
                                precision=precision, clean_bias=0.9)
    module = fit(field, loaders, out, settings, objective=objective(), resume=resume, seed=seed, max_epochs=max_epochs,
                 accelerator=accelerator, progress_bar=progress_bar)
    metrics = {k: round(float(v), 5) for k, v in module.trainer.callback_metrics.items() if k.startswith("val_")}
    card = {
        "command": "geodiff " + " ".join(sys.argv[1:]),
        "data": "data/proteins/backbones_train.npz" if data is None else Path(data).name, "chains": len(training),
        "residues": sum(map(len, training)), "validation_chains": len(validation), "process": process, "seed": seed,
        "steps": module.global_step, "batch_size": batch_size, "pair_budget": pair_budget, "longest": longest,
        "training_seconds": round(module.elapsed.item()), "parameters": sum(p.numel() for p in field.parameters()),
        "threads": torch.get_num_threads(), "device": str(module.device), "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d", time.gmtime(started)), "validation_loss": metrics,
    }
    document = weights.save(Path(out) / "model", field, "proteins", config, card, dtype=torch.float16)
    (Path(out) / "card.json").write_text(json.dumps(card, indent=1) + "\n")
    return document
