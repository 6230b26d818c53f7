"""Training with Lightning: one module, one data module, EMA, atomic checkpoints, resume, a schedule
that ends on time.

A task brings a `Field` and datasets with a `collate` that makes `TrainingBatch`es; nothing here
knows any task.
"""

import json
import logging
import math
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import (
    LearningRateMonitor,
    ModelCheckpoint,
    TQDMProgressBar,
    WeightAveraging,
)
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset, Sampler

from geodiff.files import replacing
from geodiff.process.field import Field
from geodiff.process.objectives.matching import matching_loss
from geodiff.training import weights

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingBatch:
    """Clean points (batch, ...), what the network is conditioned on, and the mask of real nodes or
    None.
    """

    clean: Tensor
    condition: object = None
    mask: Tensor | None = None

    def to(self, device) -> "TrainingBatch":
        condition = self.condition.to(device) if hasattr(self.condition, "to") else self.condition
        mask = None if self.mask is None else self.mask.to(device)
        return replace(self, clean=self.clean.to(device), condition=condition, mask=mask)


@dataclass(frozen=True)
class TrainingSettings:
    """Optimisation; `max_steps` and `max_minutes` end the run at whichever comes first, learning
    rate at zero there.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup_steps: int = 500
    max_steps: int = 20_000
    max_minutes: float | None = None
    gradient_clip: float = 1.0  # Euclidean norm
    ema_decay: float = 0.999
    # "bf16" runs the network alone in bfloat16; geometry and weights stay float32
    precision: str = "32"
    s_min: float = 0.01  # noise levels are drawn from [s_min, 1], with a density that falls as
    clean_bias: float = 0.0  # (1 - s)^clean_bias; 0 is uniform
    checkpoint_every_steps: int = 500

    def __post_init__(self):
        for name in (
            "learning_rate",
            "max_steps",
            "max_minutes",
            "gradient_clip",
            "checkpoint_every_steps",
        ):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name}: expected a number above 0, got {value}")
        if self.precision not in ("32", "bf16"):
            raise ValueError(f"precision: expected '32' or 'bf16', got {self.precision!r}")


def velocity_weight(s: Tensor, kappa: Tensor) -> Tensor:
    """1 / s^2: the squared error of u becomes that of the velocity u / s, of unit size at every
    level (Geodesic).
    """
    return s**-2


# (field, batch, s (batch,), generator) -> scalars to log, of which "loss" is minimised.
Objective = Callable[[Field, TrainingBatch, Tensor, object], dict[str, Tensor]]


def matching(weight: Callable[[Tensor, Tensor], Tensor] | None = velocity_weight) -> Objective:
    """`matching_loss` alone, with this weight of levels."""

    def objective(field, batch, s, generator):
        return {
            "loss": matching_loss(
                field,
                batch.clean,
                s=s,
                condition=batch.condition,
                mask=batch.mask,
                generator=generator,
                weight=weight,
                check=False,
            ).value
        }

    return objective


class MatchingModule(pl.LightningModule):
    """Trains a `Field` by an objective; logs its terms, the validation loss at fixed levels, and
    progress.
    """

    def __init__(self, field: Field, settings: TrainingSettings, objective: Objective):
        super().__init__()
        self.field, self.settings, self.objective = field, settings, objective
        # seconds, kept over a resume
        self.register_buffer("elapsed", torch.zeros((), dtype=torch.float64))
        # by the name of its level, as last measured; kept over a resume
        self.validation_loss: dict[str, float] = {}
        self.started = time.time()
        self._last_time: float | None = None

    def progress(self) -> float:
        """Share of the run that is done, in [0, 1]; by steps or by time, whichever is further."""
        done = self.global_step / self.settings.max_steps
        if self.settings.max_minutes is not None:
            done = max(done, self.elapsed.item() / (60 * self.settings.max_minutes))
        return min(1.0, done)

    def _warmup(self, step: int) -> float:
        # A short run warms up for a tenth of it.
        return min(
            1.0, (step + 1) / min(self.settings.warmup_steps, 1 + self.settings.max_steps // 10)
        )

    def on_train_batch_start(self, batch, batch_idx):
        now = time.monotonic()
        self.elapsed += 0.0 if self._last_time is None else now - self._last_time
        self._last_time = now
        if self.settings.max_minutes is not None and self.trainer.world_size > 1:
            # One clock: processes that disagree on the learning rate drift apart, on the end wait
            # for ever.
            torch.distributed.broadcast(self.elapsed, 0)
        if self.progress() >= 1.0:
            self.trainer.should_stop = True
            return -1
        return None

    def training_step(self, batch: TrainingBatch, batch_idx: int) -> Tensor:
        low = self.settings.s_min
        share = torch.rand(len(batch.clean), device=batch.clean.device) ** (
            1 / (1 + self.settings.clean_bias)
        )
        s = 1 - (1 - low) * share
        terms = self.objective(self.field, batch, s, None)
        for name, value in terms.items():
            self.log(name, value, prog_bar=name == "loss", batch_size=len(batch.clean))
        self.log("progress", self.progress(), batch_size=len(batch.clean))
        return terms["loss"]

    def validation_step(self, batch: TrainingBatch, batch_idx: int) -> None:
        for level in (0.1, 0.3, 0.6, 0.9):
            # The same noise at every validation, so that the curve shows the network only.
            generator = torch.Generator().manual_seed(
                batch_idx * self.trainer.world_size + self.global_rank
            )
            s = torch.full((len(batch.clean),), level, device=batch.clean.device)
            self.log(
                f"val_{level}",
                self.objective(self.field, batch, s, generator)["loss"],
                batch_size=len(batch.clean),
                sync_dist=True,
            )

    def on_validation_end(self):
        self.validation_loss = {
            name: round(float(value), 5)
            for name, value in self.trainer.callback_metrics.items()
            if name.startswith("val_")
        }

    def on_save_checkpoint(self, checkpoint):
        checkpoint["validation_loss"] = self.validation_loss

    def on_load_checkpoint(self, checkpoint):
        self.validation_loss = checkpoint.get("validation_loss", {})

    def configure_optimizers(self):
        settings = self.settings
        decayed = [p for p in self.field.parameters() if p.ndim >= 2]
        others = [p for p in self.field.parameters() if p.ndim < 2]
        optimiser = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": settings.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=settings.learning_rate,
            betas=(0.9, 0.99),
        )

        def factor(step: int) -> float:
            return self._warmup(step) * 0.5 * (1 + math.cos(math.pi * self.progress()))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class BucketSampler(Sampler[list[int]]):
    """Batches of items of similar size: shuffled, sorted within pools of 50 batches, batches
    shuffled again.

    A batch holds at most `batch_size` items and at most `pair_budget` padded pairs (items x largest
    size^2). The epoch's order depends on (seed, epoch) alone, so a place in it is a number of
    batches: see `go_to`. Of `ranks` processes each takes its own batch in every step, of about one
    size; together they take each item once.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        pair_budget: int | None = None,
        rank: int = 0,
        ranks: int = 1,
    ):
        self.sizes = torch.as_tensor(sizes)
        self.batch_size, self.seed, self.shuffle = batch_size, seed, shuffle
        self.pair_budget = pair_budget
        self.rank, self.ranks = rank, ranks
        self.epoch, self._first = 0, 0
        self._length = len(self._steps(0))

    def go_to(self, step: int) -> None:
        """Let the next iteration begin where a run stands after `step` steps, of one batch for each
        rank.
        """
        self.epoch, self._first = divmod(step, self._length)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[list[int]]:
        steps = self._steps(self.epoch)
        # The count of budgeted batches varies a little with the order; Lightning wants one length.
        steps += steps[: max(0, self._length - len(steps))]
        yield from (batches[self.rank] for batches in steps[self._first : self._length])

    def _steps(self, epoch: int) -> list[list[list[int]]]:
        """For each step of the epoch, the batch of each rank."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        count = len(self.sizes)
        order = torch.randperm(count, generator=generator) if self.shuffle else torch.arange(count)
        batches: list[list[int]] = []
        for pool in order.split(50 * self.batch_size):
            pool = pool[self.sizes[pool].argsort(stable=True)]
            batch: list[int] = []
            for i in pool.tolist():
                largest = int(self.sizes[i])  # ascending within the pool
                over = (
                    self.pair_budget is not None
                    and (len(batch) + 1) * largest**2 > self.pair_budget
                )
                if batch and (len(batch) == self.batch_size or over):
                    batches.append(batch)
                    batch = []
                batch.append(i)
            if batch:
                batches.append(batch)
        batches = self._divisible(batches)
        steps = [batches[i : i + self.ranks] for i in range(0, len(batches), self.ranks)]
        if self.shuffle:
            steps = [steps[i] for i in torch.randperm(len(steps), generator=generator).tolist()]
        return steps

    def _divisible(self, batches: list[list[int]]) -> list[list[int]]:
        """As many batches as every rank has the same number of: the largest are halved, or at last
        one is repeated.
        """
        for _ in range(-len(batches) % self.ranks):
            place = max(range(len(batches)), key=lambda i: len(batches[i]))
            batch = batches[place]
            half = len(batch) // 2 if len(batch) > 1 else 1
            batches[place : place + 1] = [batch[:half], batch[half:] or batch]
        return batches


class TaskData(pl.LightningDataModule):
    """Bucketed loaders over a task's datasets; items have `sizes`, `collate` makes
    `TrainingBatch`es.
    """

    def __init__(
        self,
        train: Dataset,
        validation: Dataset | None,
        collate: Callable,
        *,
        batch_size: int = 64,
        seed: int = 0,
        pair_budget: int | None = None,
        workers: int = 0,
    ):
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size: expected a whole number of at least 1, got {batch_size}")
        self.train, self.validation, self.collate = train, validation, collate
        self.batch_size, self.seed, self.pair_budget, self.workers = (
            batch_size,
            seed,
            pair_budget,
            workers,
        )

    def train_dataloader(self) -> DataLoader:
        return self._loader(self.train, shuffle=True)

    def val_dataloader(self) -> DataLoader | list:
        return [] if self.validation is None else self._loader(self.validation, shuffle=False)

    def _loader(self, dataset: Dataset, shuffle: bool) -> DataLoader:
        rank, ranks = (
            (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
        )
        sampler = BucketSampler(
            dataset.sizes, self.batch_size, self.seed, shuffle, self.pair_budget, rank, ranks
        )
        return DataLoader(
            dataset,
            batch_sampler=sampler,
            collate_fn=self.collate,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
        )


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoints that appear whole or not at all: written beside the target, synced, renamed.

    Lightning 2.6 writes to the system's temporary folder first, and a full disk there costs the
    previous good file. Loading takes tensors and plain values only (`weights_only`), never code.
    """

    def save_checkpoint(self, checkpoint, path, storage_options=None) -> None:
        # a path would cost an open for each tensor
        with replacing(path, sync=True) as part, open(part, "wb") as file:
            torch.save(checkpoint, file)

    def load_checkpoint(self, path, map_location=lambda storage, loc: storage, weights_only=None):
        try:
            return torch.load(path, map_location=map_location, weights_only=True)
        # a damaged file breaks in many ways: EOFError, RuntimeError, UnpicklingError
        except Exception as error:
            raise ValueError(
                f"out: {path} is damaged, or no checkpoint of ours ({type(error).__name__}); copy "
                "it anew, or delete it and start anew"
            ) from error


