"""Maps of the sphere."""

from typing import Any

import numpy as np

from geodiff.pictures.style import Sheet


def mollweide(page: Sheet, rows: int, columns: int, place: int) -> Any:
    """Axes of an equal-area map of the whole sphere at a place of a grid, from 1."""
    axes = page.figure.add_subplot(rows, columns, place, projection="mollweide")
    axes.set_xticks([])
    axes.set_yticks([])
    return axes


def on_map(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude, radians, of points (n, 3) of the unit sphere."""
    return np.arctan2(x[:, 1], x[:, 0]), np.arcsin(np.clip(x[:, 2], -1, 1))
