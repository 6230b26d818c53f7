"""Images from an npz or a folder, and the two scales they live on: pixels in [0, 1], points in [-1,
1].
"""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from geodiff.paths import data_path
from geodiff.training.batch import TrainingBatch
from geodiff.training.datamodule import TaskData
from geodiff.training.epochs import repeated
from geodiff.training.split import split_groups

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
SHIPPED = ("digits",)
LABEL_DROPOUT = 0.1  # share of training images whose class is hidden
# images in an epoch, at least: validation, once an epoch, stays below a tenth of the time
EPOCH = 10_000


@dataclass(frozen=True)
class Images:
    """Images of one size, with or without classes.

    Args:
        pixels: (n, channels, height, width) float32 in [0, 1], channels 1 (grey) or 3 (red, green,
            blue).
        labels: (n,) int64, or None.
        names: the name of each class, by label; empty without labels.
    """

    pixels: Tensor
    labels: Tensor | None = None
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, height, width)."""
        return tuple(self.pixels.shape[1:])

    def select(self, index: Any) -> "Images":
        """Some of the images, in the order of the index.

        Args:
            index: an index, a slice or a mask.
        """
        return Images(
            self.pixels[index], None if self.labels is None else self.labels[index], self.names
        )


def pixels_to_points(pixels: Tensor) -> Tensor:
    """[0, 1] to [-1, 1], where noise and network work.

    Args:
        pixels: of any shape.
    """
    return 2 * pixels - 1


def points_to_pixels(points: Tensor) -> Tensor:
    """[-1, 1] to [0, 1]; what a sample has beyond is cut off, as a screen would.

    Args:
        points: of any shape.
    """
    return ((points + 1) / 2).clamp(0, 1)


def read(source: str | Path) -> Images:
    """The images of an npz file, of a folder of image files, or "digits", which is shipped.

    npz: `images`, (n, height, width), (n, height, width, c) or (n, c, height, width) with c = 1 or
    3; optionally `labels`, (n,) whole numbers from 0, and `maximum`, the value of white (by default
    255 for whole numbers, 1 for floats). Folder: files of one size, each subfolder a class of its
    name, or all loose and without classes; needs Pillow.

    Args:
        source: a path, or "digits".

    Raises: FileNotFoundError, or ValueError naming the file and what is wrong with it.
    """
    path = Path(source)
    if str(source) in SHIPPED and not path.exists():
        path = data_path("images", f"{source}.npz")
    if path.is_dir():
        return _read_folder(path)
    if not path.exists():
        raise FileNotFoundError(
            f"data: {path} does not exist; give an npz file, a folder of images or one of the "
            f"shipped names: {', '.join(SHIPPED)}"
        )
    return _read_npz(path)


def _read_npz(path: Path) -> Images:
    try:
        # numpy <= 2.3 leaves a path open when the zip is damaged; an open file is ours to close.
        with open(path, "rb") as binary, np.load(binary, allow_pickle=False) as file:
            stored = {key: file[key] for key in ("images", "labels", "maximum") if key in file}
    except (OSError, EOFError, ValueError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"data: {path} is not an npz of plain arrays ({error}); write one with "
            "numpy.savez_compressed(path, images=..., labels=...)"
        ) from error
    if "images" not in stored:
        raise ValueError(
            f"data: {path} has no array `images`; write one with "
            "numpy.savez_compressed(path, images=..., labels=...)"
        )
    array = stored["images"]
    if array.dtype.kind not in "uif" or 0 in array.shape:
        raise ValueError(
            f"data: `images` of {path} must be numbers and not empty, got {array.dtype} "
            f"{array.shape}"
        )
    maximum = stored.get("maximum", 1.0 if array.dtype.kind == "f" else 255)
    pixels = torch.from_numpy(
        _channels_first(array, path).astype(np.float64) / float(maximum)
    ).float()
    if not bool(((pixels >= 0) & (pixels <= 1)).all()):  # NaN fails too
        raise ValueError(
            f"data: `images` of {path} must lie between 0 and {maximum}, got {array.min()} to "
            f"{array.max()}; scale them, or store the value of white as `maximum`"
        )
    if "labels" not in stored:
        return Images(pixels)
    labels = stored["labels"]
    if labels.shape != (len(pixels),) or labels.dtype.kind not in "ui" or labels.min() < 0:
        raise ValueError(
            f"data: `labels` of {path} must be {len(pixels)} whole numbers from 0, got "
            f"{labels.dtype} {labels.shape}"
        )
    return Images(
        pixels,
        torch.from_numpy(labels.astype(np.int64)),
        tuple(map(str, range(int(labels.max()) + 1))),
    )


def _channels_first(array: np.ndarray, path: Path) -> np.ndarray:
    if array.ndim == 3:
        return array[:, None]
    first, last = (array.ndim == 4 and array.shape[axis] in (1, 3) for axis in (1, 3))
    if first == last:
        raise ValueError(
            f"data: `images` of {path} must be (n, height, width), or have one axis of 1 or 3 "
            f"channels, second or last, got {array.shape}"
        )
    return array if first else np.moveaxis(array, 3, 1)


def _read_folder(folder: Path) -> Images:
    loose = _files(folder)
    classes = {child.name: _files(child) for child in sorted(folder.iterdir()) if child.is_dir()}
    classes = {name: files for name, files in classes.items() if files}
    if bool(loose) == bool(classes):
        found = f"{len(loose)} of them and {len(classes)} subfolders with more" if loose else "none"
        raise ValueError(
            f"data: {folder} must hold image files ({', '.join(SUFFIXES)}), either all loose or "
            f"all in one subfolder per class; it holds {found}"
        )
    files = loose or [file for group in classes.values() for file in group]
    arrays = [_decode(file) for file in files]
    for file, array in zip(files, arrays):
        if array.shape != arrays[0].shape:
            raise ValueError(
                f"data: images must have one size, but {files[0]} is {_size(arrays[0])} and "
                f"{file} is {_size(array)}; scale them first"
            )
    stacked = np.stack(arrays)
    if (stacked == stacked[..., :1]).all():
        stacked = stacked[..., :1]
    pixels = torch.from_numpy(stacked).movedim(-1, 1).float() / 255
    if loose:
        return Images(pixels)
    labels = [i for i, group in enumerate(classes.values()) for _ in group]
    return Images(pixels, torch.tensor(labels), tuple(classes))


def _files(folder: Path) -> list[Path]:
    return sorted(
        file for file in folder.iterdir() if file.is_file() and file.suffix.lower() in SUFFIXES
    )


def _size(array: np.ndarray) -> str:
    return f"{array.shape[1]} x {array.shape[0]}"


def _decode(file: Path) -> np.ndarray:
    """(height, width, 3) uint8."""
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Reading image files needs Pillow: pip install pillow; or store the images as an "
            "npz, which does not"
        ) from error
    try:
        with Image.open(file) as image:
            if image.mode.startswith(("I", "F")):
                raise ValueError(
                    f"data: {file} has more than 8 bits a channel ({image.mode}); store such "
                    "images as an npz with their `maximum`"
                )
            array = np.asarray(image.convert("RGBA"))
    except (OSError, SyntaxError) as error:  # Pillow raises SyntaxError for broken PNG chunks
        raise ValueError(
            f"data: {file} is not a readable image ({error}); remove or replace it"
        ) from error
    if (array[..., 3] < 255).any():
        raise ValueError(f"data: {file} has transparent pixels; lay it on a background first")
    return array[..., :3]


class ImageDataset(Dataset):
    """Images as training items (point, label).

    Args:
        images: of one size.
        dropout: chance that a label is `unknown`, drawn at each visit.
        least: a set of fewer images is gone through several times an epoch.
    """

    def __init__(self, images: Images, *, dropout: float = 0.0, least: int = 0):
        self.images = images
        self.points = pixels_to_points(images.pixels)
        self.labels, self.unknown, self.dropout = images.labels, len(images.names), dropout
        self.items = repeated(range(len(images)), least)
        self.sizes = [images.shape[-1]] * len(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor | None]:
        item = self.items[index]
        if self.labels is None:
            return self.points[item], None
        hidden = self.dropout > 0 and bool(torch.rand(()) < self.dropout)
        return self.points[item], torch.tensor(self.unknown) if hidden else self.labels[item]


def collate(items: Sequence[tuple[Tensor, Tensor | None]]) -> TrainingBatch:
    """`TrainingBatch` of points, (batch, channels, height, width); its condition is the labels, or
    None.

    Args:
        items: of an `ImageDataset`.
    """
    points, labels = zip(*items)
    return TrainingBatch(torch.stack(points), None if labels[0] is None else torch.stack(labels))


def split(images: Images, validation: int = 100, seed: int = 0) -> tuple[Images, Images]:
    """Training and validation images.

    Args:
        images: of both.
        validation: how many are for validation; at most a tenth.
        seed: of their drawing.
    """
    train, held = split_groups([1] * len(images), validation, seed)
    return images.select(sorted(train)), images.select(sorted(held))


def data(source: str | Path, *, batch_size: int = 64, seed: int = 0, workers: int = 0) -> TaskData:
    """The images at `source` as a data module, for any `pytorch_lightning.Trainer`.

    Args:
        source: as `read` takes it.
        batch_size: images in a batch.
        seed: of their order.
        workers: processes that load; 0 loads in this one.
    """
    training, validation = split(read(source))
    return TaskData(
        ImageDataset(training, dropout=LABEL_DROPOUT, least=EPOCH),
        ImageDataset(validation) if len(validation) else None,
        collate,
        batch_size=batch_size,
        seed=seed,
        workers=workers,
        facts={"images": len(training), "validation_images": len(validation)},
    )
