"""From residues, as any library reads them, to chains, and notes on what was dropped, chosen or
rebuilt.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import gemmi
import numpy as np

from geodiff.domains.chains.chain import ATOMS, LETTERS, Chain
from geodiff.domains.chains.geometry import oxygens

# angstrom; a longer C-N is no bond of a deposited chain (0.9998 of real ones are within 1.43)
BONDED = 2.0


@dataclass(frozen=True)
class Note:
    """Something in a file that was dropped, chosen or rebuilt, so that nobody takes it for the
    deposit.
    """

    source: str  # the file, or what it was read from
    chain_id: str  # "" where it concerns the whole file
    kind: str  # one of KINDS
    detail: str  # in words

    def __str__(self) -> str:
        where = f"{self.source}, chain {self.chain_id}" if self.chain_id else self.source
        return f"{where}: {self.detail}"


KINDS = (
    "models",
    "altlocs",
    "missing atoms",
    "no backbone",
    "free amino acids",
    "modified",
    "unknown",
    "gaps",
    "long bonds",
    "oxygens",
    "insertions",
    "end",
)


@dataclass(frozen=True)
class Residue:
    """One residue of a file, with the atoms of its backbone in all their places."""

    name: str  # three letters, as in the file
    number: int  # as in the file
    insertion: str  # its insertion code, "" for none
    hetero: bool  # whether the file has it as a HETATM
    # (name, altloc, occupancy, xyz)
    atoms: tuple[tuple[str, str, float, tuple[float, float, float]], ...]

    def __str__(self) -> str:
        return f"{self.name}{self.number}{self.insertion}"


def to_chains(
    groups: Iterable[tuple[str, Sequence[Residue]]],
    name: str,
    source: str,
    notes: list[Note],
    shown: str,
) -> tuple[list[Chain], list[Note]]:
    """Chains with a backbone, in order, and the notes with those that were added.

    Args:
        groups: ids of chains and their residues; groups of one id are one chain.
        name: of every chain.
        source: what notes call the file.
        notes: of the file so far.
        shown: what messages call the file.

    Raises:
        ValueError: if no chain has a backbone, or an O cannot be rebuilt.
    """
    merged: dict[str, list[Residue]] = {}
    for chain_id, residues in groups:
        merged.setdefault(chain_id, []).extend(residues)
    chains = []
    for chain_id, residues in merged.items():
        chain = _chain(residues, name, chain_id, source, notes, shown)
        if chain is not None:
            chains.append(chain)
    if not chains:
        counts = Counter(residue.name for residues in merged.values() for residue in residues)
        found = (
            ", ".join(f"{count} {residue}" for residue, count in counts.most_common(5)) or "nothing"
        )
        ca_only = any(
            {atom[0] for atom in residue.atoms} == {"CA"}
            for rs in merged.values()
            for residue in rs
        )
        why = "; it has CA atoms alone, and N, CA and C are needed" if ca_only else ""
        raise ValueError(f"{shown} holds no protein backbone: it has {found}{why}")
    return chains, notes


@dataclass(frozen=True)
class _Kept:
    """A residue with a backbone."""

    residue: Residue
    letter: str  # lower case for a modified amino acid
    place: np.ndarray  # N, CA, C, O (4, 3); O nan if missing
    several: bool  # it has alternatives
    after_loss: bool  # an amino acid was dropped since the one before


def _chain(
    residues: list[Residue], name: str, chain_id: str, source: str, notes: list[Note], shown: str
) -> Chain | None:
    def note(kind: str, detail: str, which: Sequence, count: int | None = None) -> None:
        if len(which):
            some = ", ".join(map(str, which[:6])) + (", ..." if len(which) > 6 else "")
            number = len(which) if count is None else count
            notes.append(Note(source, chain_id, kind, f"{number} {detail}: {some}"))

    kept, incomplete, others = _sorted_out(residues)
    counts = [f"{count} {residue}" for residue, count in Counter(others).most_common()]
    note("no backbone", "residues that are no amino acids dropped", counts, len(others))
    note("missing atoms", "residues without all of N, CA, C dropped", incomplete)
    alternatives = [one.residue for one in kept if one.several]
    kept, free = _without_free(kept)
    note("free amino acids", "ligands made of an amino acid dropped", free)
    if not kept:
        return None

    coords = np.array([one.place for one in kept])
    bonds = _bonds(coords)
    numbers = np.array([one.residue.number for one in kept])
    jumps, long = ~np.isin(np.diff(numbers), (0, 1)), bonds > BONDED
    gaps = np.array([one.after_loss for one in kept[1:]], dtype=bool) | (jumps & long)
    rebuilt = np.isnan(coords[:, 3]).any(-1)
    coords[rebuilt, 3] = oxygens(coords, ~gaps)[rebuilt]

    own = [one.residue for one in kept]
    between = [f"{a} to {b}" for a, b in zip(own, own[1:])]
    modified = [f"{one.residue} as {one.letter.upper()}" for one in kept if one.letter.islower()]
    unknown = [one.residue for one in kept if one.letter == "X"]
    odd = [f"{between[i]} {bonds[i]:.1f}" for i in np.flatnonzero(long & ~gaps)]
    note("altlocs", "residues have alternative places; the most occupied was read", alternatives)
    note("modified", "modified residues read as their parents", modified)
    note("unknown", "residues of unknown kind read as X", unknown)
    note(
        "insertions", "residues carry insertion codes, kept", [one for one in own if one.insertion]
    )
    note("gaps", "gaps, marked", [between[i] for i in np.flatnonzero(gaps)])
    note(
        "long bonds",
        f"C-N longer than {BONDED} angstrom without a jump in numbers, kept as bad bonds",
        odd,
    )
    note("oxygens", "missing O rebuilt", [own[i] for i in np.flatnonzero(rebuilt)])
    if not np.isfinite(coords[:, 3]).all():
        raise ValueError(
            f"{shown}, chain {chain_id}: N, CA and C of a residue lie on a line or at one point, "
            "its O cannot be rebuilt; remove that residue"
        )
    return Chain(
        coords,
        "".join(one.letter for one in kept).upper(),
        name,
        chain_id,
        numbers,
        tuple(residue.insertion for residue in own),
        gaps,
    )


def _sorted_out(residues: Iterable[Residue]) -> tuple[list[_Kept], list[Residue], list[str]]:
    """Residues with a backbone, amino acids without one, and names of what is no amino acid."""
    kept: list[_Kept] = []
    incomplete: list[Residue] = []
    others: list[str] = []
    lost = False  # an amino acid was lost since the last one that was kept
    for choices in _by_number(residues):
        readings = [(r, _letter(r.name), *_place(r)) for r in choices]
        whole = [x for x in readings if x[1] is not None and x[2] is not None]
        if whole:
            residue, letter, place, _, several = max(whole, key=lambda x: x[3])  # first of equals
            kept.append(_Kept(residue, letter, place, several or len(choices) > 1, lost))
            lost = False
        elif any(_is_amino_acid(residue, letter) for residue, letter, *_ in readings):
            incomplete.append(choices[0])
            lost = True
        else:
            others.append(choices[0].name)
    return kept, incomplete, others


def _without_free(kept: list[_Kept]) -> tuple[list[_Kept], list[Residue]]:
    """Residues less the ligands that are amino acids bonded to no other, and those."""
    if len(kept) < 2:
        return kept, []
    bonded = _bonds(np.array([one.place for one in kept])) < BONDED
    joined = np.append(bonded, False) | np.append(False, bonded)
    left: list[_Kept] = []
    free: list[Residue] = []
    lost = False
    for one, is_joined in zip(kept, joined):
        lost |= one.after_loss
        if one.residue.hetero and not is_joined:
            free.append(one.residue)
        else:
            left.append(replace(one, after_loss=lost))
            lost = False
    return left, free


def _bonds(coords: np.ndarray) -> np.ndarray:
    """Lengths of C-N from each residue to the next, (n - 1,), angstrom."""
    return np.linalg.norm(coords[1:, 0] - coords[:-1, 2], axis=-1)


def _letter(name: str) -> str | None:
    """The letter of an amino acid, lower case if it is a modified one, X if none is known; None for
    anything else.
    """
    info = gemmi.find_tabulated_residue(name)
    if not info.found():
        return "X"  # an amino acid if it has the atoms of one
    if not info.is_amino_acid():
        return None
    letter = info.one_letter_code.strip()
    return letter if letter.upper() in LETTERS and letter else "X"


def _is_amino_acid(residue: Residue, letter: str | None) -> bool:
    return letter is not None and (letter != "X" or any(atom[0] == "CA" for atom in residue.atoms))


def _by_number(residues: Iterable[Residue]) -> Iterator[list[Residue]]:
    """Runs of residues under one number: alternatives of each other."""
    run: list[Residue] = []
    for residue in residues:
        if run and (residue.number, residue.insertion) != (run[-1].number, run[-1].insertion):
            yield run
            run = []
        run.append(residue)
    if run:
        yield run


def _place(residue: Residue) -> tuple[np.ndarray | None, float, bool]:
    """N, CA, C, O (4, 3) of the most occupied alternative (O nan if missing), its occupancy, and
    whether there were several; None for a residue without N, CA and C at finite places.
    """
    labels = dict.fromkeys(altloc for _, altloc, _, _ in residue.atoms if altloc)
    best, best_occupancy, found = None, -math.inf, 0
    for label in labels or [""]:
        places, occupancies = np.full((4, 3), np.nan), {}
        for wanted in ("", label):  # a place of its own wins over a common one
            for atom, altloc, occupancy, xyz in residue.atoms:
                if altloc == wanted and (atom not in occupancies or wanted):
                    places[ATOMS.index(atom)] = xyz
                    occupancies[atom] = occupancy
        if not np.isfinite(places[:3]).all():
            continue
        found += 1
        occupancy = sum(occupancies[atom] for atom in ATOMS[:3]) / 3
        if occupancy > best_occupancy:
            best, best_occupancy = places, occupancy
    return best, best_occupancy, found > 1
