"""What the network knows of a molecule: its graph and its stereo labels, never its coordinates.

Stereo labels are geometric, not CIP letters, so that they can be checked on any coordinates by one
sign (see `geodiff.domains.molecules.stereo`) and mirrored by swapping two columns.
"""

import functools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from rdkit import Chem, rdBase
from torch import Tensor

if TYPE_CHECKING:
    from torch_geometric.data import Data

ELEMENTS = {
    "H": 1,
    "B": 5,
    "C": 6,
    "N": 7,
    "O": 8,
    "F": 9,
    "Si": 14,
    "P": 15,
    "S": 16,
    "Cl": 17,
    "Se": 34,
    "Br": 35,
    "I": 53,
}
MAX_HOPS = 20  # farther pairs count as MAX_HOPS; MAX_HOPS + 1 is another fragment, or padding
MAX_RING = 8  # larger rings bend like chains: they are one flag, and tie no pairs together
PAIR_NAMES = ("none", "single", "double", "triple", "aromatic", "cis", "trans", "same ring")
PAIR_KINDS = len(PAIR_NAMES)
CIS, TRANS, SAME_RING = 5, 6, 7

_DEGREES, _HYDROGENS = 7, 5
_HYBRIDISATIONS = {
    Chem.HybridizationType.SP: 0,
    Chem.HybridizationType.SP2: 1,
    Chem.HybridizationType.SP3: 2,
}
_OTHER_HYBRIDISATION = 3
_BOND_KINDS = {
    Chem.BondType.SINGLE: 1,
    Chem.BondType.DOUBLE: 2,
    Chem.BondType.TRIPLE: 3,
    Chem.BondType.AROMATIC: 4,
}
_CLOCKWISE = Chem.ChiralType.CHI_TETRAHEDRAL_CW
_COUNTERCLOCKWISE = Chem.ChiralType.CHI_TETRAHEDRAL_CCW
_CIS_TAGS = (Chem.BondStereo.STEREOZ, Chem.BondStereo.STEREOCIS)
_TRANS_TAGS = (Chem.BondStereo.STEREOE, Chem.BondStereo.STEREOTRANS)
_KNOWN_NUMBERS = frozenset(ELEMENTS.values())

ATOM_FEATURE_NAMES = (
    "charge",
    "radical electrons",
    "aromatic",
    "conjugated",
    "stereocentre",
    "stereo double bond",
    *(f"degree {n}" for n in range(_DEGREES)),
    *(f"hydrogens {n}" for n in range(_HYDROGENS)),
    "sp",
    "sp2",
    "sp3",
    "other hybridisation",
    *(f"ring of {n}" for n in range(3, MAX_RING + 1)),
    "larger ring",
)
ATOM_FEATURES = len(ATOM_FEATURE_NAMES)


