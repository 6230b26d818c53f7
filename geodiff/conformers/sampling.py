"""Conformers from molecules: noise, the flow, stereo made right per centre, RDKit molecules out."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from rdkit import Chem
from torch import Tensor

from geodiff.conformers.model import DEFAULT_MODEL, harmonic_base
from geodiff.domains.molecules.features import MoleculeBatch, collate, featurise
from geodiff.domains.molecules.geometry import bonds_ok
from geodiff.domains.molecules.io import Failure, Record, SdfWriter, read, write_failures
from geodiff.domains.molecules.stereo import reembed, stereo_ok
from geodiff.jobs import shards
from geodiff.jobs.batches import by_pairs
from geodiff.process import sampling
from geodiff.process.field import Field
from geodiff.process.randomness import Noise
from geodiff.process.samplers import Stepper
from geodiff.training.models import precise, trained

if TYPE_CHECKING:
    from torch_geometric.data import Data

logger = logging.getLogger(__name__)

STEPS = 10  # AMR-R 0.136 A on the shipped benchmark; 20 steps give 0.136 at twice the price
# draws of a conformer whose stereo or bonds come out wrong, before distance geometry repairs it
ATTEMPTS = 4
Row = tuple[int, int]  # place in a group of molecules, and number of the conformer
PAIR_BUDGET = 64_000  # molecules x atoms^2 in one batch: pair tensors below 32 MB


@dataclass
class Report:
    """What a run delivered: counts over conformers, and the molecules that failed."""

    requested: int = 0
    delivered: int = 0
    # draws repeated: a specified centre or double bond was wrong, or a bond broken
    resampled: int = 0
    repaired: int = 0  # conformers that distance geometry replaced
    molecules: int = 0
    failures: list[Failure] = dataclass_field(default_factory=list)


def sample_positions(
    field: Field,
    condition: MoleculeBatch,
    noise: Tensor,
    *,
    steps: int = STEPS,
    stepper: Stepper | None = None,
) -> Tensor:
    """Conformers that the flow makes of `noise`, (batch, n, 3) angstrom, centred; masked atoms 0.

    noise: (batch, n, 3), a draw of `harmonic_base`. Rotating it rotates the conformers, permuting
    atoms permutes them.
    """
    return sampling.sample(
        field, noise, steps=steps, stepper=stepper, condition=condition, mask=condition.mask
    )


def sample(
    source,
    n: int | Sequence[int] = 50,
    *,
    seed: int = 0,
    model: Field | str | Path | None = None,
    steps: int = STEPS,
    batch_size: int | None = None,
    device: str | torch.device = "auto",
) -> Chem.Mol | list[Chem.Mol | None]:
    """Conformers of one molecule or many, as RDKit molecules with explicit hydrogens and conformer
    ids 0 to n - 1.

    A conformer depends on (seed, place in the list, its number) only. One whose stereo or bonds
    come out wrong is drawn again, up to ATTEMPTS times in all, then replaced by distance geometry;
    ids of such ones stand in the Mol's property `repaired` (space-separated, empty if none).

    Args:
        source: a SMILES or an RDKit Mol (returns one Mol), or a list of them (returns a list, None
            where one failed; the reasons are logged as warnings).
        n: conformers of each molecule, or one number per molecule.
        seed: the same seed makes the same conformers.
        model: a field, a path, or a shipped name; None takes the shipped default.
        steps: network evaluations a conformer.
        batch_size: conformers made at once; None chooses by size.
        device: "auto", "cpu", "cuda", "cuda:1"; "auto" leaves a field where it is.

    Raises: ValueError for a single molecule that cannot be taken and for n < 1, TypeError for
        another kind of source.
    """
    _check_numbers(seed, batch_size)
    single = isinstance(source, str | Chem.Mol)
    records, failures = read(source if single or not isinstance(source, Iterable) else list(source))
    if single and failures:
        raise ValueError(f"source: {failures[0].smiles or 'the molecule'} {failures[0].reason}")
    for failure in failures:
        logger.warning(
            "molecule %d, %s, is skipped: it %s",
            failure.index,
            failure.smiles or failure.name,
            failure.reason,
        )
    field = precise(trained(model, "conformers", DEFAULT_MODEL, device=device))
    total = len(records) + len(failures)
    molecules: list[Chem.Mol | None] = [None] * total
    report = Report()
    for record, molecule in _sample_records(
        field, records, _counts(n, total), int(seed), steps, batch_size, report
    ):
        molecules[record.index] = molecule
    for failure in report.failures:
        logger.warning("molecule %d, %s: %s", failure.index, failure.smiles, failure.reason)
    if single and molecules[0] is None:
        raise ValueError(f"source: {report.failures[0].smiles}: {report.failures[0].reason}")
    return molecules[0] if single else molecules


def sample_file(
    source,
    out: Path,
    n: int = 50,
    *,
    seed: int = 0,
    model: Field | str | Path | None = None,
    steps: int = STEPS,
    batch_size: int | None = None,
    device: str | torch.device = "auto",
    shard: tuple[int, int] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Sample every molecule of `source` (SMILES, list or file) into the SDF file `out`, written as
    it goes.

    Molecules that fail are listed in the file `failures_path(out, shard)`. Where not one conformer
    comes out, `out` is left as it was.

    Args:
        source: a SMILES, a list, or a file that `read` takes.
        out: the SDF file.
        n: conformers of each molecule.
        seed: the same seed makes the same conformers.
        model: a field, a path, or a shipped name; None takes the shipped default.
        steps: network evaluations a conformer.
        batch_size: conformers made at once; None chooses by size.
        device: "auto", "cpu", "cuda", "cuda:1"; "auto" leaves a field where it is.
        shard: (i, m) takes every m-th molecule from the i-th, i from 0; the shards of a file
            together are the file's conformers.
        progress: called as progress(done, total), in molecules.
    """
    _check_numbers(seed, batch_size)
    out = Path(out)
    if (
        isinstance(source, str | os.PathLike)
        and out.exists()
        and Path(source).exists()
        and out.samefile(source)
    ):
        raise ValueError(f"out: {out} is the source; give another file")
    records, failures = read(source)
    counts = _counts(n, len(records) + len(failures))
    records = shards.select(records, shard, place=lambda record: record.index)
    failures = shards.select(failures, shard, place=lambda failure: failure.index)
    field = precise(trained(model, "conformers", DEFAULT_MODEL, device=device))
    report = Report(failures=list(failures))
    if records:
        with SdfWriter(out) as writer:
            for record, molecule in _sample_records(
                field, records, counts, int(seed), steps, batch_size, report
            ):
                repaired = set(molecule.GetProp("repaired").split())
                origins = [
                    {"origin": "distance geometry" if str(c.GetId()) in repaired else "flow"}
                    for c in molecule.GetConformers()
                ]
                writer.write(molecule, record.name, record.smiles, origins)
                if progress is not None:
                    progress(report.molecules, len(records))
    write_failures(failures_path(out, shard), report.failures)
    return report


