"""The datasets of a task as a LightningDataModule."""

from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
from torch.utils.data import DataLoader, Dataset

from geodiff.training.sampler import BucketSampler


class TaskData(pl.LightningDataModule):
    """Loaders over the datasets of a task, for any trainer.

    Batches of training and validation are of items of similar size (`BucketSampler`), those to
    predict for are the validation set in its order. With several devices, tell a trainer of yours
    `use_distributed_sampler=False`: each process has its own batches already.

    Args:
        train: its items have `sizes`.
        validation: the same, or None.
        collate: makes a `TrainingBatch` of items.
        batch_size: items in a batch, at most.
        seed: of the order of items.
        pair_budget: items times the square of the largest size in a batch, at most; None for any.
        workers: processes that load; 0 loads in this one.
        facts: what the card of a model says of the data.
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
        facts: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size: expected a whole number of at least 1, got {batch_size}")
        self.train, self.validation, self.collate = train, validation, collate
        self.batch_size, self.seed, self.pair_budget = batch_size, seed, pair_budget
        self.workers, self.facts = workers, dict(facts or {})

    def train_dataloader(self) -> DataLoader:
        """Batches in an order of their own in every epoch."""
        return self._loader(self.train, shuffle=True)

    def val_dataloader(self) -> DataLoader | list:
        """Batches of the validation set; nothing without one."""
        return [] if self.validation is None else self._loader(self.validation, shuffle=False)

    def predict_dataloader(self) -> DataLoader | list:
        """Batches of the validation set in its order; nothing without one."""
        if self.validation is None:
            return []
        return DataLoader(
            self.validation,
            batch_size=self.batch_size,
            collate_fn=self.collate,
            num_workers=self.workers,
        )

    def _loader(self, dataset: Dataset, shuffle: bool) -> DataLoader:
        rank, ranks = 0, 1
        if self.trainer is not None:
            rank, ranks = self.trainer.global_rank, self.trainer.world_size
        sizes = dataset.sizes  # type: ignore[attr-defined]
        sampler = BucketSampler(
            sizes, self.batch_size, self.seed, shuffle, self.pair_budget, rank, ranks
        )
        return DataLoader(
            dataset,
            batch_sampler=sampler,
            collate_fn=self.collate,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
        )
