"""The grid: an independent reader sees the images where they belong."""

import numpy as np
import pytest
import torch
from PIL import Image

from geodiff.pictures.grid import write_grid


@pytest.mark.parametrize("channels", [1, 3])
def test_pillow_reads_back_what_was_written(tmp_path, channels):
    pixels = torch.rand(5, channels, 3, 4, generator=torch.Generator().manual_seed(0))
    path = write_grid(pixels, tmp_path / "new" / "grid.png", columns=2, magnify=4)
    with Image.open(path) as picture:
        assert picture.mode == {1: "L", 3: "RGB"}[channels]
        page = np.asarray(picture).reshape(picture.height, picture.width, channels)
    # rows of 12 + 1 pixels, columns of 16 + 1, and a frame
    assert page.shape == (3 * 13 + 1, 2 * 17 + 1, channels)
    for i in range(5):
        top, left = i // 2 * 13 + 1, i % 2 * 17 + 1
        cell = page[top : top + 12, left : left + 16]
        expected = (
            (255 * pixels[i]).round().byte().permute(1, 2, 0).numpy().repeat(4, 0).repeat(4, 1)
        )
        assert np.array_equal(cell, expected)
    # the frame and the empty sixth place
    assert (page[0] == 128).all() and (page[-13:, 18:] == 128).all()
    assert [p.name for p in path.parent.iterdir()] == ["grid.png"]


def test_values_beyond_the_scale_are_cut_off(tmp_path):
    path = write_grid(torch.tensor([[[[-1.0, 2.0]]]]), tmp_path / "grid.png", magnify=1)
    with Image.open(path) as picture:
        assert np.asarray(picture)[1].tolist() == [128, 0, 255, 128]


@pytest.mark.parametrize(
    "pixels, options, words",
    [
        (torch.zeros(2, 2, 4, 4), {}, "1 or 3"),
        (torch.zeros(4, 4), {}, "1 or 3"),
        (torch.zeros(0, 1, 4, 4), {}, "1 or 3"),
        (torch.full((1, 1, 4, 4), torch.nan), {}, "NaN"),
        (torch.zeros(1, 1, 4, 4), {"columns": 0}, "at least 1"),
        (torch.zeros(1, 1, 4, 4), {"magnify": 0}, "at least 1"),
    ],
)
def test_what_is_no_picture_is_refused(tmp_path, pixels, options, words):
    with pytest.raises(ValueError, match=words):
        write_grid(pixels, tmp_path / "grid.png", **options)
    assert not list(tmp_path.iterdir())
