"""The commands of conformers: what stands on the line, and what is said at the end."""

from pathlib import Path
from typing import Annotated, Literal

from geodiff.console import BAD, DONE, PARTLY, complain, shortened
from geodiff.jobs.progress import bar
from geodiff.options import Count, Shard
from geodiff.training.options import Run, with_run


def sample(
    source: Annotated[str, "SMILES|FILE"],
    *,
    n: Count = 50,
    out: Path = Path("conformers.sdf"),
    seed: int = 0,
    model: str | None = None,
    preset: Literal["ensemble", "fast", "docking", "raw"] = "ensemble",
    finish: Literal["none", "mmff"] | None = None,
    oversample: Count | None = None,
    prune_rms: float | None = None,
    energy_window: float | None = None,
    steps: Count | None = None,
    batch_size: Count | None = None,
    shard: Shard | None = None,
    device: str = "auto",
) -> int:
    """Make conformers of one molecule or of a file of them, and write them as SDF.

    Each is checked by what did not make it: bonds, angles, contacts, rings, planes, stereo.
    Molecules that fail are named with the reason in failures.csv beside the output
    (failures_1of4.csv for shard 1/4); they hold up no other.

    Args:
        source: one SMILES, or a .smi, .txt, .csv or .sdf file.
        n: conformers of each molecule.
        out: SDF file to write.
        seed: the same seed makes the same conformers.
        model: weights, a path or a shipped name; by default the shipped ones.
        preset: ensemble (relaxed, the best and most different of twice as many), fast, docking, or
            raw (the flow as it draws).
        finish: none, or mmff, relaxed in MMFF94s; by default as the preset says.
        oversample: draws for each conformer asked for; by default as the preset says.
        prune_rms: angstrom; closer conformers count as one; by default as the preset says.
        energy_window: kcal/mol above the lowest energy; by default as the preset says.
        steps: network evaluations a draw; by default as the preset says.
        batch_size: conformers made at once; by default by size.
        shard: only every n-th molecule, from the i-th; i from 0.
        device: where to compute: auto, cpu, cuda or cuda:1.
    """
    from geodiff.conformers.sampling import failures_path, sample_file

    with bar("molecules") as progress:
        report = sample_file(
            source,
            out,
            n,
            seed=seed,
            model=model,
            preset=preset,
            finish=finish,
            oversample=oversample,
            prune_rms=prune_rms,
            energy_window=energy_window,
            steps=steps,
            batch_size=batch_size,
            shard=shard,
            device=device,
            progress=progress,
        )
    failures = report.failures
    if failures:
        others = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        complain(
            f"{shortened(failures[0].smiles or failures[0].name)}: {failures[0].reason}{others}; "
            f"listed in {failures_path(out, shard)}"
        )
    where = f" in {out}" if report.delivered else ""
    print(
        f"{report.delivered} of {report.requested} conformers of {report.molecules} "
        f"molecules{where}; drawn again {report.resampled}, replaced by distance geometry "
        f"{report.repaired}, with a fault {report.faulty}; failures {len(failures)}"
    )
    if failures and not report.delivered:
        return BAD
    return PARTLY if failures else DONE


@with_run()
def train(
    data: Path,
    out: Path,
    *,
    network: Literal["transformer", "tensor_product"] = "transformer",
    width: int | None = None,
    layers: int | None = None,
    vector_width: int | None = None,
    run: Run,
) -> Path:
    """Train a conformer flow on ensembles; the saved weights are their moving average.

    Args:
        data: ensembles, an .npz of `geodiff prepare conformers`, an .sdf, or a folder of them.
        out: folder for the model and its checkpoints.
        network: transformer, or tensor_product (needs e3nn), which is slower by far.
        width: features of an atom; by default 128, of a tensor product 32.
        layers: of the network; by default 6, of a tensor product 3.
        vector_width: vectors of each atom, in a transformer alone; by default 48.

    Returns: the path of the model's JSON in `out`.
    """
    from geodiff.conformers import datasets
    from geodiff.conformers.objective import module
    from geodiff.training.run import train as carry_out

    loaders = datasets.data(data, batch_size=run.batch_size, seed=run.seed)
    sizes = {"width": width, "layers": layers, "vector_width": vector_width}
    model = module(network=network, **sizes, seed=run.seed, **run.settings())
    # Half precision on disk moves conformers by less than 0.01 angstrom and halves the file.
    return carry_out(model, loaders, out, run, source=data)


def evaluate(
    generated: Annotated[Path, "OUT.sdf"],
    *,
    reference: Annotated[Path | None, "REF.sdf"] = None,
    threshold: float = 0.5,
    protocol: Literal["A", "B"] = "A",
    out: Path | None = None,
) -> int:
    """Check conformers, and compare them with reference conformers where there are some.

    Prints how many pass the check of bonds, angles, contacts, rings, planes and stereo, and with
    references coverage and mean minimum RMSD, as recall (R: how much of the reference was found)
    and as precision (P: how much of what was generated is in the reference).

    Args:
        generated: the conformers to judge.
        reference: the conformers to find; without it there is no coverage.
        threshold: how near a conformer must come to count as found, angstrom.
        protocol: A removes reacted references and counts below the threshold (GeoMol), B takes
            references as given and the first 2 L samples (ConfGF).
        out: also write the figures here, as JSON.
    """
    from geodiff.conformers.evaluation import evaluate as measure

    if out is not None and not out.parent.is_dir():
        raise FileNotFoundError(f"out: folder {out.parent} does not exist; create it first")
    evaluation = measure(generated, reference, threshold=threshold, protocol=protocol)
    print(evaluation.table())
    if out is not None:
        evaluation.write(out)
    return DONE


def prepare(
    source: Annotated[Path, "INPUT"],
    *,
    out: Annotated[Path, "DIR"],
    held_out: Path | None = None,
    workers: Count = 2,
    chunk_size: Count = 20,
) -> int:
    """Make GFN2-xTB ensembles of the molecules of INPUT (needs the xtb program).

    A second call goes on where the first stopped.

    Args:
        source: a .smi, .txt or .csv file of SMILES.
        out: folder for the ensembles.
        held_out: molecules to leave out of the data, stereo ignored; a file as INPUT.
        workers: processes.
        chunk_size: molecules a file.
    """
    from geodiff.conformers.preparation import hold_out
    from geodiff.conformers.preparation import prepare as make
    from geodiff.domains.molecules import io

    records, unread = io.read(source)
    smiles = [record.smiles for record in records]
    if held_out is not None:
        smiles = hold_out(smiles, [record.smiles for record in io.read(held_out)[0]])
    if not smiles:
        raise ValueError(f"{source}: no molecules are left to prepare")
    print(f"{len(smiles)} molecules, {workers} processes, into {out}")
    with bar("chunks") as progress:
        counts = make(smiles, out, workers=workers, chunk_size=chunk_size, progress=progress)
    if unread:
        io.write_failures(out / "unread.csv", unread)
    print(
        f"{counts['made']} ensembles made, {counts['failed']} failed, {len(unread)} unreadable; "
        f"{counts['chunks']} files in {out}"
    )
    return PARTLY if counts["failed"] or unread else DONE
