"""How well do conformer generators cover CREST ensembles of 52 drugs of the GEOM-DRUGS test list?

Protocol A (GeoMol): K = 2 L conformers a molecule, 0.75 A, one seed, all rows in one run. RDKit's
ETKDGv3, the same relaxed in MMFF94s, and the best and most different half of twice as many of
those; geodiff as its flow draws (`preset="raw"`, no force field) and as it delivers by default.
Beside each row: what passes the check of `geodiff.domains.molecules.validity`, what distance
geometry replaced, CPU seconds. Rows by size, and paired differences, follow.

    python examples/benchmarks/conformers_drugs.py [--model PATH] [--most_references L] [--fast]
"""

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from rdkit import Chem

from geodiff import conformers
from geodiff.conformers.delivery import with_conformers
from geodiff.conformers.presets import PRESETS
from geodiff.domains.molecules.baselines import etkdg
from geodiff.domains.molecules.finishing import relax, select
from geodiff.domains.molecules.io import read_ensembles
from geodiff.domains.molecules.metrics import MEASURES, CoverageRecord, coverage, paired_difference
from geodiff.domains.molecules.validity import check
from geodiff.paths import data_path

THRESHOLD = 0.75  # angstrom
CLASSES = ((1, 21), (22, 27), (28, 99))  # heavy atoms
Ensembles = dict[str, Chem.Mol | None]


def chosen_etkdg(smiles: str, count: int, seed: int) -> Chem.Mol | None:
    """`count` of twice as many ETKDGv3 + MMFF94s conformers, as geodiff's default chooses."""
    mol = etkdg(smiles, 2 * count, seed=seed)
    energies = None if mol is None else relax(mol)
    if mol is None or energies is None:
        return mol
    kept = select(mol, energies, count, prune_rms=PRESETS["ensemble"].prune_rms)
    return with_conformers(mol, [mol.GetConformer(i).GetPositions() for i in kept])


def rows(
    smiles: Mapping[str, str], counts: Mapping[str, int], model: Path | None, seed: int
) -> dict[str, Callable[[], Ensembles]]:
    """What makes each row, by its title."""

    def flow(preset: str) -> Ensembles:
        made = conformers.sample(
            list(smiles.values()), list(counts.values()), seed=seed, model=model, preset=preset
        )
        return dict(zip(smiles, made))

    def by(function: Callable[[str, int], Chem.Mol | None]) -> Ensembles:
        return {name: function(text, counts[name]) for name, text in smiles.items()}

    return {
        "ETKDGv3": lambda: by(lambda s, k: etkdg(s, k, seed=seed)),
        "ETKDGv3+MMFF94s": lambda: by(lambda s, k: etkdg(s, k, seed=seed, force_field="MMFF94s")),
        "  the same, K of 2K": lambda: by(lambda s, k: chosen_etkdg(s, k, seed)),
        "geodiff raw": lambda: flow("raw"),
        "geodiff": lambda: flow("ensemble"),
    }


def show(title: str, record: CoverageRecord, names: set[str] | None = None) -> str:
    """Mean/median of the four measures, COV in per cent."""
    text = []
    for measure in MEASURES:
        values = [v for n, v in record.values(measure).items() if names is None or n in names]
        scale, digits = (100, 1) if measure.startswith("cov") else (1, 3)
        mean, median = scale * np.nanmean(values), scale * np.nanmedian(values)
        text.append(f"{mean:6.{digits}f}/{median:<6.{digits}f}")
    return f"{title:22} {' '.join(text)}"


def facts(made: Ensembles, wanted: int, seconds: float) -> str:
    """Delivered, valid and replaced conformers, and the time."""
    mols = [mol for mol in made.values() if mol is not None]
    verdicts = [verdict.valid for mol in mols for verdict in check(mol)]
    replaced = sum(len(mol.GetProp("repaired").split()) for mol in mols if mol.HasProp("repaired"))
    return (
        f"{100 * len(verdicts) / wanted:6.1f} {100 * np.mean(verdicts):6.1f} {replaced:6d} "
        f"{seconds:8.1f} {len(verdicts) / seconds:6.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="weights (default: those that ship)")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--most_references", type=int, help="molecules with at most so many")
    parser.add_argument("--fast", action="store_true", help="the three molecules with fewest")
    arguments = parser.parse_args()
    references = {
        mol.GetProp("_Name"): mol
        for mol in read_ensembles(
            data_path("conformers", "geom_drugs_crest") / "geom_drugs_crest.sdf.gz"
        )
    }
    order = sorted(references, key=lambda name: references[name].GetNumConformers())
    limit = arguments.most_references or 10**9
    names = [n for n in order if references[n].GetNumConformers() <= limit]
    names = names[:3] if arguments.fast else names
    references = {name: references[name] for name in names}
    smiles = {name: mol.GetProp("smiles") for name, mol in references.items()}
    counts = {name: 2 * mol.GetNumConformers() for name, mol in references.items()}
    heavy = {name: mol.GetNumHeavyAtoms() for name, mol in references.items()}
    print(f"{len(names)} molecules, {sum(counts.values())} conformers a row, {THRESHOLD} A")
    print(
        f"{'mean/median':22} {'COV-R %':13} {'AMR-R A':13} {'COV-P %':13} {'AMR-P A':13} "
        "deliv. % valid % repl. CPU s  conf/s"
    )
    records: dict[str, CoverageRecord] = {}
    for title, make in rows(smiles, counts, arguments.model, arguments.seed).items():
        start = time.process_time()
        made = make()
        seconds = time.process_time() - start
        records[title] = coverage(references, made, THRESHOLD, smiles=smiles)
        print(show(title, records[title]), facts(made, sum(counts.values()), seconds), flush=True)
    for low, high in CLASSES:
        some = {name for name in names if low <= heavy[name] <= high}
        if some:
            print(f"\n{low} to {high} heavy atoms, {len(some)} molecules")
            for title, record in records.items():
                print(show(title, record, some))
    if len(names) < 2:
        return
    for title in ("geodiff raw", "geodiff"):
        print(f"\n{title} minus ETKDGv3+MMFF94s, paired by molecule, 95 % interval:")
        for measure in MEASURES:
            difference = paired_difference(records[title], records["ETKDGv3+MMFF94s"], measure)
            print(f"  {measure:6} {difference}")


if __name__ == "__main__":
    main()
