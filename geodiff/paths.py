"""Where the files of `data/` are, in a wheel and in a checkout alike."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data_root() -> Path:
    """The folder that holds viewer, weights and small data sets.

    A wheel carries it as `geodiff/_data`. A checkout, and an editable install of one, has `data/`
    beside the package; that folder counts only if it stands beside geodiff's own pyproject.toml,
    because `site-packages/data` may belong to anybody. Raises FileNotFoundError if neither is
    there.
    """
    packaged = _PACKAGE / "_data"
    if packaged.is_dir():
        return packaged
    checkout = _PACKAGE.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "data").is_dir():
        return checkout / "data"
    raise FileNotFoundError(
        f"the data of geodiff is neither at {packaged} nor at {checkout / 'data'}: the "
        "installation is incomplete; run `pip install --force-reinstall --no-deps "
        "geodiff-manifolds`"
    )


def data_path(*parts: str) -> Path:
    """Path of `data/<parts>`, for example `data_path("viewer", "3Dmol-min.js")`.

    Args:
        parts: names of folders, and of a file if one is meant.

    Raises: FileNotFoundError if it does not exist, and ValueError if `parts` lead out of the data
        folder.
    """
    root = data_root()
    path = root.joinpath(*parts)
    if not path.resolve().is_relative_to(root.resolve()):
        raise ValueError(
            f"parts: expected a path inside {root}, got {'/'.join(parts)!r}; give names without "
            "'..'"
        )
    if not path.exists():
        beside = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
        raise FileNotFoundError(
            f"{path} does not exist; beside it there is: {', '.join(beside) or 'nothing'}"
        )
    return path
