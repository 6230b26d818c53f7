"""Whether conformers are possible molecules: a check of coordinates against chemistry alone,
whatever made them.

Bond lengths and angles are held against the range that bonds and angles of their kind have in the
GFN2-xTB and DFT ensembles of data/conformers (`data/conformers/geometry.json`, made by `learn`);
contacts, rings, planarity and stereo follow from the graph.
"""

import functools
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from rdkit import Chem

from geodiff.domains.molecules.features import featurise
from geodiff.paths import data_path

FAULTS = (
    "not finite",
    "bond length",
    "bond angle",
    "contact",
    "bond through ring",
    "ring not flat",
    "amide twisted",
    "double bond twisted",
    "hand",
    "cis-trans",
)
BOND_MARGIN = 0.03  # relative, beyond the range seen
ANGLE_MARGIN = 5.0  # degrees, beyond the range seen
LEAST = 8  # bonds or angles of a kind, below which a coarser kind is asked
UNKNOWN_BOND = (0.8, 1.25)  # of the sum of covalent radii, for kinds that were never seen
CONTACT = 0.65  # of the sum of van der Waals radii, for atoms four or more bonds apart
POLAR_CONTACT = 0.50  # hydrogen on N, O, S or a halogen's like, to an atom with a lone pair
FLAT_RING = 0.25  # angstrom, largest distance of an aromatic ring's atom from its plane
TWIST = 40.0  # degrees, of an amide or a double bond out of its plane


@dataclass(frozen=True)
class Verdict:
    """What the check says of one conformer.

    Args:
        faults: the names of `FAULTS` that were found, none for a valid conformer.
        details: the worst case of each in words.
    """

    faults: tuple[str, ...] = ()
    details: dict[str, str] = field(default_factory=dict)

    @property
    def valid(self) -> bool:
        """Whether nothing was found."""
        return not self.faults

    def __str__(self) -> str:
        return "valid" if self.valid else "; ".join(self.details[name] for name in self.faults)


def check(mol: Chem.Mol) -> list[Verdict]:
    """A verdict for each conformer of `mol`, in their order.

    Args:
        mol: a molecule with explicit hydrogens, its stereo as it is meant to be, and conformers.

    Raises: ValueError for a molecule that `featurise` does not take, or without conformers.
    """
    if not mol.GetNumConformers():
        raise ValueError("mol: has no conformers to check")
    positions = np.stack([c.GetPositions() for c in mol.GetConformers()])
    return Checks(mol)(positions)


@dataclass(frozen=True)
class ValidityRecord:
    """How many conformers of a set pass the check, and what the others fail by.

    Args:
        conformers: how many were looked at.
        valid: how many passed.
        faults: conformers that have each fault, by its name; only those that occur.
        molecules: names of molecules of which no conformer passed.
    """

    conformers: int
    valid: int
    faults: dict[str, int]
    molecules: tuple[str, ...] = ()

    @classmethod
    def of(cls, molecules: Mapping[str, Chem.Mol]) -> "ValidityRecord":
        """The record of molecules with conformers.

        Args:
            molecules: by name.
        """
        verdicts = {name: check(mol) for name, mol in molecules.items()}
        every = [verdict for found in verdicts.values() for verdict in found]
        found = {name: sum(name in v.faults for v in every) for name in FAULTS}
        return cls(
            len(every),
            sum(v.valid for v in every),
            {name: count for name, count in found.items() if count},
            tuple(name for name, found in verdicts.items() if not any(v.valid for v in found)),
        )

    def __str__(self) -> str:
        share = 100 * self.valid / self.conformers if self.conformers else float("nan")
        lines = [f"valid {self.valid} of {self.conformers} conformers ({share:.1f} %)"]
        lines += [f"  {name}: {count}" for name, count in self.faults.items()]
        if self.molecules:
            shown = ", ".join(self.molecules[:5]) + (", ..." if len(self.molecules) > 5 else "")
            lines.append(f"  no valid conformer: {shown} ({len(self.molecules)} molecules)")
        return "\n".join(lines)