def featurise(mol: Chem.Mol) -> "Data":
    """Graph features and stereo labels of a molecule, without reading its coordinates.

    The result holds z (n,) long, atomic numbers; atom (n, ATOM_FEATURES) float32, columns
    `ATOM_FEATURE_NAMES`; edge_index (2, 2E) long, both directions; bond (2E,) long, 1 single, 2
    double, 3 triple, 4 aromatic; hops (n*n,) long, bonds on the shortest path, clipped at MAX_HOPS,
    MAX_HOPS + 1 across fragments; pair (n*n,) long, index into PAIR_NAMES (cis and trans go before
    same ring); chiral (c, 5) long, rows (centre, a, b, c, d) with det(x_a - x_d, x_b - x_d, x_c -
    x_d) > 0 in the wanted hand; d is the centre itself where it has three neighbours; double (e, 5)
    long, rows (i, j, k, l, sign): j=k a double bond, i and l substituents, +1 cis, -1 trans;
    smiles, str. Only specified stereo makes labels. Three-neighbour nitrogen never does: it
    inverts.

    Args:
        mol: an RDKit molecule with explicit hydrogens (`Chem.AddHs`), n atoms of `ELEMENTS`, stereo
            assigned.

    Returns: a torch_geometric Data.
    Raises: TypeError if mol is no molecule; ValueError for no atoms, implicit hydrogens, other
        elements or other bonds.
    """
    if not isinstance(mol, Chem.Mol):
        raise TypeError(
            f"mol: expected an RDKit Mol with explicit hydrogens, got {type(mol).__name__}; "
            "geodiff.domains.molecules.io.read makes one from SMILES or a file"
        )
    n = mol.GetNumAtoms()
    if n == 0:
        raise ValueError("mol: has no atoms")
    z = np.empty(n, dtype=np.int64)
    columns = np.zeros((n, ATOM_FEATURES), dtype=np.float32)
    hybridisation = np.empty(n, dtype=np.int64)
    tagged = []
    for i, atom in enumerate(mol.GetAtoms()):
        z[i] = atom.GetAtomicNum()
        if atom.GetNumImplicitHs() or atom.GetNumExplicitHs():
            raise ValueError("mol: has implicit hydrogens; call Chem.AddHs(mol) before featurise")
        columns[i, 0] = atom.GetFormalCharge()
        columns[i, 1] = atom.GetNumRadicalElectrons()
        columns[i, 2] = atom.GetIsAromatic()
        hybridisation[i] = _HYBRIDISATIONS.get(atom.GetHybridization(), _OTHER_HYBRIDISATION)
        if atom.GetChiralTag() in (_CLOCKWISE, _COUNTERCLOCKWISE):
            tagged.append(atom)
    _check_elements(z, mol)

    ends, bonds, conjugated, stereo_bonds = _read_bonds(mol)
    degree = np.bincount(ends.ravel(), minlength=n)
    hydrogens = np.bincount(ends[1], z[ends[0]] == 1, n) + np.bincount(ends[0], z[ends[1]] == 1, n)
    columns[ends[:, conjugated].ravel(), 3] = 1
    rows, start = np.arange(n), ATOM_FEATURE_NAMES.index("degree 0")
    for width, values in (
        (_DEGREES, degree),
        (_HYDROGENS, hydrogens),
        (_OTHER_HYBRIDISATION + 1, hybridisation),
    ):
        columns[rows, start + np.minimum(values.astype(np.int64), width - 1)] = 1
        start += width

    pair = np.zeros((n, n), dtype=np.int64)
    for ring in mol.GetRingInfo().AtomRings():
        members = list(ring)
        columns[members, start + min(len(members), MAX_RING + 1) - 3] = 1
        if len(members) <= MAX_RING:
            pair[np.ix_(members, members)] = SAME_RING
    np.fill_diagonal(pair, 0)
    double = [_double_bond_label(bond, pair) for bond in stereo_bonds]
    pair[ends[0], ends[1]] = pair[ends[1], ends[0]] = bonds
    chiral = [label for label in map(_centre_label, tagged) if label is not None]
    columns[[label[0] for label in chiral], 4] = 1
    columns[[i for label in double for i in label[1:3]], 5] = 1

    with rdBase.BlockLogs():  # RemoveHs warns of the hydrogens it keeps, as in H2
        smiles = Chem.MolToSmiles(Chem.RemoveHs(mol, sanitize=False))
    distance = Chem.GetDistanceMatrix(mol)
    hops = np.where(distance > n, MAX_HOPS + 1, np.minimum(distance, MAX_HOPS)).astype(np.int64)
    return _data_class()(
        z=torch.from_numpy(z),
        atom=torch.from_numpy(columns),
        edge_index=torch.from_numpy(np.concatenate([ends, ends[::-1]], axis=1)),
        bond=torch.from_numpy(np.concatenate([bonds, bonds])),
        hops=torch.from_numpy(hops.reshape(-1)),
        pair=torch.from_numpy(pair.reshape(-1)),
        chiral=torch.tensor(chiral, dtype=torch.long).reshape(-1, 5),
        double=torch.tensor(double, dtype=torch.long).reshape(-1, 5),
        smiles=smiles,
        num_nodes=n,
    )


