"""What a run says to the person at the terminal."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from pytorch_lightning.callbacks import TQDMProgressBar


class Bar(TQDMProgressBar):
    def get_metrics(self, trainer, pl_module):
        return {
            name: value
            for name, value in super().get_metrics(trainer, pl_module).items()
            if name != "v_num"
        }


_NOISE = (  # what Lightning and torch say of a run that is as it should be
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
            for message in _NOISE:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        for chatty, level in zip(loggers, levels):
            chatty.setLevel(level)
