"""How well do conformer generators cover the 53 QM9-size GFN2-xTB ensembles that ship?

Protocol A, K = 2 L conformers a molecule, delta 0.5 A, one seed. Rows: RDKit's ETKDGv3, the same
relaxed with MMFF94s, the geodiff model as it delivers by default and as its flow draws, without
any force field, all in one run. The references were seeded by ETKDG,
which flatters the RDKit rows; the numbers are no GEOM-QM9 numbers. Beside each RDKit row stands its
stored value, which the same RDKit version gives again.

    python examples/benchmarks/conformers_qm9size.py [--model PATH] [--fast] [--json OUT] python
    examples/benchmarks/conformers_qm9size.py --batches # does a conformer depend on its batch?
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from geodiff.domains.molecules.baselines import etkdg_ensembles
from geodiff.domains.molecules.io import read_ensembles
from geodiff.domains.molecules.metrics import (
    MEASURES,
    CoverageRecord,
    coverage,
    paired_difference,
    read_baseline,
    stereo_correct,
)
from geodiff.paths import data_path

THRESHOLD = 0.5  # angstrom
# Title and force field by the name in the stored file.
ROWS = {"etkdgv3": ("ETKDGv3", None), "etkdgv3_mmff94s": ("ETKDGv3+MMFF94s", "MMFF94s")}


def sampled(
    smiles: dict[str, str],
    counts: dict[str, int],
    model: Path | None,
    seed: int,
    steps: int | None,
    preset: str,
) -> tuple[dict, str]:
    """Ensembles of the geodiff model by name, None where it failed, and how many are not the
    network's own.

    Through a file, because its report counts the conformers with broken stereo or bonds that
    distance geometry replaced: where those are many, the row measures ETKDG. (Random weights: COV-R
    83 % with --fast.)
    """
    from geodiff import conformers

    options = {"preset": preset} | ({} if steps is None else {"steps": steps})
    with TemporaryDirectory() as folder:
        out = Path(folder) / "sampled.sdf"
        report = conformers.sample_file(
            list(smiles.values()), out, list(counts.values()), seed=seed, model=model, **options
        )
        made = {mol.GetProp("_Name"): mol for mol in read_ensembles(out)}
    note = (
        f"of these {100 * report.repaired / report.requested:.1f} % are not the network's: wrong "
        f"after {report.resampled} new draws, they were replaced by distance geometry"
    )
    return {name: made.get(f"mol_{place:04d}") for place, name in enumerate(smiles)}, note


def batch_dependence(smiles: list[str], model: Path | None, seed: int) -> None:
    """Print how far conformers move when each is sampled alone instead of in large batches."""
    from geodiff import conformers

    together = conformers.sample(smiles, 6, preset="raw", seed=seed, model=model)
    alone = conformers.sample(smiles, 6, preset="raw", seed=seed, model=model, batch_size=1)
    moved = [
        np.abs(a.GetConformer(k).GetPositions() - b.GetConformer(k).GetPositions()).max()
        for a, b in zip(together, alone)
        for k in range(6)
    ]
    print(
        f"batches of 1 against full ones: {len(moved)} conformers, moved by at most "
        f"{max(moved):.1e} A   (expected below 1e-9)"
    )


def cells(values: list[tuple[float, float]]) -> str:
    """Mean/median of the four measures, COV in per cent."""
    scales = [(100, 1) if measure.startswith("cov") else (1, 3) for measure in MEASURES]
    return " ".join(
        f"{scale * mean:6.{digits}f}/{scale * median:<6.{digits}f}"
        for (scale, digits), (mean, median) in zip(scales, values)
    )


def show(
    title: str,
    record: CoverageRecord,
    generated: dict,
    smiles: dict,
    requested: int,
    seconds: float,
) -> None:
    delivered = sum(mol.GetNumConformers() for mol in generated.values() if mol is not None)
    by_volume = stereo_correct(generated, smiles)
    by_rdkit = stereo_correct(generated, smiles, perception="rdkit")
    values = [(s.mean, s.median) for s in map(record.summary, MEASURES)]
    print(
        f"{title:22} {cells(values)} | {100 * delivered / requested:6.2f} "
        f"{100 * by_volume.both:7.2f} ({100 * by_rdkit.both:.2f}) {seconds:8.1f}",
        flush=True,
    )


def arguments_of() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--model", type=Path, help="weights of the geodiff row (default: those that ship)"
    )
    parser.add_argument("--no-model", action="store_true", help="RDKit rows only")
    parser.add_argument("--steps", type=int, help="sampling steps of the geodiff row")
    parser.add_argument(
        "--batches", action="store_true", help="only compare batches of 1 with full batches"
    )
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--fast", action="store_true", help="the first 10 molecules")
    parser.add_argument(
        "--json", type=Path, help="write per-molecule values of all rows, for read_baseline"
    )
    return parser.parse_args()


def generators(
    smiles: dict[str, str], counts: dict[str, int], arguments: argparse.Namespace
) -> dict[str, tuple[str, Callable[[], tuple[dict, str | None]]]]:
    """Title of each row, and what makes its molecules and says a line about them."""
    found = {
        row: (
            title,
            lambda field=field: (
                etkdg_ensembles(smiles, counts, seed=arguments.seed, force_field=field),
                None,
            ),
        )
        for row, (title, field) in ROWS.items()
    }
    if not arguments.no_model:
        options = arguments.model, arguments.seed, arguments.steps
        found["finished"] = (
            "geodiff, finished",
            lambda: sampled(smiles, counts, *options, "ensemble"),
        )
        found["geodiff"] = ("geodiff", lambda: sampled(smiles, counts, *options, "raw"))
    return found


def show_expected(row: str, names: Iterable[str]) -> None:
    baseline = read_baseline(
        data_path("conformers", "qm9size_gfn2", "baseline_etkdg_per_molecule.json"), row
    )
    stored = np.array([[baseline[name][measure] for measure in MEASURES] for name in names])
    print(f"{'  expected (seed 42)':22} {cells(list(zip(stored.mean(0), np.median(stored, 0))))}")


def show_gain(ours: CoverageRecord, theirs: CoverageRecord) -> None:
    print("geodiff minus ETKDGv3+MMFF94s, paired by molecule, 95 % interval:")
    for measure in MEASURES:
        print(f"  {measure:6} {paired_difference(ours, theirs, measure)}")


def write(path: Path, records: dict[str, CoverageRecord]) -> None:
    """Values of each molecule, as `read_baseline` reads them."""
    stored = {
        row: {
            m.name: {
                "L": m.references,
                "K": m.generated,
                "stats": [getattr(m, measure) for measure in MEASURES],
            }
            for m in record.counted
        }
        for row, record in records.items()
    }
    path.write_text(json.dumps(stored, indent=1) + "\n")


def main() -> None:
    arguments = arguments_of()
    folder = data_path("conformers", "qm9size_gfn2")
    references = {
        mol.GetProp("_Name"): mol for mol in read_ensembles(folder / "qm9test_gfn2_etkdg.sdf.gz")
    }
    if arguments.fast:
        references = dict(list(references.items())[:10])
    smiles = {name: mol.GetProp("smiles") for name, mol in references.items()}
    counts = {name: 2 * mol.GetNumConformers() for name, mol in references.items()}
    if arguments.batches:
        batch_dependence(list(smiles.values()), arguments.model, arguments.seed)
        return
    print(
        f"{'mean/median':22} {'COV-R %':13} {'AMR-R A':13} {'COV-P %':13} {'AMR-P A':13} | "
        "delivered %, stereo right % (as RDKit sees it), seconds"
    )

    records: dict[str, CoverageRecord] = {}
    for row, (title, generate) in generators(smiles, counts, arguments).items():
        start = time.perf_counter()
        try:
            generated, note = generate()
        except FileNotFoundError as error:
            if row in ROWS or arguments.model is not None:
                raise
            print(f"{title:22} no row: {error}")
            continue
        seconds = time.perf_counter() - start
        records[row] = coverage(references, generated, THRESHOLD, smiles=smiles)
        show(title, records[row], generated, smiles, sum(counts.values()), seconds)
        if row in ROWS:
            show_expected(row, references)
        if note is not None:
            print(f"  {note}")

    last = list(records.values())[-1]
    print(f"\nlast row:\n{last}\n")
    if "geodiff" in records:
        show_gain(records["geodiff"], records["etkdgv3_mmff94s"])
    if arguments.json is not None:
        write(arguments.json, records)


if __name__ == "__main__":
    main()
