import pickle

import numpy as np
import pytest
import torch
from rdkit import Chem

from geodiff.domains.molecules.features import (
    ATOM_FEATURE_NAMES,
    ATOM_FEATURES,
    CIS,
    MAX_HOPS,
    PAIR_KINDS,
    PAIR_NAMES,
    SAME_RING,
    TRANS,
    collate,
    featurise,
)
from geodiff.domains.molecules.stereo import double_bond_side, tetrahedral_volume

FIELDS = ("z", "atom", "pair", "hops", "chiral", "chiral_mask", "double", "double_mask", "mask")
CENTRES = {
    "carbon": "C[C@H](F)Cl",
    "carbon without hydrogen": "C[C@](F)(Cl)Br",
    "sulfoxide": "C[S@](=O)CC",
    "sulfoxide with charges": "C[S@@+]([O-])CC",
    "sulfonium": "C[S@@+](CC)CCC",
    "sulfoximine": "C[S@](=O)(=N)CC",
    "phosphonate": "C[P@](=O)(OC)CC",
    "phosphine": "C[P@](CC)c1ccccc1",
    "quaternary nitrogen": "C[N@+](CC)(CCC)CCCC",
    "silicon": "C[Si@H](F)Cl",
    "boron": "O[B@-](F)(C)CC",
    "ring centre without CIP letter": "C[C@H]1CC[C@@H](C)CC1",
    "ring closure digits": "[C@]12(F)CCC[C@@H]1OCC2",
}
BONDS = {
    "cis alkene": ("F/C=C\\F", 1),
    "trans alkene": ("F/C=C/F", -1),
    "trans imine": ("F/C=N/C", -1),
    "cis oxime": ("C/C=N\\O", 1),
    "trans imine to hydrogen": ("C/C=N/[H]", -1),
    "cis imine to hydrogen": ("C/C=N\\[H]", 1),
    "trans azo": ("C/N=N/C", -1),
    "alkene with four substituents": ("F/C(Cl)=C(F)/Cl", 1),
    "trans in a large ring": ("C1CCCC/C=C/CCCC1", -1),
}


def molecule(smiles: str) -> Chem.Mol:
    return Chem.AddHs(Chem.MolFromSmiles(smiles))


def molecule_with_a_dative_bond() -> Chem.Mol:
    mol = molecule("CO")
    mol.GetBondWithIdx(0).SetBondType(Chem.BondType.DATIVE)
    return mol


def feature(data, name: str) -> list[float]:
    return data.atom[:, ATOM_FEATURE_NAMES.index(name)].tolist()


def test_every_real_structure_has_the_stereo_of_its_labels(ensembles):
    centres = bonds = 0
    for mol in ensembles:
        data = featurise(mol)
        assert len(data.chiral) >= mol.GetProp("smiles").replace("@@", "@").count("@")
        for conformer in mol.GetConformers():
            positions = torch.from_numpy(conformer.GetPositions())
            # a proper centre spans several cubic angstroms: the sign is no accident of rounding
            assert (tetrahedral_volume(positions, data.chiral) > 1).all(), mol.GetProp("smiles")
            assert (double_bond_side(positions, data.double) > 1).all(), mol.GetProp("smiles")
            centres, bonds = centres + len(data.chiral), bonds + len(data.double)
    assert centres > 500 and bonds > 0


@pytest.mark.parametrize("smiles", CENTRES.values(), ids=CENTRES.keys())
def test_embedded_centres_have_the_stereo_of_their_labels(smiles, embed):
    expected = len(
        Chem.FindMolChiralCenters(Chem.MolFromSmiles(smiles), useLegacyImplementation=False)
    )
    for seed in (1, 2, 3):
        mol = embed(smiles, seed)
        data = featurise(mol)
        assert len(data.chiral) == max(expected, 1)
        volume = tetrahedral_volume(
            torch.from_numpy(mol.GetConformer().GetPositions()), data.chiral
        )
        assert (volume > 1).all()


@pytest.mark.parametrize("smiles, sign", BONDS.values(), ids=BONDS.keys())
def test_embedded_double_bonds_have_the_stereo_of_their_labels(smiles, sign, embed):
    for seed in (1, 2, 3):
        mol = embed(smiles, seed)
        data = featurise(mol)
        assert data.double[:, 4].tolist() == [sign]
        assert (
            double_bond_side(torch.from_numpy(mol.GetConformer().GetPositions()), data.double) > 1
        ).all()


