"""Conformer ensembles: molecules with their conformers and energies, in memory and as npz files."""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from geodiff.files import replacing

if TYPE_CHECKING:
    from rdkit.Chem import Mol

# "given": read from a file, not made here
SEED_KINDS = ("etkdg", "torsion_grid", "gfnff_dynamics", "given")


@dataclass
class Ensemble:
    """Optimised conformers of one molecule; atoms in the order of AddHs(MolFromSmiles(smiles))."""

    smiles: str  # canonical, isomeric
    positions: np.ndarray  # (conformers, atoms, 3), angstrom, float32
    energies: np.ndarray  # (conformers,), kcal/mol above the lowest
    seed_kind: np.ndarray  # (conformers,), index into SEED_KINDS
    optimisations: int  # how many were run to make it
    reacted: int  # of these, how many ended as another molecule
    stereo_changed: int  # and how many with another stereo


def ensemble_of(mol: "Mol") -> Ensemble:
    """The conformers of a molecule, as they are, under its canonical isomeric SMILES.

    Energies are unknown and written as 0.

    Args:
        mol: an RDKit molecule with explicit hydrogens.

    Raises: ValueError if the SMILES does not lead back to the molecule's atoms.
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
    """Write ensembles as one compressed npz without pickles; the file appears whole or not at all.

    Args:
        path: of the file to write.
        ensembles: any number; positions are rounded to 1e-3 angstrom.
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
    """Read what `save_ensembles` wrote.

    Args:
        path: of the file.

    Raises: ValueError naming the file if it is damaged or of another kind.
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


def merge(files: Sequence[Path], out: Path) -> int:
    """Write the ensembles of several files to one, sorted by SMILES, each SMILES once.

    Args:
        files: as `save_ensembles` wrote them; of one SMILES in two files the later counts.
        out: the file to write.

    Returns: how many molecules.
    """
    ensembles = {e.smiles: e for path in files for e in load_ensembles(path)}
    save_ensembles(out, [ensembles[smiles] for smiles in sorted(ensembles)])
    return len(ensembles)
