"""Coverage by the published protocols: hand-made numbers, failures, cleaning, and the stored RDKit
rows.
"""

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Geometry import Point3D

from geodiff.domains.molecules.baselines import etkdg, etkdg_ensembles
from geodiff.domains.molecules.metrics import (
    MEASURES,
    clean_confs,
    coverage,
    paired_difference,
    read_baseline,
    stereo_correct,
)
from geodiff.domains.molecules.rmsd import rmsd_matrix


def diatomic(*lengths: float, smiles: str = "CO", name: str | None = None) -> Chem.Mol:
    """Conformers of two heavy atoms at these distances: the RMSD of two of them is half the
    difference.
    """
    mol = Chem.MolFromSmiles(smiles)
    for length in lengths:
        conformer = Chem.Conformer(2)
        conformer.SetAtomPosition(1, Point3D(length, 0.0, 0.0))
        mol.AddConformer(conformer, assignId=True)
    if name is not None:
        mol.SetProp("_Name", name)
    return mol


def mirrored(mol: Chem.Mol) -> Chem.Mol:
    mol = Chem.Mol(mol)
    for conformer in mol.GetConformers():
        conformer.SetPositions(np.ascontiguousarray(-conformer.GetPositions()))
    return mol


def test_measures_of_a_hand_made_molecule():
    # RMSD rows: 1.0 -> 0, 0.1, 1.0; 3.0 -> 1, 0.9, 0; 7.0 -> 3, 2.9, 2.
    record = coverage([diatomic(1.0, 3.0, 7.0)], [diatomic(1.0, 1.2, 3.0)], 0.5)
    (molecule,) = record.molecules
    assert molecule.references == 3 and molecule.generated == 3 and molecule.state == "scored"
    assert molecule.cov_r == pytest.approx(2 / 3) and molecule.amr_r == pytest.approx(2.0 / 3)
    assert molecule.cov_p == 1.0 and molecule.amr_p == pytest.approx(0.1 / 3)


def test_means_and_medians_are_over_molecules_not_conformers():
    reference = [diatomic(1.0), diatomic(1.0, 1.0, 1.0, 1.0), diatomic(1.0)]
    generated = [diatomic(1.0), diatomic(5.0, 1.0), diatomic(1.4)]
    record = coverage(reference, generated, 0.1)
    assert [m.cov_p for m in record.molecules] == [1.0, 0.5, 0.0]
    assert record.cov_p.mean == pytest.approx(0.5) and record.cov_p.median == 0.5
    assert record.cov_r.mean == pytest.approx(2 / 3) and record.cov_r.median == 1.0
    assert record.amr_p.mean == pytest.approx((0 + 1.0 + 0.2) / 3)
    assert record.amr_p.median == pytest.approx(0.2)


def test_protocol_a_covers_strictly_below_and_protocol_b_up_to_the_threshold():
    reference, generated = [diatomic(1.0)], [diatomic(2.0, 2.0)]
    exact = rmsd_matrix(reference[0], generated[0])[0, 0]
    assert coverage(reference, generated, exact, "A").cov_r.mean == 0.0
    assert coverage(reference, generated, exact, "B").cov_r.mean == 1.0
    assert coverage(reference, generated, np.nextafter(exact, 1.0), "A").cov_r.mean == 1.0


def test_a_molecule_without_conformers_counts_zero_in_coverage_and_nothing_in_amr():
    reference = [diatomic(1.0), diatomic(1.0), diatomic(1.0)]
    record = coverage(reference, [diatomic(1.2), None, diatomic()], 0.5)
    assert (record.failures, record.additional_failures, record.skipped) == (2, 0, 0)
    assert record.cov_r.mean == record.cov_p.mean == pytest.approx(1 / 3)
    assert record.cov_r.median == 0.0
    assert record.amr_r.mean == record.amr_p.mean == pytest.approx(0.1)
    assert "failures 2 without conformers" in record.table()


