"""The border between files of molecules and the rest of the conformer task.

A bad record never stops a good one: what could not be read is returned with the reason.
"""

import csv
import gzip
import io
import logging
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from rdkit import Chem, rdBase

from geodiff.domains.molecules.features import ELEMENTS
from geodiff.files import part_of
from geodiff.jobs.failures import read_failures as read_rows
from geodiff.jobs.failures import write_failures as write_failures

logger = logging.getLogger(__name__)

MAX_ATOMS = 200  # with hydrogens; pair features grow with the square
SUFFIXES = (".smi", ".txt", ".csv", ".sdf")  # each also with .gz
_AXES = (Chem.BondStereo.STEREOATROPCW, Chem.BondStereo.STEREOATROPCCW)
_OTHER_CENTRES = (
    Chem.ChiralType.CHI_ALLENE,
    Chem.ChiralType.CHI_SQUAREPLANAR,
    Chem.ChiralType.CHI_TRIGONALBIPYRAMIDAL,
    Chem.ChiralType.CHI_OCTAHEDRAL,
)
_KNOWN_BONDS = {"single", "double", "triple", "aromatic"}
_NAME_COLUMNS = ("name", "mol_id", "id")
_NAME_PROPERTIES = ("mol_id", "name", "_Name")


@dataclass(frozen=True)
class Record:
    """One molecule that was read."""

    index: int  # place in the source, from 0, failures counted too
    name: str
    smiles: str  # as written in the source; canonical and isomeric for SDF records
    mol: Chem.Mol  # explicit hydrogens; a conformer only where the source gave 3D coordinates


@dataclass(frozen=True)
class Failure:
    """One molecule that was not, or could not be worked on, and why."""

    index: int
    name: str
    smiles: str
    reason: str


class BadMolecule(ValueError):
    """A molecule that the conformer task cannot take; its text is the reason, without the
    molecule's name.
    """


def read(
    source: str | os.PathLike | Chem.Mol | Sequence[str | Chem.Mol], *, max_atoms: int = MAX_ATOMS
) -> tuple[list[Record], list[Failure]]:
    """Molecules of `source` with explicit hydrogens, in order, and a failure with its reason for
    the others.

    source: a SMILES or an RDKit Mol, a sequence of them, or a file: .smi and .txt (a SMILES, then a
      name, per line), .csv (column `smiles`, and `name`, `mol_id` or `id` if there), .sdf; also .gz
      of each. A string is a path if it ends like one of these (no SMILES does); otherwise it is a
      SMILES.
    max_atoms: larger molecules, hydrogens counted, become failures.
    Every SDF record is a record here; `read_ensembles` groups the conformers of a molecule.
    Refused one by one: unreadable or empty records, dummy atoms, elements outside `ELEMENTS`,
    several fragments, dative bonds, stereo of an axis or of a centre that is not tetrahedral,
    coordinates that are not finite, two atoms at one point. Radicals are taken as written.
    Raises FileNotFoundError for a missing file; ValueError for a file of another kind, one without
    molecules or a .csv without a `smiles` column; TypeError for anything else.
    """
    records: list[Record] = []
    failures: list[Failure] = []
    for index, (name, text, make) in enumerate(_entries(source)):
        name = name or f"mol_{index:04d}"
        try:
            mol = make()
            _check(mol, max_atoms)
        except BadMolecule as error:
            failures.append(Failure(index, name, text, str(error)))
            continue
        records.append(Record(index, name, text or _canonical(mol), mol))
    if not records and not failures:
        raise ValueError(f"source: {_shown(source)} holds no molecules")
    return records, failures


