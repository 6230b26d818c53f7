"""How good a file of conformers is: the check of each, and coverage of reference conformers."""

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
from geodiff.domains.molecules.validity import ValidityRecord


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found; `table()` prints it, `write` keeps it."""

    validity: ValidityRecord  # the check of each conformer
    stereo: StereoRecord  # whether each has the stereo that was asked for
    coverage: CoverageRecord | None = None  # where there were references

    def table(self) -> str:
        """The figures in words, with the choices made."""
        known = [self.coverage, self.stereo, self.validity]
        return "\n".join(str(record) for record in known if record is not None)

    def document(self) -> dict[str, Any]:
        """The figures as a table of plain values, None where a mean is of nothing."""
        checked = {
            "stereo_right": self.stereo.both,
            "conformers": self.validity.conformers,
            "valid": self.validity.valid,
            "faults": self.validity.faults,
        }
        return _without_nan(checked if self.coverage is None else checked | self._covered())

    def _covered(self) -> dict[str, Any]:
        record = self.coverage
        assert record is not None
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
        by_molecule = {measure: record.values(measure) for measure in MEASURES}
        return {**figures, "choices": choices, "counts": counts, "by_molecule": by_molecule}

    def write(self, path: str | os.PathLike) -> None:
        """Write the figures as JSON.

        Args:
            path: of the file.
        """
        Path(path).write_text(json.dumps(self.document(), indent=1) + "\n", encoding="utf-8")


def evaluate(
    generated: str | os.PathLike,
    reference: str | os.PathLike | None = None,
    *,
    threshold: float = 0.5,
    protocol: str = "A",
) -> Evaluation:
    """The check of every conformer of an SDF file, whatever made it, and with references their
    coverage and RMSD.

    Molecules are matched by name. Figures as of `validity.check`, `stereo_correct`, `coverage`.

    Args:
        generated: the conformers to judge.
        reference: the conformers to find; None leaves out coverage.
        threshold: how near a conformer must come to count as found, angstrom.
        protocol: "A" or "B", see `coverage`.

    Raises: ValueError where two different molecules of `generated` have one name.
    """
    references: dict[str, list[Chem.Mol]] = {}
    # Reacted references of one molecule are Mols of their own.
    for molecule in [] if reference is None else read_ensembles(reference):
        references.setdefault(molecule.GetProp("_Name"), []).append(molecule)
    found: dict[str, Chem.Mol] = {}
    for molecule in read_ensembles(generated):
        name = molecule.GetProp("_Name")
        if name in found:
            raise ValueError(
                f"{generated}: two different molecules are called {name!r}; rename one"
            )
        found[name] = molecule
    covered = None if reference is None else coverage(references, found, threshold, protocol)
    asked = {name: _as_specified(mol) for name, mol in found.items()}
    return Evaluation(ValidityRecord.of(asked), stereo_correct(found), covered)


def _as_specified(mol: Chem.Mol) -> Chem.Mol:
    """The molecule without the stereo that its SMILES leaves open, which reading takes from the
    first conformer.
    """
    wanted = Chem.MolFromSmiles(mol.GetProp("smiles")) if mol.HasProp("smiles") else None
    if wanted is None:
        return mol
    match = mol.GetSubstructMatch(wanted)
    if not match:
        return mol
    copy = Chem.Mol(mol)
    for atom in wanted.GetAtoms():
        if atom.GetChiralTag() == Chem.ChiralType.CHI_UNSPECIFIED:
            copy.GetAtomWithIdx(match[atom.GetIdx()]).SetChiralTag(atom.GetChiralTag())
    for bond in wanted.GetBonds():
        if bond.GetStereo() == Chem.BondStereo.STEREONONE:
            ends = match[bond.GetBeginAtomIdx()], match[bond.GetEndAtomIdx()]
            copy.GetBondBetweenAtoms(*ends).SetStereo(Chem.BondStereo.STEREONONE)
    return copy


def _without_nan(value: Any) -> Any:
    """`value` with null for every nan, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    return None if isinstance(value, float) and value != value else value
