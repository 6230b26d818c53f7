"""How good a file of conformers is: coverage of reference conformers, and the stereo of each."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rdkit import Chem

from geodiff.domains.molecules.io import read_ensembles
from geodiff.domains.molecules.metrics import (
    MEASURES,
    CoverageRecord,
    StereoRecord,
    coverage,
    stereo_correct,
)


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found; `table()` prints it, `write` keeps it."""

    coverage: CoverageRecord
    stereo: StereoRecord

    def table(self) -> str:
        """The figures in words, with the choices made."""
        return f"{self.coverage}\n{self.stereo}"

    def document(self) -> dict[str, Any]:
        """The figures as a table of plain values, None where a mean is of nothing."""
        record = self.coverage
        figures = {
            measure: {
                "mean": (i := record.interval(measure)).mean,
                "low": i.low,
                "high": i.high,
                "median": record.summary(measure).median,
            }
            for measure in MEASURES
        }
        choices = {
            "threshold": record.threshold,
            "protocol": record.protocol,
            "cleaned": record.cleaned,
        }
        counts = {
            "molecules": len(record.molecules),
            "counted": len(record.counted),
            "failures": record.failures,
            "not_comparable": record.additional_failures,
            "skipped": record.skipped,
            "dropped": record.dropped,
        }
        return _without_nan(
            {
                **figures,
                "stereo_right": self.stereo.both,
                "choices": choices,
                "counts": counts,
                "by_molecule": {measure: record.values(measure) for measure in MEASURES},
            }
        )

    def write(self, path: str | os.PathLike) -> None:
        """Write the figures as JSON.

        Args:
            path: of the file.
        """
        Path(path).write_text(json.dumps(self.document(), indent=1) + "\n", encoding="utf-8")


def evaluate(
    generated: str | os.PathLike,
    reference: str | os.PathLike,
    *,
    threshold: float = 0.5,
    protocol: str = "A",
) -> Evaluation:
    """Coverage and RMSD of the conformers of one SDF file against those of another.

    Molecules are matched by name. Figures as of `coverage` and `stereo_correct`.

    Args:
        generated: the conformers to judge.
        reference: the conformers to find.
        threshold: how near a conformer must come to count as found, angstrom.
        protocol: "A" or "B", see `coverage`.

    Raises: ValueError where two different molecules of `generated` have one name.
    """
    references: dict[str, list[Chem.Mol]] = {}
    # Reacted references of one molecule are Mols of their own.
    for molecule in read_ensembles(reference):
        references.setdefault(molecule.GetProp("_Name"), []).append(molecule)
    found: dict[str, Chem.Mol] = {}
    for molecule in read_ensembles(generated):
        name = molecule.GetProp("_Name")
        if name in found:
            raise ValueError(
                f"{generated}: two different molecules are called {name!r}; rename one"
            )
        found[name] = molecule
    return Evaluation(coverage(references, found, threshold, protocol), stereo_correct(found))


def _without_nan(value: Any) -> Any:
    """`value` with null for every nan, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    return None if isinstance(value, float) and value != value else value
