"""Whether coordinates have the stereo that the graph asks for, and a last resort where they do not.

Labels are those of `geodiff.domains.molecules.features.featurise`; one sign decides each, so that
any number of coordinate sets is judged at once and in torch. `matches_smiles` asks RDKit instead
and is slower.
"""

import numpy as np
import torch
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom, rdMolAlign
from torch import Tensor

from geodiff.domains.molecules.features import MoleculeBatch, featurise


def tetrahedral_volume(positions: Tensor, chiral: Tensor) -> Tensor:
    """Signed volume det(x_a - x_d, x_b - x_d, x_c - x_d) of each centre: positive in the wanted
    hand.

    Args:
        positions: (*batch, N, 3), angstrom.
        chiral: (*batch, C, 5) long, labels of `featurise`; the two batches are broadcast.

    Returns: (*batch, C), cubic angstrom; smooth in positions.
    """
    _, a, b, c, d = _points(positions, chiral, 5).unbind(-2)
    return ((a - d) * torch.linalg.cross(b - d, c - d)).sum(-1)


def double_bond_side(positions: Tensor, double: Tensor) -> Tensor:
    """Signed dot product of the two arms of each double bond: positive where they are on the wanted
    side.

    An arm is (x_i - x_j) cross (x_k - x_j): the product carries the squared bond length and never
    divides.

    Args:
        positions: (*batch, N, 3), angstrom.
        double: (*batch, D, 5) long, labels of `featurise`; the two batches are broadcast.

    Returns: (*batch, D), angstrom to the fourth; smooth in positions.
    """
    i, j, k, m = _points(positions, double[..., :4], 4).unbind(-2)
    axis = k - j
    across = (torch.linalg.cross(i - j, axis) * torch.linalg.cross(m - k, axis)).sum(-1)
    return across * double[..., 4].to(across.dtype)


def tetrahedral_ok(positions: Tensor, chiral: Tensor) -> Tensor:
    """Whether each labelled centre has the wanted hand; flat and NaN centres do not.

    Args:
        positions: (*batch, N, 3).
        chiral: (C, 5) for coordinate sets of one molecule, or (*batch, C, 5).

    Returns: (*batch, C) bool.
    """
    return tetrahedral_volume(positions, chiral) > 0


def double_ok(positions: Tensor, double: Tensor) -> Tensor:
    """Whether each labelled double bond has its substituents on the wanted side.

    Args:
        positions: (*batch, N, 3).
        double: (D, 5) for coordinate sets of one molecule, or (*batch, D, 5).

    Returns: (*batch, D) bool.
    """
    return double_bond_side(positions, double) > 0


def stereo_ok(batch: MoleculeBatch, positions: Tensor) -> Tensor:
    """Whether every specified centre and double bond of each molecule is right.

    Labels belong to atoms, not to molecules: a meso compound with its two halves exchanged counts
    as wrong.

    Args:
        batch: B molecules of at most N atoms.
        positions: (*more, B, N, 3), in the padded order of `batch`.

    Returns: (*more, B) bool.
    Raises: ValueError on shapes that do not fit.
    """
    expected = (*batch.z.shape, 3)
    if positions.shape[-3:] != expected:
        raise ValueError(
            f"positions: expected (*more, {expected[0]}, {expected[1]}, 3) as in batch, "
            f"got {tuple(positions.shape)}; repeat the batch to match: batch.repeat(k)"
        )
    centres = tetrahedral_ok(positions, batch.chiral) | ~batch.chiral_mask
    bonds = double_ok(positions, batch.double) | ~batch.double_mask
    return centres.all(-1) & bonds.all(-1)


