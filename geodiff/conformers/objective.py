"""What a conformer model is trained for: the flow of its atoms, and near the clean end the
distances of near atoms; and both together as a module.
"""

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from geodiff.conformers.model import new_config
from geodiff.conformers.network import NetworkConfig
from geodiff.conformers.tensor_product import TensorProductConfig
from geodiff.process.field import NetworkField
from geodiff.training.batch import TrainingBatch
from geodiff.training.module import TrainingModule
from geodiff.training.objective import LevelLaw

LOCAL_HOPS = 3  # bonds, angles, and what double bonds and rings fix
NEAR_CLEAN = 0.5  # highest level at which distances are looked at
LOWEST = 0.05  # levels below count as this one


@dataclass(frozen=True)
class Objective:
    """Flow matching, and the distances between near atoms in the estimate of the clean conformer.

    Args:
        local: weight of the distances; 0 leaves flow matching alone.
        levels: that the field is trained at.
    """

    local: float = 1.0
    levels: LevelLaw = LevelLaw()

    def __call__(
        self,
        field: NetworkField,
        batch: TrainingBatch,
        s: Tensor | None = None,
        generator: Any = None,
    ) -> dict[str, Tensor]:
        """Scalars to log, of which "loss" is minimised.

        "match" is the mean square of the velocity's error, angstrom. "local" is, below the level
        NEAR_CLEAN, that of distances between atoms up to LOCAL_HOPS bonds apart, over the level, in
        the pseudo-Huber form that keeps one bad molecule from ruling the batch.

        Args:
            field: in training; its network predicts clean points.
            batch: of conformers.
            s: levels (batch,); None draws them.
            generator: a torch.Generator, or None for torch's own.
        """
        corruption, mask, condition = field.corruption, batch.mask, batch.condition
        s = self.levels.of(batch, s, generator)
        made = corruption.corrupt(
            batch.clean, s, generator=generator, mask=mask, condition=condition
        )
        assert mask is not None  # `collate_training` makes it
        output = field.output(made.x, s, condition, mask)
        error = field.read(output, made.x, s, mask) - made.u
        atoms = mask.sum(-1).clamp(min=1)
        match = (error.square().sum((1, 2)) / (3 * atoms) / s.square()).mean()
        near = s < NEAR_CLEAN
        if not self.local or not bool(near.any()):
            return {"loss": match}
        pairs = (condition.hops[near] <= LOCAL_HOPS) & (condition.hops[near] > 0)
        pairs = pairs & mask[near][:, :, None] & mask[near][:, None]
        level = s[near].clamp(min=LOWEST)[:, None, None]
        gap = (_distances(output[near]) - _distances(made.clean[near])) / level
        soft = 2 * ((1 + gap.square()).sqrt() - 1) * pairs
        each = soft.sum((1, 2)) / pairs.sum((1, 2)).clamp(min=1)
        local = ((1 - s[near] / NEAR_CLEAN) * each).sum() / len(s)
        return {
            "loss": match + self.local * local,
            "match": match.detach(),
            "local": local.detach(),
        }

    def condition(self, field: NetworkField, batch: TrainingBatch) -> Any:
        """What stands in the batch.

        Args:
            field: that samples.
            batch: with the molecules.
        """
        return batch.condition


def _distances(x: Tensor) -> Tensor:
    """(batch, n, 3) to (batch, n, n), smooth at coincident atoms."""
    return ((x[:, :, None] - x[:, None]).square().sum(-1) + 1e-6).sqrt()


def objective(config: dict) -> Objective:
    """One for every model of this task.

    Args:
        config: the table in the JSON of a model.
    """
    return Objective()


def module(
    *,
    network: Literal["transformer", "tensor_product"] = "transformer",
    width: int | None = None,
    layers: int | None = None,
    vector_width: int | None = None,
    seed: int = 0,
    **settings: Any,
) -> TrainingModule:
    """A new conformer model with its objective, for any `pytorch_lightning.Trainer`.

    Args:
        network: transformer, or tensor_product (needs e3nn), which is slower by far.
        width: features of an atom; by default 128, of a tensor product 32.
        layers: of the network; by default 6, of a tensor product 3.
        vector_width: vectors of each atom, in a transformer alone; by default 48.
        seed: the same seed makes the same weights.
        settings: fields of `geodiff.training.TrainingSettings`.

    Raises: ValueError for another network, and for a size that it does not have.
    """
    if network not in ("transformer", "tensor_product"):
        raise ValueError(f"network: expected 'transformer' or 'tensor_product', got {network!r}")
    asked = {"width": width, "layers": layers, "vector_width": vector_width}
    sizes: dict[str, Any] = {name: size for name, size in asked.items() if size is not None}
    if network == "transformer":
        return TrainingModule("conformers", new_config(NetworkConfig(**sizes)), settings, seed)
    if vector_width is not None:
        raise ValueError(
            f"vector_width: expected none for a tensor_product, got {vector_width}; its vectors "
            "are half of its width"
        )
    return TrainingModule("conformers", new_config(TensorProductConfig(**sizes)), settings, seed)
