"""GFN2-xTB conformer ensembles of one molecule, by RDKit and the `xtb` program.

Recipe: ETKDGv3 embeddings (for a share of the molecules also torsion-grid and GFN-FF dynamics
seeds), MMFF94s, duplicates dropped, GFN2-xTB tight optimisation with the `xtb` binary, reacted
graphs and changed stereo dropped, duplicates dropped again, a window of 6 kcal/mol above the
lowest.
"""

import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geodiff.domains.molecules.ensembles import Ensemble

HARTREE_IN_KCAL = 627.509474


@dataclass(frozen=True)
class Recipe:
    """Every choice that shapes an ensemble; written beside the data."""

    embeddings_base: int = 16  # ETKDGv3 embeddings of a molecule without rotatable bonds
    embeddings_per_rotor: int = 8  # more for each rotatable bond
    embeddings_max: int = 64  # of any molecule
    optimisations_max: int = 24  # xtb calls per molecule, lowest MMFF94s energies first
    window_kcal: float = 6.0  # kept above the lowest GFN2 energy
    duplicate_kcal: float = 0.05  # two conformers closer than this in energy ...
    duplicate_rotational: float = 0.01  # ... and in all rotational constants (relative) are one
    # every 4th molecule also gets torsion-grid and GFN-FF dynamics seeds
    other_seeds_every: int = 4
    torsion_seeds: int = 16  # of the torsion grid
    dynamics_ps: float = 3.0  # picoseconds of GFN-FF dynamics
    dynamics_kelvin: float = 500.0  # its temperature
    xtb_timeout_s: float = 60.0  # seconds of one xtb call


def _rotational_constants(positions: np.ndarray, masses: np.ndarray) -> np.ndarray:
    centred = positions - (masses[:, None] * positions).sum(0) / masses.sum()
    inertia = np.einsum(
        "a,aij->ij",
        masses,
        (centred**2).sum(1)[:, None, None] * np.eye(3) - centred[:, :, None] * centred[:, None, :],
    )
    return 1.0 / np.maximum(np.linalg.eigvalsh(inertia), 1e-3)


def _unique(
    energies: Sequence[float], constants: Sequence[np.ndarray], recipe: Recipe
) -> list[int]:
    """Indices of distinct conformers, lowest energy first."""
    kept: list[int] = []
    for i in np.argsort(energies, kind="stable"):
        same = (
            abs(energies[i] - energies[k]) < recipe.duplicate_kcal
            and np.all(np.abs(constants[i] / constants[k] - 1) < recipe.duplicate_rotational)
            for k in kept
        )
        if not any(same):
            kept.append(int(i))
    return kept


def _same_graph(positions: np.ndarray, adjacency: np.ndarray, radii: np.ndarray) -> bool:
    """Whether bonded pairs are still bonded and no others became so.

    One threshold cannot do both: across a bicyclo[1.1.1] cage carbons stand 1.9 angstrom apart
    unbonded.
    """
    distance = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    ratio = distance / (radii[:, None] + radii[None])
    others = ~np.eye(len(radii), dtype=bool)
    return bool(
        np.all(ratio[adjacency > 0] < 1.3) and np.all(ratio[(adjacency == 0) & others] > 1.1)
    )


