"""Molecules from SMILES, Mols and files.

A bad record never stops a good one: what could not be read is returned with the reason.
"""

import csv
import gzip
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rdkit import Chem

from geodiff.domains.molecules.parsing import (
    canonical,
    check,
    check_coordinates,
    copy_sanitised,
    parse_block,
    parse_smiles,
)
from geodiff.domains.molecules.records import BadMolecule, Failure, Record
from geodiff.domains.molecules.records import read_failures as read_failures
from geodiff.domains.molecules.sdf_writer import SdfWriter as SdfWriter
from geodiff.jobs.failures import write_failures as write_failures

MAX_ATOMS = 200  # with hydrogens; pair features grow with the square
SUFFIXES = (".smi", ".txt", ".csv", ".sdf")  # each also with .gz
_NAME_COLUMNS = ("name", "mol_id", "id")
_NAME_PROPERTIES = ("mol_id", "name", "_Name")


def read(
    source: str | os.PathLike | Chem.Mol | Sequence[str | Chem.Mol], *, max_atoms: int = MAX_ATOMS
) -> tuple[list[Record], list[Failure]]:
    """Molecules with explicit hydrogens, in order, and a failure with its reason for the others.

    Every SDF record is a record here; `read_ensembles` groups the conformers of a molecule. Refused
    one by one: unreadable or empty records, dummy atoms, elements outside `ELEMENTS`, several
    fragments, dative bonds, stereo of an axis or of a centre that is not tetrahedral, coordinates
    that are not finite, two atoms at one point. Radicals are taken as written.

    Args:
        source: a SMILES or an RDKit Mol, a sequence of them, or a file: .smi and .txt (a SMILES,
            then a name, per line), .csv (column `smiles`, and `name`, `mol_id` or `id` if there),
            .sdf; also .gz of each. A string is a path if it ends like one of these (no SMILES
            does); otherwise it is a SMILES.
        max_atoms: larger molecules, hydrogens counted, become failures.

    Raises: FileNotFoundError for a missing file; ValueError for a file of another kind, one without
        molecules or a .csv without a `smiles` column; TypeError for anything else.
    """
    records: list[Record] = []
    failures: list[Failure] = []
    for index, (name, text, make) in enumerate(_entries(source)):
        name = name or f"mol_{index:04d}"
        try:
            mol = make()
            check(mol, max_atoms)
        except BadMolecule as error:
            failures.append(Failure(index, name, text, str(error)))
            continue
        records.append(Record(index, name, text or canonical(mol), mol))
    if not records and not failures:
        raise ValueError(f"source: {_shown(source)} holds no molecules")
    return records, failures


def read_ensembles(path: str | os.PathLike) -> list[Chem.Mol]:
    """Molecules of an SDF file with all their conformers: consecutive records of one molecule
    become one Mol.

    Records belong together while their `mol_id` (without one: title), `smiles`, atoms and bonds, in
    order, stay the same. The first record's properties and stereo (as its coordinates have it) are
    kept, without `conf_idx`; `_Name` is the mol_id; conformer ids count from 0.

    Args:
        path: .sdf or .sdf.gz, one record per conformer.

    Raises: FileNotFoundError, or ValueError naming the first record that cannot be read.
    """
    path = _existing(Path(path))
    if _kind(path) != ".sdf":
        raise ValueError(f"path: expected a .sdf or .sdf.gz file, got {path}")
    molecules: list[Chem.Mol] = []
    last = None
    for index, (name, _, make) in enumerate(_sdf_entries(path)):
        try:
            mol = make()
            check_coordinates(mol)
            if not mol.GetNumConformers():
                raise BadMolecule("has no 3D coordinates")
        except BadMolecule as error:
            shown = name or "without a name"
            raise ValueError(f"path: record {index} ({shown}) of {path} {error}") from error
        key = (name, mol.GetProp("smiles") if mol.HasProp("smiles") else "", *_graph_key(mol))
        if key == last:
            molecules[-1].AddConformer(mol.GetConformer(), assignId=True)
        else:
            mol.GetConformer().SetId(0)
            mol.SetProp("_Name", name)
            mol.ClearProp("conf_idx")
            molecules.append(mol)
        last = key
    if not molecules:
        raise ValueError(f"path: {path} holds no molecules")
    return molecules


# Sources: each entry is (name, text, make), make() returning the Mol or raising BadMolecule.


def _entries(source) -> Iterator[tuple]:
    if isinstance(source, Chem.Mol):
        return iter([_mol_entry(source)])
    if isinstance(source, str) and _kind(Path(source)) not in SUFFIXES:
        also = f", and no path, as it does not end in {' '.join(SUFFIXES)}"
        return iter([_smiles_entry("", source, also)])
    if isinstance(source, str | os.PathLike):
        path = _existing(Path(source))
        readers = {
            ".sdf": _sdf_entries,
            ".csv": _csv_entries,
            ".smi": _line_entries,
            ".txt": _line_entries,
        }
        return readers[_kind(path)](path)
    if isinstance(source, Iterable):
        return map(_any_entry, source)
    raise TypeError(
        f"source: expected a SMILES, a Mol, a list of them or a path, got {type(source).__name__}"
    )