class _MovingAverage(WeightAveraging):
    """Exponential moving average of the weights, which stand in for them in validation and when the
    run is over.

    After t steps the decay is (1 + t) / (10 + t) at most, so that a short run forgets where it
    started.
    """

    def __init__(self, decay: float):
        def average(averaged: list[Tensor], current: list[Tensor], updates: Tensor) -> None:
            t = int(updates)
            get_ema_multi_avg_fn(min(decay, (1 + t) / (10 + t)))(averaged, current, updates)

        super().__init__(use_buffers=False, multi_avg_fn=average)

    def on_train_end(self, trainer, pl_module):
        """Nothing yet: the last checkpoint is to hold both the average and what it was averaged
        from.
        """

    def on_fit_end(self, trainer, pl_module):
        self._copy_average_to_current(pl_module)


class _Bar(TQDMProgressBar):
    def get_metrics(self, trainer, pl_module):
        return {
            name: value
            for name, value in super().get_metrics(trainer, pl_module).items()
            if name != "v_num"
        }


class _Place(pl.Callback):
    """Gives every epoch its own order, every process and every start, first or resumed, its own
    noise.

    A resumed run goes on inside an epoch.
    """

    def __init__(self, seed: int):
        self.seed = seed

    def on_train_start(self, trainer, pl_module):
        # The generator takes 32 bits; the golden section of them keeps the processes' starts far
        # apart.
        start = self.seed * 1_000_003 + trainer.global_step + 2_654_435_769 * trainer.global_rank
        torch.manual_seed(start % 2**32)

    def on_train_epoch_start(self, trainer, pl_module):
        trainer.train_dataloader.batch_sampler.go_to(trainer.global_step)


