"""Going on where a run stopped: its folder says what it was asked for."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geodiff.files import replacing


def folder_for(out: Path) -> Path:
    """The folder of a run, made where it is not there.

    Args:
        out: where a run writes.

    Raises:
        NotADirectoryError: if a file stands there.
    """
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"out: {out} is a file; give a folder")
    out.mkdir(parents=True, exist_ok=True)
    return out


def check_same_run(path: Path, asked: Mapping[str, Any], *, begun: bool) -> None:
    """Write what a run was asked for, or find that the run in its folder was asked for the same.

    Args:
        path: a file in the folder of the run.
        asked: what makes two runs one; it goes into JSON.
        begun: whether anything is there of the run before; one that made nothing binds nobody.

    Raises:
        ValueError: naming what differs, if the folder holds another run.
    """
    asked = json.loads(json.dumps(asked))
    if path.exists() and begun:
        before = json.loads(path.read_text())
        changed = sorted(
            key for key in asked.keys() | before.keys() if asked.get(key) != before.get(key)
        )
        if changed:
            raise ValueError(
                f"out: {path.parent} holds a run with other {', '.join(changed)} (see "
                f"{path.name}); go on with the same, or choose another folder"
            )
    with replacing(path) as part:
        part.write_text(json.dumps(asked, indent=1) + "\n")
