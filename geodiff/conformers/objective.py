"""What a conformer model is trained for: the flow of its atoms; and both together as a module."""

from typing import Any

from geodiff.conformers.model import new_config
from geodiff.conformers.network import NetworkConfig
from geodiff.training.module import TrainingModule
from geodiff.training.objective import Matching, Objective


def objective(config: dict) -> Objective:
    """Flow matching, for every model of this task.

    Args:
        config: the table in the JSON of a model.
    """
    return Matching()


def module(
    *, width: int = 128, layers: int = 6, vector_width: int = 48, seed: int = 0, **settings: Any
) -> TrainingModule:
    """A new conformer model with its objective, for any `pytorch_lightning.Trainer`.

    Args:
        width: of the tokens.
        layers: of the transformer.
        vector_width: vectors of each atom.
        seed: the same seed makes the same weights.
        settings: fields of `geodiff.training.TrainingSettings`.
    """
    network = NetworkConfig(width=width, layers=layers, vector_width=vector_width)
    return TrainingModule("conformers", new_config(network), settings, seed)
