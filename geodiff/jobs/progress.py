"""A bar on the terminal for long work."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def bars(*, width: int | None = None, transient: bool = True) -> Iterator[Any]:
    """A `rich.progress.Progress` on standard error for bars with counts and the time left; None
    where nobody watches.

    Args:
        width: letters that every bar's description takes, so that bars stand below each other.
        transient: whether the bars vanish at the end.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn(f"{{task.description:{width or ''}}}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=transient) as progress:
        yield progress


@contextmanager
def bar(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """A function `progress(done, total)` that moves one bar; None where nobody watches.

    Args:
        what: the things that are counted, for example "molecules".
    """
    with bars() as progress:
        if progress is None:
            yield None
            return
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
