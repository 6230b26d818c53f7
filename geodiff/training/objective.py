"""What a field is trained for, and at which levels of noise."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from geodiff.process.field import Field
from geodiff.process.objectives.level_weights import velocity_weight
from geodiff.process.objectives.matching import matching_loss
from geodiff.training.batch import TrainingBatch
from manifolds.base import rand

Weight = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class LevelLaw:
    """The law of the levels that a field is trained at.

    Args:
        low: levels are drawn from [low, 1], low above 0.
        clean_bias: their density falls as (1 - s)^clean_bias; 0 is uniform.
    """

    low: float = 0.01
    clean_bias: float = 0.0

    def draw(
        self, count: int, device: torch.device | str | None = None, generator: Any = None
    ) -> Tensor:
        """Levels (count,) in [low, 1].

        Args:
            count: how many.
            device: where they are to be.
            generator: a torch.Generator, an object with a `rand`, or None for torch's own.
        """
        share = rand(count, generator=generator, device=device) ** (1 / (1 + self.clean_bias))
        return 1 - (1 - self.low) * share

    def of(self, batch: TrainingBatch, s: Tensor | None, generator: Any = None) -> Tensor:
        """The levels s (batch,) where they are given, else new ones, a level for each item.

        Args:
            batch: with the clean points.
            s: levels, or None.
            generator: as in `draw`.
        """
        return self.draw(len(batch.clean), batch.clean.device, generator) if s is None else s


class Objective(Protocol):
    """What is minimised, and what a sampler of the trained field is told."""

    def __call__(
        self, field: Field, batch: TrainingBatch, s: Tensor | None = None, generator: Any = None
    ) -> dict[str, Tensor]:
        """Scalars to log, of which "loss" is minimised.

        Args:
            field: in training.
            batch: of clean points.
            s: levels (batch,); None draws them, before any other random number.
            generator: a torch.Generator, or None for torch's own.
        """

    def condition(self, field: Field, batch: TrainingBatch) -> Any:
        """What the field hears of a batch when it samples.

        Args:
            field: that samples.
            batch: with what is known of the points.
        """


@dataclass(frozen=True)
class Matching:
    """`matching_loss` alone.

    Args:
        weight: of levels, (s, kappa) -> (batch,); None weighs all alike.
        levels: that the field is trained at.
    """

    weight: Weight | None = velocity_weight
    levels: LevelLaw = LevelLaw()

    def __call__(
        self, field: Field, batch: TrainingBatch, s: Tensor | None = None, generator: Any = None
    ) -> dict[str, Tensor]:
        """The loss, as `Objective` has it.

        Args:
            field: in training.
            batch: of clean points.
            s: levels (batch,); None draws them.
            generator: a torch.Generator, or None for torch's own.
        """
        loss = matching_loss(
            field,
            batch.clean,
            s=self.levels.of(batch, s, generator),
            condition=batch.condition,
            mask=batch.mask,
            generator=generator,
            weight=self.weight,
            check=False,
        )
        return {"loss": loss.value}

    def condition(self, field: Field, batch: TrainingBatch) -> Any:
        """What stands in the batch.

        Args:
            field: that samples.
            batch: with what is known of the points.
        """
        return batch.condition