def _run_xtb(
    symbols, positions, arguments: list[str], charge: int, folder: Path, timeout: float
) -> str | None:
    """Run xtb on one geometry in `folder`; its standard output, or None if it failed."""
    lines = [str(len(symbols)), ""] + [
        f"{s} {x:.8f} {y:.8f} {z:.8f}" for s, (x, y, z) in zip(symbols, positions)
    ]
    (folder / "in.xyz").write_text("\n".join(lines) + "\n")
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OMP_STACKSIZE": "512M",
    }
    try:
        done = subprocess.run(
            ["xtb", "in.xyz", "--chrg", str(charge), *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        return None
    return done.stdout if done.returncode == 0 else None


def _read_xyz_frames(path: Path) -> list[tuple[str, np.ndarray]]:
    lines = path.read_text(errors="replace").splitlines()
    frames, start = [], 0
    while start + 1 < len(lines) and lines[start].strip():
        atoms = int(lines[start])
        rows = lines[start + 2 : start + 2 + atoms]
        if len(rows) < atoms:
            break
        frames.append(
            (lines[start + 1], np.array([[float(v) for v in r.split()[1:4]] for r in rows]))
        )
        start += 2 + atoms
    return frames


def _optimise_gfn2(
    symbols, positions, charge: int, recipe: Recipe
) -> tuple[float, np.ndarray] | None:
    """GFN2-xTB tight optimisation; (energy in kcal/mol, positions) or None."""
    with tempfile.TemporaryDirectory(prefix="geodiff-xtb-") as name:
        folder = Path(name)
        if (
            _run_xtb(
                symbols,
                positions,
                ["--gfn", "2", "--opt", "tight"],
                charge,
                folder,
                recipe.xtb_timeout_s,
            )
            is None
        ):
            return None
        if not (folder / "xtbopt.xyz").exists() or (folder / ".xtboptok").exists() is False:
            return None
        ((comment, optimised),) = _read_xyz_frames(folder / "xtbopt.xyz")[:1]
        return float(comment.split()[1]) * HARTREE_IN_KCAL, optimised


def _dynamics_seeds(symbols, positions, charge: int, recipe: Recipe) -> list[np.ndarray]:
    """Snapshots of a short GFN-FF trajectory: ring flips and rotamers that distance geometry does
    not draw.
    """
    if recipe.dynamics_ps <= 0:
        return []
    with tempfile.TemporaryDirectory(prefix="geodiff-xtb-") as name:
        folder = Path(name)
        (folder / "md.inp").write_text(
            f"$md\n  time={recipe.dynamics_ps}\n  temp={recipe.dynamics_kelvin}\n  step=2.0\n  "
            "dump=100.0\n  hmass=4\n  shake=1\n  velo=false\n  nvt=true\n$end\n"
        )
        _run_xtb(
            symbols,
            positions,
            ["--gfnff", "--md", "--input", "md.inp"],
            charge,
            folder,
            recipe.xtb_timeout_s,
        )
        trajectory = folder / "xtb.trj"
        return [frame for _, frame in _read_xyz_frames(trajectory)] if trajectory.exists() else []


def _torsion_seeds(molecule, count: int, generator: np.random.Generator) -> list[np.ndarray]:
    """Geometries with every rotatable bond on a random point of a 60-degree grid."""
    from rdkit import Chem
    from rdkit.Chem import rdMolTransforms

    bonds = molecule.GetSubstructMatches(Chem.MolFromSmarts("[!$([D1])]-!@[!$([D1])]"))
    if not bonds:
        return []
    seeds = []
    for _ in range(count):
        copy = Chem.Mol(
            molecule, confId=int(generator.choice([c.GetId() for c in molecule.GetConformers()]))
        )
        conformer = copy.GetConformer()
        for j, k in bonds:
            i = next(a.GetIdx() for a in copy.GetAtomWithIdx(j).GetNeighbors() if a.GetIdx() != k)
            m = next(a.GetIdx() for a in copy.GetAtomWithIdx(k).GetNeighbors() if a.GetIdx() != j)
            try:
                rdMolTransforms.SetDihedralDeg(
                    conformer, i, j, k, m, 60.0 * float(generator.integers(6))
                )
            except ValueError:  # linear neighbours have no dihedral
                continue
        seeds.append(conformer.GetPositions())
    return seeds


def _relax_mmff(molecule) -> list[tuple[float, np.ndarray]]:
    """MMFF94s energies (kcal/mol) and relaxed positions of every conformer of `molecule`."""
    from rdkit.Chem import AllChem

    results = AllChem.MMFFOptimizeMoleculeConfs(molecule, maxIters=500, mmffVariant="MMFF94s")
    pairs = zip(results, molecule.GetConformers())
    return [(energy if status >= 0 else 0.0, c.GetPositions()) for (status, energy), c in pairs]


def choose_stereoisomer(smiles: str, seed: int) -> str | None:
    """Canonical isomeric SMILES of one embeddable stereoisomer; None if there is none.

    Args:
        smiles: whose open stereo is to be chosen.
        seed: what draws.
    """
    from rdkit import Chem
    from rdkit.Chem.EnumerateStereoisomers import EnumerateStereoisomers, StereoEnumerationOptions

    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None:
        return None
    options = StereoEnumerationOptions(tryEmbedding=True, unique=True, maxIsomers=4, rand=seed)
    isomers = sorted(
        {_without_nitrogen_centres(m) for m in EnumerateStereoisomers(molecule, options=options)}
    )
    return isomers[seed % len(isomers)] if isomers else None


def _without_nitrogen_centres(molecule) -> str:
    """Isomeric SMILES without tags on neutral nitrogen, which inverts (GEOM's SMILES do not tag it
    either).
    """
    from rdkit import Chem

    for atom in molecule.GetAtoms():
        if atom.GetAtomicNum() == 7 and atom.GetDegree() < 4:
            atom.SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)
    return Chem.MolToSmiles(Chem.MolFromSmiles(Chem.MolToSmiles(molecule)))


def make_ensemble(
    smiles: str, seed: int = 0, other_seeds: bool = False, recipe: Recipe = Recipe()
) -> Ensemble:
    """GFN2-xTB ensemble of a molecule, stereo as written.

    Args:
        smiles: of the molecule.
        seed: of embeddings and dynamics.
        other_seeds: adds torsion-grid and GFN-FF dynamics seeds.
        recipe: every choice that shapes the ensemble.

    Raises: ValueError with the reason when no conformer could be made.
    """
    it = _Molecule.read(smiles)
    seeds = _embedded(it, seed, recipe)
    if other_seeds:
        seeds += _other_seeds(it, seeds[0].positions, seed, recipe)
    unique = _distinct(it, seeds, recipe)[: recipe.optimisations_max]
    kept, reacted, stereo_changed = [], 0, 0
    for index in unique:
        optimised = _optimise_gfn2(it.symbols, seeds[index].positions, it.charge, recipe)
        if optimised is None or not _same_graph(optimised[1], it.adjacency, it.radii):
            reacted += 1
        elif not _same_stereo(it.perceived(optimised[1]), it.isomer):
            stereo_changed += 1
        else:
            kept.append(_Geometry(seeds[index].kind, *optimised))
    if not kept:
        raise ValueError(
            f"{smiles}: none of {len(unique)} GFN2 optimisations kept the graph and the stereo"
        )
    lowest = min(one.energy for one in kept)
    kept = [one for one in kept if one.energy - lowest <= recipe.window_kcal]
    kept = [kept[i] for i in _distinct(it, kept, recipe)]
    return Ensemble(
        smiles,
        np.stack([one.positions - one.positions.mean(0) for one in kept]).astype(np.float32),
        np.array([one.energy - lowest for one in kept], dtype=np.float32),
        np.array([one.kind for one in kept], dtype=np.int8),
        len(unique),
        reacted,
        stereo_changed,
    )


@dataclass(frozen=True)
class _Geometry:
    kind: int  # index into SEED_KINDS, of the seed that it came from
    energy: float  # kcal/mol
    positions: np.ndarray  # (atoms, 3), angstrom


@dataclass(frozen=True)
class _Molecule:
    """A molecule with hydrogens, and what the programs ask of it."""

    molecule: object  # RDKit Mol
    smiles: str  # as given
    isomer: str  # canonical and isomeric
    charge: int
    symbols: list[str]
    masses: np.ndarray
    adjacency: np.ndarray
    radii: np.ndarray  # covalent, angstrom

    @classmethod
    def read(cls, smiles: str) -> "_Molecule":
        from rdkit import Chem

        parsed = Chem.MolFromSmiles(smiles)
        if parsed is None:
            raise ValueError(f"smiles: RDKit cannot parse {smiles!r}")
        molecule = Chem.AddHs(parsed)
        atoms, table = list(molecule.GetAtoms()), Chem.GetPeriodicTable()
        return cls(
            molecule,
            smiles,
            Chem.MolToSmiles(parsed),
            Chem.GetFormalCharge(molecule),
            [a.GetSymbol() for a in atoms],
            np.array([a.GetMass() for a in atoms]),
            Chem.GetAdjacencyMatrix(molecule),
            np.array([table.GetRcovalent(a.GetAtomicNum()) for a in atoms]),
        )

    def with_conformers(self, positions: Sequence[np.ndarray]):
        """A copy that has these conformers alone."""
        from rdkit import Chem

        copy = Chem.Mol(self.molecule)
        copy.RemoveAllConformers()
        for xyz in positions:
            conformer = Chem.Conformer(len(self.symbols))
            conformer.SetPositions(np.ascontiguousarray(xyz))
            copy.AddConformer(conformer, assignId=True)
        return copy

    def perceived(self, positions: np.ndarray):
        """A copy with the stereo that one conformer has."""
        from rdkit import Chem

        copy = self.with_conformers([positions])
        Chem.AssignStereochemistryFrom3D(copy, replaceExistingTags=True)
        return copy


def _embedded(it: _Molecule, seed: int, recipe: Recipe) -> list[_Geometry]:
    """ETKDGv3 embeddings, relaxed; they stay in the molecule as its conformers."""
    from rdkit.Chem import AllChem
    from rdkit.Chem.rdMolDescriptors import CalcNumRotatableBonds

    rotors = CalcNumRotatableBonds(it.molecule, strict=False)
    count = recipe.embeddings_base + recipe.embeddings_per_rotor * rotors
    parameters = AllChem.ETKDGv3()
    parameters.randomSeed = 1 + seed % 100_003  # RDKit: seed 0 makes every embedding the same
    parameters.useRandomCoords = True
    parameters.maxIterations = 20
    if not len(
        AllChem.EmbedMultipleConfs(it.molecule, min(recipe.embeddings_max, count), parameters)
    ):
        raise ValueError(f"{it.smiles}: ETKDGv3 could not embed it")
    return [_Geometry(0, *relaxed) for relaxed in _relax_mmff(it.molecule)]


def _other_seeds(it: _Molecule, start: np.ndarray, seed: int, recipe: Recipe) -> list[_Geometry]:
    """Torsion-grid seeds, and snapshots of dynamics from `start`, relaxed."""
    generator = np.random.default_rng(seed)
    others = [(1, xyz) for xyz in _torsion_seeds(it.molecule, recipe.torsion_seeds, generator)]
    others += [(2, xyz) for xyz in _dynamics_seeds(it.symbols, start, it.charge, recipe)]
    if not others:
        return []
    relaxed = _relax_mmff(it.with_conformers([xyz for _, xyz in others]))
    return [_Geometry(kind, *one) for (kind, _), one in zip(others, relaxed)]


def _distinct(it: _Molecule, geometries: Sequence[_Geometry], recipe: Recipe) -> list[int]:
    """Indices of geometries that differ, lowest energy first."""
    constants = [_rotational_constants(one.positions, it.masses) for one in geometries]
    return _unique([one.energy for one in geometries], constants, recipe)


def _same_stereo(perceived, wanted: str) -> bool:
    """Whether the perceived molecule is `wanted` where `wanted` specifies stereo."""
    from rdkit import Chem

    target = Chem.MolFromSmiles(wanted)
    return Chem.RemoveHs(perceived).HasSubstructMatch(target, useChirality=True)
