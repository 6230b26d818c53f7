"""A field and its objective as a LightningModule."""

import math
import time

import pytorch_lightning as pl
import torch
from torch import Tensor

from geodiff.process.field import Field
from geodiff.training.batch import TrainingBatch
from geodiff.training.objective import Objective
from geodiff.training.settings import TrainingSettings


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
        terms = self.objective(self.field, batch)
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
