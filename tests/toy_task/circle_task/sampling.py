"""Points from noise."""

from pathlib import Path

import torch
from torch import Tensor

from circle_task.model import DEFAULT_MODEL
from geodiff.process import sampling
from geodiff.process.field import Field
from geodiff.process.randomness import Noise
from geodiff.training.models import trained


def sample(
    n: int = 100,
    *,
    seed: int = 0,
    model: Field | str | Path | None = None,
    steps: int = 10,
    batch_size: int | None = None,
    device: str | torch.device = "auto",
) -> Tensor:
    """Points (n, 2) on the circle."""
    field = trained(model, "circle", DEFAULT_MODEL, device=device)
    at_once = n if batch_size is None else batch_size
    made = []
    for first in range(0, n, at_once):
        noise = Noise(seed, samples=range(first, min(n, first + at_once)))
        made.append(sampling.sample(field, len(noise.samples), steps=steps, generator=noise))
    return torch.cat(made)
