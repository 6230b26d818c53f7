"""The check of conformers: it lets real molecules through and names each kind of fault."""

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdMolTransforms

from geodiff.domains.molecules.baselines import etkdg
from geodiff.domains.molecules.validity import FAULTS, Checks, ValidityRecord, check


@pytest.fixture(scope="module")
def made():
    """SMILES -> a relaxed molecule with one conformer."""
    return lambda smiles: etkdg(smiles, 1, force_field="MMFF94s")


def moved(mol: Chem.Mol, change) -> Chem.Mol:
    """A copy whose positions, (atoms, 3), went through `change`."""
    copy = Chem.Mol(mol)
    positions = change(copy.GetConformer().GetPositions().copy())
    copy.GetConformer().SetPositions(np.ascontiguousarray(positions))
    return copy


def faults(mol: Chem.Mol) -> tuple[str, ...]:
    (verdict,) = check(mol)
    assert verdict.valid == (not verdict.faults) and set(verdict.faults) <= set(FAULTS)
    assert all(words in str(verdict) for words in verdict.details.values())
    return verdict.faults


def test_real_ensembles_are_valid(ensembles):
    verdicts = [verdict for mol in ensembles for verdict in check(mol)]
    refused = [str(v) for v in verdicts if not v.valid]
    assert len(verdicts) == 330 and len(refused) <= 0.01 * len(verdicts), refused


DRUGS = (
    "CC(=O)Oc1ccccc1C(=O)O",
    "CC(C)Cc1ccc(cc1)[C@H](C)C(=O)O",
    "C[C@]12CC[C@H]3[C@@H](CCC4=CC(=O)CC[C@]34C)[C@@H]1CC[C@@H]2O",
    "Cc1ccc(cc1)S(=O)(=O)NC(=O)NN1CC2CCCC2C1",
    "CN1C(=O)CN=C(c2ccccc2)c2cc(Cl)ccc12",
)


@pytest.mark.parametrize("smiles", DRUGS)
def test_relaxed_drugs_are_valid(smiles):
    assert all(verdict.valid for verdict in check(etkdg(smiles, 5, force_field="MMFF94s")))


def test_a_stretched_bond_is_named(made):
    mol = made("CCO")

    def stretched(x):
        x[[2, 8]] += 0.2 * (x[2] - x[1]) / np.linalg.norm(x[2] - x[1])
        return x

    assert "bond length" in faults(moved(mol, stretched))
    assert "C1-O2" in str(check(moved(mol, stretched))[0])


def test_a_bent_angle_is_named(made):
    mol = Chem.Mol(made("CC#N"))
    rdMolTransforms.SetAngleDeg(mol.GetConformer(), 0, 1, 2, 130.0)
    assert faults(mol) == ("bond angle",)


def test_atoms_that_overlap_are_named(made):
    mol = Chem.Mol(made("CCCCCC"))
    for first in range(3):  # curl it up
        rdMolTransforms.SetDihedralDeg(mol.GetConformer(), *range(first, first + 4), 0.0)
    assert "contact" in faults(mol)


def test_a_bond_through_a_ring_is_named(made):
    ring, chain = made("c1ccccc1"), made("CCCC")
    through = chain.GetConformer().GetPositions()
    axis = through[2] - through[1]
    middle = (through[1] + through[2]) / 2
    flat = ring.GetConformer().GetPositions()
    normal = np.cross(flat[0] - flat[:6].mean(0), flat[1] - flat[:6].mean(0))
    turn = rotation(axis / np.linalg.norm(axis), normal / np.linalg.norm(normal))
    pair = Chem.CombineMols(ring, chain)
    Chem.SanitizeMol(pair)
    conformer = pair.GetConformer()
    positions = np.concatenate([flat, (through - middle) @ turn.T + flat[:6].mean(0)])
    conformer.SetPositions(np.ascontiguousarray(positions))
    assert "bond through ring" in faults(pair)
    conformer.SetPositions(np.ascontiguousarray(positions + 5.0 * (np.arange(26) > 11)[:, None]))
    assert "bond through ring" not in faults(pair)


def rotation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Turns the unit vector a onto b."""
    v, c = np.cross(a, b), float(a @ b)
    skew = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + skew + skew @ skew / (1 + c)


def test_a_folded_aromatic_ring_is_named(made):
    def folded(x):
        x[[0, 6]] += 0.8 * np.array([0.0, 0.0, 1.0])
        return x

    mol = made("c1ccccc1")
    flat = moved(mol, lambda x: (x - x.mean(0)) @ np.linalg.svd(x - x.mean(0))[2].T)
    assert "ring not flat" not in faults(flat)
    assert "ring not flat" in faults(moved(flat, folded))


def test_a_twisted_amide_is_named(made):
    mol = Chem.Mol(made("CNC(C)=O"))
    rdMolTransforms.SetDihedralDeg(mol.GetConformer(), 0, 1, 2, 3, 90.0)
    assert "amide twisted" in faults(mol)


def test_a_twisted_double_bond_and_the_wrong_side_are_named(made):
    mol = Chem.Mol(made("C/C=C/C"))
    rdMolTransforms.SetDihedralDeg(mol.GetConformer(), 0, 1, 2, 3, 90.5)
    assert "double bond twisted" in faults(mol)
    rdMolTransforms.SetDihedralDeg(mol.GetConformer(), 0, 1, 2, 3, 0.0)
    assert "cis-trans" in faults(mol)


def test_the_wrong_hand_is_named(made):
    mol = made("C[C@H](N)C(=O)O")
    assert faults(mol) == ()
    assert faults(moved(mol, lambda x: x * [1, 1, -1])) == ("hand",)


def test_a_centre_outside_its_neighbours_is_named(made):
    """The signed volume of the four neighbours is right, and yet no such atom exists."""
    mol = made("C[C@H](N)C(=O)O")
    around = [a.GetIdx() for a in mol.GetAtomWithIdx(1).GetNeighbors()]

    def outside(x):
        a, b, c, d = x[around]
        face = (b + c + d) / 3
        x[1] = face + 0.8 * (face - a) / np.linalg.norm(face - a)
        return x

    assert "hand" in faults(moved(mol, outside))
    assert "outside" in str(check(moved(mol, outside))[0])


def test_coordinates_that_are_not_finite_are_named_alone(made):
    assert faults(moved(made("CCO"), lambda x: x * np.nan)) == ("not finite",)


def test_each_conformer_has_its_own_verdict(made):
    mol = made("CCO")
    good = mol.GetConformer().GetPositions()
    verdicts = Checks(mol)(np.stack([good, 1.3 * good, good]))
    assert [v.valid for v in verdicts] == [True, False, True]


def test_a_molecule_without_conformers_is_refused():
    with pytest.raises(ValueError, match="no conformers"):
        check(Chem.AddHs(Chem.MolFromSmiles("CCO")))


def test_a_record_counts_what_fails_and_by_what(made):
    good, bad = made("CCO"), moved(made("CCO"), lambda x: 1.3 * x)
    record = ValidityRecord.of({"good": good, "bad": bad})
    assert (record.conformers, record.valid, record.molecules) == (2, 1, ("bad",))
    assert record.faults["bond length"] == 1 and "contact" not in record.faults
    assert "valid 1 of 2" in str(record) and "no valid conformer: bad" in str(record)
