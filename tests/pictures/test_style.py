"""One look: whatever the user set, nothing left behind, and a missing package names its cure."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from geodiff.pictures.grid import write_grid
from geodiff.pictures.shown import captions_of, several
from geodiff.pictures.style import sheet, shorten

matplotlib = pytest.importorskip("matplotlib")


def drawn(path) -> np.ndarray:
    with sheet(path, 2.0, 1.0) as page:
        page.title("costs $5")
        page.box(0.5, 0.5, 1.0, 0.3).plot([0, 1], [1, 0])
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def test_a_picture_is_the_same_whatever_the_user_has_set_and_sets_nothing(tmp_path):
    plain = drawn(tmp_path / "a.png")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "savefig.dpi": 10}):
        before = dict(matplotlib.rcParams)
        assert np.array_equal(drawn(tmp_path / "b.png"), plain)
        assert dict(matplotlib.rcParams) == before
    assert plain.shape == (160, 320, 3)


def test_a_place_is_in_inches_from_the_top_left_corner(tmp_path):
    with sheet(tmp_path / "a.png", 2.0, 1.0) as page:
        axes = page.box(0.5, 0.25, 1.0, 0.5)
        axes.set_axis_off()
        axes.imshow(np.zeros((1, 1, 3)), aspect="auto")
    with Image.open(tmp_path / "a.png") as picture:
        dark = np.argwhere(np.asarray(picture.convert("L")) < 128)
    np.testing.assert_allclose(dark.min(0), [40, 80], atol=1)
    np.testing.assert_allclose(dark.max(0), [119, 239], atol=1)


def test_an_error_while_drawing_leaves_what_stood_there(tmp_path):
    path = tmp_path / "a.png"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), sheet(path, 1.0, 1.0):
        raise ZeroDivisionError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_missing_package_names_its_cure(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "PIL", None)
    for draw in (
        lambda: drawn(tmp_path / "a.png"),
        lambda: write_grid(torch.zeros(1, 1, 2, 2), tmp_path / "a.png"),
    ):
        with pytest.raises(ModuleNotFoundError, match=r"pip install 'geodiff-manifolds\[viz\]'"):
            draw()
    assert not list(tmp_path.iterdir())


def test_one_thing_is_several_and_each_has_a_caption():
    assert several(3, int, "numbers", "count") == [3] == several([3], int, "numbers", "count")
    with pytest.raises(ValueError, match="numbers: expected at least one int, got none"):
        several([], int, "numbers", "count")
    with pytest.raises(TypeError, match=r"numbers\[1\]: expected one of kind int, got str; count"):
        several([1, "2"], int, "numbers", "count")
    assert captions_of(None, ["a"], "things") == ["a"]
    for wrong in ("text", ["a", "b"]):
        with pytest.raises(ValueError, match="captions: expected one for each of 1 things"):
            captions_of(wrong, ["a"], "things")
    assert shorten("abcdef", 4) == "abc\N{HORIZONTAL ELLIPSIS}" and shorten("abcd", 4) == "abcd"
