"""Conformers from molecules: draws of the flow, finished, checked and chosen; RDKit molecules
out.
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rdkit import Chem

from geodiff.conformers.delivery import deliver
from geodiff.conformers.draws import PAIR_BUDGET, draw
from geodiff.conformers.draws import sample_positions as sample_positions
from geodiff.conformers.model import DEFAULT_MODEL
from geodiff.conformers.presets import Finish, Preset, chosen
from geodiff.conformers.reach import Reach
from geodiff.domains.molecules.features import featurise
from geodiff.domains.molecules.io import Failure, Record, SdfWriter, read, write_failures
from geodiff.jobs import shards
from geodiff.process.field import Field
from geodiff.training.models import precise, trained

if TYPE_CHECKING:
    from torch_geometric.data import Data

logger = logging.getLogger(__name__)


@dataclass
class Report:
    """What a run delivered: counts over conformers, and the molecules that failed."""

    requested: int = 0  # conformers
    delivered: int = 0  # conformers
    # draws repeated: a specified centre or double bond was wrong, or a bond broken
    resampled: int = 0
    repaired: int = 0  # conformers that distance geometry made in place of the flow
    faulty: int = 0  # delivered as drawn although the check found a fault (finish "none" alone)
    molecules: int = 0  # worked on, those that failed among them
    outside: int = 0  # molecules beyond what the model was trained on
    failures: list[Failure] = dataclass_field(default_factory=list)  # molecules that failed


@dataclass(frozen=True)
class _Run:
    """What all molecules of a run share."""

    field: Field
    preset: Preset
    seed: int
    batch_size: int | None
    report: Report


def sample(
    source,
    n: int | Sequence[int] = 50,
    *,
    seed: int = 0,
    model: Field | str | Path | None = None,
    preset: str = "ensemble",
    finish: Finish | None = None,
    oversample: int | None = None,
    prune_rms: float | None = None,
    energy_window: float | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    device: str | torch.device = "auto",
) -> Chem.Mol | list[Chem.Mol | None]:
    """Conformers of one molecule or many, as RDKit molecules with explicit hydrogens and conformer
    ids 0 to n - 1, lowest energy first where there are energies.

    What leaves was checked by `geodiff.domains.molecules.validity`, which knows nothing of the
    model; each conformer says in its properties origin, finish, energy (kcal/mol) and check where
    it comes from. What fails is drawn once more, then relaxed, then replaced by relaxed distance
    geometry (ids in the molecule's property `repaired`), else left out with a warning. Results
    depend on (seed, place in the list, n) and the options, never on batches or neighbours.

    Args:
        source: a SMILES or an RDKit Mol (returns one Mol), or a list of them (returns a list, None
            where one failed; the reasons are logged as warnings).
        n: conformers of each molecule, or one number per molecule.
        seed: the same seed makes the same conformers.
        model: a field, a path, or a shipped name; None takes the shipped default.
        preset: "ensemble" (relaxed, the best and most different of twice as many), "fast",
            "docking" or "raw" (the flow as it draws); see `geodiff.conformers.presets`.
        finish: "none" or "mmff", relaxed in MMFF94s; None as the preset says.
        oversample: draws for each conformer asked for; None as the preset says.
        prune_rms: angstrom, heavy atoms; closer conformers count as one. None as the preset says.
        energy_window: kcal/mol above the lowest energy; None as the preset says.
        steps: network evaluations a draw; None as the preset says.
        batch_size: conformers made at once; None chooses by size.
        device: "auto", "cpu", "cuda", "cuda:1"; "auto" leaves a field where it is.

    Raises: ValueError for a single molecule that cannot be taken and for n < 1, TypeError for
        another kind of source.
    """
    _check_numbers(seed, batch_size)
    settings = chosen(
        preset,
        finish=finish,
        oversample=oversample,
        prune_rms=prune_rms,
        energy_window=energy_window,
        steps=steps,
    )
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
    total = len(records) + len(failures)
    molecules: list[Chem.Mol | None] = [None] * total
    report = Report()
    field = precise(trained(model, "conformers", DEFAULT_MODEL, device=device))
    run = _Run(field, settings, int(seed), batch_size, report)
    for record, molecule in _sample_records(run, records, _counts(n, total)):
        molecules[record.index] = molecule
    for failure in report.failures:
        logger.warning("molecule %d, %s: %s", failure.index, failure.smiles, failure.reason)
    if not single:
        return molecules
    if molecules[0] is None:
        raise ValueError(f"source: {report.failures[0].smiles}: {report.failures[0].reason}")
    return molecules[0]


def sample_file(
    source,
    out: Path,
    n: int = 50,
    *,
    seed: int = 0,
    model: Field | str | Path | None = None,
    preset: str = "ensemble",
    finish: Finish | None = None,
    oversample: int | None = None,
    prune_rms: float | None = None,
    energy_window: float | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    device: str | torch.device = "auto",
    shard: tuple[int, int] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Sample every molecule of `source` (SMILES, list or file) into the SDF file `out`, written as
    it goes.

    Fields of a record: mol_id, smiles, conf_idx, origin, finish, energy_kcal where known, check.
    Molecules that fail are listed in the file `failures_path(out, shard)`. Where not one conformer
    comes out, `out` is left as it was.

    Args:
        source: a SMILES, a list, or a file that `read` takes.
        out: the SDF file.
        n: conformers of each molecule.
        seed: the same seed makes the same conformers.
        model: a field, a path, or a shipped name; None takes the shipped default.
        preset: as in `sample`.
        finish: as in `sample`.
        oversample: as in `sample`.
        prune_rms: as in `sample`.
        energy_window: as in `sample`.
        steps: network evaluations a draw; None as the preset says.
        batch_size: conformers made at once; None chooses by size.
        device: "auto", "cpu", "cuda", "cuda:1"; "auto" leaves a field where it is.
        shard: (i, m) takes every m-th molecule from the i-th, i from 0; the shards of a file
            together are the file's conformers.
        progress: called as progress(done, total), in molecules.
    """
    _check_numbers(seed, batch_size)
    settings = chosen(
        preset,
        finish=finish,
        oversample=oversample,
        prune_rms=prune_rms,
        energy_window=energy_window,
        steps=steps,
    )
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
    report = Report(failures=list(failures))
    field = precise(trained(model, "conformers", DEFAULT_MODEL, device=device))
    run = _Run(field, settings, int(seed), batch_size, report)
    if records:
        with SdfWriter(out) as writer:
            for record, molecule in _sample_records(run, records, counts):
                writer.write(molecule, record.name, record.smiles, _fields(molecule))
                if progress is not None:
                    progress(report.molecules, len(records))
    write_failures(failures_path(out, shard), report.failures)
    return report


def _fields(molecule: Chem.Mol) -> list[dict[str, object]]:
    """What the SDF says of each conformer."""
    fields = []
    for conformer in molecule.GetConformers():
        known: dict[str, object] = {"origin": conformer.GetProp("origin")}
        known["finish"] = conformer.GetProp("finish")
        if conformer.HasProp("energy"):
            known["energy_kcal"] = f"{conformer.GetDoubleProp('energy'):.3f}"
        fields.append({**known, "check": conformer.GetProp("check")})
    return fields


def failures_path(out: Path, shard: tuple[int, int] | None = None) -> Path:
    """Where `sample_file` lists what failed: failures.csv beside `out`, failures_1of4.csv for shard
    (1, 4).

    Args:
        out: the SDF file.
        shard: as in `sample_file`.
    """
    return shards.path_of(Path(out).parent / "failures.csv", shard)


def _check_numbers(seed: Any, batch_size: Any) -> None:
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
    run: _Run, records: Sequence[Record], counts: Sequence[int]
) -> Iterator[tuple[Record, Chem.Mol]]:
    """Molecules with their conformers, in the order of records; batches run over molecule
    borders.
    """
    reach = Reach.of(run.field)
    waiting: list[tuple[Record, Data]] = []
    for place, record in enumerate(records):
        beyond = reach.beyond(record.mol)
        if beyond:
            run.report.outside += 1
            logger.warning(
                "molecule %d, %s: the model was not trained on such molecules: %s",
                record.index,
                record.smiles,
                beyond,
            )
        waiting.append((record, featurise(record.mol)))
        largest = max(data.num_nodes for _, data in waiting)
        rows = run.preset.oversample * sum(counts[r.index] for r, _ in waiting)
        # A few full batches at a time: padding stays small and the file grows as the run goes.
        if rows * largest**2 >= 4 * PAIR_BUDGET or place == len(records) - 1:
            yield from _sample_group(run, waiting, counts)
            waiting = []


