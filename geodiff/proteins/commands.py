"""The commands of proteins: what stands on the line, and what is said at the end."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from geodiff.console import DONE, PARTLY, complain
from geodiff.jobs.progress import bar
from geodiff.options import Count
from geodiff.training.options import Run, with_run


def sample(
    *,
    length: Sequence[Count],
    n: Count = 1,
    out: Annotated[Path, "DIR"] = Path("backbones"),
    format: Literal["pdb", "cif"] = "pdb",
    seed: int = 0,
    model: str | None = None,
    steps: Count = 100,
    batch_size: Count | None = None,
    device: str = "auto",
) -> int:
    """Make backbones and write them to a folder, a file each, with a page and a picture of them.

    The page backbones.html needs no network; the picture backbones.png (extra `viz`) has contacts
    and torsions.

    Args:
        length: residues of a chain; one number or several.
        n: chains of each length.
        out: folder for the chains, a page and a picture of them.
        format: of the files.
        seed: the same seed makes the same chains.
        model: weights, a path or a shipped name; by default the shipped ones.
        steps: network evaluations a chain.
        batch_size: chains made at once; by default by size.
        device: where to compute: auto, cpu, cuda or cuda:1.
    """
    from geodiff import proteins
    from geodiff.domains.chains import view

    with bar("chains") as progress:
        files = proteins.sample_folder(
            length,
            out,
            n,
            seed=seed,
            model=model,
            steps=steps,
            batch_size=batch_size,
            device=device,
            suffix=f".{format}",
            progress=progress,
        )
    chains = [chain for file in files for chain in proteins.read(file)[0]]
    view.page(chains, out / "backbones.html")
    try:
        view.picture(chains, out / "backbones.png")
    except ImportError as error:
        complain(f"no picture: {error}")
    print(
        f"{len(files)} chains in {out}; look at {out / 'backbones.html'}, or measure them: "
        f"geodiff evaluate proteins {out}"
    )
    return DONE


@with_run(max_steps=100_000, batch_size=24)
def train(
    data: Path | None = None,
    out: Path = Path("geodiff-proteins"),
    *,
    process: str = "flow",
    pair_budget: int = 100_000,
    longest: int = 128,
    width: int = 128,
    layers: int = 4,
    run: Run,
) -> Path:
    """Train a backbone model on chains; the saved weights are their moving average.

    Args:
        data: chains, an .npz of `geodiff prepare proteins`, or a folder; by default the shipped
            ones.
        out: folder for the model and its checkpoints.
        process: flow (geodesics) or diffusion (heat kernels).
        pair_budget: pairs of residues in a step of each device, at most.
        longest: residues of a chain; longer ones are cropped.
        width: of the tokens.
        layers: of the transformer.

    Returns: the path of the model's JSON in `out`.
    """
    from geodiff.proteins import datasets
    from geodiff.proteins.objective import module
    from geodiff.training.run import train as carry_out

    loaders = datasets.data(
        data, batch_size=run.batch_size, pair_budget=pair_budget, longest=longest, seed=run.seed
    )
    model = module(process=process, width=width, layers=layers, seed=run.seed, **run.settings())
    source = "backbones_train.npz" if data is None else data
    return carry_out(model, loaders, out, run, source=source, process=process)


def evaluate(paths: Annotated[Sequence[Path], "FILE|DIR"]) -> int:
    """Measure backbones beside real chains and the decoys that the measures catch.

    Args:
        paths: .pdb and .cif files, also gzipped, .npz files of chains, or folders.
    """
    from geodiff.proteins.evaluation import evaluate as measure

    evaluation = measure(paths)
    print(evaluation.table())
    return PARTLY if evaluation.failures else DONE


def prepare(
    source: Annotated[Path, "DIR"],
    *,
    out: Annotated[Path, "DIR"],
    clusters: Path | None = None,
    workers: Count | None = None,
) -> int:
    """Clean the chains of all structure files of DIR into chains.npz; rejected.csv says what was
    left out.

    Args:
        source: a folder of .pdb and .cif files, also gzipped.
        out: folder for the chains.
        clusters: MMseqs2 table of representative and member.
        workers: processes; by default one for each core.
    """
    from geodiff.proteins.preparation import prepare as make

    with bar("files") as progress:
        counts = make(source, out, clusters=clusters, workers=workers, progress=progress)
    print(f"{counts}; in {out}")
    return PARTLY if counts.unreadable else DONE
