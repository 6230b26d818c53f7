"""From SMILES to molecules with conformers: counts, seeds, batches, symmetries, stereo, bad
input.
"""

import csv

import numpy as np
import pytest
import torch
from rdkit import Chem

from geodiff.conformers.model import harmonic_base, new_config
from geodiff.conformers.sampling import failures_path, sample, sample_file, sample_positions
from geodiff.domains.molecules.features import collate, featurise
from geodiff.domains.molecules.stereo import matches_smiles
from geodiff.process.randomness import Noise
from geodiff.training import weights

from .flow import SMALL, small_field

BUTANOL = "CC[C@H](C)O"
C60 = (
    "c12c3c4c5c1c1c6c7c2c2c8c3c3c9c4c4c%10c5c5c1c1c6c6c%11c7c2c2c7c8c3c3c8c9c4c4c9c%10c5c5c1c1c6c6c%11c2c2c7c3c3c8"
    "c4c4c9c5c1c1c6c2c3c41"
)


@pytest.fixture(scope="module")
def field():
    return small_field(scale=0.3)


def positions(mol: Chem.Mol) -> torch.Tensor:
    return torch.stack([torch.from_numpy(c.GetPositions()) for c in mol.GetConformers()])


def test_every_requested_conformer_arrives_under_its_own_number(field):
    mol = sample(BUTANOL, 7, model=field, steps=3)
    assert [c.GetId() for c in mol.GetConformers()] == list(range(7))
    assert mol.GetNumAtoms() == 15 and torch.isfinite(positions(mol)).all()


def test_even_an_untrained_flow_delivers_the_right_stereo(field):
    for smiles in (BUTANOL, "C/C=C\\C", "C[S@](=O)CC", "C[C@H](O)[C@@H](F)Cl"):
        mol = sample(smiles, 5, model=field, steps=2)
        assert mol.GetNumConformers() == 5
        assert all(matches_smiles(mol, k, smiles) for k in range(5)), smiles


def test_the_same_seed_gives_the_same_conformers_whatever_the_batch_and_the_company(field):
    options = {"seed": 5, "model": field, "steps": 4, "preset": "raw"}
    together = sample([BUTANOL, "CCCO"], [4, 6], **options)
    one_by_one = sample([BUTANOL, "CCCO"], [4, 6], **options, batch_size=1)
    fewer = sample(BUTANOL, 2, **options)
    for a, b in zip(together, one_by_one):
        assert (positions(a) - positions(b)).abs().max() < 1e-5
    assert (positions(together[0])[:2] - positions(fewer)).abs().max() < 1e-5
    other = sample(BUTANOL, 2, **(options | {"seed": 6}))
    assert (positions(other) - positions(fewer)).abs().max() > 0.1


def test_rotating_and_permuting_the_noise_rotates_and_permutes_the_conformers(field):
    mol = Chem.AddHs(Chem.MolFromSmiles("CC[C@H](C)OC"))
    order = torch.randperm(mol.GetNumAtoms(), generator=torch.Generator().manual_seed(2))
    condition = collate([featurise(mol)]).repeat(3)
    renumbered = collate([featurise(Chem.RenumberAtoms(mol, order.tolist()))]).repeat(3)
    noise = harmonic_base((), Noise(1), torch.float32, condition=condition)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(3)))[0]
    turn = turn * torch.det(turn)
    plain = sample_positions(field, condition, noise, steps=5)
    assert (
        sample_positions(field, condition, noise @ turn, steps=5) - plain @ turn
    ).abs().max() < 1e-5
    assert (
        sample_positions(field, renumbered, noise[:, order], steps=5) - plain[:, order]
    ).abs().max() < 1e-5


def test_a_file_is_written_as_asked_and_shards_add_up_to_it(field, tmp_path):
    source = tmp_path / "in.smi"
    source.write_text("CCO ethanol\nCCC propane\nnonsense( bad\nCO methanol\n")
    report = sample_file(source, tmp_path / "all.sdf", 3, model=field, steps=2)
    assert (report.requested, report.delivered, report.molecules) == (9, 9, 3)
    with open(tmp_path / "failures.csv") as file:
        (failure,) = csv.DictReader(file)
    assert failure["name"] == "bad" and failure["index"] == "2"
    whole = [
        m.GetProp("mol_id") for m in Chem.SDMolSupplier(str(tmp_path / "all.sdf"), removeHs=False)
    ]
    assert whole == ["ethanol"] * 3 + ["propane"] * 3 + ["methanol"] * 3
    shards = []
    for i in range(2):
        sample_file(source, tmp_path / f"{i}.sdf", 3, model=field, steps=2, shard=(i, 2))
        shards += [
            (m.GetProp("mol_id"), Chem.MolToMolBlock(m))
            for m in Chem.SDMolSupplier(str(tmp_path / f"{i}.sdf"), removeHs=False)
        ]
    together = [
        (m.GetProp("mol_id"), Chem.MolToMolBlock(m))
        for m in Chem.SDMolSupplier(str(tmp_path / "all.sdf"), removeHs=False)
    ]
    assert sorted(name for name, _ in shards) == sorted(name for name, _ in together)


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("C1CC", "RDKit can read"),
        ("", "empty"),
        ("C*", "dummy"),
        ("[Fe]", "element Fe"),
        ("[Na+].[Cl-]", "fragments"),
        ("CCO.CCN", "2 fragments"),
        ("C" * 70, "atoms"),
    ],
)
def test_a_molecule_that_cannot_be_taken_is_named_with_its_reason(field, smiles, reason):
    with pytest.raises(ValueError, match=reason):
        sample(smiles, 2, model=field, steps=2)


