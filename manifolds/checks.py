"""Sentences that say what is wrong with a tensor, or with an argument."""

from __future__ import annotations

import torch
from torch import Tensor


def wrong_shape(x: Tensor, shape: tuple[int | None, ...]) -> str | None:
    """Sentence for a tensor that is no floating tensor (*batch, *shape) of finite numbers, else
    None.

    Args:
        x: what may be points.
        shape: of a point; None allows any size.
    """
    defect = wrong_form(x, shape)
    if defect is None and not torch.isfinite(x).all():
        return f"{int((~torch.isfinite(x)).sum())} of {x.numel()} coordinates are not finite"
    return defect


def wrong_form(x: Tensor, shape: tuple[int | None, ...]) -> str | None:
    """Sentence for a tensor that is no floating tensor (*batch, *shape), else None; numbers are not
    read.

    Args:
        x: what may be points.
        shape: of a point; None allows any size.
    """
    if not torch.is_tensor(x) or not x.is_floating_point():
        got = x.dtype if torch.is_tensor(x) else type(x).__name__
        return f"points must be a floating tensor, got {got}"
    tail = tuple(x.shape[x.dim() - len(shape) :]) if x.dim() >= len(shape) else None
    if tail is None or any(want is not None and want != got for want, got in zip(shape, tail)):
        wanted = ", ".join(["*batch", *("any" if want is None else str(want) for want in shape)])
        return f"points must have shape ({wanted}), got {tuple(x.shape)}"
    return None


def largest(
    defect: Tensor, limit: float, law: str, cure: str = "project(x) moves x onto the space"
) -> str | None:
    """Sentence that names the worst batch entry when `defect` (*batch,) exceeds `limit`, else
    None.

    Args:
        defect: how far each point is off, (*batch,).
        limit: what is allowed.
        law: what holds on the space, for the sentence.
        cure: the way out, for the sentence.
    """
    if defect.numel() == 0 or bool((defect <= limit).all()):
        return None
    place = int(defect.argmax())
    index = (
        [int(i) for i in torch.unravel_index(torch.tensor(place), defect.shape)]
        if defect.dim()
        else []
    )
    worst = float(defect.reshape(-1)[place])
    return f"{law}; the largest departure is {worst:.3g}, at batch index {tuple(index)}; {cure}"


def positive(name: str, value: int) -> None:
    """Raise unless `value` is an integer of at least 1.

    Args:
        name: what to call it in the message.
        value: what came.

    Raises: ValueError.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name}: expected an integer of at least 1, got {value!r}")
