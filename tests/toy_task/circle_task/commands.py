"""The commands of the circle."""

from pathlib import Path
from typing import Annotated

from geodiff.console import DONE
from geodiff.options import Count
from geodiff.training.options import Run, with_run


def sample(
    *,
    n: Count = 100,
    out: Path = Path("circle.pt"),
    seed: int = 0,
    model: str | None = None,
    steps: Count = 10,
    batch_size: Count | None = None,
    device: str = "auto",
) -> int:
    """Draw points on the circle and write them, with a page of where they are.

    Args:
        n: points to draw.
        out: file to write; a page stands beside it.
        seed: the same seed makes the same points.
        model: weights, a path.
        steps: network evaluations a point.
        batch_size: points made at once; by default all.
        device: where to compute: auto, cpu, cuda or cuda:1.
    """
    import torch

    from circle_task.sampling import sample as draw

    points = draw(n, seed=seed, model=model, steps=steps, batch_size=batch_size, device=device)
    torch.save(points, out)
    out.with_suffix(".html").write_text(f"<p>{points.tolist()}</p>")
    print(f"{n} points in {out}")
    return DONE


@with_run(max_steps=200)
def train(data: Path, out: Path, *, width: int = 32, run: Run) -> Path:
    """Train on the points of a folder; returns the path of the model's JSON in `out`.

    Args:
        data: a folder that `geodiff prepare circle` made.
        out: folder for the model and its checkpoints.
        width: of the network.
    """
    from circle_task.datasets import Points
    from circle_task.objective import collate, module
    from geodiff.training.datamodule import TaskData
    from geodiff.training.run import train as carry_out

    loaders = TaskData(Points(data), None, collate, batch_size=run.batch_size, seed=run.seed)
    model = module(width=width, seed=run.seed, **run.settings())
    return carry_out(model, loaders, out, run, source=data)


def evaluate(source: Annotated[Path, "FILE"]) -> int:
    """Print the mean angle of points from where they should be.

    Args:
        source: a file that `geodiff sample circle` wrote.
    """
    from circle_task.evaluation import evaluate as measure

    print(f"mean angle {measure(source):.3f}   (data 0.24)")
    return DONE


def prepare(*, out: Annotated[Path, "DIR"], n: Count = 64, seed: int = 0) -> int:
    """Write files of points.

    Args:
        out: folder for the files.
        n: points a file.
        seed: the same seed makes the same points.
    """
    from circle_task.preparation import prepare as make

    print(f"{make(out, n=n, seed=seed)} files in {out}")
    return DONE
