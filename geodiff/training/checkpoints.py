"""Checkpoints that are whole, and runs that go on from them where they stopped."""

import logging
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from geodiff.files import replacing

logger = logging.getLogger(__name__)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoints that appear whole or not at all: written beside the target, synced, renamed.

    Lightning 2.6 writes to the system's temporary folder first, and a full disk there costs the
    previous good file. Loading takes tensors and plain values only (`weights_only`), never code.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint, whole or not at all.

        Args:
            checkpoint: tensors and plain values.
            path: the file.
            storage_options: of no meaning here.
        """
        # a path would cost an open for each tensor
        with replacing(path, sync=True) as part, open(part, "wb") as file:
            torch.save(checkpoint, file)

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Any = lambda storage, loc: storage,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Read a checkpoint; ValueError for a file that is damaged or holds code.

        Args:
            path: the file.
            map_location: as torch.load takes it.
            weights_only: always so.
        """
        try:
            return torch.load(path, map_location=map_location, weights_only=True)
        # a damaged file breaks in many ways: EOFError, RuntimeError, UnpicklingError
        except Exception as error:
            raise ValueError(
                f"out: {path} is damaged, or no checkpoint of ours ({type(error).__name__}); copy "
                "it anew, or delete it and start anew"
            ) from error


class Place(pl.Callback):
    """Gives every epoch its own order, every process and every start, first or resumed, its own
    noise.

    A resumed run goes on inside an epoch.

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int):
        self.seed = seed

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Seed torch by the seed of the run, its step and its process.

        Args:
            trainer: of the run.
            pl_module: that is trained.
        """
        # The generator takes 32 bits; the golden section of them keeps the processes' starts far
        # apart.
        start = self.seed * 1_000_003 + trainer.global_step + 2_654_435_769 * trainer.global_rank
        torch.manual_seed(start % 2**32)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go to the place in the epoch where the run stands.

        Args:
            trainer: of the run.
            pl_module: that is trained.
        """
        assert trainer.train_dataloader is not None
        trainer.train_dataloader.batch_sampler.go_to(trainer.global_step)


class SaveLast(pl.Callback):
    """Writes the checkpoint once more at the end, and so that Ctrl-C costs no step.

    Not when interrupted during validation, when averaged weights stand in.

    Args:
        last: the file.
    """

    def __init__(self, last: Path):
        self.last = last

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write it.

        Args:
            trainer: of the run.
            pl_module: that is trained.
        """
        trainer.save_checkpoint(self.last)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Write it after an interrupt.

        Args:
            trainer: of the run.
            pl_module: that is trained.
            exception: that ends it.
        """
        if isinstance(exception, KeyboardInterrupt) and trainer.training and trainer.is_global_zero:
            # Not `trainer.save_checkpoint`, which would wait for the other processes.
            checkpoint = trainer._checkpoint_connector.dump_checkpoint()
            trainer.strategy.save_checkpoint(checkpoint, self.last)
            logger.warning(
                "stopped after %d steps, kept in %s; go on with resume=True (--resume)",
                trainer.global_step,
                self.last,
            )
