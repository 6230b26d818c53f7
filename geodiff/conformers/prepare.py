"""GFN2-xTB conformer ensembles from SMILES: the training data of the conformer task.

Recipe per molecule: ETKDGv3 embeddings (for a share of the molecules also torsion-grid and GFN-FF
dynamics seeds), MMFF94s, duplicates dropped, GFN2-xTB tight optimisation with the `xtb` binary,
reacted graphs and changed stereo dropped, duplicates dropped again, a window of 6 kcal/mol above
the lowest.
"""

import hashlib
import json
import logging
import os
import shutil
import subprocess
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from geodiff.conformers.io import Failure, read_failures, write_failures
from geodiff.files import replacing

logger = logging.getLogger(__name__)

HARTREE_IN_KCAL = 627.509474
# "given": read from a file, not made here
SEED_KINDS = ("etkdg", "torsion_grid", "gfnff_dynamics", "given")


@dataclass(frozen=True)
class Recipe:
    """Every choice that shapes an ensemble; written beside the data."""

    embeddings_base: int = 16  # ETKDGv3 embeddings of a molecule without rotatable bonds
    embeddings_per_rotor: int = 8
    embeddings_max: int = 64
    optimisations_max: int = 24  # xtb calls per molecule, lowest MMFF94s energies first
    window_kcal: float = 6.0  # kept above the lowest GFN2 energy
    duplicate_kcal: float = 0.05  # two conformers closer than this in energy ...
    duplicate_rotational: float = 0.01  # ... and in all rotational constants (relative) are one
    # every 4th molecule also gets torsion-grid and GFN-FF dynamics seeds
    other_seeds_every: int = 4
    torsion_seeds: int = 16
    dynamics_ps: float = 3.0
    dynamics_kelvin: float = 500.0
    xtb_timeout_s: float = 60.0


