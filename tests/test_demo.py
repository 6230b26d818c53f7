"""The demo shows four tasks on one page; one whose weights are missing is said in a line, and holds
up no other.
"""

import json
import re

import numpy as np
import pytest

import geodiff.demo
from geodiff import grasps, images, proteins
from geodiff.demo import DRUGS, demo
from geodiff.domains.bodies.records import GraspSet
from geodiff.paths import data_path

GROUPS = [
    "Conformers of molecules",
    "Protein backbones",
    "Grasps of objects not seen in training",
    "Images of digits",
]


def held(path) -> list[dict]:
    """The records in the page."""
    return json.loads(
        re.search(r"^const records = (.*);$", (path / "demo.html").read_text(), re.MULTILINE)[1]
    )


@pytest.fixture
def quick(monkeypatch):
    """Real chains, candidates without a model and real digits in place of samples: what is tested
    is what is shown.
    """
    monkeypatch.setattr(geodiff.demo, "_weights", lambda title, name, device, report: (None, None))
    monkeypatch.setattr(geodiff.demo, "OBJECTS", geodiff.demo.OBJECTS[:1])
    monkeypatch.setattr(geodiff.demo, "GRASPS", 6)
    monkeypatch.setattr(geodiff.demo, "BEST", 2)

    def chains(lengths, *, seed, model):
        real = proteins.load_chains(data_path("proteins", "backbones_val.npz"))
        return [next(c for c in real if len(c) >= n).slice(0, n) for n in lengths]

    def some(item, n, *, seed, model):
        return GraspSet(
            grasps.candidates(item, n, np.random.default_rng(seed)).poses,
            item,
            cost=np.arange(n) / n,
        )

    def digits(labels, n, *, seed, model):
        real = images.read("digits")
        return real.pixels[
            [i for k in labels for i in (real.labels == k).nonzero()[:n, 0].tolist()]
        ]

    monkeypatch.setattr(proteins, "sample", chains, raising=False)
    monkeypatch.setattr(grasps, "sample", some, raising=False)
    monkeypatch.setattr(images, "sample", digits)


def test_the_page_shows_each_task_with_its_numbers(tmp_path, quick, model):
    lines = []
    demo(tmp_path, n=2, model=model, report=lines.append)
    records = held(tmp_path)
    assert list(dict.fromkeys(r["group"] for r in records)) == GROUPS
    assert [r["kind"] for r in records] == ["molecule"] * 3 + ["backbone"] * 3 + [
        "grasp",
        "picture",
    ]
    assert [r["name"] for r in records] == [
        *DRUGS,
        "60 residues",
        "80 residues",
        "100 residues",
        "mug",
        "digits",
    ]
    assert "bonds between residues right in 100%" in records[3]["caption"]
    assert "6 grasps" in records[6]["caption"] and "100% free of collision" in records[6]["caption"]
    assert "for 100 of 100" in records[7]["caption"]
    assert {p.name for p in tmp_path.iterdir()} == {
        "demo.html",
        "conformers.sdf",
        "conformers.png",
        "backbone_60.pdb",
        "backbone_80.pdb",
        "backbone_100.pdb",
        "backbones.png",
        "grasps_mug.npz",
        "grasps.png",
        "digits.png",
    }
    assert (tmp_path / "demo.html").stat().st_size < 3e6
    for words in (
        "conformers 6/6",
        "backbones 3/3",
        "C-N right 1.000",
        "grasps 6",
        "digits 100/100",
        "seconds",
    ):
        assert words in lines[-1]
    assert len(proteins.read(tmp_path / "backbone_60.pdb")[0][0]) == 60


def test_a_task_without_weights_is_said_in_a_line(tmp_path, quick, model, monkeypatch):
    monkeypatch.undo()
    real = geodiff.demo.load

    def load(name):
        if name != model:
            raise FileNotFoundError(name)
        return real(name)

    monkeypatch.setattr(geodiff.demo, "load", load)
    lines = []
    assert not demo(tmp_path, n=1, model=model, report=lines.append)
    records = held(tmp_path)
    assert list(dict.fromkeys(r["group"] for r in records)) == GROUPS
    assert [r["kind"] for r in records[-3:]] == ["missing"] * 3
    assert "proteins-pdb" in records[-3]["reason"] and "no weights proteins-pdb" in lines[-1]
    assert {p.name for p in tmp_path.iterdir()} == {"demo.html", "conformers.sdf", "conformers.png"}
