"""What a run says to the person at the terminal."""

import logging
import math
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar
from tqdm import tqdm  # type: ignore[import-untyped]

from geodiff.training.module import MatchingModule


class Bar(ProgressBar):
    """Steps of all steps, time left, loss and validation loss, on standard error.

    A bar on a terminal; where nobody watches, a line a minute.

    Args:
        every: seconds between lines.
    """

    def __init__(self, every: float = 60.0):
        super().__init__()
        self.every, self._said = every, time.monotonic()
        self._bar: tqdm | None = None
        self._module: MatchingModule
        self._start: tuple[float, float] = (time.monotonic(), 0.0)

    def disable(self) -> None:
        """Say nothing: Lightning's word to all processes but the first."""
        self.every = math.inf

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to count.

        Args:
            trainer: of the run.
            pl_module: that is trained.
        """
        assert isinstance(pl_module, MatchingModule), "the bar counts what MatchingModule knows"
        self._module = pl_module
        self._start = time.monotonic(), pl_module.progress()
        self._said = time.monotonic()
        if sys.stderr.isatty() and self.every < math.inf:
            total = self._module.total_steps
            self._bar = tqdm(
                total=None if total == math.inf else total,
                initial=trainer.global_step,
                bar_format="{n_fmt} of {total_fmt} steps |{bar}|{postfix}",
            )

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Move the bar, or write a line where it is time for one.

        Args:
            trainer: of the run.
            pl_module: that is trained.
            outputs: of the step.
            batch: of the step.
            batch_idx: its place in the epoch.
        """
        if self._bar is not None:
            self._bar.n = trainer.global_step
            # tqdm draws ten times a second at most, and asks for the text each time
            self._bar.set_postfix_str(self.text(self._module), refresh=False)
            self._bar.update(0)
        elif time.monotonic() - self._said >= self.every:
            self._said = time.monotonic()
            total = self._module.total_steps
            of = "" if total == math.inf else f" of {total}"
            print(f"{trainer.global_step}{of} steps, {self.text(self._module)}", file=sys.stderr)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the bar as it stands.

        Args:
            trainer: of the run.
            pl_module: that is trained.
        """
        self._close()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """The same.

        Args:
            trainer: of the run.
            pl_module: that is trained.
            exception: that ends it.
        """
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def text(self, module: MatchingModule) -> str:
        """Time left, the loss of the last step and the mean validation loss, as far as known.

        Args:
            module: that is trained.
        """
        began, at = self._start
        done = module.progress()
        words = []
        if done > at:
            seconds = round((time.monotonic() - began) * (1 - done) / (done - at))
            words.append(f"{timedelta(seconds=seconds)} left")
        loss = module.trainer.callback_metrics.get("loss")
        words += [] if loss is None else [f"loss {float(loss):.4g}"]
        held = module.validation_loss.values()
        words += [f"validation {sum(held) / len(held):.4g}"] if held else []
        return ", ".join(words)


NOISE = (  # what Lightning and torch say of a run that is as it should be
    # `Place` restores the place in the epoch
    "You're resuming from a checkpoint that ended before the epoch",
    "Checkpoint directory .* exists and is not empty",
    "The number of training batches",
    "The '.*' does not have many workers",
    "Total length of `list` across ranks is zero",  # no validation data
    ".*treespec, LeafSpec",
    "find_unused_parameters=True was specified",
)


@contextmanager
def quiet() -> Iterator[None]:
    """Warnings and errors alone reach the terminal, and of the warnings none that tells the user
    nothing.
    """
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [chatty.level for chatty in loggers]
    try:
        for chatty in loggers:
            chatty.setLevel(max(chatty.level, logging.WARNING))
        with warnings.catch_warnings():
            for message in NOISE:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        for chatty, level in zip(loggers, levels):
            chatty.setLevel(level)