def test_conformers_that_cannot_be_compared_are_failures_of_their_own_kind():
    reference = [diatomic(1.0), diatomic(1.0), diatomic(1.0)]
    generated = [diatomic(1.2), diatomic(1.0, smiles="CN"), diatomic(1.0, np.nan)]
    record = coverage(reference, generated, 0.5)
    assert (record.failures, record.additional_failures) == (0, 2)
    assert [m.cov_r for m in record.molecules] == [1.0, 0.0, 0.0]
    assert np.isnan(record.molecules[1].amr_r) and record.amr_r.mean == pytest.approx(0.1)
    assert "graph" in record.molecules[1].reason and "finite" in record.molecules[2].reason


def test_references_of_another_graph_are_removed_by_protocol_a_only():
    # One Mol a conformer, as in GEOM: the second conformer reacted.
    reference = [[diatomic(1.0), diatomic(3.0, smiles="C=O"), diatomic(1.4)]]
    generated = [diatomic(1.0, 1.0, 1.0, 1.0, 1.0, 1.0)]
    (molecule,) = coverage(reference, generated, 0.5, smiles=["CO"]).molecules
    assert (molecule.references, molecule.references_given) == (2, 3)
    assert molecule.amr_r == pytest.approx(0.1)
    assert coverage(reference, generated, 0.5, "B", smiles=["CO"]).molecules[0].references == 3


def test_a_molecule_whose_references_are_all_removed_is_skipped_and_no_failure():
    record = coverage(
        [diatomic(1.0), diatomic(1.0)], [diatomic(1.0), None], 0.5, smiles=["CO", "CN"]
    )
    assert (record.skipped, record.failures, len(record.counted)) == (1, 0, 1)
    assert record.cov_r.mean == 1.0


def test_cleaning_keeps_other_stereoisomers_and_reads_the_smiles_property():
    mol = etkdg("C/C=C/[C@H](F)Cl", 2)
    assert clean_confs("C/C=C\\[C@@H](F)Cl", [mol]) == [0]
    assert clean_confs("CC=CC(F)Br", [mol]) == []
    mol.SetProp("smiles", "CC=CC(F)Br")
    assert coverage([mol], [mol], 0.5).skipped == 1


def test_protocol_b_takes_the_first_two_l_samples_and_drops_short_and_broken_molecules():
    reference = [diatomic(1.0), diatomic(1.0), diatomic(1.0, smiles="C.O"), diatomic(1.0)]
    generated = [diatomic(1.0, 3.0, 9.0), diatomic(1.0), diatomic(1.0, 1.0, smiles="C.O"), None]
    record = coverage(reference, generated, 0.5, "B")
    assert record.dropped == 3 and record.failures == 0 and len(record.counted) == 1
    assert record.molecules[0].generated == 2 and record.amr_p.mean == pytest.approx(0.5)


def test_names_pair_molecules_in_any_order():
    reference = {"a": diatomic(1.0), "b": diatomic(2.0)}
    record = coverage(reference, {"b": diatomic(2.0), "a": diatomic(1.2)}, 0.5)
    assert record.values("amr_r") == pytest.approx({"a": 0.1, "b": 0.0})
    titled = coverage(
        [diatomic(1.0, name="x"), diatomic(1.0, name="y")], [diatomic(1.0), None], 0.5
    )
    assert titled.values("cov_r") == {"x": 1.0, "y": 0.0}
    with pytest.raises(ValueError, match="names that no molecule has: c"):
        coverage(reference, {"c": diatomic(1.0)}, 0.5)
    with pytest.raises(ValueError, match="expected 2 entries"):
        coverage(reference, [diatomic(1.0)], 0.5)


@pytest.mark.parametrize(
    "threshold, protocol, word",
    [(0.0, "A", "threshold"), (np.nan, "A", "threshold"), (0.5, "C", "protocol")],
)
def test_bad_choices_are_refused(threshold, protocol, word):
    with pytest.raises(ValueError, match=word):
        coverage([diatomic(1.0)], [diatomic(1.0)], threshold, protocol)


