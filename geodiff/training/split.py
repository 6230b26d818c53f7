"""Which items are kept for validation."""

from collections.abc import Sequence

import torch


def split_groups(sizes: Sequence[int], validation: int, seed: int) -> tuple[list[int], list[int]]:
    """The numbers of the groups to train on and of those held out, each in the order drawn.

    Groups are held out as they are drawn, except those that would make the set too large: at most
    `validation` items, and at most a tenth of all.

    Args:
        sizes: items of each group, which stay on one side; 1 where items stand for themselves.
        validation: items to hold out.
        seed: the same seed draws the same groups.
    """
    wanted, count = min(validation, sum(sizes) // 10), 0
    train, held = [], []
    order = torch.randperm(len(sizes), generator=torch.Generator().manual_seed(seed))
    for group in order.tolist():
        if count + sizes[group] <= wanted:
            count += sizes[group]
            held.append(group)
        else:
            train.append(group)
    return train, held
