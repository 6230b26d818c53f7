"""The border between structure files and the rest of the protein task: PDB, mmCIF and Biopython
structures.

A bad residue never stops a good one: what was dropped, chosen or rebuilt is returned in words
beside the chains.
"""

import gzip
import os
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import gemmi

from geodiff.domains.chains.chain import ATOMS, LETTERS, Chain
from geodiff.domains.chains.residues import Note as Note
from geodiff.domains.chains.residues import Residue, to_chains
from geodiff.files import replacing

PDB_SUFFIXES = (".pdb", ".ent")
CIF_SUFFIXES = (".cif", ".mmcif")
SUFFIXES = PDB_SUFFIXES + CIF_SUFFIXES  # each also with .gz
_NAMES = dict(zip(LETTERS, gemmi.expand_one_letter_sequence(LETTERS, gemmi.ResidueKind.AA)))


def read(path: str | os.PathLike) -> tuple[list[Chain], list[Note]]:
    """Protein chains of a PDB or mmCIF file, in order, and notes on what was dropped, chosen or
    rebuilt.

    Of several models the first is read. Of alternative places of a residue the one with the highest
    mean occupancy over N, CA, C is read (the first of equals). Residues without N, CA and C,
    ligands, water and nucleic acids are dropped; modified residues get the letter of their parent
    (MSE: M), others X. A missing O is rebuilt in the peptide plane. `Chain.gaps` marks dropped
    residues, and jumps of the numbering with C-N above 2 angstrom; a long C-N without a jump is a
    bad bond and stays one.

    Args:
        path: .pdb, .ent, .cif or .mmcif, each also with .gz.

    Raises: FileNotFoundError; ValueError for another kind of file, and for a file that cannot be
        parsed, is cut within a record, is empty, or holds no protein backbone.
    """
    path = Path(path)
    kind = _kind(path)
    text = _text(path)
    source = path.name
    if not text.strip():
        raise ValueError(f"path: {path} is empty")
    notes = []
    if kind in PDB_SUFFIXES:
        atoms = [line for line in text.splitlines() if line.startswith(("ATOM", "HETATM"))]
        if atoms and len(atoms[-1].rstrip()) < 54:
            raise ValueError(
                f"path: {path} is cut: its last atom record is {atoms[-1]!r}; get the file again"
            )
        if atoms and not any(line.startswith("END") for line in text.splitlines()[-20:]):
            notes.append(Note(source, "", "end", "no END record: the file may have been cut"))
        # gemmi reads what is no number, as the stars of a number too long for its columns, as 0.
        lost = {
            line: f"{line[:30]}{'nan':>8}{'nan':>8}{'nan':>8}{line[54:]}"
            for line in atoms
            if not _is_place(line)
        }
        if lost:
            text = "\n".join(lost.get(line, line) for line in text.splitlines())
    try:
        structure = _parse(text, kind)
    except (RuntimeError, ValueError, IndexError) as error:
        raise ValueError(
            f"path: {path} cannot be parsed, it may be cut or of another kind: {error}"
        ) from error
    if not any(len(chain) for model in structure for chain in model):
        raise ValueError(f"path: {path} holds no atoms")
    if len(structure) > 1:
        notes.append(
            Note(source, "", "models", f"{len(structure)} models, only the first was read")
        )
    groups = [(chain.name, [_from_gemmi(residue) for residue in chain]) for chain in structure[0]]
    name = path.name.removesuffix(path.suffix) if path.suffix.lower() == ".gz" else path.name
    return to_chains(groups, Path(name).stem, source, notes, f"path: {path}")


def from_biopython(structure) -> tuple[list[Chain], list[Note]]:
    """Protein chains of a Biopython object, by the rules of `read`; of several models the first.

    Args:
        structure: a Structure, Model or Chain.
    """
    level = getattr(structure, "level", None)
    if level not in ("S", "M", "C"):
        raise TypeError(
            "structure: expected a Bio.PDB Structure, Model or Chain, got "
            f"{type(structure).__name__}"
        )
    notes, name = [], str(structure.id) if level == "S" else "structure"
    model = structure
    if level == "S":
        models = list(structure)
        if not models:
            raise ValueError("structure: holds no models")
        if len(models) > 1:
            notes.append(Note(name, "", "models", f"{len(models)} models, only the first was read"))
        model = models[0]
    chains = [model] if level == "C" else list(model)
    groups = [(chain.id, [r for residue in chain for r in _from_bio(residue)]) for chain in chains]
    return to_chains(groups, name, name, notes, f"structure: {name}")


