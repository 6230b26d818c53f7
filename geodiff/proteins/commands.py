"""The commands of proteins: what stands on the line, and what is said at the end."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from geodiff.console import DONE, PARTLY, complain
from geodiff.jobs.progress import bar
from geodiff.options import Count


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
