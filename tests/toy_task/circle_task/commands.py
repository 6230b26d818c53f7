"""The commands of the circle."""

from pathlib import Path
from typing import Annotated

from geodiff.console import DONE
from geodiff.options import Count


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


def train(
    data: Path,
    out: Path,
    *,
    width: int = 32,
    max_steps: int = 200,
    batch_size: int = 64,
    seed: int = 0,
    resume: bool = False,
) -> Path:
    """Train on the points of a folder; returns the path of the model's JSON in `out`.

    Args:
        data: a folder that `geodiff prepare circle` made.
        out: folder for the model and its checkpoints.
        width: of the network.
        max_steps: of training.
        batch_size: points in a step.
        seed: the same seed makes the same model.
        resume: go on from the last checkpoint in `out`.
    """
    import torch

    from circle_task.datasets import Points
    from circle_task.model import build, new_config
    from circle_task.objective import collate, objective
    from geodiff.training.datamodule import TaskData
    from geodiff.training.run import fit, write_model
    from geodiff.training.settings import TrainingSettings

    config = new_config(width)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        field = build(config)
    loaders = TaskData(Points(data), None, collate, batch_size=batch_size, seed=seed)
    settings = TrainingSettings(max_steps=max_steps)
    module = fit(
        field,
        loaders,
        out,
        settings,
        objective=objective(config),
        resume=resume,
        seed=seed,
        progress_bar=False,
    )
    return write_model(module, out, "circle", config, data=data, seed=seed, batch_size=batch_size)


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
