"""Self-contained HTML pages that show records in 3D; they need no network to open.

A record is a dict with `kind`, `name` and `caption`, and what the script `data/viewer/<kind>.js`
reads beside them. The kinds `picture` (`source`, a data URI) and `missing` (`reason`, a line of
text) need no script.
"""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np

from geodiff.files import replacing
from geodiff.paths import data_path

_BUILT_IN = {"picture", "missing"}
LAYOUTS = ("list", "grid")


def write(
    path: str | Path,
    title: str,
    records: Sequence[Mapping],
    *,
    layout: str = "list",
    hint: str = "",
) -> Path:
    """Write one page with `records`; returns its path.

    The page's content security policy forbids every request to the outside, and text of titles and
    records is never taken for markup.

    Args:
        path: the .html file.
        title: of the page.
        records: what to show, each as the module says.
        layout: "list" names the records and shows one of them, or small pictures of all; "grid"
            shows a card for each `group` of records.
        hint: a line beside the title.

    Raises: ValueError if there is nothing to show.
    """
    if not records:
        raise ValueError("records: expected at least one to show, got none")
    if layout not in LAYOUTS:
        raise ValueError(f"layout: expected one of {', '.join(LAYOUTS)}, got {layout!r}")
    wanted = sorted({record["kind"] for record in records} - _BUILT_IN)
    parts = {
        "title": escape(title),
        "hint": escape(hint),
        "layout": layout,
        "library": _viewer("3Dmol-min.js") if wanted else "",
        "scripts": "\n".join(_viewer(f"{name}.js") for name in ("page", *wanted)),
        # `<` cannot end the script element when it is written as an escape.
        "records": json.dumps(
            list(records), ensure_ascii=True, allow_nan=False, separators=(",", ":")
        ).replace("<", "\\u003c"),
    }
    # In one pass: nothing in a part is taken for a mark.
    text = re.sub(r"\{\{(\w+)\}\}", lambda mark: parts[mark[1]], _viewer("page.html"))
    path = Path(path)
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")
    return path


def picture(name: str, caption: str, png: str | Path) -> dict:
    """A record of the kind `picture`.

    Args:
        name: of the record.
        caption: what stands below it.
        png: a PNG file, which goes into the page.
    """
    source = "data:image/png;base64," + base64.b64encode(Path(png).read_bytes()).decode()
    return {"kind": "picture", "name": name, "caption": caption, "source": source}


def missing(name: str, reason: str) -> dict:
    """A record that says why there is nothing to show.

    Args:
        name: of the record.
        reason: in one line.
    """
    return {"kind": "missing", "name": name, "caption": "", "reason": reason}


def whole(values: np.ndarray, unit: float) -> list[int]:
    """Numbers as whole multiples of a unit, flat: shorter in a page than decimal fractions.

    Args:
        values: of any shape.
        unit: above 0.
    """
    return np.rint(np.asarray(values, dtype=np.float64) / unit).astype(np.int64).ravel().tolist()


def _viewer(name: str) -> str:
    return data_path("viewer", name).read_text(encoding="utf-8")
