"""What a command says to the person at the terminal, and the code that it ends with."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

DONE, PARTLY, BAD = 0, 1, 2


def complain(message: object) -> None:
    """One line on standard error.

    Args:
        message: what to say; line ends in it become spaces.
    """
    print("geodiff: " + " ".join(str(message).split()), file=sys.stderr)


def shortened(text: str, most: int = 100) -> str:
    """`text`, cut where it is longer than a line should be, with its length.

    Args:
        text: to be shown.
        most: characters to keep.
    """
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"


@contextmanager
def bar(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """A function `progress(done, total)` that moves a bar on standard error; None where nobody
    watches.

    Args:
        what: the things that are counted.
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
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
