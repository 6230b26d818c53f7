"""Images from files: what is stored comes back, and what cannot be used says why."""

import numpy as np
import pytest
import torch
from PIL import Image

from geodiff import images
from geodiff.images.datasets import pixels_to_points, points_to_pixels

RANDOM = np.random.default_rng(0)


def test_the_shipped_digits_are_all_there():
    digits = images.read("digits")
    assert digits.pixels.shape == (1797, 1, 8, 8) and digits.shape == (1, 8, 8)
    assert digits.pixels.min() == 0 and digits.pixels.max() == 1
    assert digits.names == tuple("0123456789")
    assert digits.labels.bincount().tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_the_shipped_digits_are_those_of_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets")
    theirs, ours = datasets.load_digits(), images.read("digits")
    assert np.array_equal(16 * ours.pixels[:, 0].numpy(), theirs.images)
    assert np.array_equal(ours.labels.numpy(), theirs.target)


def test_points_and_pixels_are_two_scales_of_one_image():
    pixels = torch.linspace(0, 1, 11)
    points = pixels_to_points(pixels)
    assert points[0] == -1 and points[-1] == 1
    torch.testing.assert_close(points_to_pixels(points), pixels)
    assert points_to_pixels(torch.tensor([-3.0, 2.0])).tolist() == [0, 1]


@pytest.mark.parametrize(
    "array, shape",
    [
        (RANDOM.integers(0, 256, (4, 5, 6), dtype=np.uint8), (4, 1, 5, 6)),
        (RANDOM.integers(0, 256, (4, 5, 6, 3), dtype=np.uint8), (4, 3, 5, 6)),
        (RANDOM.integers(0, 256, (4, 1, 5, 6), dtype=np.uint8), (4, 1, 5, 6)),
        (RANDOM.random((4, 5, 6)), (4, 1, 5, 6)),
    ],
    ids=["grey", "channels last", "channels first", "floats"],
)
def test_an_npz_comes_back_in_one_form(tmp_path, array, shape):
    np.savez(tmp_path / "some.npz", images=array)
    found = images.read(tmp_path / "some.npz")
    assert found.pixels.shape == shape and found.pixels.dtype == torch.float32
    assert found.labels is None and found.names == ()
    white = 255 if array.dtype == np.uint8 else 1
    plain = array if array.ndim < 4 or shape[1] == 1 else np.moveaxis(array, 3, 1)
    np.testing.assert_allclose(found.pixels.numpy().ravel(), plain.ravel() / white, atol=1e-7)


def save(folder, name, array):
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(folder / name)


def test_a_folder_of_folders_has_a_class_for_each(tmp_path):
    pixels = RANDOM.integers(0, 256, (3, 5, 6, 3), dtype=np.uint8)
    for place, array in zip(("cat/a.png", "cat/b.png", "ant/c.png"), pixels):
        save((tmp_path / place).parent, place[4:], array)
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / "empty").mkdir()
    found = images.read(tmp_path)
    assert found.names == ("ant", "cat") and found.labels.tolist() == [0, 1, 1]
    assert torch.equal(
        (255 * found.pixels[0]).round().byte(), torch.from_numpy(pixels[2]).movedim(-1, 0)
    )


def test_loose_grey_files_have_one_channel_and_no_classes(tmp_path):
    save(tmp_path, "a.png", np.full((4, 7), 51, np.uint8))
    found = images.read(tmp_path)
    assert found.pixels.shape == (1, 1, 4, 7) and found.labels is None
    torch.testing.assert_close(found.pixels, torch.full((1, 1, 4, 7), 0.2))


@pytest.mark.parametrize(
    "stored, words",
    [
        ({"pictures": np.zeros((2, 3, 3))}, "no array `images`"),
        ({"images": np.zeros((0, 3, 3))}, "not empty"),
        ({"images": np.array(["a", "b"])}, "must be numbers"),
        ({"images": np.zeros((2, 3))}, "1 or 3 channels"),
        ({"images": np.zeros((2, 3, 5, 3))}, "second or last"),
        ({"images": np.zeros((2, 4, 5, 4))}, "1 or 3 channels"),
        ({"images": np.full((2, 3, 3), np.nan)}, "between 0 and 1"),
        ({"images": np.full((2, 3, 3), 16.0)}, "value of white"),
        ({"images": np.full((2, 3, 3), -1.0)}, "value of white"),
        ({"images": np.zeros((2, 3, 3)), "labels": np.zeros(3, int)}, "2 whole numbers"),
        ({"images": np.zeros((2, 3, 3)), "labels": np.zeros(2)}, "whole numbers"),
        ({"images": np.zeros((2, 3, 3)), "labels": np.array([0, -1])}, "whole numbers"),
        ({"images": np.array([{}, {}], dtype=object)}, "plain arrays"),
    ],
)
def test_an_npz_that_cannot_be_used_says_why(tmp_path, stored, words):
    np.savez(tmp_path / "some.npz", **stored)
    with pytest.raises(ValueError, match=f"some.npz.*{words}"):
        images.read(tmp_path / "some.npz")


@pytest.mark.parametrize(
    "content", [b"", b"PK\3\4 cut off", b"no zip at all"], ids=["empty", "truncated", "foreign"]
)
def test_a_file_that_is_no_npz_is_refused(tmp_path, content):
    (tmp_path / "some.npz").write_bytes(content)
    with pytest.raises(ValueError, match="some.npz is not an npz of plain arrays"):
        images.read(tmp_path / "some.npz")


def test_a_lone_array_is_refused(tmp_path):
    np.save(tmp_path / "some.npy", np.zeros((2, 3, 3)))
    with pytest.raises(ValueError, match="some.npy is not an npz"):
        images.read(tmp_path / "some.npy")


def test_a_missing_path_names_what_is_shipped():
    with pytest.raises(FileNotFoundError, match="shipped names: digits"):
        images.read("nowhere.npz")


def test_folders_that_cannot_be_used_say_why(tmp_path):
    with pytest.raises(ValueError, match="it holds none"):
        images.read(tmp_path)
    save(tmp_path, "a.png", np.zeros((4, 7), np.uint8))
    save(tmp_path / "cat", "b.png", np.zeros((4, 7), np.uint8))
    with pytest.raises(ValueError, match="1 of them and 1 subfolders"):
        images.read(tmp_path)


@pytest.mark.parametrize(
    "array, words",
    [
        (np.zeros((4, 6), np.uint8), "a.png is 7 x 4 and .*b.png is 6 x 4"),
        (np.zeros((4, 7, 4), np.uint8), "transparent"),
        (np.zeros((4, 7), np.uint16), "8 bits"),
        (None, "b.png is not a readable image"),
    ],
    ids=["another size", "transparent", "16 bits", "broken"],
)
def test_an_odd_file_in_a_folder_is_named(tmp_path, array, words):
    save(tmp_path, "a.png", np.zeros((4, 7), np.uint8))
    if array is None:
        (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    else:
        save(tmp_path, "b.png", array)
    with pytest.raises(ValueError, match=words):
        images.read(tmp_path)
