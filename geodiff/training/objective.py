"""What a field is trained for."""

from collections.abc import Callable

from torch import Tensor

from geodiff.process.field import Field
from geodiff.process.objectives.matching import matching_loss
from geodiff.training.batch import TrainingBatch


def velocity_weight(s: Tensor, kappa: Tensor) -> Tensor:
    """1 / s^2: the squared error of u becomes that of the velocity u / s, of unit size at every
    level (Geodesic).
    """
    return s**-2


# (field, batch, s (batch,), generator) -> scalars to log, of which "loss" is minimised.
Objective = Callable[[Field, TrainingBatch, Tensor, object], dict[str, Tensor]]


def matching(weight: Callable[[Tensor, Tensor], Tensor] | None = velocity_weight) -> Objective:
    """`matching_loss` alone, with this weight of levels."""

    def objective(field, batch, s, generator):
        return {
            "loss": matching_loss(
                field,
                batch.clean,
                s=s,
                condition=batch.condition,
                mask=batch.mask,
                generator=generator,
                weight=weight,
                check=False,
            ).value
        }

    return objective