def _any_entry(item) -> tuple:
    if isinstance(item, Chem.Mol):
        return _mol_entry(item)
    if isinstance(item, str):
        return _smiles_entry("", item)
    raise TypeError(f"source: expected a list of SMILES or Mols, got {type(item).__name__} in it")


def _mol_entry(mol: Chem.Mol) -> tuple:
    name = mol.GetProp("_Name").strip() if mol.HasProp("_Name") else ""
    return name, "", lambda: copy_sanitised(mol)


def _smiles_entry(name: str, smiles: str, also: str = "") -> tuple:
    return name, smiles, lambda: parse_smiles(smiles, also)


def _line_entries(path: Path) -> Iterator[tuple]:
    with _opened(path) as (lines, broken):
        first = True
        for line in lines:
            words = line.split(None, 1)
            if not words:
                continue
            header = first and words[0].strip('"').lower() == "smiles"
            first = False
            if not header:
                yield _smiles_entry(words[1].strip() if len(words) > 1 else "", words[0])
        yield from map(_broken_entry, broken)


def _csv_entries(path: Path) -> Iterator[tuple]:
    with _opened(path) as (lines, broken):
        rows = csv.DictReader(lines)
        columns = {(column or "").strip().lower(): column for column in rows.fieldnames or ()}
        if columns and "smiles" not in columns and not broken:
            raise ValueError(
                f"source: {str(path)!r} needs a column named smiles; its columns are "
                f"{', '.join(rows.fieldnames or ())}; write a header line, and commas between "
                "columns"
            )
        name_column = next((columns[c] for c in _NAME_COLUMNS if c in columns), None)
        for row in rows:
            name = (row.get(name_column) or "").strip() if name_column else ""
            yield _smiles_entry(name, (row.get(columns["smiles"]) or "").strip())
        yield from map(_broken_entry, broken)


def _sdf_entries(path: Path) -> Iterator[tuple]:
    with _opened(path) as (lines, broken):
        block: list[str] = []
        records = 0
        for line in lines:
            if line.rstrip() == "$$$$":
                yield _block_entry(block)
                block, records = [], records + 1
            else:
                block.append(line)
        if any(line.strip() for line in block):
            # A lone molfile has no $$$$; in a longer file a missing one means that the end is lost.
            whole = not broken and records == 0 and any(line.startswith("M  END") for line in block)
            yield _block_entry(block, cut=not whole)
        else:
            yield from map(_broken_entry, broken)


def _broken_entry(error: Exception) -> tuple:
    def fail() -> Chem.Mol:
        raise BadMolecule(f"and all after it are lost, the compressed file is broken: {error}")

    return "", "", fail


def _block_entry(block: list[str], cut: bool = False) -> tuple:
    properties = _sdf_properties(block)
    properties["_Name"] = block[0].strip() if block else ""
    name = next((properties[key] for key in _NAME_PROPERTIES if properties.get(key)), "")
    return name, "", lambda: parse_block(block, properties, cut)


def _sdf_properties(block: list[str]) -> dict[str, str]:
    properties, key = {}, None
    for line in block:
        if line.startswith(">") and "<" in line:
            key = line[line.index("<") + 1 :].split(">")[0]
        elif key is not None:
            if line.strip():
                earlier = f"{properties[key]}\n" if key in properties else ""
                properties[key] = earlier + line.rstrip()
            else:
                key = None
    return properties


def _kind(path: Path) -> str:
    """Suffix of `path` in lower case, without .gz."""
    name = path.name.lower().removesuffix(".gz")
    return os.path.splitext(name)[1]


def _existing(path: Path) -> Path:
    if path.is_dir():
        raise ValueError(f"source: {str(path)!r} is a folder; pass one file of it")
    if _kind(path) not in SUFFIXES:
        raise ValueError(
            f"source: the file {str(path)!r} ends in none of {' '.join(SUFFIXES)} "
            "(or these with .gz)"
        )
    if not path.exists():
        raise FileNotFoundError(
            f"source: {str(path)!r} was read as a path, as it ends in {_kind(path)}, and "
            "there is no such file; a SMILES never ends like that"
        )
    return path


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Iterator[str], list[Exception]]]:
    """Lines of a text file, and a list that will hold what ended them early, if anything does."""
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    broken: list[Exception] = []
    with opened(path, "rt", encoding="utf-8-sig", errors="replace") as file:
        yield _until_broken(file, broken), broken


def _until_broken(file: Iterable[str], broken: list[Exception]) -> Iterator[str]:
    try:
        yield from file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        broken.append(error)


def _graph_key(mol: Chem.Mol) -> tuple:
    """Atoms and bonds in their order: equal for two conformers of one molecule from one program."""
    atoms = tuple((atom.GetAtomicNum(), atom.GetFormalCharge()) for atom in mol.GetAtoms())
    bonds = tuple((b.GetBeginAtomIdx(), b.GetEndAtomIdx(), b.GetBondType()) for b in mol.GetBonds())
    return atoms, bonds


def _shown(source) -> str:
    return repr(str(source)) if isinstance(source, str | os.PathLike) else type(source).__name__