class _SaveLast(pl.Callback):
    """Writes the checkpoint once more at the end, and so that Ctrl-C costs no step.

    Not when interrupted during validation, when averaged weights stand in.
    """

    def __init__(self, last: Path):
        self.last = last

    def on_train_end(self, trainer, pl_module):
        trainer.save_checkpoint(self.last)

    def on_exception(self, trainer, pl_module, exception):
        if isinstance(exception, KeyboardInterrupt) and trainer.training and trainer.is_global_zero:
            # Not `trainer.save_checkpoint`, which would wait for the other processes.
            checkpoint = trainer._checkpoint_connector.dump_checkpoint()
            trainer.strategy.save_checkpoint(checkpoint, self.last)
            logger.warning(
                "stopped after %d steps, kept in %s; go on with resume=True (--resume)",
                trainer.global_step,
                self.last,
            )


_NOISE = (  # what Lightning and torch say of a run that is as it should be
    # `_Place` restores the place in the epoch
    "You're resuming from a checkpoint that ended before the epoch",
    "Checkpoint directory .* exists and is not empty",
    "The number of training batches",
    "The '.*' does not have many workers",
    "Total length of `list` across ranks is zero",  # no validation data
    ".*treespec, LeafSpec",
    "find_unused_parameters=True was specified",
)