def to_biopython(chains: Chain | Sequence[Chain], name: str | None = None):
    """A Biopython Structure of one model with the given chains; numbers and insertion codes are
    kept.

    Args:
        chains: one, or several with ids of their own.
        name: of the structure; None: that of the first chain.

    Raises: ValueError if two chains have one id.
    """
    from Bio.PDB.StructureBuilder import StructureBuilder

    chains = _checked(chains)
    builder = StructureBuilder()
    builder.init_structure(name or chains[0].name)
    builder.init_model(0)
    serial = 0
    for chain in chains:
        builder.init_chain(chain.chain_id)
        builder.init_seg("    ")
        for i, letter in enumerate(chain.sequence):
            builder.init_residue(
                _NAMES[letter], " ", int(chain.numbers[i]), chain.insertions[i] or " "
            )
            for atom, place in zip(ATOMS, chain.coords[i]):
                serial += 1
                builder.init_atom(atom, place, 0.0, 1.0, " ", f" {atom:<3}", serial, atom[0])
    return builder.get_structure()


def write(path: str | os.PathLike, chains: Chain | Sequence[Chain]) -> None:
    """Write chains as one model; the file appears whole or not at all.

    Args:
        path: .pdb, .ent, .cif or .mmcif (also .gz).
        chains: one, or several with ids of their own.

    Raises: ValueError if two chains have one id, and if the columns of a PDB file are too narrow
        (chain ids longer than a letter, numbers outside -999..9999, coordinates outside -999..9999
        angstrom): write mmCIF instead.
    """
    path = Path(path)
    kind = _kind(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path: folder {path.parent} does not exist; create it first")
    chains = _checked(chains)
    if kind in PDB_SUFFIXES:
        _check_pdb(chains)
    structure = _to_gemmi(chains)
    if kind in PDB_SUFFIXES:
        text = structure.make_pdb_string()
    else:
        text = structure.make_mmcif_document().as_string()
    data = text.encode()
    with replacing(path) as part:
        part.write_bytes(gzip.compress(data, mtime=0) if path.suffix.lower() == ".gz" else data)


def structure_files(folder: str | os.PathLike) -> list[Path]:
    """Files of a folder that `read` takes, by name; no hidden ones.

    Args:
        folder: where they are.

    Raises: FileNotFoundError if it is no folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"folder: {folder} is no folder")
    return sorted(
        p
        for p in folder.iterdir()
        if p.is_file() and not p.name.startswith(".") and is_structure(p)
    )


def is_structure(path: Path) -> bool:
    """Whether the name of a file is one that `read` takes.

    Args:
        path: of the file.
    """
    return _suffix(path) in SUFFIXES


# ---- files ----


def _suffix(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def _kind(path: Path) -> str:
    if not is_structure(path):
        raise ValueError(
            f"path: expected a name ending in {', '.join(SUFFIXES)}, also with .gz, got {path}"
        )
    return _suffix(path)


def _text(path: Path) -> str:
    if path.is_dir():
        raise IsADirectoryError(f"path: {path} is a folder; name a file in it")
    if not path.is_file():
        raise FileNotFoundError(f"path: {path} does not exist")
    data = path.read_bytes()
    if path.suffix.lower() == ".gz":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(
                f"path: {path} is a broken gzip file: {error}; get the file again"
            ) from error
    # One letter a byte keeps the columns of PDB files; no field that is read has letters beyond
    # ASCII.
    return (
        data.removeprefix(b"\xef\xbb\xbf").decode("ascii", errors="replace").replace("\ufffd", "?")
    )


def _is_place(atom: str) -> bool:
    """Whether the coordinates of an atom record of a PDB file are three numbers."""
    try:
        float(atom[30:38]), float(atom[38:46]), float(atom[46:54])
    except ValueError:
        return False
    return True


def _parse(text: str, kind: str) -> gemmi.Structure:
    if kind in PDB_SUFFIXES:
        return gemmi.read_pdb_string(text)
    document = gemmi.cif.read_string(text)
    blocks = [block for block in document if block.find_values("_atom_site.Cartn_x")]
    return gemmi.make_structure_from_block(blocks[0]) if blocks else gemmi.Structure()


# ---- residues of either library ----


def _from_gemmi(residue: gemmi.Residue) -> Residue:
    atoms = tuple(
        (atom.name, atom.altloc.replace("\0", "").strip(), atom.occ, tuple(atom.pos.tolist()))
        for atom in residue
        if atom.name in ATOMS and atom.element.name != "Ca"
    )
    return Residue(
        residue.name,
        residue.seqid.num or 0,
        residue.seqid.icode.strip(),
        residue.het_flag == "H",
        atoms,
    )


def _from_bio(residue) -> Iterator[Residue]:
    # A point mutation holds several residues under one number; a disordered atom several places.
    several = residue.is_disordered() == 2
    for one in residue.disordered_get_list() if several else [residue]:
        hetero, number, insertion = one.id
        atoms = tuple(
            (
                atom.get_name(),
                atom.get_altloc().strip(),
                1.0 if atom.get_occupancy() is None else float(atom.get_occupancy()),
                tuple(map(float, atom.coord)),
            )
            for atom in one.get_unpacked_list()
            if atom.get_name() in ATOMS and atom.element != "CA"
        )
        yield Residue(
            one.get_resname().strip(), number, insertion.strip(), hetero.strip() != "", atoms
        )


# ---- writing ----


def _checked(chains: Chain | Sequence[Chain]) -> list[Chain]:
    chains = [chains] if isinstance(chains, Chain) else list(chains)
    if not chains:
        raise ValueError("chains: expected at least one chain, got none")
    twice = [
        chain_id for chain_id, count in Counter(c.chain_id for c in chains).items() if count > 1
    ]
    if twice:
        raise ValueError(
            f"chains: {len(chains)} chains, and the ids {', '.join(twice)} come twice; "
            "rename them, or write a file for each"
        )
    return chains


def _check_pdb(chains: Sequence[Chain]) -> None:
    atoms = sum(4 * len(chain) + 1 for chain in chains)  # a TER record has a serial number too
    for chain in chains:
        low, high = chain.coords.min(), chain.coords.max()
        wide = (
            len(chain.chain_id) != 1
            or chain.numbers.min() < -999
            or chain.numbers.max() > 9999
            or low <= -999.9995
            or high >= 9999.9995
        )
        if wide or atoms > 99_999:
            raise ValueError(
                f"chains: {chain.name}, chain {chain.chain_id!r}, numbers {chain.numbers.min()} "
                f"to {chain.numbers.max()}, coordinates {low:.0f} to {high:.0f}, with {atoms} "
                "records in all, do not fit into the columns of a PDB file; write a .cif file"
            )


def _to_gemmi(chains: Sequence[Chain]) -> gemmi.Structure:
    structure = gemmi.Structure()
    structure.name = chains[0].name
    model = gemmi.Model(1)
    for chain in chains:
        target = gemmi.Chain(chain.chain_id)
        for i, letter in enumerate(chain.sequence):
            residue = gemmi.Residue()
            residue.name = _NAMES[letter]
            residue.seqid = gemmi.SeqId(int(chain.numbers[i]), chain.insertions[i] or " ")
            residue.het_flag = "A"
            residue.entity_type = gemmi.EntityType.Polymer
            for name, place in zip(ATOMS, chain.coords[i]):
                atom = gemmi.Atom()
                atom.name, atom.element = name, gemmi.Element(name[0])
                atom.pos = gemmi.Position(*place)
                atom.occ, atom.b_iso = 1.0, 0.0
                residue.add_atom(atom)
            target.add_residue(residue)
        model.add_chain(target)
    structure.add_model(model)
    structure.setup_entities()
    structure.assign_label_seq_id()
    structure.assign_serial_numbers()
    return structure