class Checks:
    """The checks of one molecule, worked out from its graph once, for any number of conformers.

    Args:
        mol: a molecule with explicit hydrogens; its conformers are not read.
    """

    def __init__(self, mol: Chem.Mol):
        data = featurise(mol)
        self.symbols = [atom.GetSymbol() for atom in mol.GetAtoms()]
        self.bonds = np.array(
            [(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in mol.GetBonds()], dtype=int
        ).reshape(-1, 2)
        table = _table()
        self.bond_range = np.array([table.bond(b) for b in mol.GetBonds()]).reshape(-1, 2)
        angles = list(_angles(mol))
        self.angles = np.array([a for a, _ in angles], dtype=int).reshape(-1, 3)
        self.angle_range = np.array([table.angle(kinds) for _, kinds in angles]).reshape(-1, 2)
        self.contacts, self.closest = _contacts(mol)
        self.rings = [list(r) for r in mol.GetRingInfo().AtomRings()]
        self.flat = [r for r in self.rings if all(mol.GetAtomWithIdx(i).GetIsAromatic() for i in r)]
        self.amides, self.doubles = _planar_torsions(mol)
        self.chiral, self.double = data.chiral.numpy(), data.double.numpy()

    def __call__(self, positions: np.ndarray) -> list[Verdict]:
        """Verdicts of conformers.

        Args:
            positions: (conformers, atoms, 3), angstrom.
        """
        positions = np.asarray(positions, dtype=np.float64)
        finite = np.isfinite(positions).all((1, 2))
        x = np.where(finite[:, None, None], positions, 0.0)
        found = [
            ("not finite", np.where(finite, 0, 1)[:, None], lambda i: "coordinates are not finite"),
            ("bond length", *self._bond_lengths(x)),
            ("bond angle", *self._bond_angles(x)),
            ("contact", *self._close_contacts(x)),
            ("bond through ring", *self._pierced_rings(x)),
            ("ring not flat", *self._ring_planes(x)),
            ("amide twisted", *self._twists(x, self.amides)),
            ("double bond twisted", *self._twists(x, self.doubles)),
            ("hand", *self._hands(x)),
            ("cis-trans", *self._sides(x)),
        ]
        return [self._verdict(found, i, bool(finite[i])) for i in range(len(x))]

    def _verdict(self, found, i: int, finite: bool) -> Verdict:
        details = {}
        for name, excess, words in found:
            row = excess[i]
            if row.size and row.max() > 0 and (finite or name == "not finite"):
                details[name] = words(i) if name == "not finite" else words(i, int(row.argmax()))
        return Verdict(tuple(details), details)

    def _label(self, *atoms: int) -> str:
        return "-".join(f"{self.symbols[a]}{a}" for a in atoms)

    def _bond_lengths(self, x):
        length = np.linalg.norm(x[:, self.bonds[:, 0]] - x[:, self.bonds[:, 1]], axis=-1)
        low, high = self.bond_range.T
        return (
            np.maximum(low - length, length - high),
            lambda i, k: (
                f"bond {self._label(*self.bonds[k])} of {length[i, k]:.2f} A, "
                f"expected {low[k]:.2f} to {high[k]:.2f}"
            ),
        )

    def _bond_angles(self, x):
        a, b, c = (x[:, self.angles[:, i]] for i in range(3))
        angle = _angle(a - b, c - b)
        low, high = self.angle_range.T
        return (
            np.maximum(low - angle, angle - high),
            lambda i, k: (
                f"angle {self._label(*self.angles[k])} of {angle[i, k]:.0f} degrees, "
                f"expected {low[k]:.0f} to {high[k]:.0f}"
            ),
        )

    def _close_contacts(self, x):
        i, j = self.contacts.T
        apart = np.linalg.norm(x[:, i] - x[:, j], axis=-1)
        return (
            self.closest - apart,
            lambda c, k: (
                f"{self._label(*self.contacts[k])} {apart[c, k]:.2f} A apart, "
                f"expected {self.closest[k]:.2f} or more"
            ),
        )

    def _pierced_rings(self, x):
        """Bonds that cross the fan of triangles that a ring spans about its middle."""
        rows, names = [], []
        for ring in self.rings:
            if len(ring) > 8:
                continue
            near = np.isin(self.bonds, ring).any(1)
            bonds = self.bonds[~near]
            if not len(bonds):
                continue
            corners = x[:, ring]
            middle = corners.mean(1)[:, None, None]
            first, second = corners[:, None], np.roll(corners, -1, 1)[:, None]
            start, end = x[:, bonds[:, 0], None], x[:, bonds[:, 1], None]
            rows.append(_crosses(start, end, middle, first, second).any(-1))
            names += [(ring, bond) for bond in bonds]
        excess = np.concatenate(rows, 1).astype(float) if rows else np.zeros((len(x), 0))
        return (
            excess,
            lambda i, k: (
                f"bond {self._label(*names[k][1])} goes through the ring of "
                f"{self._label(*names[k][0])}"
            ),
        )

    def _ring_planes(self, x):
        worst = np.zeros((len(x), len(self.flat)))
        for k, ring in enumerate(self.flat):
            centred = x[:, ring] - x[:, ring].mean(1, keepdims=True)
            normal = np.linalg.svd(centred, full_matrices=False)[2][:, 2]
            worst[:, k] = np.abs((centred * normal[:, None]).sum(-1)).max(1)
        return (
            worst - FLAT_RING,
            lambda i, k: (
                f"aromatic ring {self._label(*self.flat[k])} is {worst[i, k]:.2f} A out of its "
                "plane"
            ),
        )

    def _twists(self, x, torsions: np.ndarray):
        angle = np.abs(_dihedral(*(x[:, torsions[:, i]] for i in range(4))))
        twist = np.minimum(angle, 180 - angle)
        return (
            twist - TWIST,
            lambda i, k: f"{self._label(*torsions[k])} is twisted by {twist[i, k]:.0f} degrees",
        )

    def _hands(self, x):
        """1 where the neighbours have the other hand, or the centre is not inside them."""
        if not len(self.chiral):
            return np.zeros((len(x), 0)), None
        centre, a, b, c, d = (x[:, self.chiral[:, i]] for i in range(5))
        volume = _volume(a, b, c, d)
        wrong = ~(volume > 0)
        four = self.chiral[:, 4] != self.chiral[:, 0]
        inside = np.ones_like(wrong)
        for swapped in ((centre, b, c, d), (a, centre, c, d), (a, b, centre, d), (a, b, c, centre)):
            inside &= _volume(*swapped) > 0
        wrong |= four & ~inside
        return (
            wrong.astype(float),
            lambda i, k: (
                f"stereocentre {self._label(self.chiral[k, 0])} has the wrong hand"
                if volume[i, k] <= 0
                else f"stereocentre {self._label(self.chiral[k, 0])} lies outside its neighbours"
            ),
        )

    def _sides(self, x):
        if not len(self.double):
            return np.zeros((len(x), 0)), None
        i, j, k, l = (x[:, self.double[:, n]] for n in range(4))
        same = np.abs(_dihedral(i, j, k, l)) < 90
        wrong = same != (self.double[:, 4] > 0)
        return wrong.astype(
            float
        ), lambda c, n: f"double bond {self._label(*self.double[n, 1:3])} is on the wrong side"


def learn(molecules: Iterable[Chem.Mol]) -> dict:
    """Ranges of bond lengths and angles by kind, over all conformers of real molecules.

    Args:
        molecules: with explicit hydrogens and conformers.

    Returns: what geometry.json holds: for each kind (count, least, greatest).
    """
    seen: dict[str, dict[str, list[float]]] = {
        "bonds": defaultdict(list),
        "angles": defaultdict(list),
    }
    for mol in molecules:
        x = np.stack([c.GetPositions() for c in mol.GetConformers()])
        for bond in mol.GetBonds():
            length = np.linalg.norm(
                x[:, bond.GetBeginAtomIdx()] - x[:, bond.GetEndAtomIdx()], axis=-1
            )
            for kind in _bond_kinds(bond):
                seen["bonds"][kind] += [float(length.min()), float(length.max())]
        for (i, j, k), kinds in _angles(mol):
            angle = _angle(x[:, i] - x[:, j], x[:, k] - x[:, j])
            for kind in kinds:
                seen["angles"][kind] += [float(angle.min()), float(angle.max())]
    digits = {"bonds": 3, "angles": 1}
    return {
        name: {
            kind: [len(v) // 2, round(min(v), digits[name]), round(max(v), digits[name])]
            for kind, v in sorted(kinds.items())
        }
        for name, kinds in seen.items()
    }


@dataclass(frozen=True)
class _Table:
    bonds: dict[str, list[float]]
    angles: dict[str, list[float]]

    def bond(self, bond: Chem.Bond) -> tuple[float, float]:
        known = _first_known(self.bonds, _bond_kinds(bond))
        if known is not None:
            return known[1] * (1 - BOND_MARGIN), known[2] * (1 + BOND_MARGIN)
        table = Chem.GetPeriodicTable()
        numbers = bond.GetBeginAtom().GetAtomicNum(), bond.GetEndAtom().GetAtomicNum()
        total = sum(table.GetRcovalent(n) for n in numbers)
        return total * UNKNOWN_BOND[0], total * UNKNOWN_BOND[1]

    def angle(self, kinds: Sequence[str]) -> tuple[float, float]:
        known = _first_known(self.angles, kinds)
        return (
            (50.0, 181.0) if known is None else (known[1] - ANGLE_MARGIN, known[2] + ANGLE_MARGIN)
        )


@functools.cache
def _table() -> _Table:
    stored = json.loads(data_path("conformers", "geometry.json").read_text())
    return _Table(stored["bonds"], stored["angles"])


def _first_known(table: dict[str, list[float]], kinds: Sequence[str]) -> list[float] | None:
    return next((table[kind] for kind in kinds if kind in table and table[kind][0] >= LEAST), None)


def _atom_kind(atom: Chem.Atom) -> str:
    aromatic, charge = "a" if atom.GetIsAromatic() else "", atom.GetFormalCharge()
    return f"{atom.GetSymbol()}{atom.GetTotalDegree()}{aromatic}{'+' * charge}{'-' * -charge}"


def _small_ring(bond: Chem.Bond) -> str:
    return next((f"r{n}" for n in (3, 4, 5) if bond.IsInRingSize(n)), "")


def _bond_kinds(bond: Chem.Bond) -> list[str]:
    """Kinds of a bond, from the finest to the coarsest."""
    ends = bond.GetBeginAtom(), bond.GetEndAtom()
    order = {"SINGLE": "-", "DOUBLE": "=", "TRIPLE": "#", "AROMATIC": ":"}.get(
        bond.GetBondType().name, "~"
    )
    conjugated = "c" if bond.GetIsConjugated() else ""
    fine = order.join(sorted(_atom_kind(a) for a in ends))
    plain = order.join(sorted(a.GetSymbol() for a in ends))
    return [f"{fine}{conjugated}{_small_ring(bond)}", f"{fine}{conjugated}", fine, plain]


def _angles(mol: Chem.Mol):
    """(i, j, k) about every atom j with its kinds, from the finest to the coarsest."""
    rings = mol.GetRingInfo()
    for atom in mol.GetAtoms():
        j = atom.GetIdx()
        around = [(b.GetOtherAtomIdx(j), b) for b in atom.GetBonds()]
        for place, (i, first) in enumerate(around):
            for k, second in around[place + 1 :]:
                size = next(
                    (
                        n
                        for n in (3, 4, 5, 6)
                        if first.IsInRingSize(n)
                        and second.IsInRingSize(n)
                        and rings.AreAtomsInSameRingOfSize(i, k, n)
                    ),
                    0,
                )
                centre = f"{_atom_kind(atom)}{atom.GetHybridization().name}"
                ends = sorted(
                    (mol.GetAtomWithIdx(i).GetSymbol(), mol.GetAtomWithIdx(k).GetSymbol())
                )
                yield (
                    (i, j, k),
                    [
                        f"{ends[0]}|{centre}|{ends[1]}|{size}",
                        f"{centre}|{size}",
                        f"{atom.GetSymbol()}|{size}",
                    ],
                )


def _contacts(mol: Chem.Mol) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of atoms four or more bonds apart or of different fragments, and the least distance of
    each.
    """
    table = Chem.GetPeriodicTable()
    radii = np.array([table.GetRvdw(a.GetAtomicNum()) for a in mol.GetAtoms()])
    donor = np.array(
        [
            a.GetAtomicNum() == 1 and any(n.GetAtomicNum() in (7, 8, 16) for n in a.GetNeighbors())
            for a in mol.GetAtoms()
        ]
    )
    acceptor = np.array([a.GetAtomicNum() in (7, 8, 9, 16, 17, 35, 53) for a in mol.GetAtoms()])
    hops = Chem.GetDistanceMatrix(mol)
    i, j = np.nonzero(np.triu(hops >= 4))
    polar = (donor[i] & acceptor[j]) | (acceptor[i] & donor[j])
    share = np.where(polar, POLAR_CONTACT, CONTACT)
    return np.stack([i, j], 1), share * (radii[i] + radii[j])


_AMIDE = Chem.MolFromSmarts("[#6,#1]-[CX3](=[OX1])-[NX3]-[#6,#1]")
_DOUBLE = Chem.MolFromSmarts("[*]~[CX3,NX2]=[CX3,NX2]~[*]")


def _planar_torsions(mol: Chem.Mol) -> tuple[np.ndarray, np.ndarray]:
    """Torsions (n, 4) that are 0 or 180 degrees: about amide bonds outside small rings, about
    double bonds between carbons and nitrogens.
    """
    rings = mol.GetRingInfo()
    amides = [  # nitrogen in a ring of three or four is a pyramid
        (a, c, n, b)
        for a, c, _, n, b in mol.GetSubstructMatches(_AMIDE, maxMatches=100_000)
        if not rings.IsAtomInRingOfSize(n, 3) and not rings.IsAtomInRingOfSize(n, 4)
    ]
    doubles = [
        match
        for match in mol.GetSubstructMatches(_DOUBLE, maxMatches=100_000, uniquify=False)
        if match[0] != match[3]
        and mol.GetBondBetweenAtoms(match[1], match[2]).GetBondTypeAsDouble() == 2
    ]
    return tuple(np.array(t, dtype=int).reshape(-1, 4) for t in (amides, doubles))


def _angle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    cross = np.linalg.norm(np.cross(u, v), axis=-1)
    return np.degrees(np.arctan2(cross, (u * v).sum(-1)))


def _dihedral(a, b, c, d) -> np.ndarray:
    first, second, third = b - a, c - b, d - c
    normal, other = np.cross(first, second), np.cross(second, third)
    length = np.linalg.norm(second, axis=-1)
    return np.degrees(np.arctan2(length * (first * other).sum(-1), (normal * other).sum(-1)))


def _volume(a, b, c, d) -> np.ndarray:
    return (np.cross(a - d, b - d) * (c - d)).sum(-1)


def _crosses(start, end, one, two, three) -> np.ndarray:
    """Whether segments cross triangles; by signs of volumes."""
    sides = _volume(start, one, two, three) * _volume(end, one, two, three) < 0
    first, second, third = (
        _volume(start, end, *pair) > 0 for pair in ((one, two), (two, three), (three, one))
    )
    return sides & (first == second) & (second == third)
