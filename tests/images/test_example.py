"""The digits example runs, draws its grid and prints its number."""

import runpy
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

SCRIPT = Path(__file__).resolve().parent.parent.parent / "examples" / "digits.py"


@pytest.fixture(scope="module")
def names():
    return runpy.run_path(str(SCRIPT))


# of Lightning and torch
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:.*:FutureWarning")
@pytest.mark.parametrize("process", ["flow", "ddpm", "ddim"])
def test_the_example_draws_a_grid_and_prints_its_number(
    names, monkeypatch, capsys, tmp_path, process
):
    picture = tmp_path / "digits.png"
    monkeypatch.setattr(
        sys, "argv", ["digits.py", "--fast", "--process", process, "--out", str(picture)]
    )
    accuracy = names["main"]()
    assert 0 <= accuracy <= 1
    line = (
        f"read as the digit asked for: {accuracy:.3f}   (a flow after 5 minutes: 0.988; real "
        "digits 0.988, by chance 0.100)"
    )
    assert line in capsys.readouterr().out
    with Image.open(picture) as page:
        assert page.width == 2 * (8 * 8 + 2) + 2 and page.height == 10 * (8 * 8 + 2) + 2


def test_the_classifier_never_reads_an_image_by_itself(names):
    real = torch.tensor([0.0, 0.1, 1.0, 1.2]).view(4, 1, 1, 1)
    labels = torch.tensor([0, 1, 2, 3])
    assert names["nearest_label"](real, real, labels).tolist() == [1, 0, 3, 2]


def test_the_spread_is_the_variance_within_a_class(names):
    pixels = torch.tensor([0.0, 0.2, 0.9, 1.0]).view(4, 1, 1, 1)
    assert names["spread"](pixels, torch.tensor([0, 0, 1, 1])) == pytest.approx((0.02 + 0.005) / 2)
