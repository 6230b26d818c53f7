"""What leaves: finished, checked, chosen, and named for what it is."""

import logging

import numpy as np
import pytest
from rdkit import Chem

from geodiff.conformers.delivery import deliver, with_conformers
from geodiff.conformers.presets import PRESETS, Preset, chosen
from geodiff.conformers.reach import Reach
from geodiff.conformers.sampling import sample, sample_file
from geodiff.domains.molecules.baselines import etkdg
from geodiff.domains.molecules.rmsd import rmsd_matrix
from geodiff.domains.molecules.validity import check

from .flow import small_field

SMILES = "CCCCOC(=O)C[C@H](C)N"


@pytest.fixture(scope="module")
def field():
    return small_field(scale=0.3)


@pytest.fixture(scope="module")
def drawn():
    """A molecule and eight embeddings in the place of draws, the first of them torn."""
    mol = etkdg(SMILES, 8)
    positions = np.stack([c.GetPositions() for c in mol.GetConformers()])
    positions[0, 5:] += 3.0
    return mol, positions, np.arange(8) > 0


@pytest.mark.parametrize("name", PRESETS)
def test_what_was_asked_for_leaves_and_says_what_it_is(field, name):
    mol = sample(SMILES, 3, model=field, steps=3, preset=name)
    assert [c.GetId() for c in mol.GetConformers()] == [0, 1, 2]
    verdicts = check(mol)
    for conformer, verdict in zip(mol.GetConformers(), verdicts):
        assert conformer.GetProp("check") == str(verdict)
        assert conformer.GetProp("origin") in ("flow", "distance geometry")
        assert name == "raw" or verdict.valid
    finished = [c.GetProp("finish") == "MMFF94s" for c in mol.GetConformers()]
    assert all(finished) == any(finished) == (name != "raw")
    energies = [c.GetDoubleProp("energy") for c in mol.GetConformers() if c.HasProp("energy")]
    assert energies == sorted(energies) and len(energies) == sum(finished)


def test_finished_conformers_do_not_depend_on_the_batch(field):
    options = {"seed": 3, "model": field, "steps": 3}
    whole = sample([SMILES, "CCO"], [2, 3], **options)
    split = sample([SMILES, "CCO"], [2, 3], **options, batch_size=1)
    for one, other in zip(whole, split):
        for a, b in zip(one.GetConformers(), other.GetConformers()):
            assert np.array_equal(a.GetPositions(), b.GetPositions())


def test_draws_as_they_are_keep_their_order_and_the_torn_one_is_replaced(drawn):
    mol, positions, right = drawn
    made = deliver(mol, positions, right, 8, PRESETS["raw"])
    assert made.GetProp("repaired") == "0" and made.GetNumConformers() == 8
    for k in range(1, 8):
        assert np.array_equal(made.GetConformer(k).GetPositions(), positions[k])


def test_the_best_and_most_different_are_kept(drawn):
    mol, positions, right = drawn
    made = deliver(mol, positions, right, 3, Preset(prune_rms=0.5))
    energies = [c.GetDoubleProp("energy") for c in made.GetConformers()]
    everything = deliver(mol, positions, right, 8, Preset(prune_rms=None))
    lowest = min(c.GetDoubleProp("energy") for c in everything.GetConformers())
    assert energies[0] == pytest.approx(lowest) and energies == sorted(energies)
    heavy = Chem.RemoveHs(made)
    assert rmsd_matrix(heavy, heavy)[np.triu_indices(3, 1)].min() >= 0.5


def test_an_energy_window_may_leave_fewer(drawn):
    mol, positions, right = drawn
    made = deliver(mol, positions, right, 8, Preset(prune_rms=None, energy_window=0.5))
    energies = [c.GetDoubleProp("energy") for c in made.GetConformers()]
    assert 1 <= len(energies) < 8 and max(energies) - min(energies) <= 0.5


def test_what_the_force_field_does_not_know_leaves_as_drawn_if_it_is_sound():
    mol = etkdg("CCB(C)CC", 3)
    positions = np.stack([c.GetPositions() for c in mol.GetConformers()])
    made = deliver(mol, positions, np.ones(3, dtype=bool), 3, Preset())
    assert {c.GetProp("finish") for c in made.GetConformers()} == {"none"}
    assert not any(c.HasProp("energy") for c in made.GetConformers())


@pytest.mark.parametrize("smiles", ["C1N[C@@H]2CO[C@@H]1C2", "F[C@]12CC[C@@](Cl)(CC1)C2"])
def test_stereo_that_no_geometry_has_is_refused_by_name(field, smiles, tmp_path):
    """Both are bridged rings whose two bridgeheads cannot have these hands together."""
    with pytest.raises(ValueError, match="got 0 of 2 conformers"):
        sample(smiles, 2, model=field, steps=2)
    report = sample_file([smiles, "CO"], tmp_path / "out.sdf", 2, model=field, steps=2)
    assert (report.delivered, len(report.failures)) == (2, 1)


def test_the_file_says_what_each_conformer_is(field, tmp_path):
    sample_file([SMILES], tmp_path / "out.sdf", 2, model=field, steps=2)
    for record in Chem.SDMolSupplier(str(tmp_path / "out.sdf"), removeHs=False):
        assert record.GetProp("check") == "valid" and record.GetProp("finish") == "MMFF94s"
        assert float(record.GetProp("energy_kcal")) == pytest.approx(
            float(record.GetProp("energy_kcal"))
        )
        assert record.GetProp("origin") in ("flow", "distance geometry")


def test_a_molecule_beyond_the_training_data_is_named(field, caplog):
    reach = Reach.measure([Chem.MolFromSmiles(s) for s in ("CCO", "CCN", "c1ccccc1")], least=1)
    assert reach == Reach(frozenset("CNO"), 6, 0, 6)
    assert Reach.of(type("F", (), {"card": {"reach": reach.card()}})()) == reach
    assert reach.beyond(Chem.MolFromSmiles("CCO")) == ""
    beyond = reach.beyond(Chem.MolFromSmiles("CCCCCCC[N+](C)(C)CI"))
    assert "it has I" in beyond and "11 heavy atoms, trained up to 6" not in beyond
    assert "heavy atoms, trained up to 6" in beyond and "1 charged atoms" in beyond
    assert Reach().beyond(Chem.MolFromSmiles("[Xe]")) == ""
    field.card = {"reach": reach.card()}
    try:
        with caplog.at_level(logging.WARNING):
            sample("CCBr", 1, model=field, steps=2)
    finally:
        del field.card
    assert "not trained on such molecules: it has Br" in caplog.text


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"preset": "best"}, "preset: expected one of raw, fast, ensemble, docking"),
        ({"finish": "uff"}, "finish: expected 'none' or 'mmff'"),
        ({"oversample": 0}, "oversample: expected at least 1"),
        ({"prune_rms": -1.0}, "prune_rms: expected a number above 0"),
        ({"energy_window": 0.0}, "energy_window: expected a number above 0"),
        ({"finish": "none", "oversample": 2}, "oversample: needs energies"),
    ],
)
def test_options_that_cannot_be_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        chosen(
            **(
                {"name": "ensemble"}
                | {("name" if k == "preset" else k): v for k, v in wrong.items()}
            )
        )


def test_only_the_given_conformers_are_there(drawn):
    mol, positions, _ = drawn
    copy = with_conformers(mol, positions[:2])
    assert [c.GetId() for c in copy.GetConformers()] == [0, 1] and mol.GetNumConformers() == 8
