"""Ragged records (nodes concatenated, `batch` says whose) to dense padded tensors with a mask, and
back.
"""

import torch
from torch import Tensor


def to_dense(values: Tensor, batch: Tensor, count: int | None = None) -> tuple[Tensor, Tensor]:
    """Pads concatenated records with zeros to one dense tensor.

    values: (nodes, ...). batch: (nodes,) long, ascending, the record of each node. count: how many
    records; by default the last record present plus one.
    Returns (count, longest, ...) and the mask of real nodes, (count, longest) bool.
    Raises ValueError if batch is not ascending or does not have one entry per node.
    """
    if batch.shape != values.shape[:1]:
        raise ValueError(
            f"batch: expected one record number per node, ({len(values)},), got "
            f"{tuple(batch.shape)}"
        )
    if bool((batch[1:] < batch[:-1]).any()):
        raise ValueError(
            "batch: expected ascending record numbers, got a decrease; sort the nodes by record"
        )
    lengths = torch.bincount(batch, minlength=0 if count is None else count)
    if count is not None and len(lengths) > count:
        raise ValueError(f"count: got {count}, but batch names record {len(lengths) - 1}")
    longest = int(lengths.max()) if len(lengths) else 0
    mask = torch.arange(longest, device=batch.device) < lengths[:, None]
    dense = values.new_zeros(*mask.shape, *values.shape[1:])
    dense[mask] = values
    return dense, mask


def to_ragged(dense: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Drops the padding: values (nodes, ...) and the record of each node, (nodes,) long.

    dense: (batch, longest, ...). mask: (batch, longest) bool.
    """
    return dense[mask], mask.nonzero()[:, 0]
