"""What an epoch goes through."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def repeated(items: Sequence[T], least: int) -> list[T]:
    """The items as often as it takes to have `least` of them, once at the least.

    A validation at the end of an epoch costs the same however few items there are; with enough of
    them in an epoch it stays a small share of the time.

    Args:
        items: at least one.
        least: how many an epoch is to have.
    """
    return list(items) * max(1, -(-least // len(items)))