@dataclass
class Ensemble:
    """Optimised conformers of one molecule; atoms in the order of AddHs(MolFromSmiles(smiles))."""

    smiles: str
    positions: np.ndarray  # (conformers, atoms, 3), angstrom, float32
    energies: np.ndarray  # (conformers,), kcal/mol above the lowest
    seed_kind: np.ndarray  # (conformers,), index into SEED_KINDS
    optimisations: int
    reacted: int
    stereo_changed: int


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
    """Canonical isomeric SMILES of one embeddable stereoisomer of `smiles`, drawn by `seed`."""
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
    """GFN2-xTB ensemble of `smiles` (stereo as written); `other_seeds` adds torsion-grid and GFN-FF
    dynamics seeds.

    Raises ValueError with the reason when no conformer could be made.
    """
    from rdkit import Chem
    from rdkit.Chem import AllChem
    from rdkit.Chem.rdMolDescriptors import CalcNumRotatableBonds

    parsed = Chem.MolFromSmiles(smiles)
    if parsed is None:
        raise ValueError(f"smiles: RDKit cannot parse {smiles!r}")
    molecule = Chem.AddHs(parsed)
    charge = Chem.GetFormalCharge(molecule)
    symbols = [a.GetSymbol() for a in molecule.GetAtoms()]
    masses = np.array([a.GetMass() for a in molecule.GetAtoms()])
    adjacency = Chem.GetAdjacencyMatrix(molecule)
    table = Chem.GetPeriodicTable()
    radii = np.array([table.GetRcovalent(a.GetAtomicNum()) for a in molecule.GetAtoms()])
    count = min(
        recipe.embeddings_max,
        recipe.embeddings_base
        + recipe.embeddings_per_rotor * CalcNumRotatableBonds(molecule, strict=False),
    )

    parameters = AllChem.ETKDGv3()
    parameters.randomSeed = 1 + seed % 100_003  # RDKit: seed 0 makes every embedding the same
    parameters.useRandomCoords = True
    parameters.maxIterations = 20
    if not len(AllChem.EmbedMultipleConfs(molecule, count, parameters)):
        raise ValueError(f"{smiles}: ETKDGv3 could not embed it")
    seeds = [(0, energy, xyz) for energy, xyz in _relax_mmff(molecule)]
    if other_seeds:
        generator = np.random.default_rng(seed)
        others = [(1, xyz) for xyz in _torsion_seeds(molecule, recipe.torsion_seeds, generator)]
        others += [(2, xyz) for xyz in _dynamics_seeds(symbols, seeds[0][2], charge, recipe)]
        copy = Chem.Mol(molecule)
        copy.RemoveAllConformers()
        for _, xyz in others:
            conformer = Chem.Conformer(len(symbols))
            conformer.SetPositions(np.ascontiguousarray(xyz))
            copy.AddConformer(conformer, assignId=True)
        if others:
            seeds += [
                (kind, energy, xyz) for (kind, _), (energy, xyz) in zip(others, _relax_mmff(copy))
            ]

    constants = [_rotational_constants(xyz, masses) for _, _, xyz in seeds]
    unique = _unique([energy for _, energy, _ in seeds], constants, recipe)[
        : recipe.optimisations_max
    ]
    kept, reacted, stereo_changed = [], 0, 0
    wanted = Chem.MolToSmiles(parsed)
    for index in unique:
        optimised = _optimise_gfn2(symbols, seeds[index][2], charge, recipe)
        if optimised is None:
            reacted += 1
            continue
        energy, xyz = optimised
        conformer = Chem.Conformer(len(symbols))
        conformer.SetPositions(np.ascontiguousarray(xyz))
        if not _same_graph(xyz, adjacency, radii):
            reacted += 1
            continue
        perceived = Chem.Mol(molecule)
        perceived.RemoveAllConformers()
        perceived.AddConformer(conformer)
        Chem.AssignStereochemistryFrom3D(perceived, replaceExistingTags=True)
        if not _same_stereo(perceived, wanted):
            stereo_changed += 1
            continue
        kept.append((seeds[index][0], energy, xyz))
    if not kept:
        raise ValueError(
            f"{smiles}: none of {len(unique)} GFN2 optimisations kept the graph and the stereo"
        )

    lowest = min(energy for _, energy, _ in kept)
    kept = [k for k in kept if k[1] - lowest <= recipe.window_kcal]
    unique_kept = _unique(
        [k[1] for k in kept], [_rotational_constants(k[2], masses) for k in kept], recipe
    )
    kept = [kept[i] for i in unique_kept]
    positions = np.stack([xyz - xyz.mean(0) for _, _, xyz in kept]).astype(np.float32)
    return Ensemble(
        smiles,
        positions,
        np.array([e - lowest for _, e, _ in kept], dtype=np.float32),
        np.array([k for k, _, _ in kept], dtype=np.int8),
        len(unique),
        reacted,
        stereo_changed,
    )


def _same_stereo(perceived, wanted: str) -> bool:
    """Whether the perceived molecule is `wanted` where `wanted` specifies stereo."""
    from rdkit import Chem

    target = Chem.MolFromSmiles(wanted)
    return Chem.RemoveHs(perceived).HasSubstructMatch(target, useChirality=True)


def _chunk_file(folder: Path, index: int) -> Path:
    return folder / f"chunk_{index:05d}.npz"


def _make_chunk(task) -> tuple[int, list[Failure]]:
    """Ensembles of one chunk, written atomically; molecules made, and failures."""
    index, rows, folder, recipe = task
    from rdkit import RDLogger

    RDLogger.DisableLog("rdApp.*")
    made, failures = [], []
    for position, smiles in rows:
        seed = zlib.crc32(smiles.encode()) & 0x7FFFFFFF
        try:
            isomer = choose_stereoisomer(smiles, seed)
            if isomer is None:
                raise ValueError(f"{smiles}: no embeddable stereoisomer")
            made.append(
                make_ensemble(isomer, seed, position % recipe.other_seeds_every == 0, recipe)
            )
        except (ValueError, RuntimeError) as error:
            failures.append(Failure(position, "", smiles, str(error)))
    save_ensembles(_chunk_file(folder, index), made)
    return len(made), failures


