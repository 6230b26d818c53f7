"""What a network is told beside the noisy points: a row for each, and a row that says nothing."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, Self, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class Condition(Protocol):
    """What a network is told: rows, one for each point of a batch or for each group of points.

    None, and for labels a plain tensor, may stand in its place where nothing here is asked of it.
    """

    def __len__(self) -> int:
        """How many rows."""

    def to(self, device: Any = None, dtype: torch.dtype | None = None) -> Self:
        """The same on `device`, real numbers in `dtype`.

        Args:
            device: a device, or a dtype in its place; None leaves both.
            dtype: of real numbers; None leaves theirs.
        """

    def select(self, rows: Any) -> Self:
        """These rows, in this order; a row may come more than once.

        Args:
            rows: whole numbers, a slice, or a boolean tensor.
        """

    def null(self, rows: Tensor | None = None) -> Self:
        """The same with rows that say nothing: what the network hears where the condition is
        dropped.

        Args:
            rows: (len,) bool, which; None drops all.

        Raises: ValueError, with the reason, where the network knows no such row.
        """


class Rows:
    """`to`, `select` and `len` of a condition that is a frozen dataclass of tensors with a row
    each; other fields stay as they are.
    """

    def __len__(self) -> int:
        return next(len(value) for value in vars(self).values() if isinstance(value, Tensor))

    def to(self, device: Any = None, dtype: torch.dtype | None = None) -> Self:
        """The same on `device`, real numbers in `dtype`.

        Args:
            device: a device, or a dtype in its place; None leaves both.
            dtype: of real numbers; None leaves theirs.
        """
        if isinstance(device, torch.dtype):
            device, dtype = None, device
        return self._each(
            lambda t: t.to(device=device, dtype=dtype if t.is_floating_point() else None)
        )

    def select(self, rows: Any) -> Self:
        """These rows, in this order; a row may come more than once.

        Args:
            rows: whole numbers, a slice, or a boolean tensor.
        """
        rows = [rows] if isinstance(rows, int) else rows
        return self._each(lambda t: t[rows])

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        changed = {
            f.name: change(value)
            for f in fields(self)  # type: ignore[arg-type]  # a subclass is a dataclass
            if isinstance(value := getattr(self, f.name), Tensor)
        }
        return replace(self, **changed)  # type: ignore[type-var]


@dataclass(frozen=True)
class Labels(Rows):
    """Classes, by number.

    Args:
        labels: (batch,) or (*batch,), whole numbers.
        unknown: the number that says nothing; None where the network was never told it.
    """

    labels: Tensor
    unknown: int | None = None

    def null(self, rows: Tensor | None = None) -> "Labels":
        """The same with `unknown` in these rows.

        Args:
            rows: (len,) bool, which; None drops all.

        Raises: ValueError where there is no label for unknown.
        """
        if self.unknown is None:
            raise ValueError(
                "condition: these labels have no number for unknown, so the network was never "
                "told of a thing without a class; train with some labels replaced by one, and "
                "give Labels(labels, unknown=number)"
            )
        gone = torch.full_like(self.labels, self.unknown)
        if rows is not None:
            gone = torch.where(rows[(...,) + (None,) * (gone.ndim - 1)], gone, self.labels)
        return replace(self, labels=gone)


def require_condition(condition: Any, who: str) -> Condition:
    """The condition, if it can be selected from and dropped.

    Args:
        condition: what the field was told.
        who: asks for it, for the message.

    Raises: TypeError, with the way out, for None, a plain tensor or another thing.
    """
    if isinstance(condition, Condition):
        return condition
    cure = "geodiff.Labels(labels, unknown=number)" if isinstance(condition, Tensor) else "one"
    raise TypeError(
        f"condition: {who} compares a condition with its null, so it needs a Condition (to, select,"
        f" null, len), got {type(condition).__name__}; give {cure}"
    )
