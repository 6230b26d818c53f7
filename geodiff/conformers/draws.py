"""Draws of the flow for a group of molecules, in batches over molecule borders."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from geodiff.conformers.model import harmonic_base
from geodiff.domains.molecules.features import MoleculeBatch, collate
from geodiff.domains.molecules.geometry import bonds_ok
from geodiff.domains.molecules.records import Record
from geodiff.domains.molecules.stereo import stereo_ok
from geodiff.jobs.batches import by_pairs
from geodiff.process import sampling
from geodiff.process.field import Field
from geodiff.process.randomness import Noise
from geodiff.process.samplers import Stepper

if TYPE_CHECKING:
    from torch_geometric.data import Data

PAIR_BUDGET = 64_000  # molecules x atoms^2 in one batch: pair tensors below 32 MB
DECIMALS = 4  # of a coordinate, angstrom
STEPS = 10  # AMR-R 0.136 A on the shipped benchmark; 20 steps give 0.136 at twice the price
ATTEMPTS = 2  # draws of a conformer whose stereo or bonds come out wrong

Row = tuple[int, int]  # place in a group of molecules, and number of the draw
Group = Sequence[tuple[Record, "Data"]]


def sample_positions(
    field: Field,
    condition: MoleculeBatch,
    noise: Tensor,
    *,
    steps: int = STEPS,
    stepper: Stepper | None = None,
) -> Tensor:
    """Conformers that the flow makes of noise, (batch, n, 3) angstrom, centred; masked atoms 0.

    Rotating the noise rotates the conformers, permuting atoms permutes them.

    Args:
        field: a conformer model.
        condition: the molecules.
        noise: (batch, n, 3), a draw of `harmonic_base`.
        steps: network evaluations.
        stepper: as in `geodiff.sample`.
    """
    return sampling.sample(
        field, noise, steps=steps, stepper=stepper, condition=condition, mask=condition.mask
    )


def draw(
    field: Field,
    group: Group,
    counts: Sequence[int],
    *,
    seed: int,
    steps: int,
    batch_size: int | None = None,
) -> tuple[list[np.ndarray], list[np.ndarray], int]:
    """Draws of each molecule of a group.

    A draw whose stereo or bonds are wrong is made once more, unless no first draw of its molecule
    was right: then the model does not know such molecules, and more of the same costs time alone.

    Args:
        field: a conformer model.
        group: records with their features.
        counts: draws of each.
        seed: a draw depends on it, its record's index and its number only.
        steps: network evaluations a draw.
        batch_size: draws made at once; None chooses by size.

    Returns: of each molecule positions (count, atoms, 3), angstrom, float64; which draws have the
        right stereo and bonds, (count,) bool; how many draws were repeated.
    """

    def size(row: Row) -> int:
        return group[row[0]][1].num_nodes

    todo = sorted(((g, k) for g, n in enumerate(counts) for k in range(n)), key=size)
    positions = [np.full((n, data.num_nodes, 3), np.nan) for n, (_, data) in zip(counts, group)]
    right = [np.zeros(n, dtype=bool) for n in counts]
    repeated = 0
    for attempt in range(ATTEMPTS):
        for batch in by_pairs(todo, size, budget=PAIR_BUDGET, batch_size=batch_size):
            for (g, k), xyz, ok in zip(batch, *_batch(field, batch, group, seed, steps, attempt)):
                positions[g][k], right[g][k] = xyz, ok
        todo = [(g, k) for g, k in todo if not right[g][k] and right[g].any()]
        if attempt < ATTEMPTS - 1:
            repeated += len(todo)
    return positions, right, repeated


def _batch(
    field: Field, batch: Sequence[Row], group: Group, seed: int, steps: int, attempt: int
) -> tuple[list[np.ndarray], list[bool]]:
    used = sorted({g for g, _ in batch})
    condition = collate([group[g][1] for g in used]).select([used.index(g) for g, _ in batch])
    weights = next(field.parameters())
    condition = condition.to(weights.device, weights.dtype)
    # Attempts are streams of their own, so that a conformer depends neither on its batch nor on its
    # neighbours' luck.
    noise = Noise(
        seed, [group[g][0].index for g, _ in batch], [k + (attempt << 32) for _, k in batch]
    )
    start = harmonic_base((), noise, dtype=weights.dtype, condition=condition)
    positions = sample_positions(field, condition, start, steps=steps)
    right = stereo_ok(condition, positions) & bonds_ok(condition, positions)
    sizes = condition.mask.sum(1).tolist()
    # Batches move draws by rounding, 1e-12 angstrom, which a force field makes 1e-3 of; rounded to
    # what an SDF holds, a draw is the same to the last bit in any batch.
    made = positions.double().cpu().numpy().round(DECIMALS)
    return [xyz[:atoms] for xyz, atoms in zip(made, sizes)], right.tolist()
