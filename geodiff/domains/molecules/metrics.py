"""Coverage and matching of conformer ensembles, with every choice that shapes the numbers in the
result.

For one molecule with L reference and K generated conformers and their (L, K) matrix of heavy-atom
RMSD: COV-R is the share of references with a generated conformer within the threshold, AMR-R the
mean over references of the smallest RMSD; COV-P and AMR-P are the same over generated conformers.
"""

import json
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np
from rdkit import Chem, rdBase

from geodiff.domains.molecules.by_name import aligned, named
from geodiff.domains.molecules.coverage_record import (
    ADDITIONAL_FAILURE,
    DROPPED,
    MODEL_FAILURE,
    SCORED,
    SKIPPED,
    MoleculeCoverage,
    bootstrap,
    checked_threshold,
    finite,
    share,
)
from geodiff.domains.molecules.coverage_record import MEASURES as MEASURES
from geodiff.domains.molecules.coverage_record import CoverageRecord as CoverageRecord
from geodiff.domains.molecules.coverage_record import Interval as Interval
from geodiff.domains.molecules.coverage_record import Summary as Summary
from geodiff.domains.molecules.rmsd import MAX_MATCHES, aligned_rmsd, positions, symmetries
from geodiff.domains.molecules.stereo_record import StereoRecord as StereoRecord
from geodiff.domains.molecules.stereo_record import stereo_correct as stereo_correct


def coverage(
    reference,
    generated,
    threshold: float,
    protocol: str = "A",
    *,
    smiles=None,
    symmetrize: bool = True,
    max_matches: int = MAX_MATCHES,
) -> CoverageRecord:
    """COV-R, AMR-R, COV-P and AMR-P of generated ensembles against reference ensembles.

    Args:
        reference: molecules by name, or a list of molecules; each an RDKit Mol with L conformers,
            or a list of Mols if its conformers have graphs of their own.
        generated: the same names or the same order; each a Mol with K conformers, or None where the
            model failed.
        threshold: delta, angstrom: 0.5 is usual at QM9 size, 0.75 for GEOM-DRUGS with protocol A,
            1.25 with B.
        protocol: "A" (GeoMol, torsional diffusion): RMSD < delta. References whose graph is not
            that of `smiles` are removed; a molecule without any left is skipped. No conformers, or
            none comparable: COV 0, left out of AMR. "B" (ConfGF, GeoDiff): RMSD <= delta,
            references as given, the first 2 L samples; molecules with fewer samples or with more
            than one fragment are dropped.
        smiles: by name or in order, for protocol A; None takes the property "smiles" of a
            reference, and keeps all references of a molecule that has none.
        symmetrize: as in `rmsd_matrix`; published numbers from RDKit before 2022.9 did not
            symmetrise.
        max_matches: as in `rmsd_matrix`.

    Raises: ValueError if names or lengths do not fit.
    """
    if protocol not in ("A", "B"):
        raise ValueError(f"protocol: expected 'A' or 'B', got {protocol!r}")
    threshold = checked_threshold(threshold)
    rows = _paired(reference, generated, smiles)
    results, sources = [], {"given": 0, "property": 0, "none": 0}
    with rdBase.BlockLogs():
        for name, references, model, text in rows:
            source = "given" if text is not None else "none"
            if text is None and references and references[0].HasProp("smiles"):
                text, source = references[0].GetProp("smiles"), "property"
            sources[source] += 1
            results.append(
                _measure(
                    name, references, model, text, threshold, protocol, symmetrize, max_matches
                )
            )
    cleaned = "as given"
    if protocol == "A":
        known = sources["given"] + sources["property"]
        cleaned = f"clean_confs by SMILES for {known} molecules, as given for {sources['none']}"
    return CoverageRecord(
        tuple(results),
        threshold,
        protocol,
        protocol == "A",
        cleaned,
        symmetrize,
        max_matches,
        rdBase.rdkitVersion,
    )


def clean_confs(smiles: str, conformers: Sequence[Chem.Mol]) -> list[int]:
    """Indices of the conformers whose heavy-atom graph is that of a SMILES, stereo ignored.

    It removes conformers that reacted, and keeps other stereoisomers. Nothing is sanitised, as in
    GeoMol.

    Args:
        smiles: what is wanted.
        conformers: each with a graph of its own.

    Raises: ValueError if RDKit cannot read `smiles`.
    """
    parsed = Chem.MolFromSmiles(smiles, sanitize=False)
    if parsed is None:
        raise ValueError(f"smiles: RDKit cannot parse {smiles!r}")
    wanted = Chem.MolToSmiles(parsed, isomericSmiles=False)
    return [
        i
        for i, mol in enumerate(conformers)
        if Chem.MolToSmiles(Chem.RemoveHs(mol, sanitize=False), isomericSmiles=False) == wanted
    ]


