"""The datasets of a task as a LightningDataModule."""

from collections.abc import Callable

import pytorch_lightning as pl
from torch.utils.data import DataLoader, Dataset

from geodiff.training.sampler import BucketSampler


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
