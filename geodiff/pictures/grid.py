"""Pictures of images: a grid as a PNG."""

import math
from pathlib import Path

import torch
from torch import Tensor

from geodiff.files import replacing

GROUND = 0.5  # grey of the gaps between images


def write_grid(
    pixels: Tensor, path: str | Path, *, columns: int = 10, magnify: int | None = None
) -> Path:
    """Write images in rows of `columns` as one PNG.

    Args:
        pixels: (n, channels, height, width) in [0, 1], values beyond are cut off; channels 1 or 3.
        path: the file; it appears whole or not at all.
        columns: images in a row, at least 1.
        magnify: pixels of the picture per pixel of an image, at least 1; None chooses about 64 per
            image.

    Returns:
        `path`.

    Raises:
        ValueError: for other shapes and for NaN.
        ModuleNotFoundError: without Pillow.
    """
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "pictures of images need Pillow: pip install 'geodiff-manifolds[viz]'"
        ) from error
    if pixels.ndim != 4 or pixels.shape[1] not in (1, 3) or 0 in pixels.shape:
        raise ValueError(f"pixels: expected (n, 1 or 3, height, width), got {tuple(pixels.shape)}")
    if columns < 1 or (magnify is not None and magnify < 1):
        raise ValueError(f"columns, magnify: expected at least 1, got {columns}, {magnify}")
    if bool(pixels.isnan().any()):
        raise ValueError("pixels: some are NaN; the model that made them did not train well")
    pixels = pixels.detach().cpu().float().clamp(0, 1)
    n, channels, height, width = pixels.shape
    magnify = max(1, round(64 / max(height, width))) if magnify is None else magnify
    columns = min(columns, n)
    gap = max(1, magnify // 4)
    down, across = magnify * height + gap, magnify * width + gap
    page = torch.full(
        (channels, math.ceil(n / columns) * down + gap, columns * across + gap), GROUND
    )
    large = pixels.repeat_interleave(magnify, -2).repeat_interleave(magnify, -1)
    for i, image in enumerate(large):
        top, left = i // columns * down + gap, i % columns * across + gap
        page[:, top : top + image.shape[-2], left : left + image.shape[-1]] = image
    array = (255 * page).round().byte().permute(1, 2, 0).numpy()
    path = Path(path)
    with replacing(path) as part:
        Image.fromarray(array[..., 0] if channels == 1 else array).save(part, format="PNG")
    return path
