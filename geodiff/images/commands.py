"""The commands of images: what stands on the line, and what is said at the end."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, cast

from geodiff.console import DONE
from geodiff.options import Count
from geodiff.training.options import Run, with_run


def sample(
    labels: Annotated[Sequence[str], "LABEL"] = (),
    *,
    n: Count = 1,
    out: Path = Path("images.png"),
    seed: int = 0,
    model: str | None = None,
    steps: Count = 50,
    batch_size: Count | None = None,
    device: str = "auto",
) -> int:
    """Make images of the classes asked for and write them as one PNG, a row for each class.

    Args:
        labels: classes by name; by default all of them.
        n: images of each class.
        out: PNG file to write.
        seed: the same seed makes the same images.
        model: weights, a path or a shipped name; by default the shipped ones.
        steps: network evaluations an image.
        batch_size: images made at once; by default 256.
        device: where to compute: auto, cpu, cuda or cuda:1.
    """
    from geodiff import images
    from geodiff.images.model import DEFAULT_MODEL, network_of
    from geodiff.training.models import trained

    field = trained(model, "images", DEFAULT_MODEL, device=device)
    made = images.sample(
        labels or list(range(network_of(field).classes)) or None,
        n,
        seed=seed,
        model=field,
        steps=steps,
        batch_size=batch_size,
    )
    images.write_grid(made, out, columns=n)
    print(f"{len(made)} images in {out}")
    return DONE


@with_run(max_steps=10_000)
def train(data: Path, out: Path, *, process: str = "flow", width: int = 32, run: Run) -> Path:
    """Train an image model; the saved weights are their moving average.

    Args:
        data: an .npz, a folder of images, or digits, which are shipped.
        out: folder for the model and its checkpoints.
        process: flow or ddpm.
        width: channels of the U-Net at full size.

    Returns: the path of the model's JSON in `out`.
    """
    from geodiff.images import datasets
    from geodiff.images.objective import module
    from geodiff.training.run import train as carry_out

    loaders = datasets.data(data, batch_size=run.batch_size, seed=run.seed)
    seen = cast(datasets.ImageDataset, loaders.train).images
    model = module(
        seen.shape, seen.names, process=process, width=width, seed=run.seed, **run.settings()
    )
    return carry_out(model, loaders, out, run, source=data, process=process)
