"""Parts of a long work for several machines: every n-th item."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")


def select(
    items: Iterable[Item], shard: tuple[int, int] | None, place: Callable[[Item], int]
) -> list[Item]:
    """The items of a shard, in order.

    Args:
        items: all of them.
        shard: (i, n) takes every n-th from the i-th, i from 0, so that the shards together are the
            whole; None takes all.
        place: the place of an item in the whole, from 0.

    Raises:
        ValueError: for a shard that does not exist.
    """
    if shard is None:
        return list(items)
    i, n = shard
    if not 0 <= i < n:
        raise ValueError(f"shard: expected i/n with 0 <= i < n, got {i}/{n}")
    return [item for item in items if place(item) % n == i]


def path_of(path: Path, shard: tuple[int, int] | None) -> Path:
    """A file's name with the shard in it: failures.csv becomes failures_1of4.csv for (1, 4).

    Args:
        path: the name for the whole.
        shard: (i, n), or None for the whole.
    """
    if shard is None:
        return path
    return path.with_name(f"{path.stem}_{shard[0]}of{shard[1]}{path.suffix}")
