"""Files of points."""

import json
from collections.abc import Callable
from pathlib import Path

import torch

from circle_task.datasets import points
from geodiff.files import replacing


def prepare(
    out: Path, *, n: int = 64, seed: int = 0, progress: Callable[[int, int], None] | None = None
) -> int:
    """Write four files of `n` points into `out`; a second call goes on where the first stopped."""
    settings = out / "settings.json"
    wanted = json.dumps({"n": n, "seed": seed})
    if settings.exists() and settings.read_text() != wanted:
        raise ValueError(f"out: {out} holds a run with other settings; choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    settings.write_text(wanted)
    for number in range(4):
        path = out / f"points_{number}.pt"
        if not path.exists():
            with replacing(path) as part:
                torch.save(points(n, seed + number), part)
        if progress is not None:
            progress(number + 1, 4)
    return 4
