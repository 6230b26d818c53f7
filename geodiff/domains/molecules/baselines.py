"""RDKit's own conformer generators, as the rows that any other generator is compared with."""

from collections.abc import Mapping, Sequence

from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

FORCE_FIELDS = ("MMFF94", "MMFF94s", "UFF")


def etkdg(
    molecule: str | Chem.Mol,
    n: int,
    *,
    seed: int = 42,
    force_field: str | None = None,
    max_iterations: int = 2_000,
) -> Chem.Mol | None:
    """Up to `n` ETKDGv3 conformers of `molecule`, nothing pruned, or None if it cannot be embedded.

    molecule: SMILES, or a Mol (its conformers are not used); hydrogens are added. Stereo that it
      specifies is kept.
    force_field: None, or "MMFF94s", "MMFF94" or "UFF": relax each conformer, at most
      `max_iterations` steps. A molecule for which the force field has no parameters is left as
      embedded. Random coordinates are the second try of a molecule that cannot be embedded from the
      distances.
    Returns a Mol with explicit hydrogens and conformer ids 0, 1, ...; the same for the same seed.
    """
    if force_field is not None and force_field not in FORCE_FIELDS:
        raise ValueError(
            f"force_field: expected None or one of {', '.join(FORCE_FIELDS)}, got {force_field!r}"
        )
    if n < 1:
        raise ValueError(f"n: expected at least 1 conformer, got {n}")
    if isinstance(molecule, str):
        parsed = Chem.MolFromSmiles(molecule)
        if parsed is None:
            raise ValueError(f"molecule: RDKit cannot parse {molecule!r}")
        molecule = parsed
    molecule = Chem.AddHs(molecule)
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = seed
    with rdBase.BlockLogs():
        rdDistGeom.EmbedMultipleConfs(molecule, n, parameters)
        if not molecule.GetNumConformers():
            parameters.useRandomCoords = True
            rdDistGeom.EmbedMultipleConfs(molecule, n, parameters)
        if not molecule.GetNumConformers():
            return None
        if force_field is not None:
            _relax(molecule, force_field, max_iterations)
    return molecule


def _relax(molecule: Chem.Mol, force_field: str, max_iterations: int) -> None:
    """Relax every conformer of `molecule` in place, if the force field has parameters for it."""
    relaxed = Chem.Mol(molecule)  # MMFF leaves its own aromaticity on the molecule that it is given
    if force_field == "UFF":
        if not rdForceFieldHelpers.UFFHasAllMoleculeParams(relaxed):
            return
        rdForceFieldHelpers.UFFOptimizeMoleculeConfs(relaxed, maxIters=max_iterations)
    else:
        if not rdForceFieldHelpers.MMFFHasAllMoleculeParams(relaxed):
            return
        rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(
            relaxed, maxIters=max_iterations, mmffVariant=force_field
        )
    for conformer, moved in zip(molecule.GetConformers(), relaxed.GetConformers()):
        conformer.SetPositions(moved.GetPositions())


def etkdg_ensembles(
    molecules: Mapping[str, str] | Sequence[str],
    n: int | Mapping[str, int] | Sequence[int],
    *,
    seed: int = 42,
    force_field: str | None = None,
):
    """`etkdg` of many molecules, for `metrics.coverage`: by name for a mapping, in order for a
    list.

    n: conformers of each molecule, one number for all or one each.
    """
    if isinstance(molecules, Mapping):
        counts = n if isinstance(n, Mapping) else dict.fromkeys(molecules, n)
        return {
            name: etkdg(molecule, counts[name], seed=seed, force_field=force_field)
            for name, molecule in molecules.items()
        }
    counts = [n] * len(molecules) if isinstance(n, int) else list(n)
    if len(counts) != len(molecules):
        raise ValueError(
            f"n: expected {len(molecules)} numbers, one for each molecule, got {len(counts)}"
        )
    return [
        etkdg(molecule, count, seed=seed, force_field=force_field)
        for molecule, count in zip(molecules, counts)
    ]
