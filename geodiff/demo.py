"""The first thing to run: conformers of three drugs from the shipped weights, as files to open."""

import time
from collections.abc import Callable
from pathlib import Path

DRUGS = {
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "(S)-ibuprofen": "CC(C)Cc1ccc(cc1)[C@H](C)C(=O)O",
    "paracetamol": "CC(=O)Nc1ccc(O)cc1",
}


def demo(
    out: Path,
    *,
    n: int = 20,
    seed: int = 0,
    model: str | Path | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> bool:
    """Sample `n` conformers of each of `DRUGS` and write `conformers.sdf`, `.png` and `.html` into `out`.

    `report` gets one line for each drug and one of numbers at the end. The picture is left out
    where matplotlib is missing. Returns whether all conformers were delivered, each with the stereo of its SMILES.
    """
    from geodiff.conformers import view
    from geodiff.conformers.io import SdfWriter
    from geodiff.conformers.model import DEFAULT_MODEL
    from geodiff.conformers.sampling import sample
    from geodiff.conformers.stereo import matches_smiles
    from geodiff.weights import load

    out = Path(out)
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"out: {out} is a file; give a folder")
    out.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    field = load(DEFAULT_MODEL if model is None else model)
    report(f"{n} conformers of {', '.join(DRUGS)}; results in {out.resolve()}")
    molecules, captions, delivered, right, repaired = [], [], 0, 0, 0
    with SdfWriter(out / "conformers.sdf") as writer:
        for name, smiles in DRUGS.items():
            before = time.perf_counter()
            (molecule,) = sample([smiles], n=n, seed=seed, model=field)  # None: not one conformer came out right
            seconds = time.perf_counter() - before
            ids = [c.GetId() for c in molecule.GetConformers()] if molecule else []
            good = sum(matches_smiles(molecule, i, smiles) for i in ids)
            mended = len(molecule.GetProp("repaired").split()) if molecule else 0
            repaired = repaired + mended
            captions.append(
                f"{len(ids)} of {n} delivered, stereo right in {good}, repaired {mended}, {seconds:.1f} s"
            )
            report(f"  {name:15} {captions[-1]}")
            delivered, right = delivered + len(ids), right + good
            if ids:
                molecule.SetProp("_Name", name)
                writer.write(molecule, name, smiles)
                molecules.append((molecule, captions[-1]))
    files = ["conformers.sdf"]
    if molecules:
        shown, notes = zip(*molecules)
        view.write_html(shown, out / "conformers.html", "geodiff demo", captions=notes)
        files.append("conformers.html")
        try:
            view.write_png(
                shown, out / "conformers.png", title="Conformers sampled by geodiff", captions=notes
            )
            files.append("conformers.png")
        except ModuleNotFoundError as error:
            report(f"  no picture: {error}")
    wanted = n * len(DRUGS)
    report(f"wrote {', '.join(files)}; open conformers.html in a browser (it needs no network)")
    report(
        f"conformers {delivered}/{wanted}  stereo right {right}/{delivered}  repaired {repaired}/{delivered}  "
        f"seconds {time.perf_counter() - start:.1f}"
    )
    return delivered == right == wanted