@functools.cache
def _data_class() -> type:
    """torch_geometric's Data, imported on first use: it takes two seconds, and reading files does
    without.
    """
    with warnings.catch_warnings():
        # torch-geometric 2.8 scripts a class as it is imported, and torch 2.13 warns of that.
        warnings.simplefilter("ignore", DeprecationWarning)
        from torch_geometric.data import Data
    return Data


def _check_elements(z: np.ndarray, mol: Chem.Mol) -> None:
    unknown = sorted(
        {
            mol.GetAtomWithIdx(i).GetSymbol()
            for i, number in enumerate(z.tolist())
            if number not in _KNOWN_NUMBERS
        }
    )
    if unknown:
        raise ValueError(
            f"mol: element {', '.join(unknown)} is not known; known are {' '.join(ELEMENTS)}"
        )


def _read_bonds(mol: Chem.Mol) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[Chem.Bond]]:
    """Ends (2, E), kinds (E,), conjugation flags (E,) and the bonds with specified cis/trans
    stereo.
    """
    ends = np.empty((2, mol.GetNumBonds()), dtype=np.int64)
    kinds = np.empty(mol.GetNumBonds(), dtype=np.int64)
    conjugated = np.zeros(mol.GetNumBonds(), dtype=bool)
    stereo_bonds = []
    for e, bond in enumerate(mol.GetBonds()):
        ends[:, e] = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        kind = _BOND_KINDS.get(bond.GetBondType())
        if kind is None:
            raise ValueError(
                f"mol: bond {ends[0, e]}-{ends[1, e]} is {bond.GetBondType().name.lower()}; "
                "expected single, double, triple or aromatic bonds"
            )
        kinds[e] = kind
        conjugated[e] = bond.GetIsConjugated()
        if kind == 2 and bond.GetStereo() in _CIS_TAGS + _TRANS_TAGS:
            stereo_bonds.append(bond)
    return ends, kinds, conjugated, stereo_bonds


def _centre_label(atom: Chem.Atom) -> tuple[int, int, int, int, int] | None:
    """(centre, a, b, c, d) with det(a - d, b - d, c - d) > 0 in the tagged hand; None without a
    lasting hand.

    RDKit's tag orders the neighbours as the atom's bonds stand; a missing fourth one counts as the
    last.
    """
    centre = atom.GetIdx()
    around = [bond.GetOtherAtomIdx(centre) for bond in atom.GetBonds()]
    if len(around) == 3 and atom.GetAtomicNum() != 7:
        a, b, c = around
        hand = (a, b, c) if atom.GetChiralTag() == _COUNTERCLOCKWISE else (b, a, c)
        return (centre, *hand, centre)
    if len(around) == 4:
        d, a, b, c = around
        hand = (a, b, c) if atom.GetChiralTag() == _CLOCKWISE else (b, a, c)
        return (centre, *hand, d)
    return None


def _double_bond_label(bond: Chem.Bond, pair: np.ndarray) -> tuple[int, int, int, int, int]:
    """(i, j, k, l, sign) of a double bond with stereo; marks its substituent pairs cis or trans in
    `pair`.
    """
    i, m = bond.GetStereoAtoms()
    begin, end = bond.GetBeginAtom(), bond.GetEndAtom()
    j, k = begin.GetIdx(), end.GetIdx()
    sign = 1 if bond.GetStereo() in _CIS_TAGS else -1
    for p in begin.GetNeighbors():
        for q in end.GetNeighbors():
            p_index, q_index = p.GetIdx(), q.GetIdx()
            if p_index != k and q_index != j:
                same_side = (sign == 1) == ((p_index == i) == (q_index == m))
                pair[p_index, q_index] = pair[q_index, p_index] = CIS if same_side else TRANS
    return i, j, k, m, sign