def failures_path(out: Path, shard: tuple[int, int] | None = None) -> Path:
    """Where `sample_file` lists what failed: failures.csv beside `out`, failures_1of4.csv for shard
    (1, 4).
    """
    return shards.path_of(Path(out).parent / "failures.csv", shard)


def _check_numbers(seed: int, batch_size: int | None) -> None:
    if not isinstance(seed, Integral):
        raise TypeError(f"seed: expected a whole number, got {seed!r}")
    if batch_size is not None and (not isinstance(batch_size, Integral) or batch_size < 1):
        raise ValueError(
            "batch_size: expected a whole number of at least 1, or None to choose it, got "
            f"{batch_size!r}"
        )


def _counts(n: int | Sequence[int], molecules: int) -> list[int]:
    counts = (
        [n] * molecules if isinstance(n, Integral) else list(n) if isinstance(n, Iterable) else [n]
    )
    if not all(isinstance(k, Integral) for k in counts):
        raise TypeError(f"n: expected a whole number, or one for each molecule, got {n!r}")
    counts = [int(k) for k in counts]
    if len(counts) != molecules:
        raise ValueError(
            f"n: expected one number, or one for each of {molecules} molecules, got {len(counts)}"
        )
    if any(k < 1 for k in counts):
        raise ValueError(f"n: expected at least 1 conformer, got {min(counts)}")
    return counts


def _sample_records(
    field: Field,
    records: Sequence[Record],
    counts: Sequence[int],
    seed: int,
    steps: int,
    batch_size: int | None,
    report: Report,
) -> Iterator[tuple[Record, Chem.Mol]]:
    """Molecules with their conformers, in the order of records; batches run over molecule
    borders.
    """
    waiting: list[tuple[Record, Data]] = []
    for place, record in enumerate(records):
        waiting.append((record, featurise(record.mol)))
        largest = max(data.num_nodes for _, data in waiting)
        rows = sum(counts[r.index] for r, _ in waiting)
        # A few full batches at a time: padding stays small and the file grows as the run goes.
        if rows * largest**2 >= 4 * PAIR_BUDGET or place == len(records) - 1:
            yield from _sample_group(field, waiting, counts, seed, steps, batch_size, report)
            waiting = []


