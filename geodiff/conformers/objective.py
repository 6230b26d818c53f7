"""What a conformer model is trained for: the flow of its atoms; and both together as a module."""

from typing import Any, Literal

from geodiff.conformers.model import new_config
from geodiff.conformers.network import NetworkConfig
from geodiff.conformers.tensor_product import TensorProductConfig
from geodiff.training.module import TrainingModule
from geodiff.training.objective import Matching, Objective


def objective(config: dict) -> Objective:
    """Flow matching, for every model of this task.

    Args:
        config: the table in the JSON of a model.
    """
    return Matching()


def module(
    *,
    network: Literal["transformer", "tensor_product"] = "transformer",
    width: int = 128,
    layers: int = 6,
    vector_width: int = 48,
    seed: int = 0,
    **settings: Any,
) -> TrainingModule:
    """A new conformer model with its objective, for any `pytorch_lightning.Trainer`.

    Args:
        network: transformer, or tensor_product (needs e3nn), which is slower by far; a width of
            32 and 3 layers are much for it.
        width: features of an atom.
        layers: of the network.
        vector_width: vectors of each atom in the transformer.
        seed: the same seed makes the same weights.
        settings: fields of `geodiff.training.TrainingSettings`.
    """
    if network not in ("transformer", "tensor_product"):
        raise ValueError(f"network: expected 'transformer' or 'tensor_product', got {network!r}")
    sizes = (
        NetworkConfig(width=width, layers=layers, vector_width=vector_width)
        if network == "transformer"
        else TensorProductConfig(width=width, layers=layers)
    )
    return TrainingModule("conformers", new_config(sizes), settings, seed)