def _sample_group(
    run: _Run, group: Sequence[tuple[Record, "Data"]], counts: Sequence[int]
) -> Iterator[tuple[Record, Chem.Mol]]:
    preset, report = run.preset, run.report
    positions, right, repeated = draw(
        run.field,
        group,
        [preset.oversample * counts[record.index] for record, _ in group],
        seed=run.seed,
        steps=preset.steps,
        batch_size=run.batch_size,
    )
    report.resampled += repeated
    for (record, _), xyz, ok in zip(group, positions, right):
        wanted = counts[record.index]
        molecule = deliver(
            record.mol, xyz, ok, wanted, preset, seed=run.seed, threads=torch.get_num_threads()
        )
        got = 0 if molecule is None else molecule.GetNumConformers()
        report.requested += wanted
        report.delivered += got
        report.molecules += 1
        if got < wanted and (preset.energy_window is None or not got):
            reason = (
                f"got {got} of {wanted} conformers: the others failed the check of bonds, angles, "
                "contacts and stereo, as the flow drew them, relaxed, and from distance geometry"
            )
            report.failures.append(Failure(record.index, record.name, record.smiles, reason))
        if molecule is not None:
            report.repaired += len(molecule.GetProp("repaired").split())
            report.faulty += sum(c.GetProp("check") != "valid" for c in molecule.GetConformers())
            yield record, molecule
