import numpy as np
import pytest
import torch
from rdkit import Chem

from geodiff.domains.molecules.features import collate, featurise
from geodiff.domains.molecules.stereo import (
    double_bond_side,
    double_ok,
    matches_smiles,
    reembed,
    stereo_ok,
    tetrahedral_ok,
    tetrahedral_volume,
)

MANY_CENTRES = [
    "C[C@H](O)[C@@H](F)[C@H](Cl)CC",
    "OC[C@H]1O[C@@H](O)[C@H](O)[C@@H](O)[C@@H]1O",
    "C[C@H]1CC[S@](=O)C1",
    "C[C@@H](O)/C=C/[C@H](F)C",
    "C[S@](=O)[C@H](F)CC",
    "C[N@+](CC)(CCC)[C@H](F)C",
]
DOUBLE_BONDS = ["F/C=C/C", "F/C(Cl)=C(C)\\CC", "C/C=N/O", "C/C=N/[H]", "C/N=N\\C", "C/C=C/C=C\\CC"]
MESO = {
    "C1[C@H]2[C@@H]3N[C@@H]3[C@@H]1[C@@]21CO1",
    "C#C[C@]1(OC)C[C@@H](C)C1",
    "CO[C@@]1(C)[C@H]2OCO[C@H]21",
}


def coordinates(mol: Chem.Mol) -> torch.Tensor:
    """All conformers, (conformers, atoms, 3)."""
    return torch.from_numpy(np.stack([c.GetPositions() for c in mol.GetConformers()]))


def with_coordinates(mol: Chem.Mol, positions: torch.Tensor) -> Chem.Mol:
    copy = Chem.Mol(mol)
    copy.RemoveAllConformers()
    conformer = Chem.Conformer(mol.GetNumAtoms())
    conformer.SetPositions(positions.double().numpy().copy())
    copy.AddConformer(conformer, assignId=True)
    return copy


def ours(mol: Chem.Mol, positions: torch.Tensor) -> torch.Tensor:
    data = featurise(mol)
    return tetrahedral_ok(positions, data.chiral).all(-1) & double_ok(positions, data.double).all(
        -1
    )


def rotation(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    q, r = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))
    q = q * r.diagonal().sign()
    return q * torch.linalg.det(q)


def half_turn(mol: Chem.Mol, j: int, k: int) -> torch.Tensor:
    """Coordinates with everything on atom k's side of the bond turned by pi about it."""
    positions = coordinates(mol)[0]
    graph = Chem.RWMol(mol)
    graph.RemoveBond(j, k)
    side = next(list(part) for part in Chem.GetMolFrags(graph) if k in part)
    axis = positions[k] - positions[j]
    axis = axis / axis.norm()
    arm = positions[side] - positions[j]
    positions[side] = positions[j] + 2 * (arm @ axis)[:, None] * axis - arm
    return positions


def test_rdkit_agrees_on_real_structures_and_on_their_mirror_images(ensembles):
    disagreements = set()
    for mol in ensembles:
        smiles, positions = mol.GetProp("smiles"), coordinates(mol)
        mirrored = positions * torch.tensor([1.0, 1.0, -1.0])
        for x in (*positions, *mirrored):
            if bool(ours(mol, x)) != matches_smiles(with_coordinates(mol, x), 0, smiles):
                disagreements.add(smiles)
                assert not ours(mol, x)  # stricter than RDKit, never laxer
    # mirrored, these are the same molecule with other atoms in the places of the first
    assert disagreements == MESO


def test_a_mirror_turns_every_centre_and_no_double_bond(ensembles):
    for mol in ensembles:
        data = featurise(mol)
        mirrored = coordinates(mol) * torch.tensor([-1.0, 1.0, 1.0])
        assert not tetrahedral_ok(mirrored, data.chiral).any()
        assert double_ok(mirrored, data.double).all()