@dataclass(frozen=True)
class MoleculeBatch:
    """B molecules as dense tensors padded to the largest: N atoms, C stereocentres, D stereo double
    bonds.

    The fields are those of `featurise`; padding is 0 (hops: MAX_HOPS + 1) and False in the masks.
    """

    z: Tensor  # (B, N) long
    atom: Tensor  # (B, N, ATOM_FEATURES) float32
    pair: Tensor  # (B, N, N) long
    hops: Tensor  # (B, N, N) long
    chiral: Tensor  # (B, C, 5) long
    chiral_mask: Tensor  # (B, C) bool
    double: Tensor  # (B, D, 5) long
    double_mask: Tensor  # (B, D) bool
    mask: Tensor  # (B, N) bool

    def __len__(self) -> int:
        return len(self.z)

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.z.device

    @property
    def lengths(self) -> Tensor:
        """Atoms of each molecule, (B,) long."""
        return self.mask.sum(1)

    def to(
        self,
        device: torch.device | str | torch.dtype | None = None,
        dtype: torch.dtype | None = None,
    ) -> "MoleculeBatch":
        """The batch on a device, its real-valued fields in a dtype.

        Args:
            device: where; None: as it is. A dtype may stand in this place.
            dtype: of the real-valued fields; None: as they are.
        """
        if isinstance(device, torch.dtype):
            device, dtype = None, device
        return self._map(
            lambda t: t.to(device=device, dtype=dtype if t.is_floating_point() else None)
        )

    def repeat(self, k: int) -> "MoleculeBatch":
        """Each molecule `k` times, its copies side by side: molecule i becomes rows i*k to i*k + k
        - 1.

        Args:
            k: how often.
        """
        return self._map(lambda t: t.repeat_interleave(k, dim=0))

    def select(self, indices: int | slice | Sequence[int] | Tensor) -> "MoleculeBatch":
        """The molecules at `indices` as a batch of the same padded size.

        Args:
            indices: one integer gives a batch of one.
        """
        if isinstance(indices, int):
            indices = [indices]
        return self._map(lambda t: t[indices])

    def null(self, rows: Tensor | None = None) -> "MoleculeBatch":
        """Refused: a conformer is one of a molecule.

        Args:
            rows: (B,) bool.

        Raises: ValueError.
        """
        raise ValueError(
            "condition: no network is trained on conformers of no molecule, so a MoleculeBatch has "
            "no null; guide conformers by an energy"
        )

    def _map(self, change: Callable[[Tensor], Tensor]) -> "MoleculeBatch":
        return replace(
            self, **{field.name: change(getattr(self, field.name)) for field in fields(self)}
        )


def collate(molecules: "Sequence[Data]") -> MoleculeBatch:
    """Padded batch of what `featurise` returned, in the same order.

    Args:
        molecules: at least one.

    Raises: ValueError for an empty list.
    """
    if not len(molecules):
        raise ValueError("molecules: expected at least one Data from featurise, got an empty list")
    count = len(molecules)
    n = max(m.num_nodes for m in molecules)
    c = max(len(m.chiral) for m in molecules)
    d = max(len(m.double) for m in molecules)
    z, mask = torch.zeros(count, n, dtype=torch.long), torch.zeros(count, n, dtype=torch.bool)
    atom = torch.zeros(count, n, ATOM_FEATURES)
    pair = torch.zeros(count, n, n, dtype=torch.long)
    hops = torch.full((count, n, n), MAX_HOPS + 1)
    chiral, chiral_mask = (
        torch.zeros(count, c, 5, dtype=torch.long),
        torch.zeros(count, c, dtype=torch.bool),
    )
    double, double_mask = (
        torch.zeros(count, d, 5, dtype=torch.long),
        torch.zeros(count, d, dtype=torch.bool),
    )
    for row, m in enumerate(molecules):
        size, centres, bonds = m.num_nodes, len(m.chiral), len(m.double)
        z[row, :size], mask[row, :size], atom[row, :size] = m.z, True, m.atom
        pair[row, :size, :size] = m.pair.view(size, size)
        hops[row, :size, :size] = m.hops.view(size, size)
        chiral[row, :centres], chiral_mask[row, :centres] = m.chiral, True
        double[row, :bonds], double_mask[row, :bonds] = m.double, True
    return MoleculeBatch(z, atom, pair, hops, chiral, chiral_mask, double, double_mask, mask)
