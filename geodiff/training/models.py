"""From what somebody means by a model and by a device to the field that computes there."""

import copy
import os
from pathlib import Path

import torch

from geodiff.process.field import Field
from geodiff.training.weights import load


def device_of(wanted: str | torch.device = "auto") -> torch.device:
    """The device of this name.

    Args:
        wanted: "auto" (the first CUDA device, or the CPU where there is none), "cpu", "cuda",
            "cuda:1" and so on.

    Raises: ValueError naming those that are there.
    """
    there = ["cpu"]
    if (found := torch.accelerator.current_accelerator(check_available=True)) is not None:
        there += [f"{found.type}:{i}" for i in range(torch.accelerator.device_count())]
    if wanted == "auto":
        return torch.device("cuda:0" if "cuda:0" in there else "cpu")
    try:
        device = torch.device(wanted)
    except (RuntimeError, TypeError):
        device = torch.device("meta")
    first = device if ":" in str(device) or device.type == "cpu" else f"{device.type}:0"
    if str(first) not in there:
        raise ValueError(
            f"device: {str(wanted)!r} is not on this machine; expected one of auto, "
            f"{', '.join(there)}"
        )
    return device


def trained(
    model: Field | str | Path | None,
    task: str,
    default: str,
    *,
    device: str | torch.device = "auto",
) -> Field:
    """The field that `model` means, on its device.

    Args:
        model: a field, a path, or a shipped name; None takes `default`.
        task: what it must be for.
        default: a shipped name.
        device: see `device_of`; "auto" leaves a field where it is. A field that has to move is
            copied, the one given stays.

    Raises: ValueError for a model of another task, TypeError for what is no model.
    """
    model = default if model is None else model
    if not isinstance(model, Field | str | os.PathLike):
        raise TypeError(
            f"model: expected a Field, a path or a shipped name, got {type(model).__name__}"
        )
    if not isinstance(model, Field):
        field = load(model, task)
        assert isinstance(field, Field), f"build of {task} must make a Field"
        return field.to(device_of(device))
    if getattr(model, "task", task) != task:
        raise ValueError(f"model: expected one for {task}, got a field for {model.task}")
    if device == "auto":
        return model
    where = device_of(device)
    moves = any(p.device != where for p in model.parameters())
    return copy.deepcopy(model).to(where) if moves else model


def precise(field: Field) -> Field:
    """On a CPU a double-precision copy of a field, so that a sample is the same in any batch.

    Rounding depends on the shape of a batch, and some samples sit where paths part: in single
    precision one conformer in hundreds moves by more than 1e-5 angstrom when its batch changes. In
    double precision none does. On a GPU the field itself.

    Args:
        field: with parameters.
    """
    return copy.deepcopy(field).double() if next(field.parameters()).device.type == "cpu" else field
