"""Finishing and selection: conformers relaxed in a force field, and the best and most different of
them.
"""

from collections.abc import Sequence

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdForceFieldHelpers

from geodiff.domains.molecules.rmsd import aligned_rmsd, symmetries

MMFF = "MMFF94s"
ITERATIONS = 2_000  # at most, of a conformer


def relax(mol: Chem.Mol, *, threads: int = 1, iterations: int = ITERATIONS) -> np.ndarray | None:
    """Relax every conformer of `mol` in MMFF94s, in place.

    Args:
        mol: with explicit hydrogens and conformers, which move.
        threads: how many of RDKit's threads share the conformers.
        iterations: at most so many steps each.

    Returns: energies, (conformers,) kcal/mol; None, and nothing moves, where MMFF has no parameters
        for the molecule.
    """
    with rdBase.BlockLogs():
        if not rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
            return None
        results = rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(
            mol, numThreads=threads, maxIters=iterations, mmffVariant=MMFF
        )
    return np.array([energy for _, energy in results])


def select(
    mol: Chem.Mol,
    energies: Sequence[float],
    count: int | None = None,
    *,
    energy_window: float | None = None,
    prune_rms: float | None = None,
) -> list[int]:
    """Which conformers to keep: from the lowest energy upwards, each different from those before
    it.

    Args:
        mol: with explicit hydrogens and conformers.
        energies: of the conformers, kcal/mol.
        count: how many to keep; None keeps all that differ. Where fewer differ, the rest is filled
            up with the lowest energies that were passed over.
        energy_window: kcal/mol above the lowest beyond which nothing is kept.
        prune_rms: angstrom, heavy atoms, symmetries counted: closer conformers are one.

    Returns: places of the conformers kept, by rising energy.
    """
    energies = np.asarray(energies, dtype=float)
    order = [int(i) for i in np.argsort(energies, kind="stable") if np.isfinite(energies[i])]
    if energy_window is not None and order:
        order = [i for i in order if energies[i] <= energies[order[0]] + energy_window]
    if prune_rms is None or len(order) < 2:
        return order[:count]
    heavy = Chem.RemoveHs(mol)
    x = np.stack([c.GetPositions() for c in heavy.GetConformers()])
    permutations = symmetries(heavy, heavy, max_matches=10_000).permutations
    kept: list[int] = []
    passed: list[int] = []
    for i in order:
        if count is not None and len(kept) == count:
            break
        near = kept and aligned_rmsd(x[[i]], x[kept], permutations).min() < prune_rms
        (passed if near else kept).append(i)
    if count is not None and len(kept) < count:
        kept = sorted(kept + passed[: count - len(kept)], key=order.index)
    return kept
