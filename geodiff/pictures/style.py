"""One look for all pictures: letters, colours, lines, resolution; and a figure laid out in
inches.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from geodiff.files import replacing

INK, MUTED, RULE = "#1d2733", "#67727e", "#dfe4ea"  # text, text beside it, lines
BLUE, CYAN, GREEN, YELLOW, RED = "#3155c9", "#2a9fc0", "#57b26a", "#e8b13a", "#d6452b"
TEAL, GREY = "#0f9d8a", "#a9b4c2"
NIGHT, SPARK = "#0b0b12", "#8fe3ff"  # ground of maps of densities, and the points on them
DENSITY = "inferno"  # colour map of densities, dark where there is nothing
DPI = 160
Layout = Literal["constrained", "compressed", "tight"] | None  # of matplotlib's Figure

# Maps of densities are wide and stand in a page at half their size, so their letters are larger.
_LIGHT: dict[str, Any] = {"text": INK, "line": RULE, "ground": "white", "plot": "white", "size": 9}
_DARK: dict[str, Any] = {
    "text": "0.9",
    "line": "0.5",
    "ground": NIGHT,
    "plot": "#14141f",
    "size": 12,
}


@contextmanager
def style(*, dark: bool = False) -> Iterator[None]:
    """Within the block what matplotlib draws has the look of geodiff, whatever the user's settings.

    Args:
        dark: light letters on a dark ground, for maps of densities.

    Raises:
        ModuleNotFoundError: without matplotlib.
    """
    try:
        import matplotlib
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "pictures need matplotlib: pip install 'geodiff-manifolds[viz]'", name="matplotlib"
        ) from error
    look = _DARK if dark else _LIGHT
    text, line, ground, size = look["text"], look["line"], look["ground"], look["size"]
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "font.size": size,
                "axes.titlesize": size,
                "axes.labelsize": size,
                "xtick.labelsize": size - 1,
                "ytick.labelsize": size - 1,
                "xtick.major.size": 2.5,
                "ytick.major.size": 2.5,
                "text.parse_math": False,  # a dollar sign in a name is a dollar sign
                "text.color": text,
                "axes.labelcolor": text,
                "axes.titlecolor": text,
                "axes.edgecolor": line,
                "axes.facecolor": look["plot"],
                "xtick.color": text,
                "ytick.color": text,
                "figure.facecolor": ground,
                "savefig.facecolor": ground,
                "savefig.dpi": DPI,
            }
        )
        yield


class Sheet:
    """A matplotlib figure whose parts are placed in inches from its top left corner.

    Args:
        width: inches.
        height: inches.
        layout: of matplotlib's Figure, for those that place nothing themselves.
    """

    def __init__(self, width: float, height: float, layout: Layout = None):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.width, self.height = width, height
        self.figure = Figure(figsize=(width, height), layout=layout)
        FigureCanvasAgg(self.figure)  # needs no screen, and no state that others share

    def box(self, left: float, top: float, wide: float, high: float) -> Any:
        """Axes of a rectangle.

        Args:
            left: of its top left corner.
            top: of its top left corner.
            wide: its width.
            high: its height.
        """
        return self.figure.add_axes(
            (
                left / self.width,
                1 - (top + high) / self.height,
                wide / self.width,
                high / self.height,
            )
        )

    def write(self, left: float, top: float, text: str, **style: Any) -> None:
        """A line of text.

        Args:
            left: where its baseline starts.
            top: of its baseline.
            text: the line.
            style: of matplotlib's Text.
        """
        self.figure.text(
            left / self.width, 1 - top / self.height, text, **{"va": "baseline", **style}
        )

    def title(self, text: str | None) -> None:
        """The title at the top, where there is one.

        Args:
            text: the title.
        """
        if text:
            self.write(0.25, 0.4, text, fontsize=14, fontweight="bold")

    def scale(self, drawn: Any, box: Any, label: str) -> Any:
        """A colour bar.

        Args:
            drawn: what has the colours.
            box: axes for it.
            label: what they mean, with the unit.
        """
        bar = self.figure.colorbar(drawn, cax=box)
        bar.set_label(label)
        bar.outline.set(edgecolor=RULE)
        return bar


@contextmanager
def sheet(
    path: str | os.PathLike,
    width: float,
    height: float,
    *,
    dark: bool = False,
    layout: Layout = None,
) -> Iterator[Sheet]:
    """An empty `Sheet` in our style, written to `path` as PNG when the block ends without an error;
    the file appears whole or not at all.

    Args:
        path: the file.
        width: inches.
        height: inches.
        dark: as in `style`.
        layout: of matplotlib's Figure, for those that place nothing themselves.
    """
    with style(dark=dark):
        page = Sheet(width, height, layout)
        yield page
        with replacing(Path(path)) as part:
            page.figure.savefig(part, format="png")


def shorten(text: str, length: int) -> str:
    """`text`, or its start with an ellipsis, in at most `length` letters.

    Args:
        text: one line.
        length: at least 1.
    """
    return text if len(text) <= length else text[: length - 1] + "\N{HORIZONTAL ELLIPSIS}"
