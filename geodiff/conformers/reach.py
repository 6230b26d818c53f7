"""What molecules a model was trained on, as its card says, and in what others lie beyond."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rdkit import Chem

from geodiff.process.field import Field


@dataclass(frozen=True)
class Reach:
    """The range of a model's training molecules; an empty one reaches everywhere.

    Args:
        elements: symbols, hydrogen aside, that enough training molecules have.
        heavy_atoms: the largest number of heavy atoms.
        charge: the largest number of charged atoms without a charged neighbour.
        ring: the largest ring.
    """

    elements: frozenset[str] = frozenset()
    heavy_atoms: int | None = None
    charge: int | None = None
    ring: int | None = None

    @classmethod
    def of(cls, field: Field) -> "Reach":
        """What the card of a trained field says; everything, where it says nothing.

        Args:
            field: as `geodiff.load` gives it, or any other.
        """
        said: Mapping = getattr(field, "card", {}).get("reach", {})
        return cls(
            frozenset(said.get("elements", ())),
            said.get("heavy_atoms"),
            said.get("charge"),
            said.get("ring"),
        )

    @classmethod
    def measure(cls, molecules: Iterable[Chem.Mol], least: int = 20) -> "Reach":
        """The range of training molecules.

        Args:
            molecules: with or without hydrogens.
            least: molecules that must have an element, or be as large, for the range to hold it.
        """
        facts = [_facts(mol) for mol in molecules]
        symbols = {s for known, *_ in facts for s in known}
        elements = frozenset(s for s in symbols if sum(s in f[0] for f in facts) >= least)
        sizes = sorted((heavy for _, heavy, _, _ in facts), reverse=True)
        rings = sorted((ring for *_, ring in facts), reverse=True)
        charges = sorted((charge for _, _, charge, _ in facts), reverse=True)
        place = min(least, len(facts)) - 1
        return cls(elements, sizes[place], charges[place], rings[place])

    def card(self) -> dict[str, object]:
        """The range as the card of a model holds it."""
        return {
            "elements": sorted(self.elements),
            "heavy_atoms": self.heavy_atoms,
            "charge": self.charge,
            "ring": self.ring,
        }

    def beyond(self, mol: Chem.Mol) -> str:
        """In what a molecule lies beyond the range, in words; empty where it does not.

        Args:
            mol: with or without hydrogens.
        """
        symbols, heavy, charge, ring = _facts(mol)
        found = []
        strange = sorted(symbols - self.elements)
        if self.elements and strange:
            found.append(f"it has {', '.join(strange)}")
        for what, value, limit in (
            ("heavy atoms", heavy, self.heavy_atoms),
            ("charged atoms", charge, self.charge),
            ("atoms in a ring", ring, self.ring),
        ):
            if limit is not None and value > limit:
                found.append(f"{value} {what}, trained up to {limit}")
        return "; ".join(found)


def _facts(mol: Chem.Mol) -> tuple[set[str], int, int, int]:
    """Elements but hydrogen, heavy atoms, lone charges, largest ring."""
    charged = {a.GetIdx() for a in mol.GetAtoms() if a.GetFormalCharge()}
    lone = sum(
        not any(n.GetIdx() in charged for n in mol.GetAtomWithIdx(i).GetNeighbors())
        for i in charged
    )
    rings = mol.GetRingInfo().AtomRings()
    return (
        {a.GetSymbol() for a in mol.GetAtoms()} - {"H"},
        mol.GetNumHeavyAtoms(),
        lone,
        max((len(ring) for ring in rings), default=0),
    )