def ensemble_of(mol) -> Ensemble:
    """The conformers of an RDKit molecule with explicit hydrogens, as they are, under its canonical
    isomeric SMILES.

    Energies are unknown and written as 0. Raises ValueError if the SMILES does not lead back to the
    molecule's atoms.
    """
    from rdkit import Chem

    smiles = Chem.MolToSmiles(Chem.RemoveHs(mol))
    order = list(mol.GetSubstructMatch(Chem.AddHs(Chem.MolFromSmiles(smiles)), useChirality=True))
    if len(order) != mol.GetNumAtoms():
        raise ValueError(
            f"mol: {smiles} does not map back onto the molecule's {mol.GetNumAtoms()} atoms"
        )
    positions = np.stack([c.GetPositions()[order] for c in mol.GetConformers()])
    positions = (positions - positions.mean(1, keepdims=True)).astype(np.float32)
    count = len(positions)
    return Ensemble(
        smiles,
        positions,
        np.zeros(count, np.float32),
        np.full(count, SEED_KINDS.index("given"), np.int8),
        0,
        0,
        0,
    )


def save_ensembles(path: Path, ensembles: Sequence[Ensemble]) -> None:
    """Write ensembles as one compressed npz without pickles; the file appears whole or not at
    all.
    """
    counts = [len(e.positions) for e in ensembles]
    atoms = [e.positions.shape[1] for e in ensembles]
    arrays = {
        "smiles": np.array([e.smiles for e in ensembles], dtype=np.str_),
        "conformers": np.array(counts, dtype=np.int32),
        "atoms": np.array(atoms, dtype=np.int32),
        # 1e-3 angstrom is a tenth of the tightest bond-length spread; three decimals halve the
        # compressed size.
        "positions": np.concatenate(
            [e.positions.round(3).reshape(-1, 3) for e in ensembles] or [np.zeros((0, 3))]
        ).astype(np.float32),
        "energies": np.concatenate([e.energies for e in ensembles] or [np.zeros(0)]).astype(
            np.float32
        ),
        "seed_kind": np.concatenate([e.seed_kind for e in ensembles] or [np.zeros(0)]).astype(
            np.int8
        ),
        "work": np.array(
            [(e.optimisations, e.reacted, e.stereo_changed) for e in ensembles], dtype=np.int32
        ).reshape(-1, 3),
    }
    # Not *.npz: a folder of chunks is read by that name, and a crash may leave this file behind.
    with replacing(path) as part, open(part, "wb") as file:
        np.savez_compressed(file, **arrays)


