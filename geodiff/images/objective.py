"""What an image model is trained for; its process says how errors count, and from which level."""

from collections.abc import Sequence
from typing import Any

from geodiff.images.model import PROCESSES, NetworkConfig, new_config
from geodiff.training.module import TrainingModule
from geodiff.training.objective import LevelLaw, Matching, Objective

# 200 steps, so that runs of a thousand steps, a minute on a core, forget where they started
EMA_DECAY = 0.995


def objective(config: dict) -> Objective:
    """Matching, weighed as the process of the model asks for.

    Args:
        config: the table in the JSON of a model.
    """
    process = PROCESSES[config["process"]]
    return Matching(process.weight, LevelLaw(process.s_min))


def module(
    shape: Sequence[int] = (1, 8, 8),
    names: Sequence[str] = tuple("0123456789"),
    *,
    process: str = "flow",
    width: int = 32,
    seed: int = 0,
    **settings: Any,
) -> TrainingModule:
    """A new image model with its objective, for any `pytorch_lightning.Trainer`.

    Args:
        shape: (channels, height, width); by default of the shipped digits.
        names: of the classes, by label; empty for none.
        process: flow or ddpm.
        width: channels of the U-Net at full size.
        seed: the same seed makes the same weights.
        settings: fields of `geodiff.training.TrainingSettings`.
    """
    config = new_config(shape, names, process, NetworkConfig(width=width))
    return TrainingModule("images", config, {"ema_decay": EMA_DECAY, **settings}, seed)
