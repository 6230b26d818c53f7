"""One molecule: from text or a Mol to a Mol with hydrogens that a task can take, or the reason why
not.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
from rdkit import Chem, rdBase

from geodiff.domains.molecules.features import ELEMENTS
from geodiff.domains.molecules.records import BadMolecule

_AXES = (Chem.BondStereo.STEREOATROPCW, Chem.BondStereo.STEREOATROPCCW)
_OTHER_CENTRES = (
    Chem.ChiralType.CHI_ALLENE,
    Chem.ChiralType.CHI_SQUAREPLANAR,
    Chem.ChiralType.CHI_TRIGONALBIPYRAMIDAL,
    Chem.ChiralType.CHI_OCTAHEDRAL,
)
_KNOWN_BONDS = {"single", "double", "triple", "aromatic"}


def parse_smiles(smiles: str, also: str = "") -> Chem.Mol:
    """The molecule of a SMILES, with hydrogens.

    Args:
        smiles: one line.
        also: what else the text is not, for the message where RDKit cannot read it.

    Raises:
        BadMolecule: with the reason, where it is no SMILES, or one with stereo that no label of
            `features` stands for.
    """
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
        raise BadMolecule(f"is no SMILES that RDKit can read ({_reason(messages)}){also}")
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


def parse_block(block: list[str], properties: dict[str, str], cut: bool) -> Chem.Mol:
    """The molecule of an SDF record, with hydrogens.

    Args:
        block: its lines.
        properties: what the molecule gets as its properties.
        cut: whether the file ended inside the record.

    Raises:
        BadMolecule: with the reason.
    """
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


def copy_sanitised(mol: Chem.Mol) -> Chem.Mol:
    """A copy with hydrogens, without conformers that are drawings.

    Args:
        mol: any molecule; it stays as it is.

    Raises:
        BadMolecule: where RDKit cannot sanitise it.
    """
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


def check(mol: Chem.Mol, max_atoms: int) -> None:
    """Find that `mol` is one that tasks take.

    Args:
        mol: with hydrogens.
        max_atoms: hydrogens counted.

    Raises:
        BadMolecule: with the reason why not.
    """
    check_coordinates(mol)
    parts = Chem.GetMolFrags(mol, asMols=True, sanitizeFrags=False)
    if len(parts) > 1:
        names = " and ".join(map(canonical, parts))
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


def check_coordinates(mol: Chem.Mol) -> None:
    """Find that there are atoms, each at a place of its own.

    Args:
        mol: with any number of conformers.

    Raises:
        BadMolecule: with the reason why not.
    """
    if mol.GetNumAtoms() == 0:
        raise BadMolecule("has no atoms")
    for conformer in mol.GetConformers():
        positions = conformer.GetPositions()
        if not np.isfinite(positions).all():
            raise BadMolecule("has coordinates that are not finite")
        if len(np.unique(positions, axis=0)) < len(positions):
            raise BadMolecule("has two atoms at one point")


def canonical(mol: Chem.Mol) -> str:
    """Canonical isomeric SMILES, without hydrogens.

    Args:
        mol: any molecule.
    """
    with rdBase.BlockLogs():
        return Chem.MolToSmiles(Chem.RemoveHs(mol, sanitize=False))


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


def _short(text: str, most: int = 200) -> str:
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"