def load_ensembles(path: Path) -> list[Ensemble]:
    """Read what `save_ensembles` wrote; ValueError naming the file if it is damaged or of another
    kind.
    """
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            return _unpacked({name: file[name] for name in file.files})
    except (
        EOFError,
        IndexError,
        KeyError,
        TypeError,
        ValueError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise ValueError(
            f"ensembles: {path} is damaged, or not written by `geodiff prepare conformers` "
            f"({type(error).__name__}: {error}); delete it and make it anew"
        ) from error


def _unpacked(stored: dict[str, np.ndarray]) -> list[Ensemble]:
    ensembles, row, conformer = [], 0, 0
    for i, smiles in enumerate(stored["smiles"]):
        n, a = int(stored["conformers"][i]), int(stored["atoms"][i])
        ensembles.append(
            Ensemble(
                str(smiles),
                stored["positions"][row : row + n * a].reshape(n, a, 3),
                stored["energies"][conformer : conformer + n],
                stored["seed_kind"][conformer : conformer + n],
                *map(int, stored["work"][i]),
            )
        )
        row, conformer = row + n * a, conformer + n
    return ensembles


def _skeleton(smiles: str) -> str | None:
    from rdkit import Chem

    molecule = Chem.MolFromSmiles(smiles)
    return None if molecule is None else Chem.MolToSmiles(molecule, isomericSmiles=False)


def hold_out(smiles: Iterable[str], held_out: Iterable[str]) -> list[str]:
    """`smiles` without those whose canonical SMILES, stereo ignored, is in `held_out`; duplicates
    dropped too.
    """
    banned = {_skeleton(s) for s in held_out}
    seen: set[str] = set()
    kept = []
    for s in smiles:
        key = _skeleton(s)
        if key is not None and key not in banned and key not in seen:
            seen.add(key)
            kept.append(s)
    return kept


def prepare(
    smiles: Sequence[str],
    out: Path,
    *,
    workers: int = 2,
    chunk_size: int = 20,
    recipe: Recipe = Recipe(),
    progress=None,
) -> dict:
    """Make ensembles of `smiles` under `out`, one file per chunk; a second call goes on where the
    first stopped.

    Writes `chunk_*.npz`, `failures.csv`, `recipe.json` and at the end `ensembles.npz`, all chunks
    in one file sorted by SMILES. `progress(done, total)` is called after every chunk. Returns
    counts.
    Raises RuntimeError if the `xtb` binary is missing; ValueError if `out` holds a run of other
    input.
    """
    if shutil.which("xtb") is None:
        raise RuntimeError(
            "prepare needs the xtb program: apt-get install xtb, or conda install xtb"
        )
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"out: {out} is a file; give a folder")
    out.mkdir(parents=True, exist_ok=True)
    rows = list(enumerate(smiles))
    chunks = [rows[i : i + chunk_size] for i in range(0, len(rows), chunk_size)]
    _check_same_run(
        out / "recipe.json",
        {
            **asdict(recipe),
            "chunk_size": chunk_size,
            "molecules": len(rows),
            "smiles_sha256": hashlib.sha256("\n".join(smiles).encode()).hexdigest(),
        },
    )
    tasks = [
        (i, chunk, out, recipe)
        for i, chunk in enumerate(chunks)
        if not _chunk_file(out, i).exists()
    ]
    made = failed = 0
    listed = out / "failures.csv"
    known = {failure.index: failure for failure in read_failures(listed)} if listed.exists() else {}
    with ProcessPoolExecutor(workers) as pool:
        futures = [pool.submit(_make_chunk, task) for task in tasks]
        for done, future in enumerate(as_completed(futures), 1):
            count, failures = future.result()
            made += count
            failed += len(failures)
            if failures:
                known |= {failure.index: failure for failure in failures}
                write_failures(listed, [known[i] for i in sorted(known)])
            if progress is not None:
                progress(done + len(chunks) - len(tasks), len(chunks))
    merge([_chunk_file(out, i) for i in range(len(chunks))], out / "ensembles.npz")
    return {"made": made, "failed": failed, "chunks": len(chunks)}


def _check_same_run(path: Path, described: dict) -> None:
    """Write `described` to `path`; ValueError if a run with other molecules or another recipe
    stands there.
    """
    if path.exists():
        before = json.loads(path.read_text())
        changed = sorted(
            k for k in described.keys() | before.keys() if described.get(k) != before.get(k)
        )
        if changed:
            raise ValueError(
                f"out: {path.parent} holds a run with other {', '.join(changed)}; go on with the "
                "same input, or choose another folder"
            )
    with replacing(path) as part:
        part.write_text(json.dumps(described, indent=1) + "\n")


def merge(files: Sequence[Path], out: Path) -> int:
    """Write the ensembles of `files` to one file, sorted by SMILES, each SMILES once; returns how
    many molecules.
    """
    ensembles = {e.smiles: e for path in files for e in load_ensembles(path)}
    save_ensembles(out, [ensembles[smiles] for smiles in sorted(ensembles)])
    return len(ensembles)