def test_enantiomers_differ_by_one_exchange_in_each_label():
    left, right = (
        featurise(molecule("C[C@H](F)[C@@H](Cl)O")),
        featurise(molecule("C[C@@H](F)[C@H](Cl)O")),
    )
    assert left.chiral[:, [0, 2, 1, 3, 4]].tolist() == right.chiral.tolist()
    assert torch.equal(left.atom, right.atom)  # no feature but the labels tells them apart


@pytest.mark.parametrize(
    "smiles", ["CC(F)Cl", "FC=CF", "CN=CC", "C[N@]1C[C@@H]1C", "CC(C)C", "CS(=O)CC", "O"]
)
def test_only_lasting_and_specified_stereo_makes_labels(smiles):
    data = featurise(molecule(smiles))
    assert all(int(data.z[centre]) != 7 for centre in data.chiral[:, 0])
    assert len(data.chiral) == (1 if "[C@@H]" in smiles else 0)
    assert len(data.double) == 0
    assert data.chiral.shape[1:] == data.double.shape[1:] == (5,)


def test_features_follow_the_atoms_when_these_are_renumbered(ensembles):
    generator = np.random.default_rng(0)
    for mol in ensembles[::5]:
        order = generator.permutation(mol.GetNumAtoms()).tolist()
        data, moved = featurise(mol), featurise(Chem.RenumberAtoms(mol, order))
        n = data.num_nodes
        assert torch.equal(moved.z, data.z[order]) and torch.equal(moved.atom, data.atom[order])
        for name in ("hops", "pair"):
            assert torch.equal(moved[name].view(n, n), data[name].view(n, n)[order][:, order])
        assert moved.smiles == data.smiles
        positions = torch.from_numpy(mol.GetConformer().GetPositions())
        assert (tetrahedral_volume(positions[order], moved.chiral) > 1).all()
        assert (double_bond_side(positions[order], moved.double) > 1).all()
        assert sorted(order[i] for i in moved.chiral[:, 0]) == sorted(data.chiral[:, 0].tolist())


def test_hops_are_shortest_paths_clipped(ensembles):
    for mol in ensembles[:10]:
        data = featurise(mol)
        adjacency = Chem.GetAdjacencyMatrix(mol)
        expected = np.full(adjacency.shape, MAX_HOPS)
        for hops in range(MAX_HOPS - 1, -1, -1):
            expected[
                np.linalg.matrix_power(adjacency + np.eye(len(adjacency), dtype=int), hops) > 0
            ] = hops
        assert np.array_equal(data.hops.view(expected.shape).numpy(), expected)
    chain = featurise(molecule("C" * 30)).hops.view(92, 92)
    assert chain[0, 29] == chain[0, 25] == MAX_HOPS and chain[0, 3] == 3


def test_two_fragments_are_farther_than_any_hop():
    data = featurise(molecule("O.O"))
    assert data.hops.view(6, 6)[0, 1] == MAX_HOPS + 1


def test_pairs_name_bonds_rings_and_both_sides_of_a_stereo_double_bond():
    mol = molecule("F/C(Cl)=C/c1ccccc1")
    data = featurise(mol)
    pair = data.pair.view(data.num_nodes, -1)
    hydrogen = next(
        a.GetIdx() for a in mol.GetAtomWithIdx(3).GetNeighbors() if a.GetAtomicNum() == 1
    )
    assert pair[0, 4] == pair[2, hydrogen] == TRANS
    assert pair[2, 4] == pair[0, hydrogen] == CIS
    assert PAIR_NAMES[pair[1, 3]] == "double" and PAIR_NAMES[pair[4, 5]] == "aromatic"
    assert pair[4, 6] == pair[4, 7] == SAME_RING
    assert torch.equal(pair, pair.T) and not pair.diagonal().any()
    assert 0 <= int(pair.min()) and int(pair.max()) < PAIR_KINDS


def test_edges_run_both_ways_and_agree_with_the_pairs(ensembles):
    data = featurise(ensembles[0])
    assert data.edge_index.shape == (2, 2 * ensembles[0].GetNumBonds())
    assert torch.equal(data.pair.view(data.num_nodes, -1)[tuple(data.edge_index)], data.bond)
    half = data.edge_index.shape[1] // 2
    assert torch.equal(data.edge_index[:, half:], data.edge_index[:, :half].flip(0))


