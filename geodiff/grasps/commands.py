"""The commands of grasps: what stands on the line, and what is said at the end."""

import warnings
from pathlib import Path
from typing import Annotated

from geodiff.console import BAD, DONE, PARTLY, complain
from geodiff.jobs.progress import bar
from geodiff.options import Count
from geodiff.training.options import Run, with_run


def sample(
    source: Annotated[Path, "MESH|POINTS"],
    *,
    n: Count = 200,
    out: Path = Path("grasps.h5"),
    seed: int = 0,
    scale: float = 1.0,
    model: str | None = None,
    steps: Count = 16,
    batch_size: Count | None = None,
    device: str = "auto",
) -> int:
    """Make grasps of an object from its mesh or points of its surface; write them best first.

    The page beside the file (.html) shows them and needs no network.

    Args:
        source: .obj, .stl, .ply, or points as .npy, .npz, .ply, .xyz; metres.
        n: grasps to make.
        out: .h5 or .npz file to write, with costs; a page stands beside it.
        seed: the same seed makes the same grasps.
        scale: metres per unit of the source.
        model: weights, a path or a shipped name; by default the shipped ones.
        steps: network evaluations a grasp.
        batch_size: grasps made at once; by default 256.
        device: where to compute: auto, cpu, cuda or cuda:1.
    """
    from geodiff.domains.bodies import view
    from geodiff.grasps import sample_file

    grasps, thing = sample_file(
        source,
        out,
        n,
        seed=seed,
        scale=scale,
        model=model,
        steps=steps,
        batch_size=batch_size,
        device=device,
    )
    assert grasps.cost is not None
    page = view.page(thing, grasps.poses, grasps.cost, out.with_suffix(".html"), source.stem)
    print(
        f"{len(grasps)} grasps in {out}, cost {grasps.cost[0]:.3g} to {grasps.cost[-1]:.3g}; "
        f"look at {page}"
    )
    return DONE


@with_run(without=["precision"], batch_size=8, learning_rate=2e-3)
def train(
    data: Path | None = None,
    out: Path = Path("grasps-model"),
    *,
    held_out: Path | None = None,
    grasps: int = 24,
    width: int = 128,
    rounds: int = 3,
    anchors: int = 192,
    run: Run,
) -> Path:
    """Train a grasp model on labelled objects; the saved weights are their moving average.

    Args:
        data: labelled objects, as `geodiff prepare grasps` writes them; by default the procedural
            ones that are shipped.
        out: folder for the model and its checkpoints.
        held_out: names to validate on, a name a line; by default a tenth of the objects.
        grasps: of each object that hold, in a step.
        width: of the network.
        rounds: of its messages.
        anchors: points of an object that the network reads.

    Returns: the path of the model's JSON in `out`.
    """
    from geodiff.grasps import datasets
    from geodiff.grasps.objective import module
    from geodiff.training.run import train as carry_out

    loaders = datasets.data(
        data,
        held_out=held_out,
        batch_size=run.batch_size,
        grasps=grasps,
        anchors=anchors,
        seed=run.seed,
    )
    model = module(width=width, rounds=rounds, seed=run.seed, **run.settings())
    return carry_out(model, loaders, out, run, source="procedural.npz" if data is None else data)


def evaluate(
    source: Annotated[Path | None, "FILE|DIR"] = None,
    *,
    model: str | None = None,
    objects: Count = 20,
    data: Annotated[Path | None, "DIR"] = None,
    held_out: Path | None = None,
    n: Count = 50,
    seed: int = 0,
    steps: Count = 16,
    device: str = "auto",
    workers: Count | None = None,
) -> int:
    """Judge grasps in MuJoCo: those of FILE, or those that a model makes on objects it has not
    seen.

    Success is to hold the object while the hand lifts, lowers and swings it. `free`: no collision
    at open width.

    Args:
        source: grasps with their mesh; without it the model is judged.
        model: weights, a path or a shipped name; by default the shipped ones.
        objects: how many the model is judged on.
        data: judge the model on held-out objects of these labelled grasps.
        held_out: names of those objects, a name a line; by default the tenth that training leaves
            out.
        n: grasps of each object.
        seed: the same seed makes the same grasps.
        steps: network evaluations a grasp.
        device: where to compute: auto, cpu, cuda or cuda:1.
        workers: processes that simulate; by default one for each core.
    """
    from geodiff.grasps.evaluation import evaluate as judge

    with bar("objects") as progress:
        evaluation = judge(
            source,
            model=model,
            objects=objects,
            data=data,
            held_out=held_out,
            n=n,
            seed=seed,
            steps=steps,
            device=device,
            workers=workers,
            progress=progress,
        )
    print(evaluation.table())
    return PARTLY if evaluation.failures else DONE


def prepare(
    source: Annotated[Path | None, "MESH|FOLDER"] = None,
    *,
    out: Annotated[Path, "DIR"],
    procedural: Count | None = None,
    n: Count = 300,
    seed: int = 0,
    scale: float = 1.0,
    workers: Count | None = None,
) -> int:
    """Find and label grasps on the meshes of FOLDER or on made objects (needs mujoco).

    A second call goes on where the first stopped. Objects that fail are named with the reason in
    failures.csv; they hold up no other.

    Args:
        source: .obj, .stl and .ply files.
        out: folder for the grasps.
        procedural: how many mugs, bowls, ... to make instead of reading meshes.
        n: grasps on each object.
        seed: the same seed makes the same grasps.
        scale: metres per unit of the meshes.
        workers: processes; by default one for each core.
    """
    from geodiff.grasps.preparation import FAILURES
    from geodiff.grasps.preparation import prepare as make

    with warnings.catch_warnings(record=True) as said, bar("objects") as progress:
        warnings.simplefilter("always")
        counts = make(
            source,
            out,
            n=n,
            procedural=procedural,
            seed=seed,
            scale=scale,
            workers=workers,
            progress=progress,
        )
    for warning in said:
        complain(warning.message)
    if counts.failed:
        complain(f"{counts.failed} of {counts.objects} objects failed; listed in {out / FAILURES}")
    print(f"{counts}; in {out}")
    if counts.failed == counts.objects:
        return BAD
    return PARTLY if counts.failed else DONE
