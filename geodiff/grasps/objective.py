"""What a grasp model is trained for: the flow of grasps that hold, and the energy ranking them."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from geodiff.grasps.energy import score_field
from geodiff.grasps.model import new_config
from geodiff.grasps.network import NetworkConfig
from geodiff.process.field import Field
from geodiff.process.objectives.level_weights import velocity_weight
from geodiff.process.objectives.matching import matching_loss
from geodiff.training.batch import TrainingBatch
from geodiff.training.module import TrainingModule
from geodiff.training.objective import LevelLaw

EMA_DECAY = 0.998


@dataclass(frozen=True)
class Objective:
    """Flow matching for the tangent; score matching and labels for the energy.

    Args:
        score: weight of score matching.
        ranking: weight of the labels.
        scored: score matching, three times as dear, takes one grasp in so many.
        levels: that the field is trained at.
    """

    score: float = 0.2
    ranking: float = 0.2
    scored: int = 4
    levels: LevelLaw = LevelLaw()

    def __call__(
        self, field: Field, batch: TrainingBatch, s: Tensor | None = None, generator: Any = None
    ) -> dict[str, Tensor]:
        """The terms, of which "loss" is minimised; without gradients that of the flow alone.

        Args:
            field: in training.
            batch: of grasps that hold; its condition is `Labelled`.
            s: levels (batch,); None draws them.
            generator: a torch.Generator, or None for torch's own.
        """
        s = self.levels.of(batch, s, generator)
        network, labelled = field.network, batch.condition
        encoding = network.encode(labelled.cloud)
        match = matching_loss(
            field,
            batch.clean,
            s=s,
            condition=encoding,
            generator=generator,
            weight=velocity_weight,
            check=False,
        ).value
        if not torch.is_grad_enabled():  # validation: the energy's slope would need a graph
            return {"loss": match}
        score = self._score_loss(
            field, batch.clean[:: self.scored], s[:: self.scored], encoding, generator
        )
        logits = network.log_odds(labelled.poses, encoding)
        ranking = binary_cross_entropy_with_logits(logits, labelled.success)
        return {
            "loss": match + self.score * score + self.ranking * ranking,
            "match": match.detach(),
            "score": score.detach(),
            "ranking": ranking.detach(),
        }

    def condition(self, field: Field, batch: TrainingBatch) -> Any:
        """The encoded clouds, that of each object for all of its grasps.

        Args:
            field: whose network encodes.
            batch: its condition is `Labelled`.
        """
        return field.network.encode(batch.condition.cloud)

    @staticmethod
    def _score_loss(
        field: Field, clean: Tensor, s: Tensor, encoding: Any, generator: Any
    ) -> Tensor:
        """Mean squared error of kappa times the score, which is of order one at every level and in
        both factors.
        """
        energy = score_field(field)
        noisy = energy.corruption.corrupt(clean, s, generator=generator)
        error = (energy(noisy.x, noisy.s, encoding) - noisy.u) / noisy.kappa
        return error.square().mean()


def objective(config: dict) -> Objective:
    """One for every model of this task.

    Args:
        config: the table in the JSON of a model.
    """
    return Objective()


def module(*, width: int = 128, rounds: int = 3, seed: int = 0, **settings: Any) -> TrainingModule:
    """A new grasp model with its objective, for any `pytorch_lightning.Trainer`.

    Args:
        width: of the network.
        rounds: of its messages.
        seed: the same seed makes the same weights.
        settings: fields of `geodiff.training.TrainingSettings`; by default of short warm-up and a
            high rate.
    """
    config = new_config(NetworkConfig(width=width, rounds=rounds))
    usual = {"learning_rate": 2e-3, "warmup_steps": 200, "ema_decay": EMA_DECAY}
    return TrainingModule("grasps", config, {**usual, **settings}, seed)
