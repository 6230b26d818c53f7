"""A field and its objective as a LightningModule."""

import math
import time
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Timer
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from geodiff.process.field import Field, NetworkField
from geodiff.process.sampling import sample
from geodiff.task import find
from geodiff.training.batch import TrainingBatch
from geodiff.training.objective import Objective
from geodiff.training.settings import TrainingSettings

LEVELS = (0.1, 0.3, 0.6, 0.9)  # of the validation loss


class MatchingModule(pl.LightningModule):
    """Trains a `Field` by an objective; logs its terms, the validation loss at fixed levels, and
    progress.

    The learning rate follows the limits of the trainer, whichever of steps, epochs and time comes
    first. `predict` samples for the conditions of each batch.

    Args:
        field: to train.
        settings: of the optimiser.
        objective: what is minimised.
    """

    field: Field
    elapsed: Tensor

    def __init__(self, field: Field, settings: TrainingSettings, objective: Objective):
        super().__init__()
        self.field, self.settings, self.objective = field, settings, objective
        # seconds, kept over a resume
        self.register_buffer("elapsed", torch.zeros((), dtype=torch.float64))
        # by the name of its level, as last measured; kept over a resume
        self.validation_loss: dict[str, float] = {}
        self.started = time.time()
        # of the run, as far as its limits are of steps and epochs
        self.total_steps: float = math.inf
        self.sampling_steps = 50  # network evaluations of a prediction
        self.time_over = 0.0  # share of the time that is over, the same in every process
        self._last_time: float | None = None

    def progress(self) -> float:
        """Share of the run that is done, in [0, 1]; by steps or by time, whichever is further."""
        return min(1.0, max(self.global_step / self.total_steps, self.time_over))

    def _time_over(self) -> float | None:
        """Share of the time that is over, by this process's clock; None where there is no limit."""
        over: list[float] = []
        if self.settings.max_minutes is not None:
            over.append(self.elapsed.item() / (60 * self.settings.max_minutes))
        for timer in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(timer, Timer) and (left := timer.time_remaining()) is not None:
                spent = timer.time_elapsed()
                over.append(spent / max(spent + left, 1e-9))
        return max(over, default=None)

    def _agreed(self, over: float) -> float:
        """The first process's number. Processes that disagree on the learning rate drift apart, on
        the end wait for ever.
        """
        if self.trainer.world_size == 1:
            return over
        shared = self.elapsed.new_tensor(over)
        torch.distributed.broadcast(shared, 0)
        return shared.item()

    def rate(self, step: int) -> float:
        """The learning rate of a step over the highest of the run.

        Args:
            step: of the optimiser, from 0.
        """
        # A short run warms up for a tenth of it.
        tenth = math.inf if self.total_steps == math.inf else 1 + self.total_steps // 10
        warm = min(1.0, (step + 1) / min(self.settings.warmup_steps, tenth))
        left = 1 - self.progress()
        if self.settings.schedule == "cosine":
            return warm * 0.5 * (1 + math.cos(math.pi * (1 - left)))
        return warm * (min(1.0, left / self.settings.cooldown) if self.settings.cooldown else 1.0)

    def on_fit_start(self) -> None:
        """The network computes in the precision asked for; a resumed run has used some time."""
        self.time_over = self._time_over() or 0.0
        computes_in(self.field, torch.bfloat16 if self.settings.precision == "bf16" else None)

    def on_fit_end(self) -> None:
        """The field is as precise as before."""
        computes_in(self.field, None)

    def on_train_batch_start(self, batch: TrainingBatch, batch_idx: int) -> int | None:
        """Count the time; -1 ends the run where its time is over.

        Args:
            batch: that is to come.
            batch_idx: its place in the epoch.
        """
        now = time.monotonic()
        self.elapsed += 0.0 if self._last_time is None else now - self._last_time
        self._last_time = now
        if (over := self._time_over()) is not None:
            self.time_over = self._agreed(over)
        if self.progress() >= 1.0:
            self.trainer.should_stop = True
            return -1
        return None

    def training_step(self, batch: TrainingBatch, batch_idx: int) -> Tensor:
        """The loss of a batch, at levels that the objective draws.

        Args:
            batch: of clean points.
            batch_idx: its place in the epoch.
        """
        terms = self.objective(self.field, batch)
        for name, value in terms.items():
            self.log(name, value, prog_bar=name == "loss", batch_size=len(batch.clean))
        self.log("progress", self.progress(), batch_size=len(batch.clean))
        return terms["loss"]

    def validation_step(self, batch: TrainingBatch, batch_idx: int) -> None:
        """Log the loss at each of `LEVELS`.

        Args:
            batch: of clean points.
            batch_idx: its place in the set.
        """
        for level in LEVELS:
            # The same noise at every validation, so that the curve shows the network only.
            s = torch.full((len(batch.clean),), level, device=batch.clean.device)
            terms = self.objective(self.field, batch, s, self._noise(batch_idx))
            self.log(f"val_{level}", terms["loss"], batch_size=len(batch.clean), sync_dist=True)

    def predict_step(self, batch: TrainingBatch, batch_idx: int) -> Tensor:
        """A sample for each item of a batch, in the coordinates of `batch.clean` and of its shape.

        Args:
            batch: its clean points say how many are wanted, no more.
            batch_idx: its place in the set.
        """
        # points of clouds have as many nodes as there are
        nodes = self.field.corruption.manifold.shape.count(None)
        return sample(
            self.field,
            batch.clean.shape[: 1 + nodes],
            steps=self.sampling_steps,
            condition=self.objective.condition(self.field, batch),
            mask=batch.mask,
            generator=self._noise(batch_idx),
        )

    def _noise(self, batch_idx: int) -> torch.Generator:
        return torch.Generator().manual_seed(batch_idx * self.trainer.world_size + self.global_rank)

    def on_validation_end(self) -> None:
        """Keep what was measured, for the card of the model."""
        self.validation_loss = {
            name: round(float(value), 5)
            for name, value in self.trainer.callback_metrics.items()
            if name.startswith("val_")
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What a checkpoint holds beside the weights.

        Args:
            checkpoint: to be written.
        """
        checkpoint["validation_loss"] = self.validation_loss

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What a checkpoint held beside the weights.

        Args:
            checkpoint: that was read.
        """
        self.validation_loss = checkpoint.get("validation_loss", {})

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW, and the rate that falls with progress."""
        settings = self.settings
        self.total_steps = self.trainer.estimated_stepping_batches
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
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, self.rate)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Cut gradients to the norm of the settings, where the trainer has none of its own.

        Args:
            optimizer: whose gradients are cut.
            gradient_clip_val: the trainer's norm.
            gradient_clip_algorithm: the trainer's.
        """
        self.clip_gradients(
            optimizer,
            self.settings.gradient_clip if gradient_clip_val is None else gradient_clip_val,
            gradient_clip_algorithm or "norm",
        )


def computes_in(field: Field, dtype: torch.dtype | None) -> None:
    """Let the network of a field compute in a lower precision, as far as it has one.

    Args:
        field: of a network, or any other.
        dtype: of the network alone; None is that of its weights.
    """
    if isinstance(field, NetworkField):
        field.autocast = dtype


class TrainingModule(MatchingModule):
    """The model of a task with its objective, from plain values alone.

    They are the hyperparameters of a checkpoint, so that `load_from_checkpoint(path)` needs no
    more, and reads no code.

    Args:
        task: its name.
        config: the table in the JSON of a model.
        settings: fields of `TrainingSettings`.
        seed: the same seed makes the same weights.
    """

    def __init__(
        self, task: str, config: dict, settings: dict[str, Any] | None = None, seed: int = 0
    ):
        found = find(task)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            field = found.build(config)
        assert isinstance(field, Field), f"build of {task} must make a Field"
        super().__init__(
            field,
            TrainingSettings(**(settings or {})),
            found.function("objective", "objective")(config),
        )
        self.task, self.config = task, config
        self.save_hyperparameters("task", "config", "settings", "seed")