@pytest.mark.parametrize("smiles", MANY_CENTRES)
def test_one_wrong_centre_among_several_is_found_by_both(smiles, embed):
    mol = embed(smiles)
    data = featurise(mol)
    assert matches_smiles(mol, -1, smiles) and ours(mol, coordinates(mol)).all()
    for row, centre in enumerate(data.chiral[:, 0].tolist()):
        other = Chem.Mol(mol)
        other.GetAtomWithIdx(centre).InvertChirality()
        wrong = embed(other)
        expected = torch.ones(len(data.chiral), dtype=torch.bool)
        expected[row] = False
        assert torch.equal(tetrahedral_ok(coordinates(wrong)[0], data.chiral), expected)
        assert not matches_smiles(wrong, -1, smiles)


@pytest.mark.parametrize("smiles", DOUBLE_BONDS)
def test_half_a_turn_about_one_double_bond_is_found_by_both(smiles, embed):
    mol = embed(smiles)
    data = featurise(mol)
    assert matches_smiles(mol, -1, smiles) and ours(mol, coordinates(mol)).all()
    for row, (_, j, k, _, _) in enumerate(data.double.tolist()):
        flipped = half_turn(mol, j, k)
        expected = torch.ones(len(data.double), dtype=torch.bool)
        expected[row] = False
        assert torch.equal(double_ok(flipped, data.double), expected)
        assert not matches_smiles(with_coordinates(mol, flipped), 0, smiles)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_sign_does_not_feel_where_the_molecule_lies_or_turns(ensembles, dtype):
    for seed, mol in enumerate(ensembles[:8]):
        data = featurise(mol)
        positions = coordinates(mol)
        moved = positions @ rotation(seed).T + torch.tensor([3.0, -5.0, 11.0])
        torch.testing.assert_close(
            tetrahedral_volume(moved.to(dtype), data.chiral),
            tetrahedral_volume(positions.to(dtype), data.chiral),
            atol=1e-3,
            rtol=1e-4,
        )
        torch.testing.assert_close(
            double_bond_side(moved.to(dtype), data.double),
            double_bond_side(positions.to(dtype), data.double),
            atol=1e-3,
            rtol=1e-4,
        )


@pytest.mark.parametrize("batch", [(), (1,), (3, 1, 2), (0,)], ids=str)
def test_one_molecule_takes_any_batch_of_coordinates(embed, batch):
    mol = embed("C[C@@H](O)/C=C/[C@H](F)C")
    data = featurise(mol)
    positions = coordinates(mol)[0].expand(*batch, -1, -1)
    assert tetrahedral_ok(positions, data.chiral).shape == (*batch, 2)
    assert double_ok(positions, data.double).shape == (*batch, 1)
    assert tetrahedral_ok(positions, data.chiral).all() and double_ok(positions, data.double).all()


def test_a_padded_batch_says_what_single_molecules_say(ensembles, embed):
    molecules = ensembles[:12] + [embed(s) for s in (*MANY_CENTRES, *DOUBLE_BONDS, "O")]
    batch = collate([featurise(mol) for mol in molecules])
    positions = torch.zeros(len(batch), batch.mask.shape[1], 3, dtype=torch.float64)
    for row, mol in enumerate(molecules):
        # every other one is noise, right by chance only
        positions[row, : mol.GetNumAtoms()] = coordinates(mol)[0]
        if row % 2:
            positions[row] = torch.randn(
                positions[row].shape,
                generator=torch.Generator().manual_seed(row),
                dtype=torch.float64,
            )
    expected = [
        bool(ours(mol, positions[row, : mol.GetNumAtoms()])) for row, mol in enumerate(molecules)
    ]
    assert stereo_ok(batch, positions).tolist() == expected
    assert True in expected and False in expected
    both = torch.stack([positions, positions * torch.tensor([1.0, 1.0, -1.0])])
    assert stereo_ok(batch, both)[0].tolist() == expected
    assert stereo_ok(batch, both).shape == (2, len(batch))


def test_molecules_without_stereo_are_always_right():
    batch = collate([featurise(Chem.AddHs(Chem.MolFromSmiles(s))) for s in ("CCO", "C=C")])
    assert stereo_ok(batch, torch.zeros(2, 9, 3)).tolist() == [True, True]


