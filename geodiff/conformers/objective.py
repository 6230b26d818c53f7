"""What a conformer model is trained for: the flow of its atoms."""

from geodiff.training.objective import Matching, Objective


def objective(config: dict) -> Objective:
    """Flow matching, for every model of this task.

    Args:
        config: the table in the JSON of a model.
    """
    return Matching()