def matches_smiles(mol: Chem.Mol, conf_id: int, smiles: str) -> bool:
    """Whether RDKit, from the coordinates of one conformer alone, sees the stereo that `smiles`
    specifies.

    Three-neighbour nitrogen and phosphorus are not judged: nitrogen inverts, and RDKit's perception
    from 3D passes over such phosphorus.

    Args:
        mol: with hydrogens and coordinates.
        conf_id: which conformer of `mol`.
        smiles: what is wanted. Stereo that it leaves open may be anything.

    Raises: ValueError if RDKit cannot read `smiles`.
    """
    with rdBase.BlockLogs():
        wanted = Chem.MolFromSmiles(smiles)
    if wanted is None:
        raise ValueError(f"smiles: RDKit cannot parse {smiles!r}")
    _forget_pyramidal_pnictogens(wanted)
    seen = Chem.Mol(mol, confId=conf_id)
    with rdBase.BlockLogs():
        Chem.AssignStereochemistryFrom3D(seen, replaceExistingTags=True)
        seen = Chem.RemoveHs(seen)
    if seen.GetNumHeavyAtoms() != wanted.GetNumHeavyAtoms():
        return False
    return seen.HasSubstructMatch(wanted, useChirality=True)


def reembed(
    mol: Chem.Mol, conf_id: int = -1, *, seed: int = 0, tries: int = 8
) -> np.ndarray | None:
    """New coordinates with the stereo of the graph: the ETKDGv3 embedding nearest to one conformer.

    The last resort for a conformer with a wrong centre or double bond: the best of `tries`, laid on
    the old one. Distance geometry builds each centre in its own hand, so molecules with several
    centres come out right; a mirror image would turn them all.

    Args:
        mol: explicit hydrogens, its stereo tags the wanted ones; it is left as it was.
        conf_id: which conformer to replace. Where its coordinates are not finite there is no
            nearest one, and the first embedding with the right stereo is returned, centred.
        seed: the same coordinates for the same seed.
        tries: embeddings of a molecule of at most 60 atoms; larger ones have one.

    Returns: (n, 3) float64, angstrom; None if no embedding has the right stereo.
    """
    data = featurise(mol)
    candidates = Chem.Mol(mol)
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = 1 + seed % (2**31 - 1)  # RDKit reads -1 as "no seed"
    parameters.useRandomCoords = True
    # cages such as C60 may never embed; a time limit would depend on the machine
    parameters.maxIterations = 20
    with rdBase.BlockLogs():
        rdDistGeom.EmbedMultipleConfs(
            candidates, tries if mol.GetNumAtoms() <= 60 else 1, parameters
        )
    heavy = [(a.GetIdx(), a.GetIdx()) for a in mol.GetAtoms() if a.GetAtomicNum() > 1]
    matched = heavy if len(heavy) > 2 else [(i, i) for i in range(mol.GetNumAtoms())]
    best, best_rmsd = None, np.inf
    for candidate in [c.GetId() for c in candidates.GetConformers()]:
        positions = torch.from_numpy(candidates.GetConformer(candidate).GetPositions())
        if not (
            tetrahedral_ok(positions, data.chiral).all() and double_ok(positions, data.double).all()
        ):
            continue
        if not np.isfinite(mol.GetConformer(conf_id).GetPositions()).all():
            return (positions - positions.mean(0)).numpy()
        rmsd = rdMolAlign.AlignMol(
            candidates, mol, prbCid=candidate, refCid=conf_id, atomMap=matched
        )
        if rmsd < best_rmsd:
            best, best_rmsd = candidates.GetConformer(candidate).GetPositions(), rmsd
    return best


def _points(positions: Tensor, labels: Tensor, width: int) -> Tensor:
    """Coordinates of the labelled atoms, (*batch, C, width, 3)."""
    if positions.ndim < 2 or positions.shape[-1] != 3:
        raise ValueError(
            f"positions: expected (*batch, atoms, 3) in angstrom, got {tuple(positions.shape)}"
        )
    if labels.ndim < 2 or labels.shape[-1] != width:
        raise ValueError(
            f"labels: expected (*batch, labels, 5) from featurise, got {tuple(labels.shape)}"
        )
    batch = torch.broadcast_shapes(positions.shape[:-2], labels.shape[:-2])
    count = labels.shape[-2]
    index = (
        labels.expand(*batch, count, width).reshape(*batch, count * width, 1).expand(*batch, -1, 3)
    )
    return positions.expand(*batch, -1, -1).gather(-2, index).reshape(*batch, count, width, 3)


def _forget_pyramidal_pnictogens(mol: Chem.Mol) -> None:
    for atom in mol.GetAtoms():
        if atom.GetAtomicNum() in (7, 15) and atom.GetTotalDegree() < 4:
            atom.SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)
