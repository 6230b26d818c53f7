"""What failed and why, as a table beside the output."""

import csv
import os
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from geodiff.files import replacing


@dataclass(frozen=True)
class Failure:
    """An item that was not, or could not be worked on, and why."""

    index: int  # place in the input, from 0
    name: str  # as people call it
    reason: str  # in words


def write_failures(path: str | os.PathLike, failures: Iterable[Any]) -> None:
    """Write failures as .csv, a column for each field; the file appears whole or not at all.

    Where nothing failed there is no file, nor that of an earlier run.

    Args:
        path: the file.
        failures: `Failure`s, or rows of another dataclass, all of one.
    """
    failures = list(failures)
    if not failures:
        Path(path).unlink(missing_ok=True)
        return
    with replacing(path) as part, open(part, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_columns(type(failures[0])))
        writer.writerows(map(astuple, failures))


def read_failures(path: str | os.PathLike, kind: type = Failure) -> list[Any]:
    """What `write_failures` wrote.

    Args:
        path: the file.
        kind: the dataclass of its rows; `index` is a whole number, all else text.

    Raises:
        ValueError: naming the file, if it is of another kind.
    """
    columns = _columns(kind)
    try:
        with open(path, encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        if tuple(header) != columns:
            raise ValueError(f"its first line is {','.join(header)!r}")
        named = [dict(zip(columns, row, strict=True)) for row in rows]
        return [kind(**row | {"index": int(row["index"])}) for row in named]
    except (ValueError, csv.Error) as error:
        raise ValueError(
            f"failures: {path} is not a list of failures with the columns "
            f"{','.join(columns)} ({error}); move it elsewhere"
        ) from error


def _columns(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))
