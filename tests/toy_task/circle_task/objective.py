"""The objective: flow matching; how a batch is made for it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from geodiff.training.batch import TrainingBatch
from geodiff.training.objective import matching

objective = matching()


def collate(items: Sequence[Tensor]) -> TrainingBatch:
    """`TrainingBatch` of points (batch, 2)."""
    return TrainingBatch(torch.stack(list(items)))
