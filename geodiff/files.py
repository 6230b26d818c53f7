"""Files that appear under their name whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def part_of(path: str | os.PathLike) -> Path:
    """Where a file is written before it is whole: beside it, with .part after its name.

    Args:
        path: of the file.
    """
    path = Path(path)
    return path.with_name(path.name + ".part")


@contextmanager
def replacing(path: str | os.PathLike, *, sync: bool = False) -> Iterator[Path]:
    """A path beside `path` to write; leaving the block moves it over `path`, leaving by an error
    removes it.

    Whatever stood under `path` is there until then, and stays on an error. The folder of `path` is
    made; the file has the permissions that `open` gives. Two processes must not write one `path` at
    the same time.

    Args:
        path: of the file.
        sync: wait until the content is on the disk, so that a power cut costs no file either.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(path)
    try:
        yield part
        if sync:
            with open(part, "rb+") as file:
                os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