@contextmanager
def _quiet() -> Iterator[None]:
    """Warnings and errors alone reach the terminal, and of the warnings none that tells the user
    nothing.
    """
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [chatty.level for chatty in loggers]
    try:
        for chatty in loggers:
            chatty.setLevel(max(chatty.level, logging.WARNING))
        with warnings.catch_warnings():
            for message in _NOISE:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        for chatty, level in zip(loggers, levels):
            chatty.setLevel(level)


def fit(
    field: Field,
    data: TaskData,
    out: Path,
    settings: TrainingSettings = TrainingSettings(),
    *,
    objective: Objective = matching(),
    resume: bool = False,
    seed: int = 0,
    accelerator: str = "auto",
    devices: int = 1,
    strategy: str = "auto",
    max_epochs: int = -1,
    progress_bar: bool = True,
    logger_on: bool = True,
) -> MatchingModule:
    """Train `field` in place to its EMA weights; checkpoints and metrics_*/metrics.csv go to `out`.

    objective: what is minimised; `matching(weight)` by default, a task may add terms of its own.
    devices, strategy: as Lightning's; with more than one device (-1: all), each has a process with
    a batch of its own in every step, and "auto" averages their gradients. The processes run the
    whole script, so what follows `fit` runs in each; `write_model` writes in the first alone. With
    `resume`, goes on from `out/last.ckpt` if there is one. Raises FileExistsError if `out` holds a
    checkpoint and `resume` is False, ValueError if the checkpoint is damaged or of another network.
    An interrupt saves the checkpoint before it is raised.
    """
    if devices != -1 and devices < 1:
        raise ValueError(f"devices: expected a number of at least 1, or -1 for all, got {devices}")
    if strategy == "auto" and devices != 1:
        # a step need not use every head or condition of a network
        strategy = "ddp_find_unused_parameters_true"
    elif not strategy.startswith(("auto", "ddp")) or any(
        kind in strategy for kind in ("fork", "spawn", "notebook")
    ):
        raise ValueError(
            "strategy: expected 'auto', 'ddp' or 'ddp_find_unused_parameters_true', got "
            f"{strategy!r}; the weights are kept whole on every device, and each process runs the "
            "whole script"
        )
    out = Path(out)
    last = out / "last.ckpt"
    if last.exists() and not resume:
        raise FileExistsError(
            f"out: {out} already holds a run; pass resume=True (--resume) or another folder"
        )
    out.mkdir(parents=True, exist_ok=True)
    module = MatchingModule(field, settings, objective)
    callbacks = [
        _MovingAverage(settings.ema_decay),
        ModelCheckpoint(
            out,
            filename="last",
            save_top_k=1,
            every_n_train_steps=settings.checkpoint_every_steps,
            enable_version_counter=False,
        ),
        _Place(seed),
        _SaveLast(last),
    ]
    if logger_on:
        callbacks.append(LearningRateMonitor("step"))
    if progress_bar:
        callbacks.append(_Bar(refresh_rate=20))
    # a resumed run writes its own file: Lightning would delete the first
    runs = len(list(out.glob("metrics*")))
    field.autocast = torch.bfloat16 if settings.precision == "bf16" else None
    on_interrupt, main = (
        signal.getsignal(signal.SIGINT),
        threading.current_thread() is threading.main_thread(),
    )
    try:
        with _quiet():
            trainer = pl.Trainer(
                accelerator=accelerator,
                devices=devices,
                strategy=strategy,
                max_steps=settings.max_steps,
                max_epochs=max_epochs,
                gradient_clip_val=settings.gradient_clip,
                callbacks=callbacks,
                plugins=[AtomicCheckpointIO()],
                enable_progress_bar=progress_bar,
                enable_model_summary=False,
                use_distributed_sampler=False,
                num_sanity_val_steps=0,
                log_every_n_steps=20,
                default_root_dir=out,
                logger=CSVLogger(out, name="", version=f"metrics_{runs}") if logger_on else False,
            )
            if main and not trainer.is_global_zero:
                # Ctrl-C reaches every process of a terminal; the first saves, and ends the others.
                signal.signal(signal.SIGINT, signal.SIG_IGN)
            trainer.fit(
                module,
                datamodule=data,
                ckpt_path=str(last) if last.exists() else None,
                weights_only=True,
            )
    except SystemExit as stop:  # Lightning 2.6 answers an interrupt by exit code 1
        raise KeyboardInterrupt from stop
    except RuntimeError as error:
        if "loading state_dict" not in str(error):
            raise
        raise ValueError(
            f"out: {last} is of a network of other sizes; resume with those of its run, or train "
            "in another folder"
        ) from error
    finally:
        field.autocast = None
        # Lightning 2.6 ignores every interrupt after the first
        if main and on_interrupt is not None:
            signal.signal(signal.SIGINT, on_interrupt)
    return module


