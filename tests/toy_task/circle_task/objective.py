"""The objective: flow matching; how a batch is made for it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from circle_task.model import new_config
from geodiff.training.batch import TrainingBatch
from geodiff.training.module import TrainingModule
from geodiff.training.objective import Matching, Objective


def objective(config: dict) -> Objective:
    """Flow matching.

    Args:
        config: the table in the JSON of a model.
    """
    return Matching()


def module(*, width: int = 32, seed: int = 0, **settings: Any) -> TrainingModule:
    """A new model with its objective, for any `pytorch_lightning.Trainer`.

    Args:
        width: of the network.
        seed: the same seed makes the same weights.
        settings: fields of `geodiff.training.TrainingSettings`.
    """
    return TrainingModule("circle", new_config(width), settings, seed)


def collate(items: Sequence[Tensor]) -> TrainingBatch:
    """`TrainingBatch` of points (batch, 2)."""
    return TrainingBatch(torch.stack(list(items)))