def test_another_threshold_needs_no_new_alignment(ensembles):
    reference, generated = ensembles[1], etkdg(ensembles[1].GetProp("smiles"), 10)
    record = coverage([reference], [generated], 0.5)
    assert record.at(0.3).values("cov_r") == coverage([reference], [generated], 0.3).values("cov_r")
    assert record.at(0.3).threshold == 0.3 and record.at(0.3).amr_p == record.amr_p


def test_the_table_states_every_choice():
    text = str(coverage([diatomic(1.0)], [diatomic(1.2)], 0.75))
    for said in (
        "COV-R",
        "AMR-P",
        "protocol A",
        "delta 0.75 A",
        "RMSD < delta",
        "clean_confs",
        "failures 0",
        "terminal groups symmetrised",
        "RDKit ",
        "L 1 of 1",
        "K 1",
    ):
        assert said in text
    assert "RMSD <= delta" in str(coverage([diatomic(1.0)], [diatomic(1.2, 1.2)], 0.75, "B"))


def test_symmetries_that_were_cut_are_counted():
    mol = etkdg("CC(C)(C)C", 2)
    assert coverage([mol], [mol], 0.5, max_matches=3).truncated == 1
    assert coverage([mol], [mol], 0.5).truncated == 0


def test_stored_rdkit_rows_come_out_again(ensembles):
    from geodiff.paths import data_path

    names = ["qm9t_0000", "qm9t_0004", "qm9t_0006", "qm9t_0017"]
    reference = {m.GetProp("_Name"): m for m in ensembles if m.GetProp("_Name") in names}
    smiles = {name: mol.GetProp("smiles") for name, mol in reference.items()}
    counts = {name: 2 * mol.GetNumConformers() for name, mol in reference.items()}
    stored = data_path("conformers", "qm9size_gfn2", "baseline_etkdg_per_molecule.json")
    for row, force_field, tolerance in (
        ("etkdgv3", None, 1e-6),
        ("etkdgv3_mmff94s", "MMFF94s", 1e-4),
    ):
        record = coverage(reference, etkdg_ensembles(smiles, counts, force_field=force_field), 0.5)
        baseline = read_baseline(stored, row)
        for measure in MEASURES:
            expected = {name: baseline[name][measure] for name in reference}
            assert record.values(measure) == pytest.approx(expected, abs=tolerance)
            assert abs(paired_difference(record, baseline, measure).mean) < tolerance
    with pytest.raises(ValueError, match="etkdgv3_mmff94s"):
        read_baseline(stored, "omega")


def test_bootstrap_intervals_shrink_with_the_root_of_the_number_and_hold_the_mean():
    generator = np.random.default_rng(0)
    lengths = 1.0 + generator.random(400)
    small, large = (
        coverage([diatomic(1.0)] * n, [diatomic(length) for length in lengths[:n]], 0.5)
        for n in (25, 400)
    )
    widths = []
    for record in (small, large):
        interval = record.interval("amr_r")
        assert interval.low < interval.mean < interval.high
        assert interval == record.interval("amr_r")
        widths.append(interval.high - interval.low)
    assert widths[0] / widths[1] == pytest.approx(4.0, rel=0.3)
    # 1.96 standard errors of a uniform variable on [0, 0.5], on either side.
    assert widths[1] == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(12 * 400), rel=0.1)


def test_paired_differences_take_out_what_molecules_share():
    reference = {str(i): diatomic(1.0) for i in range(30)}
    base = coverage(reference, {str(i): diatomic(1.0 + 0.1 * i) for i in range(30)}, 0.5)
    better = coverage(reference, {str(i): diatomic(1.0 + 0.09 * i) for i in range(29)}, 0.5)
    interval = paired_difference(better, base, "amr_r")
    assert interval.molecules == 29  # the failure has no AMR
    assert interval.mean == pytest.approx(-0.005 * np.arange(29).mean())
    assert interval.high < 0 < base.interval("amr_r").high - better.interval("amr_r").low
    with pytest.raises(ValueError, match="name molecules the same"):
        paired_difference(coverage([diatomic(1.0, name="z")], [diatomic(1.0)], 0.5), base, "amr_r")