@pytest.mark.parametrize("n", [0, -1])
def test_fewer_than_one_conformer_is_refused(field, n):
    with pytest.raises(ValueError, match="n: expected at least 1"):
        sample("CCO", n, model=field)


def test_a_bad_molecule_in_a_list_leaves_the_others(field, caplog):
    first, bad, last = sample(["CCO", "C1CC", "CO"], 2, model=field, steps=2)
    assert bad is None and first.GetNumConformers() == last.GetNumConformers() == 2
    assert "molecule 1, C1CC, is skipped" in caplog.text


@pytest.mark.parametrize("smiles", ["[CH3]", "O", "[H][H]", "C", "[O-]C=O", "C" * 66])
def test_unusual_molecules_are_sampled(field, smiles):
    assert sample(smiles, 2, model=field, steps=2).GetNumConformers() == 2


def test_a_cage_that_nothing_can_build_is_refused_by_name(field, monkeypatch):
    monkeypatch.setattr("geodiff.conformers.delivery.reembed", lambda *args, **kwargs: None)
    with pytest.raises(ValueError, match="got 0 of 2 conformers"):
        sample(C60, 2, model=field, steps=2, finish="none")
    assert sample([C60, "O"], 2, model=field, steps=2, finish="none")[0] is None


def test_a_run_that_delivers_nothing_leaves_what_stood_there(field, tmp_path, monkeypatch):
    monkeypatch.setattr("geodiff.conformers.delivery.reembed", lambda *args, **kwargs: None)
    out = tmp_path / "out.sdf"
    out.write_text("of an earlier run")
    assert sample_file(C60, out, 2, model=field, steps=2, finish="none").delivered == 0
    assert out.read_text() == "of an earlier run"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["failures.csv", "out.sdf"]


def test_shards_beside_each_other_keep_their_own_failures(field, tmp_path):
    source = tmp_path / "in.smi"
    source.write_text("CO a\nnonsense( b\nCO c\nCO d\n")
    for i in (1, 0):  # the second has no failures, and once removed the list of the first
        sample_file(source, tmp_path / f"{i}.sdf", 1, model=field, steps=2, shard=(i, 2))
    assert "1,b,nonsense(" in failures_path(tmp_path / "1.sdf", (1, 2)).read_text()
    assert not failures_path(tmp_path / "0.sdf", (0, 2)).exists()


def test_the_source_is_never_overwritten(field, tmp_path):
    sample_file("CO", tmp_path / "a.sdf", 1, model=field, steps=2)
    before = (tmp_path / "a.sdf").read_bytes()
    with pytest.raises(ValueError, match="is the source"):
        sample_file(tmp_path / "a.sdf", tmp_path / "a.sdf", 1, model=field, steps=2)
    assert (tmp_path / "a.sdf").read_bytes() == before


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n": 2.5}, "n: expected a whole number"),
        ({"n": "3"}, "n: expected a whole number"),
        ({"n": [1.9]}, "n: expected a whole number"),
        ({"n": None}, "n: expected a whole number"),
        ({"seed": 1.5}, "seed: expected"),
        ({"seed": None}, "seed: expected"),
        ({"batch_size": 0}, "batch_size: expected"),
        ({"batch_size": -1}, "batch_size: expected"),
        ({"model": 5}, "model: expected"),
        ({"source": None}, "source: expected"),
        ({"source": 5}, "source: expected"),
    ],
)
def test_arguments_of_another_kind_are_named(field, wrong, message):
    with pytest.raises((TypeError, ValueError), match=message):
        sample(**{"source": ["CO"], "n": 1, "model": field, "steps": 2} | wrong)


def test_numpy_numbers_are_numbers(field):
    assert sample("CO", np.int64(2), seed=np.int32(1), model=field, steps=2).GetNumConformers() == 2


def test_what_distance_geometry_replaced_is_marked(field, tmp_path):
    # an untrained flow holds no chain together
    mol = sample("CCCCCC", 3, model=field, steps=2, finish="none")
    assert mol.GetProp("repaired") == "0 1 2"
    report = sample_file(["CCCCCC"], tmp_path / "out.sdf", 3, model=field, steps=2, finish="none")
    assert report.repaired == 3
    assert {m.GetProp("origin") for m in Chem.SDMolSupplier(str(tmp_path / "out.sdf"))} == {
        "distance geometry"
    }


def test_damaged_weights_write_nothing(tmp_path):
    document = weights.save(tmp_path / "model", small_field(), "conformers", new_config(SMALL), {})
    document.with_suffix(".safetensors").write_bytes(b"nonsense")
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(ValueError, match="damaged"):
        sample_file("CCO", out / "a.sdf", 2, model=document)
    assert not any(out.iterdir())