def paired_difference(
    record: CoverageRecord, baseline, measure: str, *, resamples: int = 5_000, seed: int = 0
) -> Interval:
    """Mean over molecules of a measure in one record minus that in another, with its 95 % bootstrap
    interval.

    Molecules are paired by name; those where either value is nan are left out, so look at the
    failures too. A gain in COV is positive, a gain in AMR negative.

    Args:
        record: of the generator.
        baseline: another CoverageRecord, or one row of `read_baseline`.
        measure: one of MEASURES.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises: ValueError if no molecule is in both.
    """
    ours = record.values(measure)
    if isinstance(baseline, CoverageRecord):
        theirs = baseline.values(measure)
    else:
        theirs = {name: values[measure] for name, values in baseline.items()}
    common = [name for name in ours if name in theirs]
    if not common:
        raise ValueError(
            "baseline: expected molecules named like those of record "
            f"({', '.join(list(ours)[:3])}, ...), got {', '.join(list(theirs)[:3]) or 'none'}; "
            "name molecules the same in both"
        )
    return bootstrap(finite([ours[name] - theirs[name] for name in common]), resamples, seed)


def read_baseline(path: str | PathLike, row: str) -> dict[str, dict[str, float]]:
    """Stored measures of one generator by molecule name, for `paired_difference`.

    Args:
        path: JSON of {row: {molecule: {"stats": [COV-R, AMR-R, COV-P, AMR-P]}}}.
        row: which generator.

    Raises: ValueError for an unknown row.
    """
    stored = json.loads(Path(path).read_text())
    if row not in stored:
        raise ValueError(f"row: {path} has no row {row!r}; it has {', '.join(stored)}")
    return {
        name: dict(zip(MEASURES, entry["stats"], strict=True))
        for name, entry in stored[row].items()
    }


def _measure(
    name: str,
    references: list[Chem.Mol],
    model: Chem.Mol | None,
    smiles: str | None,
    threshold: float,
    protocol: str,
    symmetrize: bool,
    max_matches: int,
) -> MoleculeCoverage:
    """One molecule by the rules of `coverage`."""
    given = sum(mol.GetNumConformers() for mol in references)
    if protocol == "A" and smiles is not None:
        references = [references[i] for i in clean_confs(smiles, references)]
    references = [mol for mol in references if mol.GetNumConformers()]
    left = sum(mol.GetNumConformers() for mol in references)
    samples = 0 if model is None else model.GetNumConformers()

    def outcome(state: str, reason: str) -> MoleculeCoverage:
        cover = np.nan if state in (SKIPPED, DROPPED) else 0.0
        return MoleculeCoverage(
            name, state, left, given, samples, cover, np.nan, cover, np.nan, reason=reason
        )

    excluded = _excluded(references, given, left, samples, protocol)
    if excluded is not None:
        return outcome(*excluded)
    if protocol == "B":
        samples = 2 * left
    try:
        matrix, truncated = _distances(references, model, samples, symmetrize, max_matches)
    except (ValueError, RuntimeError) as error:  # RDKit's own errors are subclasses of these
        return outcome(ADDITIONAL_FAILURE, str(error))
    from_reference, from_generated = matrix.min(1), matrix.min(0)
    return MoleculeCoverage(
        name,
        SCORED,
        left,
        given,
        samples,
        share(from_reference, threshold, protocol == "A"),
        float(from_reference.mean()),
        share(from_generated, threshold, protocol == "A"),
        float(from_generated.mean()),
        truncated,
        "",
        from_reference,
        from_generated,
    )


def _excluded(
    references: list[Chem.Mol], given: int, left: int, samples: int, protocol: str
) -> tuple[str, str] | None:
    """State and reason of a molecule that is not compared."""
    if not left:
        why = " has the graph of the SMILES" if given else ""
        return SKIPPED, f"no reference conformer{why}"
    if protocol == "B":
        if len(Chem.GetMolFrags(references[0])) > 1:
            return DROPPED, "more than one fragment"
        if samples < 2 * left:
            return DROPPED, f"{samples} samples, fewer than 2 L = {2 * left}"
    return None if samples else (MODEL_FAILURE, "no generated conformer")


def _distances(
    references: list[Chem.Mol], model: Chem.Mol, samples: int, symmetrize: bool, max_matches: int
) -> tuple[np.ndarray, bool]:
    """RMSD of all references to the first `samples` conformers, (L, K), and whether the search for
    symmetries was cut.
    """
    model = Chem.RemoveHs(model)
    clouds = positions(model)[:samples]
    rows, truncated = [], False
    for mol in map(Chem.RemoveHs, references):
        found = symmetries(mol, model, symmetrize=symmetrize, max_matches=max_matches)
        rows.append(aligned_rmsd(positions(mol), clouds, found.permutations))
        truncated |= found.truncated
    return np.concatenate(rows), truncated


def _paired(
    reference, generated, smiles
) -> list[tuple[str, list[Chem.Mol], Chem.Mol | None, str | None]]:
    references = named(reference, "reference")
    models, texts = (
        aligned(generated, references, "generated"),
        aligned(smiles, references, "smiles"),
    )
    rows = []
    for name, mols in references.items():
        mols = [] if mols is None else [mols] if isinstance(mols, Chem.Mol) else list(mols)
        rows.append((name, mols, models[name], texts[name]))
    return rows
