"""How many generated conformers have the stereo that was asked for."""

from dataclasses import dataclass

import numpy as np
import torch
from rdkit import Chem

from geodiff.domains.molecules.by_name import aligned, named
from geodiff.domains.molecules.features import featurise
from geodiff.domains.molecules.rmsd import positions
from geodiff.domains.molecules.stereo import double_ok, matches_smiles, tetrahedral_ok


@dataclass(frozen=True)
class StereoRecord:
    """Shares of generated conformers whose specified stereo is right; nan if no molecule specifies
    any.
    """

    # all specified centres right, among conformers of molecules that specify a centre
    tetrahedral: float
    tetrahedral_conformers: int  # how many these are
    # all specified double bonds right, among conformers of molecules that specify one
    double: float
    double_conformers: int  # how many these are
    both: float  # all that is specified right, among all conformers
    conformers: int  # how many these are

    def __str__(self) -> str:
        return (
            f"stereo right: tetrahedral {100 * self.tetrahedral:.1f} % of "
            f"{self.tetrahedral_conformers}, E/Z {100 * self.double:.1f} % of "
            f"{self.double_conformers}, both {100 * self.both:.1f} % of {self.conformers} "
            "conformers"
        )


def stereo_correct(generated, smiles=None, *, perception: str = "volume") -> StereoRecord:
    """Share of generated conformers whose specified stereo, read from the coordinates alone, is
    right.

    Stereo that the SMILES leaves open, and three-neighbour nitrogen, are not judged. A molecule
    whose graph is not that of its SMILES is wrong throughout.

    Args:
        generated: molecules by name or in a list, each a Mol with hydrogens and conformers, or None
            (not counted).
        smiles: the wanted stereo, by name or in order; None takes the property "smiles" of a
            molecule, else its own stereo tags. (The tags of a molecule read from SDF are those of
            its first conformer, not the wanted ones.)
        perception: "volume" takes the sign of the tetrahedron that the neighbours of a centre span,
            and the side of the substituents of a double bond; "rdkit" asks
            AssignStereochemistryFrom3D, which looks at three neighbours and calls centres of
            strained rings inverted when those three and the centre become coplanar.

    Raises: ValueError for a SMILES that RDKit cannot read.
    """
    judges = {"volume": _right_by_volume, "rdkit": _right_by_rdkit}
    if perception not in judges:
        raise ValueError(f"perception: expected 'volume' or 'rdkit', got {perception!r}")
    molecules = named(generated, "generated")
    texts = aligned(smiles, molecules, "smiles")
    columns = {"tetrahedral": [], "double": [], "both": []}
    for name, mol in molecules.items():
        if mol is None or not mol.GetNumConformers():
            continue
        text = texts[name]
        if text is None:
            text = (
                mol.GetProp("smiles")
                if mol.HasProp("smiles")
                else Chem.MolToSmiles(Chem.RemoveHs(mol))
            )
        if Chem.MolFromSmiles(text) is None:
            raise ValueError(f"smiles: RDKit cannot parse {text!r}")
        for kind, right in zip(columns, judges[perception](mol, text)):
            if right is not None:
                columns[kind].append(right)
    judged = {kind: sum(map(len, right)) for kind, right in columns.items()}
    share = {
        kind: float(np.concatenate(right).mean()) if right else np.nan
        for kind, right in columns.items()
    }
    return StereoRecord(
        share["tetrahedral"],
        judged["tetrahedral"],
        share["double"],
        judged["double"],
        share["both"],
        judged["both"],
    )


def _right_by_volume(
    mol: Chem.Mol, smiles: str
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray]:
    """Conformers with all centres, all double bonds, and both right, (K,) bool; None if none is
    specified.
    """
    query = Chem.MolFromSmiles(smiles)
    template = Chem.AddHs(query)
    labels = featurise(template)
    clouds = torch.from_numpy(positions(mol))
    maps = _atom_maps(mol, query, template)
    if len(maps):
        maps = torch.from_numpy(maps)
        centres = tetrahedral_ok(clouds[:, None], maps[:, labels.chiral]).all(-1)  # (K, maps)
        ends = torch.cat(
            [maps[:, labels.double[:, :4]], labels.double[:, 4:].expand(len(maps), -1, 1)], -1
        )
        bonds = double_ok(clouds[:, None], ends).all(-1)
    else:
        centres = bonds = torch.zeros(len(clouds), 1, dtype=torch.bool)
    # Equivalent atoms may be laid on each other in several ways; one way in which all is right is
    # enough.
    right = [way.any(-1).numpy() for way in (centres, bonds, centres & bonds)]
    return (
        right[0] if len(labels.chiral) else None,
        right[1] if len(labels.double) else None,
        right[2],
    )


def _atom_maps(mol: Chem.Mol, query: Chem.Mol, template: Chem.Mol) -> np.ndarray:
    """Ways to lay the atoms of `template`, which is `query` with hydrogens, on those of `mol`,
    (ways, atoms) int.

    Of several hydrogens on one atom the first stands for all: a stereo label names a hydrogen only
    where it is alone.
    """
    heavy = [sum(a.GetAtomicNum() > 1 for a in m.GetAtoms()) for m in (mol, query)]
    if heavy[0] != heavy[1] or mol.GetNumAtoms() != template.GetNumAtoms():
        return np.zeros((0, template.GetNumAtoms()), dtype=np.int64)
    hydrogen = np.zeros(mol.GetNumAtoms(), dtype=np.int64)
    for atom in mol.GetAtoms():
        hydrogen[atom.GetIdx()] = next(
            (n.GetIdx() for n in atom.GetNeighbors() if n.GetAtomicNum() == 1), 0
        )
    mol = Chem.Mol(mol)
    Chem.SanitizeMol(mol)  # a force field may have left its own aromaticity
    maps = np.array(
        mol.GetSubstructMatches(query, uniquify=False, maxMatches=10_000), dtype=np.int64
    )
    maps = maps.reshape(-1, query.GetNumAtoms())
    bearers = [
        template.GetAtomWithIdx(i).GetNeighbors()[0].GetIdx()
        for i in range(query.GetNumAtoms(), template.GetNumAtoms())
    ]
    return np.concatenate([maps, hydrogen[maps[:, bearers]]], axis=1)


def _right_by_rdkit(
    mol: Chem.Mol, smiles: str
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray]:
    """As `_right_by_volume`, by RDKit's perception of one kind of stereo at a time."""
    whole = Chem.MolFromSmiles(smiles)
    tetrahedral, double = Chem.Mol(whole), Chem.Mol(whole)
    for bond in tetrahedral.GetBonds():
        bond.SetStereo(Chem.BondStereo.STEREONONE)
        bond.SetBondDir(Chem.BondDir.NONE)
    for atom in double.GetAtoms():
        atom.SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)
    labels = featurise(Chem.AddHs(whole))

    def seen(part: Chem.Mol) -> np.ndarray:
        text = Chem.MolToSmiles(part)
        return np.array([matches_smiles(mol, c.GetId(), text) for c in mol.GetConformers()])

    return (
        seen(tetrahedral) if len(labels.chiral) else None,
        seen(double) if len(labels.double) else None,
        seen(whole),
    )
