"""From draws of one molecule to the conformers that are delivered: finished, checked, chosen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rdkit import Chem

from geodiff.conformers.presets import Preset
from geodiff.domains.molecules.finishing import MMFF, relax, select
from geodiff.domains.molecules.stereo import reembed
from geodiff.domains.molecules.validity import Checks, Verdict

FLOW, DISTANCE_GEOMETRY = "flow", "distance geometry"


@dataclass(frozen=True)
class Conformer:
    """One conformer with what is known of it."""

    positions: np.ndarray  # (atoms, 3), angstrom
    verdict: Verdict  # of the check
    origin: str = FLOW  # what drew it
    finish: str = "none"  # what relaxed it
    energy: float = float("nan")  # kcal/mol, of the force field; nan where there is none


def deliver(
    mol: Chem.Mol,
    positions: np.ndarray,
    right: np.ndarray,
    wanted: int,
    preset: Preset,
    *,
    seed: int = 0,
    threads: int = 1,
) -> Chem.Mol | None:
    """The conformers of one molecule that leave, fewer than wanted where no more are sound.

    Without finishing, a draw with the right stereo and whole bonds leaves, and the check's words
    with it. With finishing, only what passes `validity.check` leaves: the relaxed draw, else the
    draw itself. What is missing then is filled up by relaxed distance geometry that passes.

    Args:
        mol: with explicit hydrogens; its conformers are not read.
        positions: (draws, atoms, 3), angstrom.
        right: which draws have the right stereo and bonds, (draws,) bool.
        wanted: how many conformers were asked for.
        preset: how draws are finished and chosen.
        seed: of the distance geometry.
        threads: of the force field.

    Returns: the molecule with its conformers, lowest energy first where there are energies. Each
        conformer has the properties origin, finish, check and, where known, energy in kcal/mol;
        `repaired`, of the molecule, lists the ids that distance geometry made. None without any.
    """
    checks = Checks(mol)
    if preset.finish == "none":
        pool = _as_drawn(mol, positions, right, checks, seed)
    else:
        finite = np.isfinite(positions).all((1, 2))
        pool = _finished(mol, positions[finite], checks, threads)
        if len(pool) < wanted:
            broken = positions[np.argsort(right, kind="stable")][: wanted - len(pool)]
            pool += _replaced(mol, broken, checks, seed, threads)
        pool = [pool[i] for i in _kept(mol, pool, wanted, preset)]
    return _molecule(mol, pool) if pool else None


def _as_drawn(
    mol: Chem.Mol, positions: np.ndarray, right: np.ndarray, checks: Checks, seed: int
) -> list[Conformer]:
    """Every draw in its order; those with wrong stereo or bonds replaced by distance geometry."""
    places = positions.copy()
    made = _reembedded(mol, positions, np.flatnonzero(~right), seed)
    for k, xyz in made.items():
        places[k] = xyz
    return [
        Conformer(places[k], verdict, DISTANCE_GEOMETRY if k in made else FLOW)
        for k, verdict in enumerate(checks(places))
        if right[k] or k in made
    ]


def _finished(
    mol: Chem.Mol, positions: np.ndarray, checks: Checks, threads: int, origin: str = FLOW
) -> list[Conformer]:
    """What passes the check: relaxed where the force field knows the molecule, else as it was."""
    if not len(positions):
        return []
    before = checks(positions)
    copy = with_conformers(mol, positions)
    energies = relax(copy, threads=threads)
    if energies is None:
        return [Conformer(xyz, v, origin) for xyz, v in zip(positions, before) if v.valid]
    relaxed = np.stack([c.GetPositions() for c in copy.GetConformers()])
    pool = []
    for i, after in enumerate(checks(relaxed)):
        if after.valid:
            pool.append(Conformer(relaxed[i], after, origin, MMFF, float(energies[i])))
        elif before[i].valid:  # the force field spoilt it
            pool.append(Conformer(positions[i], before[i], origin))
    return pool


def _replaced(
    mol: Chem.Mol, broken: np.ndarray, checks: Checks, seed: int, threads: int
) -> list[Conformer]:
    """Relaxed distance geometry that passes the check, as near to each draw as it comes."""
    made = _reembedded(mol, broken, np.arange(len(broken)), seed)
    if not made:
        return []
    return _finished(mol, np.stack(list(made.values())), checks, threads, DISTANCE_GEOMETRY)


def _reembedded(
    mol: Chem.Mol, positions: np.ndarray, rows: np.ndarray, seed: int
) -> dict[int, np.ndarray]:
    """Distance geometry near the draws of these rows, by row; none after the first that fails."""
    made: dict[int, np.ndarray] = {}
    for k in map(int, rows):
        found = reembed(with_conformers(mol, [positions[k]]), seed=seed + k)
        if found is None or not np.isfinite(found).all():
            break  # it would fail, slowly, for every other conformer too
        made[k] = found
    return made


def _kept(mol: Chem.Mol, pool: Sequence[Conformer], wanted: int, preset: Preset) -> list[int]:
    energies = np.array([c.energy for c in pool])
    known = np.isfinite(energies)
    if not known.any():
        return list(range(min(wanted, len(pool))))
    # What the force field spoilt has no energy that compares; it comes after what has one.
    order = np.flatnonzero(known)
    chosen = select(
        with_conformers(mol, [pool[i].positions for i in order]),
        energies[order].tolist(),
        wanted,
        energy_window=preset.energy_window,
        prune_rms=preset.prune_rms,
    )
    kept = [int(order[i]) for i in chosen]
    return (kept + [int(i) for i in np.flatnonzero(~known)])[:wanted]


def _molecule(mol: Chem.Mol, pool: Sequence[Conformer]) -> Chem.Mol:
    made = with_conformers(mol, [c.positions for c in pool])
    replaced = []
    for known, conformer in zip(pool, made.GetConformers()):
        conformer.SetProp("origin", known.origin)
        conformer.SetProp("finish", known.finish)
        conformer.SetProp("check", str(known.verdict))
        if np.isfinite(known.energy):
            conformer.SetDoubleProp("energy", known.energy)
        if known.origin == DISTANCE_GEOMETRY:
            replaced.append(str(conformer.GetId()))
    made.SetProp("repaired", " ".join(replaced))
    return made


def with_conformers(mol: Chem.Mol, positions: Sequence[np.ndarray] | np.ndarray) -> Chem.Mol:
    """A copy of a molecule with these conformers, ids from 0, and no others.

    Args:
        mol: any molecule.
        positions: of each conformer (atoms, 3), angstrom.
    """
    molecule = Chem.Mol(mol)
    molecule.RemoveAllConformers()
    for xyz in positions:
        conformer = Chem.Conformer(molecule.GetNumAtoms())
        conformer.SetPositions(np.ascontiguousarray(xyz, dtype=np.float64))
        molecule.AddConformer(conformer, assignId=True)
    return molecule