@pytest.mark.parametrize("perception", ["volume", "rdkit"])
def test_stereo_of_real_conformers_is_right_and_of_their_mirror_images_wrong(ensembles, perception):
    right = stereo_correct(ensembles, perception=perception)
    assert (right.tetrahedral, right.double, right.both) == (1.0, 1.0, 1.0)
    assert right.tetrahedral_conformers > 200 and right.conformers == 330
    chiral = [m for m in ensembles if m.GetProp("smiles").count("@")]
    wrong = stereo_correct([mirrored(m) for m in chiral], perception=perception)
    assert wrong.tetrahedral < 0.03  # a meso compound is its own mirror image


@pytest.mark.parametrize("perception", ["volume", "rdkit"])
def test_tetrahedral_and_double_bond_stereo_are_judged_apart(perception):
    mol = etkdg("C/C=C/[C@H](F)Cl", 4)
    shares = {
        text: stereo_correct([mol], [text], perception=perception)
        for text in (
            "C/C=C/[C@H](F)Cl",
            "C/C=C\\[C@H](F)Cl",
            "C/C=C/[C@@H](F)Cl",
            "CC=C[C@H](F)Cl",
            "CC=CC(F)Cl",
            "CCC[C@H](F)Cl",
        )
    }
    values = [(s.tetrahedral, s.double, s.both) for s in shares.values()]
    assert values[:3] == [(1, 1, 1), (1, 0, 0), (0, 1, 0)]
    assert values[3][0] == 1 and np.isnan(values[3][1]) and values[3][2] == 1
    assert np.isnan(values[4][0]) and values[4][2] == 1
    assert values[5][0] == 0 and values[5][2] == 0  # another graph


def test_stereo_does_not_depend_on_the_order_of_atoms(ensembles):
    generator = np.random.default_rng(0)
    shuffled = [
        Chem.RenumberAtoms(m, generator.permutation(m.GetNumAtoms()).tolist()) for m in ensembles
    ]
    assert stereo_correct(shuffled, [m.GetProp("smiles") for m in ensembles]).both == 1.0


def test_strained_centres_are_not_called_inverted():
    # MMFF94s flattens three neighbours of a bridgehead; RDKit's perception then sees the other
    # hand.
    smiles = "CN[C@@]12C[C@]1(O)CC2=O"
    mol = etkdg(smiles, 4, force_field="MMFF94s")
    assert rmsd_matrix(etkdg(smiles, 4), mol).min() < 0.3
    assert stereo_correct([mol], [smiles]).both == 1.0
    assert stereo_correct([mol], [smiles], perception="rdkit").both == 0.0


def test_embedding_depends_on_the_seed_only_and_keeps_the_graph():
    one, other = etkdg("c1ccccc1C(=O)O", 3, seed=1), etkdg("c1ccccc1C(=O)O", 3, seed=1)
    assert np.array_equal(one.GetConformer(2).GetPositions(), other.GetConformer(2).GetPositions())
    relaxed = etkdg("Cc1nc(=O)c(C)no1", 1, force_field="MMFF94s")
    assert Chem.MolToSmiles(Chem.RemoveHs(relaxed, sanitize=False)) == Chem.CanonSmiles(
        "Cc1nc(=O)c(C)no1"
    )
    assert etkdg("CCO", 2, force_field="UFF").GetNumConformers() == 2
    assert [m.GetNumConformers() for m in etkdg_ensembles(["CCO", "CCC"], [1, 2])] == [1, 2]
    with pytest.raises(ValueError, match="force_field"):
        etkdg("CCO", 1, force_field="AMBER")
