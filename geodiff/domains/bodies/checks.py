"""What files of bodies must satisfy, and the words for those that do not."""

import os
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

# metres, largest side of the bounding box: outside, units are surely others
EXTENT_REFUSED = 0.002, 5.0
EXTENT_WARNED = 0.01, 1.0  # outside, a gripper of 8 cm has little to do
_UNITS = (("millimetres", 0.001), ("centimetres", 0.01), ("inches", 0.0254))

Made = TypeVar("Made")


class ObjectWarning(UserWarning):
    """Something about a mesh or a cloud that does not stop the work but may spoil it; the text says
    what.
    """


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz; whatever its reading raises becomes a ValueError that names the file.

    Args:
        path: of the file.
    """
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (
        ValueError,
        TypeError,
        EOFError,
        OSError,
        KeyError,
        AttributeError,
        zipfile.BadZipFile,
    ) as error:
        raise ValueError(
            f"path: {path} cannot be read as npz; it is cut off or of another kind ({error})"
        ) from error


def array_of(file: dict[str, np.ndarray], key: str, path: Path) -> np.ndarray:
    """An array of what `read_arrays` read.

    Args:
        file: the arrays by name.
        key: a name.
        path: where they are from.

    Raises:
        ValueError: naming the file, if it has none of that name.
    """
    if key not in file:
        raise ValueError(f"path: {path} has no array {key!r}; it has {', '.join(file) or 'none'}")
    return file[key]


def check_extent(points: np.ndarray, shown: str, noun: str) -> None:
    """Find that points have a size that can be metres; an odd one is said in an `ObjectWarning`.

    Args:
        points: (n, 3).
        shown: what messages call the source.
        noun: what the points are of.

    Raises:
        ValueError: with the factor to try.
    """
    extent = float(np.ptp(points, axis=0).max())
    low, high = EXTENT_REFUSED
    if extent == 0:
        raise ValueError(f"{shown}: all {len(points)} points of the {noun} are at one place")
    hints = [
        f"scale={factor:g} if they are {unit}"
        for unit, factor in _UNITS
        if EXTENT_WARNED[0] <= extent * factor <= EXTENT_WARNED[1]
    ]
    way = (
        "pass " + " or ".join(hints)
        if hints
        else f"pass scale={0.1 / extent:.1e} for an object of 10 cm"
    )
    if not low <= extent <= high:
        raise ValueError(
            f"{shown}: the {noun} is {extent:.3g} units large, and metres cannot be meant "
            f"({low:g} to {high:g} are taken); {way}"
        )
    if not EXTENT_WARNED[0] <= extent <= EXTENT_WARNED[1]:
        warn(
            f"{shown}: the {noun} is {extent:.3g} m large, odd for a gripper of 8 cm. If these "
            f"are not metres, {way}"
        )


def existing(path: str | os.PathLike) -> Path:
    """The path of a file that is there.

    Args:
        path: of a file.

    Raises:
        FileNotFoundError, IsADirectoryError: if it is none.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"path: {path} is a folder; give a file in it")
    if not path.is_file():
        raise FileNotFoundError(f"path: {path} does not exist")
    return path


def positive(name: str, value: float) -> float:
    """A positive number.

    Args:
        name: of the argument.
        value: the number.

    Raises:
        ValueError: for anything else.
    """
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"{name}: expected a positive number, got {value}")
    return float(value)


def named(shown: object, make: Callable[..., Made], *arguments: Any, **known: Any) -> Made:
    """What `make` makes; its ValueError names the file.

    Args:
        shown: what messages call the file.
        make: what makes it.
        arguments: what `make` is called with.
        known: what `make` is called with by name.
    """
    try:
        return make(*arguments, **known)
    except ValueError as error:
        raise ValueError(f"{shown}: {error}") from error


def warn(text: str) -> None:
    """Say something in an `ObjectWarning`, at the line that called the reader.

    Args:
        text: what.
    """
    warnings.warn(text, ObjectWarning, stacklevel=4)