def write_model(
    module: MatchingModule,
    out: Path,
    task: str,
    config: dict,
    *,
    data: Path | str,
    seed: int,
    batch_size: int,
    dtype: torch.dtype | None = torch.float16,
    **facts,
) -> Path:
    """Write a trained field as `out`/model.safetensors and model.json, its card also as card.json;
    returns model.json.

    config: as for `weights.save`. facts: what else the card says, as numbers of training items.
    dtype: the precision on disk. In a run of several processes the first one writes, and all wait
    for it.
    """
    trainer, field = module.trainer, module.field
    card = {
        "command": "geodiff " + " ".join(sys.argv[1:]),
        "data": Path(data).name,
        **facts,
        "seed": seed,
        "steps": module.global_step,
        "batch_size": batch_size,
        "devices": trainer.world_size,
        "training_seconds": round(module.elapsed.item()),
        "parameters": sum(p.numel() for p in field.parameters()),
        "threads": torch.get_num_threads(),
        "device": str(trainer.strategy.root_device),
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d", time.gmtime(module.started)),
        "validation_loss": module.validation_loss,
    }
    document = Path(out) / "model.json"
    if trainer.is_global_zero:
        weights.save(document.with_suffix(""), field, task, config, card, dtype=dtype)
        with replacing(document.with_name("card.json")) as part:
            part.write_text(json.dumps(card, indent=1) + "\n")
    trainer.strategy.barrier("model written")
    return document
