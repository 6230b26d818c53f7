"""The objective: flow matching; how a batch is made for it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from geodiff.training.batch import TrainingBatch
from geodiff.training.objective import Matching, Objective


def objective(config: dict) -> Objective:
    """Flow matching.

    Args:
        config: the table in the JSON of a model.
    """
    return Matching()


def collate(items: Sequence[Tensor]) -> TrainingBatch:
    """`TrainingBatch` of points (batch, 2)."""
    return TrainingBatch(torch.stack(list(items)))
