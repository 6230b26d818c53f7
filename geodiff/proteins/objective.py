"""What a backbone model is trained for: the flow of its frames, and near the clean end the geometry
of its atoms.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from geodiff.domains.chains.frames import frames_to_atoms
from geodiff.domains.chains.metrics import CLOSEST
from geodiff.process.field import NetworkField
from geodiff.proteins.datasets import NANOMETRE
from geodiff.proteins.model import new_config
from geodiff.proteins.network import NetworkConfig
from geodiff.training.batch import TrainingBatch
from geodiff.training.module import TrainingModule
from geodiff.training.objective import LevelLaw
from manifolds.base import rand

# Weights of the terms; of mean squares in rad^2 and nm^2 over the square of the level, and of means
# in angstrom.
ROTATION, TRANSLATION, LOCAL, CLOSURE, STERIC = 0.5, 2.0, 1.0, 2.0, 3.0
# levels below count as this one: near the clean end every error would count without bound
LOWEST = 0.05
NEAR_CLEAN = 0.8  # highest level at which atoms are looked at
LOCAL_RANGE = 6.0  # angstrom
# Pairs of atoms over a peptide bond, which fix its length, both angles and omega: C-N, CA-N, C-CA,
# CA-CA.
BRIDGES = ((2, 0), (1, 0), (2, 1), (1, 1))


@dataclass(frozen=True)
class Objective:
    """`backbone_loss` at levels of which the clean ones come more often.

    Args:
        levels: that the field is trained at.
    """

    levels: LevelLaw = LevelLaw(clean_bias=0.9)

    def __call__(
        self,
        field: NetworkField,
        batch: TrainingBatch,
        s: Tensor | None = None,
        generator: Any = None,
    ) -> dict[str, Tensor]:
        """The terms of `backbone_loss`, of which "loss" is minimised.

        Args:
            field: in training.
            batch: of chains.
            s: levels (batch,); None draws them.
            generator: a torch.Generator, or None for torch's own.
        """
        return backbone_loss(field, batch, self.levels.of(batch, s, generator), generator)

    def condition(self, field: NetworkField, batch: TrainingBatch) -> Any:
        """What stands in the batch.

        Args:
            field: that samples.
            batch: with the places and letters of the residues.
        """
        return batch.condition


def objective(config: dict) -> Objective:
    """One for every model of this task.

    Args:
        config: the table in the JSON of a model.
    """
    return Objective()


def module(
    *, process: str = "flow", width: int = 128, layers: int = 4, seed: int = 0, **settings: Any
) -> TrainingModule:
    """A new backbone model with its objective, for any `pytorch_lightning.Trainer`.

    Args:
        process: flow (geodesics) or diffusion (heat kernels).
        width: of the tokens.
        layers: of the transformer.
        seed: the same seed makes the same weights.
        settings: fields of `geodiff.training.TrainingSettings`.
    """
    config = new_config(process, NetworkConfig(width=width, layers=layers))
    return TrainingModule("proteins", config, settings, seed)


def backbone_loss(
    field: NetworkField,
    batch: TrainingBatch,
    s: Tensor,
    generator: Any = None,
    *,
    remember: float = 0.5,
) -> dict[str, Tensor]:
    """Scalars by name, of which "loss" is minimised.

    The matching terms are the mean squares of u's error, rotations in radians and translations in
    nanometres, over the square of kappa; a pseudo-Huber form keeps a bad chain from ruling the
    batch. Below the level NEAR_CLEAN come, of the estimated atoms: distances of atoms closer than
    LOCAL_RANGE in the clean chain, distances over peptide bonds, and overlaps closer than
    `metrics.CLOSEST`.

    Args:
        field: in training.
        batch: of chains.
        s: levels (batch,).
        generator: a torch.Generator, or None for torch's own.
        remember: the probability with which the network hears its own estimate
            (self-conditioning).
    """
    corruption, mask = field.corruption, batch.mask
    assert mask is not None  # `collate_training` makes it
    made = corruption.corrupt(
        batch.clean, s, generator=generator, mask=mask, condition=batch.condition
    )
    condition = batch.condition
    if float(rand(1, generator=generator)) < remember:
        with torch.no_grad():
            condition = condition.given(field.output(made.x, s, condition, mask))
    output = field.output(made.x, s, condition, mask)
    error = field.read(output, made.x, s, mask) - made.u
    scale = corruption.against_tangent(made.kappa)
    scale = scale if corruption.has_score else scale.clamp(min=LOWEST)
    count = mask.sum(-1).clamp(min=1)
    turn, shift = (
        (error / scale).square().unflatten(-1, (2, 3)).sum(-1).sum(1) / count[:, None]
    ).unbind(-1)
    terms = {"rotation": _soft(turn).mean(), "translation": _soft(shift).mean()}
    near = s < NEAR_CLEAN
    weigh = 1 - s[near] / NEAR_CLEAN
    weights = {"rotation": ROTATION, "translation": TRANSLATION}
    if bool(near.any()):
        atoms = atom_terms(output[near], batch.clean[near], batch.condition.index[near], mask[near])
        terms |= {name: (weigh * value).sum() / len(s) for name, value in atoms.items()}
        weights |= {"local": LOCAL, "closure": CLOSURE, "steric": STERIC}
    loss: Any = sum(weight * terms[name] for name, weight in weights.items())
    return terms | {"loss": loss}


def atom_terms(guess: Tensor, clean: Tensor, index: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """The terms of atoms of each chain, (b,), angstrom.

    Args:
        guess: (b, n, 4, 4), nanometres.
        clean: (b, n, 4, 4), nanometres.
        index: (b, n) places in the chain; residues one place apart are bonded.
        mask: (b, n) bool.
    """
    places, real = (
        frames_to_atoms(p[..., :3, :3], NANOMETRE * p[..., :3, 3], mask=mask)
        for p in (guess, clean)
    )
    b, n = mask.shape
    away, true = (_distances(a[:, :, :3].flatten(1, 2)) for a in (places, real))
    known = mask[:, :, None].expand(-1, -1, 3).flatten(1, 2)
    close = (true < LOCAL_RANGE) & known[:, None] & known[:, :, None]
    residues = mask.sum(-1).clamp(min=1)
    local = (_soft((away - true).square()) * close).sum((1, 2)) / close.sum((1, 2)).clamp(min=1)
    bonded = (index.diff(dim=1) == 1) & mask[:, 1:]
    gaps = [
        (
            _length(places[:, 1:, j] - places[:, :-1, i])
            - _length(real[:, 1:, j] - real[:, :-1, i])
        ).abs()
        for i, j in BRIDGES
    ]
    closure = (sum(gaps) * bonded).sum(1) / residues
    apart = (index[:, None] - index[:, :, None] >= 3) & mask[:, None] & mask[:, :, None]
    closest = torch.as_tensor(CLOSEST, dtype=places.dtype, device=places.device)
    between = (
        _distances(places.flatten(1, 2)).unflatten(1, (n, 4)).unflatten(-1, (n, 4)).transpose(2, 3)
    )
    overlap = functional.relu(closest - between).sum((-2, -1)) * apart
    return {"local": local, "closure": closure, "steric": overlap.sum((1, 2)) / residues}


def _soft(square: Tensor) -> Tensor:
    """sqrt(1 + square) - 1, twice: `square` where it is small, growing as its root where it is
    large.
    """
    return 2 * (torch.sqrt(1 + square) - 1)


def _distances(points: Tensor) -> Tensor:
    """(batch, m, 3) to (batch, m, m), with finite gradients; centred points keep 1e-4 angstrom in
    float32.

    By inner products: a tensor of all differences would be three times the size, and memory is what
    this costs.
    """
    square = points.square().sum(-1)
    square = torch.baddbmm(
        square[:, :, None] + square[:, None], points, points.transpose(1, 2), alpha=-2
    )
    return torch.sqrt(square.clamp(min=1e-3))


def _length(v: Tensor) -> Tensor:
    return torch.sqrt(v.square().sum(-1) + 1e-6)