def test_flat_and_missing_coordinates_are_not_right(embed):
    mol = embed("C[C@@H](O)/C=C/C")
    data = featurise(mol)
    for positions in (coordinates(mol) * 0, coordinates(mol) * torch.nan):
        assert not tetrahedral_ok(positions, data.chiral).any()
        assert not double_ok(positions, data.double).any()


def test_gradients_are_finite_even_where_all_atoms_meet(embed):
    data = featurise(embed("C[C@@H](O)/C=C/C"))
    positions = torch.zeros(data.num_nodes, 3, requires_grad=True)
    volume, side = (
        tetrahedral_volume(positions, data.chiral),
        double_bond_side(positions, data.double),
    )
    (volume.sum() + side.sum()).backward()
    assert torch.isfinite(positions.grad).all()


def test_wrong_shapes_are_refused_with_the_expected_ones(ensembles):
    data = featurise(ensembles[0])
    batch = collate([data, data])
    with pytest.raises(ValueError, match=r"\(\*more, 2, 23, 3\).*\(23, 3\)"):
        stereo_ok(batch, torch.zeros(23, 3))
    with pytest.raises(ValueError, match="positions"):
        tetrahedral_ok(torch.zeros(23, 2), data.chiral)
    with pytest.raises(ValueError, match="labels"):
        tetrahedral_ok(torch.zeros(23, 3), data.chiral[:, :4])
    with pytest.raises(ValueError, match="cannot parse"):
        matches_smiles(ensembles[0], 0, "C1CC")


def test_another_molecule_does_not_match(ensembles):
    assert not matches_smiles(ensembles[0], 0, "CCC")


def test_open_stereo_matches_either_hand(embed):
    for hand in ("C[C@H](F)Cl", "C[C@@H](F)Cl"):
        assert matches_smiles(embed(hand), -1, "CC(F)Cl")


@pytest.mark.parametrize("smiles", [*MANY_CENTRES, *DOUBLE_BONDS])
def test_reembedding_mends_the_wrong_centre_and_keeps_the_right_ones(smiles, embed):
    mol = embed(smiles)
    data = featurise(mol)
    if len(data.chiral):
        other = Chem.Mol(mol)
        other.GetAtomWithIdx(int(data.chiral[0, 0])).InvertChirality()
        broken = with_coordinates(mol, coordinates(embed(other))[0])
    else:
        broken = with_coordinates(
            mol, half_turn(mol, int(data.double[0, 1]), int(data.double[0, 2]))
        )
    before = coordinates(broken)
    mended = reembed(broken, seed=3)
    assert mended.shape == (mol.GetNumAtoms(), 3)
    assert matches_smiles(with_coordinates(mol, torch.from_numpy(mended)), 0, smiles)
    assert ours(mol, torch.from_numpy(mended))
    assert torch.equal(coordinates(broken), before)
    assert np.array_equal(mended, reembed(broken, seed=3))
    heavy = [a.GetIdx() for a in mol.GetAtoms() if a.GetAtomicNum() > 1]
    # it lies on the old one
    assert np.linalg.norm(mended[heavy].mean(0) - before[0, heavy].mean(0).numpy()) < 1e-6


def test_reembedding_mends_coordinates_that_are_not_finite(embed):
    mol = embed(MANY_CENTRES[0])
    mended = reembed(with_coordinates(mol, coordinates(mol)[0] * torch.nan))
    assert ours(mol, torch.from_numpy(mended)) and np.abs(mended.mean(0)).max() < 1e-9


def test_reembedding_gives_up_where_no_embedding_has_the_stereo():
    # a bridge of one atom cannot join the far sides of two rings
    impossible = Chem.AddHs(Chem.MolFromSmiles("C1C[C@H]2C[C@H](C1)C2"))
    conformer = Chem.Conformer(impossible.GetNumAtoms())
    conformer.SetPositions(np.random.default_rng(0).normal(size=(impossible.GetNumAtoms(), 3)))
    impossible.AddConformer(conformer)
    assert reembed(impossible, tries=2) is None
