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

    Random coordinates are the second try of a molecule that cannot be embedded from the distances.

    Args:
        molecule: SMILES, or a Mol (its conformers are not used); hydrogens are added. Stereo that
            it specifies is kept.
        n: how many, at least 1.
        seed: of RDKit's generator; the same seed gives the same conformers.
        force_field: None, or "MMFF94s", "MMFF94" or "UFF": relax each conformer. A molecule for
            which the force field has no parameters is left as embedded.
        max_iterations: most steps of relaxing a conformer.

    Returns: a Mol with explicit hydrogens and conformer ids 0, 1, ...
    Raises: ValueError for an unknown force field, n below 1 or a SMILES that RDKit cannot parse.
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
) -> dict[str, Chem.Mol | None] | list[Chem.Mol | None]:
    """`etkdg` of many molecules, for `metrics.coverage`: by name for a mapping, in order for a
    list.

    Args:
        molecules: SMILES, by name or in a list.
        n: conformers of each molecule, one number for all or one each.
        seed: of every molecule.
        force_field: as in `etkdg`.

    Returns: a dictionary or a list, as given; None for what cannot be embedded.
    Raises: ValueError if the numbers are not one for each molecule.
    """
    if isinstance(molecules, Mapping):
        by_name = n if isinstance(n, Mapping) else dict.fromkeys(molecules, n)
        return {
            name: etkdg(molecule, by_name[name], seed=seed, force_field=force_field)
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
