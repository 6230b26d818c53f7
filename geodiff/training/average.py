"""The moving average of the weights."""

import pytorch_lightning as pl
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn


class MovingAverage(WeightAveraging):
    """Exponential moving average of the weights, which stand in for them in validation and when the
    run is over.

    After t steps the decay is (1 + t) / (10 + t) at most, so that a short run forgets where it
    started.

    Args:
        decay: of a long run, below 1.
    """

    def __init__(self, decay: float = 0.999):
        def average(averaged: list[Tensor], current: list[Tensor], updates: Tensor) -> None:
            t = int(updates)
            get_ema_multi_avg_fn(min(decay, (1 + t) / (10 + t)))(averaged, current, updates)

        super().__init__(use_buffers=False, multi_avg_fn=average)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Nothing yet: the last checkpoint is to hold both the average and what it was averaged
        from.

        Args:
            trainer: of the run.
            pl_module: that is trained.
        """

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The average stands in for the weights from now on.

        Args:
            trainer: of the run.
            pl_module: that is trained.
        """
        self._copy_average_to_current(pl_module)
