"""Pictures of backbones show the chains as they are: not mirrored, with their own secondary
structure.
"""

import json
import re
import sys

import numpy as np
import pytest
from PIL import Image

from geodiff.domains.chains import view
from geodiff.domains.chains.chain import Chain
from geodiff.domains.chains.decoys import mirrored
from geodiff.domains.chains.metrics import measure
from geodiff.paths import data_path
from geodiff.proteins import load_chains


@pytest.fixture(scope="module")
def chains() -> list[Chain]:
    return load_chains(data_path("proteins", "backbones_val.npz"))[:4]


def held(path) -> list[dict]:
    """The records in a page."""
    return json.loads(re.search(r"^const records = (.*);$", path.read_text(), re.MULTILINE)[1])


def rebuilt(record: dict) -> np.ndarray:
    """Atoms of a record, (n, 4, 3), angstrom."""
    return np.array(record["coords"], float).reshape(-1, 4, 3) / 100


def test_the_page_holds_every_chain_turned_but_not_mirrored(tmp_path, chains):
    records = held(view.page(chains, tmp_path / "a.html"))
    assert [r["name"] for r in records] == [c.name for c in chains]
    for chain, record in zip(chains, records):
        atoms, original = rebuilt(record).reshape(-1, 3), chain.coords.reshape(-1, 3)
        original = original - original.mean(0)
        turn = np.linalg.lstsq(original, atoms, rcond=None)[0]
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-3)
        assert np.linalg.det(turn) == pytest.approx(1.0, abs=1e-3)
        np.testing.assert_allclose(original @ turn, atoms, atol=0.02)
        spread = atoms.std(0)
        # the longest side across, the shortest to the eye
        assert spread[0] >= spread[1] >= spread[2]


def test_the_page_says_what_was_measured(tmp_path, chains):
    for chain, record in zip(chains, held(view.page(chains, tmp_path / "a.html"))):
        m, facts = measure(chain), dict(record["facts"])
        assert record["structure"] == m.structure
        assert facts["residues"] == str(len(chain)) and facts["clashes"] == str(m.clashes)
        assert facts["helix"] == f"{m.helix:.0%}" and facts["strand"] == f"{m.strand:.0%}"
        assert (
            record["caption"]
            == f"{len(chain)} residues, {m.helix:.0%} helix, {m.strand:.0%} strand"
        )


def test_a_mirror_image_is_told_from_its_chain(tmp_path, chains):
    facts = [
        dict(r["facts"])
        for r in held(view.page([chains[3], mirrored(chains[3])], tmp_path / "a.html"))
    ]
    assert int(facts[0]["phi < 0"][:-1]) > 75 and int(facts[1]["phi < 0"][:-1]) < 25


def test_captions_are_those_given(tmp_path, chains):
    records = held(view.page(chains[:2], tmp_path / "a.html", captions=["<b>one", "two"]))
    assert [r["caption"] for r in records] == ["<b>one", "two"]


def test_no_ribbon_crosses_a_gap(chains):
    coords = chains[0].coords[:20].copy()
    coords[12:] += 9.0
    gaps = np.zeros(19, bool)
    gaps[4] = True
    assert view.record(Chain(coords, "G" * 20, gaps=gaps))["cuts"] == [5, 12]


def test_without_pydssp_the_viewer_finds_the_structure(tmp_path, chains, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydssp", None)
    record = held(view.page(chains[0], tmp_path / "a.html"))[0]
    assert record["structure"] is None
    assert record["caption"] == f"{len(chains[0])} residues" and set(dict(record["facts"])) == {
        "residues",
        "clashes",
    }
    assert view.picture(chains[0], tmp_path / "a.png").stat().st_size > 10_000


def test_torsions_are_those_that_are_measured(chains):
    phi, psi = view.torsions(chains[0])
    m = measure(chains[0])
    np.testing.assert_allclose(phi[1:-1], m.phi)
    np.testing.assert_allclose(psi[1:-1], m.psi)
    assert np.isnan(phi[0]) and np.isnan(psi[-1])


@pytest.mark.parametrize("count", [1, 2, 4])
def test_any_number_of_chains_is_pictured(tmp_path, chains, count):
    path = view.picture(chains[:count], tmp_path / "a.png", title="$x$")
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    assert len(np.unique(pixels, axis=0)) > 500
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("length", [1, 2, 4, 5])
def test_short_chains_are_shown_too(tmp_path, chains, length):
    short = chains[0].slice(0, length)
    assert len(rebuilt(held(view.page(short, tmp_path / "a.html"))[0])) == length
    assert view.picture(short, tmp_path / "a.png").exists()


@pytest.mark.parametrize("write", [view.page, view.picture])
def test_what_cannot_be_drawn_is_named(write, tmp_path, chains):
    with pytest.raises(ValueError, match="at least one"):
        write([], tmp_path / "a")
    with pytest.raises(TypeError, match="Chain"):
        write([chains[0].coords], tmp_path / "a")
    with pytest.raises(ValueError, match="captions|maps"):
        write(
            chains, tmp_path / "a", **({"captions": ["one"]} if write is view.page else {"maps": 0})
        )
    assert not list(tmp_path.iterdir())
