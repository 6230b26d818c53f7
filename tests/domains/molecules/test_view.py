"""Pictures show the molecules as they are: aligned, not mirrored, unchanged, and safe to open."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from geodiff.domains.molecules import view


def molecule(smiles: str, conformers: int = 4, name: str = "") -> Chem.Mol:
    """ETKDG conformers, each turned and moved somewhere else."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMultipleConfs(mol, conformers, randomSeed=1)
    generator = np.random.default_rng(0)
    for conformer in mol.GetConformers():
        turn, _ = np.linalg.qr(generator.normal(size=(3, 3)))
        turn *= np.sign(np.linalg.det(turn))
        conformer.SetPositions(
            np.ascontiguousarray(conformer.GetPositions() @ turn + generator.normal(size=3))
        )
    if name:
        mol.SetProp("_Name", name)
    return mol


def page_data(path) -> list[dict]:
    """The molecules that a page carries."""
    return json.loads(re.search(r"^const records = (.*);$", path.read_text(), re.MULTILINE)[1])


SMILES = [
    "CC(=O)Oc1ccccc1C(=O)O",
    "CC(C)Cc1ccc(cc1)[C@H](C)C(=O)O",
    "O",
    "[H][H]",
    "C#C",
    "FC(F)(F)Br",
    "C1CC12CC2",
    "OC[C@@H](O)C",
    "N",
]


@pytest.mark.parametrize("smiles", SMILES)
def test_any_molecule_is_drawn(smiles, tmp_path):
    mol = molecule(smiles)
    assert view.write_png(mol, tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert page_data(view.write_html(mol, tmp_path / "a.html"))[0]["detail"] == Chem.CanonSmiles(
        smiles
    )


@pytest.mark.parametrize("smiles", ["CC(=O)Oc1ccccc1C(=O)O", "OC[C@@H](O)C"])
def test_alignment_moves_conformers_rigidly_onto_the_first(smiles):
    mol = molecule(smiles)
    before = np.stack([c.GetPositions() for c in mol.GetConformers()])
    after = view._aligned(mol)

    def distances(x):
        return np.linalg.norm(x[:, :, None] - x[:, None], axis=-1)

    def hands(x):  # signed volumes of all atom quadruples that follow each other
        return np.linalg.det(
            np.stack([x[:, 1:-2] - x[:, :-3], x[:, 2:-1] - x[:, :-3], x[:, 3:] - x[:, :-3]], -1)
        )

    np.testing.assert_allclose(distances(after), distances(before), atol=1e-9)
    np.testing.assert_allclose(hands(after), hands(before), atol=1e-9)
    core = view._core(mol)
    for k in range(1, len(after)):
        rmsd = np.sqrt(((after[k, core] - after[0, core]) ** 2).sum(-1).mean())
        probe = Chem.Mol(mol)
        best = AllChem.AlignMol(probe, mol, prbCid=k, refCid=0, atomMap=[(i, i) for i in core])
        assert rmsd == pytest.approx(best, abs=1e-6)


def test_the_drawing_turns_a_molecule_and_does_not_mirror_it():
    generator = np.random.default_rng(0)
    for _ in range(20):
        points = generator.normal(size=(8, 3))
        turn = view._view(points, points[:4])
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(turn) == pytest.approx(1.0)


def test_the_molecule_is_left_as_it_was(tmp_path):
    mol = molecule("CC(=O)Nc1ccc(O)cc1", name="paracetamol")
    before = Chem.MolToMolBlock(mol), [c.GetPositions() for c in mol.GetConformers()]
    view.write_png(mol, tmp_path / "a.png")
    view.write_html(mol, tmp_path / "a.html")
    assert Chem.MolToMolBlock(mol) == before[0]
    np.testing.assert_array_equal([c.GetPositions() for c in mol.GetConformers()], before[1])


def test_the_page_holds_every_conformer_of_every_molecule_with_its_stereo(tmp_path):
    mols = [molecule("CC(C)Cc1ccc(cc1)[C@H](C)C(=O)O", 3, "ibuprofen"), molecule("CCO", 5)]
    path = view.write_html(mols, tmp_path / "a.html", "two molecules", captions=["first", "second"])
    records = page_data(path)
    assert [r["name"] for r in records] == ["ibuprofen", "molecule 2"]
    assert [r["caption"] for r in records] == ["first", "second"]
    assert [len(r["blocks"]) for r in records] == [3, 5]
    for block in records[0]["blocks"]:
        read = Chem.MolFromMolBlock(block, removeHs=False)
        Chem.AssignStereochemistryFrom3D(read)
        assert Chem.MolToSmiles(Chem.RemoveHs(read)) == Chem.CanonSmiles(
            "CC(C)Cc1ccc(cc1)[C@H](C)C(=O)O"
        )


class Page(HTMLParser):
    """Collects what a page would fetch and how many scripts it has."""

    def __init__(self):
        super().__init__()
        self.fetched, self.scripts, self.policy = [], 0, ""

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.scripts += tag == "script"
        self.fetched += [attributes[k] for k in ("src", "href") if k in attributes]
        if attributes.get("http-equiv") == "Content-Security-Policy":
            self.policy = attributes["content"]


def test_the_page_fetches_nothing_and_forbids_fetching(tmp_path):
    page = Page()
    page.feed(view.write_html(molecule("CCO"), tmp_path / "a.html").read_text())
    assert page.fetched == [] and page.scripts == 2
    assert page.policy.startswith("default-src 'none'") and "http" not in page.policy


def test_names_cannot_break_out_of_the_page(tmp_path):
    evil = "</script><script>alert(1)</script>{{library}}"
    page = Page()
    path = view.write_html(molecule("CCO", name=evil), tmp_path / "a.html", evil, captions=[evil])
    page.feed(path.read_text())
    assert page.scripts == 2
    assert page_data(path)[0]["name"] == evil


def test_a_dollar_sign_in_a_caption_is_drawn_as_it_is(tmp_path):
    assert view.write_png(
        molecule("CCO", name="$x$ and $"), tmp_path / "a.png", captions=["costs $5 or $\\bad$"]
    )


def test_diverse_conformers_start_with_the_first_and_are_spread():
    positions = np.array([0.0, 0.1, 5.0, 2.0])[:, None, None] * np.ones((4, 2, 3))
    assert view._diverse(positions, 3) == [0, 2, 3]
    assert sorted(view._diverse(positions, 9)) == [0, 1, 2, 3]


@pytest.mark.parametrize("write", [view.write_png, view.write_html])
def test_what_cannot_be_drawn_is_named(write, tmp_path):
    with pytest.raises(ValueError, match="no conformers"):
        write(Chem.MolFromSmiles("CCO"), tmp_path / "a")
    with pytest.raises(ValueError, match="at least one"):
        write([], tmp_path / "a")
    with pytest.raises(TypeError, match="Mol"):
        write(["CCO"], tmp_path / "a")
    with pytest.raises(ValueError, match="captions"):
        write(molecule("CCO"), tmp_path / "a", captions=["one", "two"])
    broken = molecule("CCO")
    broken.GetConformer().SetAtomPosition(0, (float("nan"), 0.0, 0.0))
    with pytest.raises(ValueError, match="finite"):
        write(broken, tmp_path / "a")
    assert not list(tmp_path.iterdir())