def read_ensembles(path: str | os.PathLike) -> list[Chem.Mol]:
    """Molecules of an SDF file with all their conformers: consecutive records of one molecule
    become one Mol.

    path: .sdf or .sdf.gz, one record per conformer. Records belong together while their `mol_id`
    (without one: title), `smiles`, atoms and bonds, in order, stay the same. The first record's
    properties and stereo (as its coordinates have it) are kept, without `conf_idx`; `_Name` is the
    mol_id; conformer ids count from 0.
    Raises FileNotFoundError, or ValueError naming the first record that cannot be read.
    """
    path = _existing(Path(path))
    if _kind(path) != ".sdf":
        raise ValueError(f"path: expected a .sdf or .sdf.gz file, got {path}")
    molecules: list[Chem.Mol] = []
    last = None
    for index, (name, _, make) in enumerate(_sdf_entries(path)):
        try:
            mol = make()
            _check_coordinates(mol)
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


class SdfWriter:
    """Writes conformers as they come, one record each; the file appears under its name when all are
    written.

    Use it in a `with` block. Records go to `path` + ".part"; leaving the block renames it, leaving
    it by an error keeps the .part file for inspection and whatever stood under `path` before. Where
    nothing was written there is no .part file, and `path` stays as it was.
    path: .sdf or .sdf.gz, in a folder that exists.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        if _kind(self.path) != ".sdf":
            raise ValueError(f"path: expected a name ending in .sdf or .sdf.gz, got {self.path}")
        if not self.path.parent.is_dir():
            raise FileNotFoundError(
                f"path: folder {self.path.parent} does not exist; create it first"
            )
        if self.path.is_dir():
            raise IsADirectoryError(f"path: {self.path} is a folder; give a file name in it")
        self.part = part_of(self.path)
        self.molecules = 0
        self.conformers = 0
        self._file: io.TextIOBase | None = None

    def __enter__(self) -> "SdfWriter":
        opened = gzip.open if self.path.name.lower().endswith(".gz") else open
        try:
            self._file = opened(self.part, "wt", encoding="utf-8", newline="\n")
        except OSError as error:
            raise type(error)(
                f"path: {self.path} cannot be written ({error.strerror}); choose another folder"
            ) from error
        return self

    def write(
        self,
        mol: Chem.Mol,
        name: str,
        smiles: str | None = None,
        properties: Sequence[dict[str, object]] | None = None,
    ) -> int:
        """Append every conformer of `mol` as a record with mol_id, smiles and conf_idx; returns how
        many.

        smiles: None for the canonical SMILES of `mol`. properties: further fields, one dict a
        conformer.
        """
        if self._file is None:
            raise ValueError("SdfWriter: not open; use it in a with block")
        conformers = list(mol.GetConformers())
        if properties is not None and len(properties) != len(conformers):
            raise ValueError(
                f"properties: expected {len(conformers)}, one a conformer, got {len(properties)}"
            )
        name = _one_line(name)
        smiles = _canonical(mol) if smiles is None else _one_line(smiles)
        for place, conformer in enumerate(conformers):
            if not np.isfinite(conformer.GetPositions()).all():
                raise ValueError(
                    f"mol: conformer {conformer.GetId()} of {name} has coordinates that are not "
                    "finite; leave it out"
                )
            single = Chem.Mol(mol, confId=conformer.GetId())
            single.SetProp("_Name", name)
            fields = {"mol_id": name, "smiles": smiles, "conf_idx": place}
            fields |= properties[place] if properties else {}
            self._file.write(Chem.MolToMolBlock(single, kekulize=True))
            self._file.writelines(
                f">  <{key}>\n{_one_line(value)}\n\n" for key, value in fields.items()
            )
            self._file.write("$$$$\n")
        self._file.flush()
        self.molecules += 1
        self.conformers += len(conformers)
        return len(conformers)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._file = None
        if not self.conformers:
            self.part.unlink()
        elif kind is None:
            os.replace(self.part, self.path)
        else:
            logger.warning(
                "stopped after %d conformers; they are in %s", self.conformers, self.part
            )


def read_failures(path: str | os.PathLike) -> list[Failure]:
    """What `write_failures` wrote of molecules.

    Args:
        path: the file.

    Raises:
        ValueError: naming the file, if it is of another kind.
    """
    return read_rows(path, Failure)


# Sources: each entry is (name, text, make), make() returning the Mol or raising BadMolecule.


def _entries(source) -> Iterator[tuple]:
    if isinstance(source, Chem.Mol):
        return iter([_mol_entry(source)])
    if isinstance(source, str) and _kind(Path(source)) not in SUFFIXES:
        return iter([_smiles_entry("", source, alone=True)])
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
    return name, "", lambda: _copy_sanitised(mol)


def _smiles_entry(name: str, smiles: str, alone: bool = False) -> tuple:
    return name, smiles, lambda: _parse_smiles(smiles, alone)


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
    return name, "", lambda: _parse_block(block, properties, cut)


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


# ---- one molecule ----


def _parse_smiles(smiles: str, alone: bool) -> Chem.Mol:
    if not smiles.strip():
        raise BadMolecule("has an empty SMILES")
    if len(smiles.strip().splitlines()) > 1:
        raise BadMolecule("is several lines: pass a list of SMILES, or a .smi file")
    if not smiles.split()[0].isascii():  # RDKit would drop such letters, or read on without them
        raise BadMolecule("is no SMILES that RDKit can read (it has letters that are not ASCII)")
    with _chatter() as messages:
        try:
            mol = Chem.MolFromSmiles(smiles)
        except (RuntimeError, ValueError) as error:  # UnicodeEncodeError too
            raise BadMolecule(f"is no SMILES that RDKit can read ({error})") from error
    if mol is None:
        reading = f", and no path, as it does not end in {' '.join(SUFFIXES)}" if alone else ""
        raise BadMolecule(f"is no SMILES that RDKit can read ({_reason(messages)}){reading}")
    _check_stereo(mol)
    return _with_hydrogens(mol)


def _check_stereo(mol: Chem.Mol) -> None:
    """Refuse stereo that no label of `features` stands for: it would be lost without a word."""
    for atom in mol.GetAtoms():
        if atom.GetChiralTag() in _OTHER_CENTRES:
            raise BadMolecule(
                f"specifies stereo of atom {atom.GetIdx()} ({atom.GetSymbol()}) that is not "
                "tetrahedral; leave that mark out"
            )
    for bond in mol.GetBonds():
        if bond.GetStereo() in _AXES:
            raise BadMolecule(
                f"specifies stereo of the axis {bond.GetBeginAtomIdx()}-{bond.GetEndAtomIdx()}; "
                "known are tetrahedral centres and double bonds; leave that mark out"
            )


def _parse_block(block: list[str], properties: dict[str, str], cut: bool) -> Chem.Mol:
    if cut:
        raise BadMolecule("is cut off: the file ends inside this record (no $$$$ line)")
    end = next((i for i, line in enumerate(block) if line.startswith("M  END")), None)
    if end is None:
        raise BadMolecule("is no SDF record: it has no M  END line")
    with _chatter() as messages:
        try:
            mol = Chem.MolFromMolBlock(
                "\n".join(line.rstrip("\r\n") for line in block[: end + 1]) + "\n", removeHs=False
            )
        except (RuntimeError, ValueError) as error:
            raise BadMolecule(f"is no SDF record that RDKit can read ({error})") from error
    if mol is None:
        if any({"nan", "inf", "-inf"} & set(line.lower().split()[:3]) for line in block[4:end]):
            raise BadMolecule("has coordinates that are not finite")
        raise BadMolecule(f"is no SDF record that RDKit can read ({_reason(messages)})")
    for key, value in properties.items():
        mol.SetProp(key, value)
    return _with_hydrogens(_without_drawings(mol))


def _copy_sanitised(mol: Chem.Mol) -> Chem.Mol:
    copy = Chem.Mol(mol)
    with _chatter():
        try:
            Chem.SanitizeMol(copy)
        except ValueError as error:  # all of RDKit's sanitisation errors are ValueErrors
            raise BadMolecule(f"is a Mol that RDKit cannot sanitise: {error}") from error
    return _with_hydrogens(_without_drawings(copy))


def _without_drawings(mol: Chem.Mol) -> Chem.Mol:
    """`mol` less its conformers in the plane of a drawing; finite ones only, the others are to be
    told of.
    """
    for conformer in list(mol.GetConformers()):
        if not conformer.Is3D() and np.isfinite(conformer.GetPositions()).all():
            mol.RemoveConformer(conformer.GetId())
    return mol


def _with_hydrogens(mol: Chem.Mol) -> Chem.Mol:
    if any(atom.GetTotalNumHs() for atom in mol.GetAtoms()):
        return Chem.AddHs(mol, addCoords=mol.GetNumConformers() > 0)
    return mol


def _check(mol: Chem.Mol, max_atoms: int) -> None:
    """Raise BadMolecule with the reason why the conformer task does not take `mol`."""
    _check_coordinates(mol)
    parts = Chem.GetMolFrags(mol, asMols=True, sanitizeFrags=False)
    if len(parts) > 1:
        names = " and ".join(map(_canonical, parts))
        raise BadMolecule(f"has {len(parts)} fragments, {names}: pass one of them")
    dummies = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum() == 0]
    if dummies:
        raise BadMolecule(f"has a dummy atom (*) at position {dummies[0]}; put an element there")
    unknown = sorted({atom.GetSymbol() for atom in mol.GetAtoms()} - ELEMENTS.keys())
    if unknown:
        raise BadMolecule(f"has element {', '.join(unknown)}; known are {' '.join(ELEMENTS)}")
    others = sorted({bond.GetBondType().name.lower() for bond in mol.GetBonds()} - _KNOWN_BONDS)
    if others:
        raise BadMolecule(f"has a {others[0]} bond; known are {', '.join(sorted(_KNOWN_BONDS))}")
    if mol.GetNumAtoms() > max_atoms:
        raise BadMolecule(
            f"has {mol.GetNumAtoms()} atoms with hydrogens, more than max_atoms={max_atoms}"
        )


def _check_coordinates(mol: Chem.Mol) -> None:
    if mol.GetNumAtoms() == 0:
        raise BadMolecule("has no atoms")
    for conformer in mol.GetConformers():
        positions = conformer.GetPositions()
        if not np.isfinite(positions).all():
            raise BadMolecule("has coordinates that are not finite")
        if len(np.unique(positions, axis=0)) < len(positions):
            raise BadMolecule("has two atoms at one point")


def _canonical(mol: Chem.Mol) -> str:
    with rdBase.BlockLogs():
        return Chem.MolToSmiles(Chem.RemoveHs(mol, sanitize=False))


# ---- RDKit's messages, paths, text ----


@contextmanager
def _chatter() -> Iterator[list[str]]:
    """Keep RDKit's messages off stderr in this block only; after it the list holds those that RDKit
    tells.
    """
    messages: list[str] = []
    with ExitStack() as stack:
        stack.enter_context(rdBase.BlockLogs())
        # RDKit before 2025.9 blocks its messages but cannot hand them over.
        log = (
            stack.enter_context(rdBase.CaptureErrorLog())
            if hasattr(rdBase, "CaptureErrorLog")
            else None
        )
        yield messages
        if log is not None:
            try:
                messages.extend(log.messages.splitlines())
            except UnicodeDecodeError:  # RDKit cuts long inputs anywhere, also inside a letter
                pass


def _reason(messages: list[str]) -> str:
    """The first thing that RDKit complained about, without its time stamp."""
    for message in messages:
        text = message.split("] ", 1)[-1].strip()
        for prefix in ("SMILES Parse Error: ", "ERROR: "):
            text = text.removeprefix(prefix)
        if text:
            return _short(text)
    return "RDKit gave no reason"


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


def _one_line(value: object) -> str:
    """Text that cannot end a line or pass for a mark of the SDF format."""
    text = " ".join(str(value).split())
    return f"_{text}" if text.startswith(("$$$$", ">")) else text


def _short(text: str, most: int = 200) -> str:
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"


def _shown(source) -> str:
    return repr(str(source)) if isinstance(source, str | os.PathLike) else type(source).__name__
