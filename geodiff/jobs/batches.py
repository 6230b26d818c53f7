"""Items of like size together, as many as memory holds."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def by_pairs(
    items: Iterable[Item], size: Callable[[Item], int], *, budget: int, batch_size: int | None
) -> Iterator[list[Item]]:
    """Batches of items in their order, cut so that the padded pairs of a batch, items x largest
    size squared, stay within a budget; an item beyond it is a batch of its own.

    Args:
        items: in ascending order of size.
        size: atoms or residues of an item.
        budget: pairs.
        batch_size: items of a batch, whatever their size; None cuts by the budget.
    """
    batch: list[Item] = []
    for item in items:
        over = (len(batch) + 1) * size(item) ** 2 > budget
        if batch and (over if batch_size is None else len(batch) >= batch_size):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch
