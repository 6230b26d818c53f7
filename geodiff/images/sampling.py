"""Images from classes: noise, the field, pixels."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from geodiff.images.datasets import points_to_pixels
from geodiff.images.model import DEFAULT_MODEL, network_of
from geodiff.networks.unet import UNet
from geodiff.process import sampling
from geodiff.process.condition import Labels
from geodiff.process.field import Field
from geodiff.process.randomness import Noise
from geodiff.process.samplers import Stepper
from geodiff.training.models import trained

STEPS = 50
_BATCH = 256  # images at a time


def sample(
    labels: int | str | Sequence[int | str] | None = None,
    n: int = 1,
    *,
    seed: int = 0,
    model: Field | str | Path | None = None,
    steps: int = STEPS,
    stepper: Stepper | None = None,
    batch_size: int | None = None,
    device: str | torch.device = "auto",
) -> Tensor:
    """`n` images of each label, (labels * n, channels, height, width) in [0, 1]; label by label.

    An image depends on (seed, place in the list, its number) only.

    Args:
        labels: a class, by number or by name, or a list of them; None leaves the class open.
        n: images of each label.
        seed: the same seed makes the same images.
        model: a field, a path, or a shipped name; None takes the shipped default.
        steps: network evaluations an image.
        stepper: `Multistep()` by default; `Ancestral()` for DDPM, `ExponentialEuler()` for DDIM.
        batch_size: images made at once; None takes 256.
        device: "auto", "cpu", "cuda", "cuda:1"; "auto" leaves a field where it is.

    Raises: ValueError for a class that the model does not know, for n or batch_size < 1, and for a
        stepper that does not fit it.
    """
    field = trained(model, "images", DEFAULT_MODEL, device=device)
    network = network_of(field)
    names = getattr(field, "config", {}).get("names") or [str(i) for i in range(network.classes)]
    asked: Sequence[int | str | None]
    asked = [labels] if labels is None or isinstance(labels, int | str) else labels
    wanted = [_label(network, names, label) for label in asked]
    if n < 1 or not wanted:
        raise ValueError(
            f"labels, n: expected at least one label and one image of it, got {len(wanted)} and {n}"
        )
    where = next(field.parameters()).device
    at_once = _BATCH if batch_size is None else batch_size
    if at_once < 1:
        raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
    rows = [(place, k) for place in range(len(wanted)) for k in range(n)]
    made = []
    for first in range(0, len(rows), at_once):
        records, samples = zip(*rows[first : first + at_once])
        condition = None
        if network.classes:
            numbers = torch.tensor([wanted[place] for place in records], device=where)
            condition = Labels(numbers, network.unknown)
        points = sampling.sample(
            field,
            len(records),
            steps=steps,
            stepper=stepper,
            condition=condition,
            generator=Noise(seed, records, samples),
        )
        made.append(points_to_pixels(points).cpu())
    return torch.cat(made)


def _label(network: UNet, names: Sequence[str], label: int | str | None) -> int:
    """The number of a class of a network, whose classes have these names; `unknown` for None."""
    classes = network.classes
    if label is None:
        return network.unknown
    if isinstance(label, str) and label in names:
        return names.index(label)
    if not isinstance(label, str) and 0 <= label < classes:
        return int(label)
    known = (
        f"0 to {classes - 1} ({', '.join(names[:20])})"
        if classes
        else "none: it was trained without classes"
    )
    raise ValueError(
        f"labels: the model does not know class {label!r}; it knows {known}; None leaves the "
        "class open"
    )
