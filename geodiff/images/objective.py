"""What an image model is trained for; its process says how errors count, and from which level."""

from geodiff.images.model import PROCESSES
from geodiff.training.objective import LevelLaw, Matching, Objective


def objective(config: dict) -> Objective:
    """Matching, weighed as the process of the model asks for.

    Args:
        config: the table in the JSON of a model.
    """
    process = PROCESSES[config["process"]]
    return Matching(process.weight, LevelLaw(process.s_min))
