"""Whether coordinates hold together: every bond about as long as bonds of its elements are."""

import functools

import torch
from rdkit import Chem
from torch import Tensor

from geodiff.domains.molecules.features import ELEMENTS, MoleculeBatch

# Bond length over the sum of covalent radii: 0.78 to 1.04 in all 330 conformers of the QM9-size
# benchmark.
SHORTEST, LONGEST = 0.7, 1.35


@functools.cache
def covalent_radii() -> Tensor:
    """Covalent radius by atomic number, (119,) angstrom, 0 for elements that the task does not know
    (RDKit's table).
    """
    radii = torch.zeros(119)
    table = Chem.GetPeriodicTable()
    for number in ELEMENTS.values():
        radii[number] = table.GetRcovalent(number)
    return radii


def bonds_ok(batch: MoleculeBatch, positions: Tensor) -> Tensor:
    """Whether every bond of each molecule is between SHORTEST and LONGEST; False where NaN.

    Args:
        batch: B molecules.
        positions: (B, N, 3), angstrom, in the padded order of `batch`.

    Returns: (B,) bool.
    """
    radii = covalent_radii().to(positions)[batch.z]
    distance = torch.linalg.vector_norm(positions[:, :, None] - positions[:, None], dim=-1)
    ratio = distance / (radii[:, :, None] + radii[:, None])
    bonded = (batch.pair >= 1) & (batch.pair <= 4)
    return ((ratio > SHORTEST) & (ratio < LONGEST) | ~bonded).all(-1).all(-1)
