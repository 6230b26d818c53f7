"""Measures of files of backbones, beside real chains and the decoys that those measures catch."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from geodiff.domains.chains.chain import Chain, load_chains
from geodiff.domains.chains.decoys import decoys
from geodiff.domains.chains.io import Note, read, structure_files
from geodiff.domains.chains.metrics import Measures, Report, measure, render, report, told_apart
from geodiff.paths import data_path

REAL = "val chains"  # title of the real chains among the references


@dataclass(frozen=True)
class Failure:
    """A file or a chain that could not be measured, and why."""

    name: str  # of the file, and of the chain in it
    reason: str  # in words


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The measures of a set of files, those of real chains and decoys, and what was left out."""

    report: Report  # of the files
    references: dict[str, dict[str, float]]  # quantities by title: REAL and the decoys
    failures: tuple[Failure, ...]  # what could not be measured
    notes: tuple[Note, ...]  # on what was left out in reading

    def told_apart(self) -> list[str]:
        """The checks by which these chains differ from real ones: fewer than half as many chains
        pass.
        """
        return told_apart(self.report.values(), self.references[REAL])

    def table(self) -> str:
        """All quantities beside the references, the checks that catch each set, and what was left
        out.
        """
        values = {self.report.title: self.report.values()} | self.references
        lines = [render(list(values.items())), "", "Told apart from real chains by"]
        for title, column in values.items():
            if title != REAL:
                caught = ", ".join(told_apart(column, self.references[REAL]))
                lines.append(f"  {title}: {caught or 'no check'}")
        lines += [f"not measured: {failure.name}: {failure.reason}" for failure in self.failures]
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines)


def evaluate(
    paths: str | os.PathLike | Sequence[str | os.PathLike], *, title: str = "samples"
) -> Evaluation:
    """Measures of all protein chains in `paths`, beside the shipped real chains and decoys.

    What cannot be read or measured becomes a failure; quantities across gaps are left out, bad
    bonds are counted.

    Args:
        paths: structure files as `io.read` takes, folders of them, npz files of `save_chains`, or a
            list of these.
        title: of the column of these chains.

    Raises: FileNotFoundError for a missing path, ValueError if nothing could be measured.
    """
    paths = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not paths:
        raise ValueError("paths: expected at least one file or folder, got none")
    measured: list[Measures] = []
    failures: list[Failure] = []
    notes: list[Note] = []
    for path in _files(paths):
        try:
            chains, found = (load_chains(path), []) if path.suffix == ".npz" else read(path)
        except ValueError as error:
            failures.append(Failure(str(path), str(error)))
            continue
        notes += found
        for chain in chains:
            try:
                measured.append(measure(chain))
            except ValueError as error:
                failures.append(
                    Failure(f"{path}, {chain.name}, chain {chain.chain_id}", str(error))
                )
    if not measured:
        reasons = (
            "; ".join(failure.reason for failure in failures[:3]) or "no structure files there"
        )
        raise ValueError(f"paths: nothing to measure in {', '.join(map(str, paths))}: {reasons}")
    return Evaluation(Report(title, tuple(measured)), references(), tuple(failures), tuple(notes))


def references() -> dict[str, dict[str, float]]:
    """Quantities of the val chains and of the decoys made of them, by title, as shipped."""
    return json.loads(data_path("proteins", "references.json").read_text())


def measure_references() -> dict[str, dict[str, float]]:
    """The quantities of `references`, measured anew."""
    real = load_chains(data_path("proteins", "backbones_val.npz"))
    sets: dict[str, list[Chain]] = {REAL: real} | decoys(real)
    return {title: report(chains, title).values() for title, chains in sets.items()}


def _files(paths: Sequence[str | os.PathLike]) -> list[Path]:
    files = []
    for path in map(Path, paths):
        if path.is_dir():
            files += structure_files(path)
        elif path.exists():
            files.append(path)
        else:
            raise FileNotFoundError(f"paths: {path} does not exist")
    return files