def _sample_group(
    field: Field,
    group: Sequence[tuple[Record, "Data"]],
    counts: Sequence[int],
    seed: int,
    steps: int,
    batch_size: int | None,
    report: Report,
) -> Iterator[tuple[Record, Chem.Mol]]:
    positions, wrong = _drawn(field, group, counts, seed, steps, batch_size, report)
    mended, lost = _repaired(wrong, positions, group, seed)
    report.repaired += len(mended)
    for g, (record, _) in enumerate(group):
        wanted = counts[record.index]
        usable = [(g, k) for k in range(wanted) if (g, k) not in lost]
        report.requested += wanted
        report.delivered += len(usable)
        report.molecules += 1
        if len(usable) < wanted:
            reason = (
                f"got {len(usable)} of {wanted} conformers: the flow broke its bonds or stereo in "
                "the others, and distance geometry could not build them"
            )
            report.failures.append(Failure(record.index, record.name, record.smiles, reason))
        if usable:
            molecule = _with_conformers(record.mol, [positions[row] for row in usable])
            molecule.SetProp(
                "repaired", " ".join(str(i) for i, row in enumerate(usable) if row in mended)
            )
            yield record, molecule


def _drawn(
    field: Field,
    group: Sequence[tuple[Record, "Data"]],
    counts: Sequence[int],
    seed: int,
    steps: int,
    batch_size: int | None,
    report: Report,
) -> tuple[dict[Row, np.ndarray], list[Row]]:
    """Positions of every conformer, and those whose stereo or bonds are wrong after all draws."""

    def size(row: Row) -> int:
        return group[row[0]][1].num_nodes

    todo = [(g, k) for g, (record, _) in enumerate(group) for k in range(counts[record.index])]
    todo.sort(key=size)
    positions: dict[Row, np.ndarray] = {}
    for attempt in range(ATTEMPTS):
        wrong = []
        for batch in by_pairs(todo, size, budget=PAIR_BUDGET, batch_size=batch_size):
            made, right = _sample_batch(field, batch, group, seed, steps, attempt)
            positions |= zip(batch, made)
            wrong += [row for row, ok in zip(batch, right) if not ok]
        todo = wrong
        if not todo:
            break
        if attempt < ATTEMPTS - 1:
            report.resampled += len(todo)
    return positions, todo


def _repaired(
    rows: Sequence[Row],
    positions: dict[Row, np.ndarray],
    group: Sequence[tuple[Record, "Data"]],
    seed: int,
) -> tuple[set[Row], set[Row]]:
    """Replace the positions of `rows` by distance geometry; those where it could, and could not."""
    mended, lost = set(), set()
    hopeless = set()
    for g, k in rows:
        # Where distance geometry failed once it would fail, slowly, for every other conformer too.
        found = (
            None
            if g in hopeless
            else reembed(_with_conformers(group[g][0].mol, [positions[g, k]]), seed=seed + k)
        )
        if found is None or not np.isfinite(found).all():
            lost.add((g, k))
            hopeless.add(g)
        else:
            positions[g, k] = found
            mended.add((g, k))
    return mended, lost


def _sample_batch(
    field: Field,
    batch: Sequence[Row],
    group: Sequence[tuple[Record, "Data"]],
    seed: int,
    steps: int,
    attempt: int,
) -> tuple[list[np.ndarray], list[bool]]:
    used = sorted({g for g, _ in batch})
    condition = collate([group[g][1] for g in used]).select([used.index(g) for g, _ in batch])
    weights = next(field.parameters())
    condition = condition.to(weights.device, weights.dtype)
    # Attempts are streams of their own, so that a conformer depends neither on its batch nor on its
    # neighbours' luck.
    noise = Noise(
        seed, [group[g][0].index for g, _ in batch], [k + (attempt << 32) for _, k in batch]
    )
    start = harmonic_base((), noise, dtype=weights.dtype, condition=condition)
    positions = sample_positions(field, condition, start, steps=steps)
    right = stereo_ok(condition, positions) & bonds_ok(condition, positions)
    sizes = condition.mask.sum(1).tolist()
    return [
        xyz[:size] for xyz, size in zip(positions.double().cpu().numpy(), sizes)
    ], right.tolist()


def _with_conformers(mol: Chem.Mol, positions: Sequence[np.ndarray]) -> Chem.Mol:
    molecule = Chem.Mol(mol)
    molecule.RemoveAllConformers()
    for xyz in positions:
        conformer = Chem.Conformer(molecule.GetNumAtoms())
        conformer.SetPositions(np.ascontiguousarray(xyz, dtype=np.float64))
        molecule.AddConformer(conformer, assignId=True)
    return molecule