def test_atom_features_say_what_their_names_say():
    data = featurise(molecule("C[N+](C)(C)CC#N"))
    assert data.atom.shape == (data.num_nodes, ATOM_FEATURES) and data.atom.dtype == torch.float32
    assert feature(data, "charge")[:4] == [0, 1, 0, 0]
    assert feature(data, "hydrogens 3")[:4] == [1, 0, 1, 1] and feature(data, "degree 4")[:2] == [
        1,
        1,
    ]
    assert feature(data, "sp")[5:7] == [1, 1] and feature(data, "sp3")[0] == 1
    toluene = featurise(molecule("Cc1ccccc1"))
    assert (
        feature(toluene, "aromatic")[:7]
        == feature(toluene, "ring of 6")[:7]
        == [0, 1, 1, 1, 1, 1, 1]
    )
    assert feature(featurise(molecule("C1CCCCCCCC1")), "larger ring")[:9] == [1] * 9
    assert feature(featurise(molecule("[CH3]")), "radical electrons")[0] == 1
    assert feature(featurise(molecule("C[C@H](F)Cl")), "stereocentre")[:4] == [0, 1, 0, 0]
    assert feature(featurise(molecule("F/C=C/F")), "stereo double bond")[:4] == [0, 1, 1, 0]


def test_one_and_two_atoms_are_molecules_too(capfd):
    assert featurise(molecule("[Cl-]")).edge_index.shape == (2, 0)
    assert featurise(molecule("[H][H]")).smiles == "[H][H]"
    assert collate([featurise(molecule("[Cl-]"))]).mask.tolist() == [[True]]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "bad, error, words",
    [
        ("CCO", TypeError, "Mol"),
        (Chem.MolFromSmiles("CCO"), ValueError, "AddHs"),
        (Chem.Mol(), ValueError, "no atoms"),
        (molecule("C[Na]"), ValueError, "Na"),
        (molecule("*C"), ValueError, r"\*"),
        (molecule_with_a_dative_bond(), ValueError, "dative"),
    ],
    ids=["no molecule", "implicit hydrogens", "no atoms", "sodium", "dummy atom", "dative bond"],
)
def test_what_cannot_be_featurised_is_refused_with_the_reason(bad, error, words):
    with pytest.raises(error, match=words):
        featurise(bad)


def test_a_batch_holds_each_molecule_and_nothing_else(ensembles):
    molecules = [featurise(mol) for mol in ensembles[:6]]
    batch = collate(molecules)
    assert len(batch) == 6 and batch.lengths.tolist() == [m.num_nodes for m in molecules]
    for row, m in enumerate(molecules):
        n, centres, bonds = m.num_nodes, batch.chiral_mask[row], batch.double_mask[row]
        assert torch.equal(batch.z[row, :n], m.z) and torch.equal(batch.atom[row, :n], m.atom)
        assert torch.equal(batch.pair[row, :n, :n].reshape(-1), m.pair)
        assert torch.equal(batch.hops[row, :n, :n].reshape(-1), m.hops)
        assert torch.equal(batch.chiral[row][centres], m.chiral) and centres.sum() == len(m.chiral)
        assert torch.equal(batch.double[row][bonds], m.double) and bonds.sum() == len(m.double)
        assert (
            not batch.z[row, n:].any()
            and not batch.atom[row, n:].any()
            and not batch.pair[row, n:].any()
        )
        assert (batch.hops[row, n:] == MAX_HOPS + 1).all() and (
            batch.hops[row, :, n:] == MAX_HOPS + 1
        ).all()


def test_repeat_keeps_copies_together_and_select_takes_them_back(ensembles):
    batch = collate([featurise(mol) for mol in ensembles[:4]])
    repeated = batch.repeat(3)
    assert len(repeated) == 12 and torch.equal(repeated.z[3:6], batch.z[[1, 1, 1]])
    for indices in ([0, 3, 6, 9], slice(0, None, 3), torch.tensor([0, 3, 6, 9])):
        for name in FIELDS:
            assert torch.equal(getattr(repeated.select(indices), name), getattr(batch, name))
    assert len(batch.select(2)) == 1 and torch.equal(batch.select(2).z[0], batch.z[2])


def test_to_changes_the_dtype_of_real_fields_only(ensembles):
    batch = collate([featurise(mol) for mol in ensembles[:2]])
    for double in (
        batch.to(torch.float64),
        batch.to("cpu", torch.float64),
        batch.to(dtype=torch.float64),
    ):
        assert double.atom.dtype == torch.float64
        others = [name for name in FIELDS if name != "atom"]
        assert all(getattr(double, name).dtype == getattr(batch, name).dtype for name in others)
    assert batch.to("meta").device.type == "meta"


def test_a_batch_survives_a_worker_process(ensembles):
    batch = collate([featurise(ensembles[0])])
    assert torch.equal(pickle.loads(pickle.dumps(batch)).pair, batch.pair)


def test_an_empty_batch_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        collate([])
