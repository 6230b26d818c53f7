"""The conformer network and its prior: symmetries, padding, and behaviour at hard points."""

from dataclasses import replace

import pytest
import torch
from rdkit import Chem

from geodiff.conformers.model import build, harmonic_base, new_config
from geodiff.conformers.network import stereo_pull
from geodiff.conformers.prior import BOND_STD, harmonic_root
from geodiff.domains.molecules.features import collate, featurise
from geodiff.domains.molecules.stereo import tetrahedral_volume
from geodiff.process.randomness import Noise

from .flow import SMALL, small_field, swap_hands

SMILES = ["C[C@@H](O)[C@H](N)C#N", "CC", "OC[C@H]1CO1"]


def features(*smiles: str):
    return [featurise(Chem.AddHs(Chem.MolFromSmiles(s))) for s in smiles]


def rotation(dtype=torch.float32):
    q, r = torch.linalg.qr(
        torch.randn(3, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    )
    q = q * torch.sign(torch.diagonal(r))
    return (q * torch.det(q)).to(dtype)


@pytest.fixture
def batch():
    return collate(features(*SMILES))


@pytest.fixture
def x(batch, generator):
    return harmonic_base((), generator, torch.float64, condition=batch)


@pytest.fixture
def network():
    return small_field().network.double()


def test_rotating_the_input_rotates_the_output(network, batch, x):
    s = torch.tensor([0.2, 0.7, 1.0], dtype=torch.float64)
    condition = batch.to(torch.float64)
    turned = network(x @ rotation(x.dtype), s, condition, batch.mask)
    assert (turned - network(x, s, condition, batch.mask) @ rotation(x.dtype)).abs().max() < 1e-10


def test_reflecting_the_input_needs_the_labels_swapped_too(network, batch, x):
    s = torch.full((3,), 0.5, dtype=torch.float64)
    condition = batch.to(torch.float64)
    out = network(x, s, condition, batch.mask)
    assert (network(-x, s, swap_hands(condition), batch.mask) + out).abs().max() < 1e-10
    difference = (network(-x, s, condition, batch.mask) + out).abs().amax((1, 2))
    assert difference[0] > 1e-4 and difference[2] > 1e-4  # chiral molecules notice
    assert difference[1] < 1e-10  # ethane does not


def test_permuting_atoms_permutes_the_output(network):
    mol = Chem.AddHs(Chem.MolFromSmiles(SMILES[0]))
    order = torch.randperm(mol.GetNumAtoms(), generator=torch.Generator().manual_seed(1))
    plain, renumbered = (
        collate([featurise(mol)]),
        collate([featurise(Chem.RenumberAtoms(mol, order.tolist()))]),
    )
    x = harmonic_base((), torch.Generator().manual_seed(0), torch.float64, condition=plain)
    s = torch.full((1,), 0.4, dtype=torch.float64)
    out = network(x, s, plain.to(torch.float64), plain.mask)
    permuted = network(x[:, order], s, renumbered.to(torch.float64), renumbered.mask)
    assert (permuted - out[:, order]).abs().max() < 1e-10


def test_padding_changes_nothing(network, batch, x):
    s = torch.full((1,), 0.4, dtype=torch.float64)
    alone = collate(features(SMILES[1]))
    n = alone.mask.shape[1]
    padded = network(x[1:2], s, batch.select([1]).to(torch.float64), batch.mask[1:2])
    out = network(x[1:2, :n], s, alone.to(torch.float64), alone.mask)
    assert (padded[:, :n] - out).abs().max() < 1e-12
    assert padded[:, n:].abs().max() == 0


def test_a_noiseless_input_is_returned(network, batch, x):
    out = network(x, torch.zeros(3, dtype=torch.float64), batch.to(torch.float64), batch.mask)
    assert torch.equal(out, x)


def test_coincident_atoms_give_finite_values_and_gradients(network, batch):
    x = torch.zeros(*batch.mask.shape, 3, dtype=torch.float64, requires_grad=True)
    out = network(x, torch.ones(3, dtype=torch.float64), batch.to(torch.float64), batch.mask)
    (gradient,) = torch.autograd.grad((out**2).sum() + out.sum(), x)
    assert torch.isfinite(out).all() and torch.isfinite(gradient).all()


def test_following_the_stereo_pull_raises_the_signed_volume(batch, x):
    pull, agreement = stereo_pull(x, batch)
    before = tetrahedral_volume(x, batch.chiral)[batch.chiral_mask]
    after = tetrahedral_volume(x + 0.01 * pull, batch.chiral)[batch.chiral_mask]
    assert (after > before).all()
    assert torch.equal(
        agreement[0, batch.chiral[0, :, 0], 0] > 0, tetrahedral_volume(x, batch.chiral)[0] > 0
    )
    assert pull[1].abs().max() == 0  # ethane has no centre


def test_the_prior_has_the_covariance_of_its_springs(batch):
    bonded = (batch.pair >= 1) & (batch.pair <= 4)
    root = harmonic_root(bonded, batch.mask)
    adjacency = (bonded & batch.mask[:, :, None] & batch.mask[:, None, :]).double()
    laplacian = torch.diag_embed(adjacency.sum(-1)) - adjacency
    covariance = root @ root.transpose(-1, -2)
    assert (covariance - BOND_STD**2 * torch.linalg.pinv(laplacian)).abs().max() < 1e-9
    i, j = bonded[1].nonzero()[0]
    spread = covariance[1, i, i] + covariance[1, j, j] - 2 * covariance[1, i, j]
    # ethane is a tree: every bond has the spread of one spring
    assert spread == pytest.approx(BOND_STD**2)


def test_prior_draws_are_centred_and_do_not_see_padding(batch):
    wide = harmonic_base((), Noise(3, record=[0, 1, 2]), torch.float64, condition=batch)
    assert wide.sum(1).abs().max() < 1e-10
    assert wide[~batch.mask].abs().max() == 0
    alone = collate(features(SMILES[1]))
    narrow = harmonic_base((), Noise(3, record=[1], samples=[1]), torch.float64, condition=alone)
    assert (wide[1, : narrow.shape[1]] - narrow[0]).abs().max() < 1e-12


def test_a_network_of_few_hops_takes_farther_pairs_as_its_farthest():
    """Weights that know 8 hops read molecules in which more are counted as they always did."""
    config = new_config(SMALL) | {"hop_kinds": 10}
    field = build(config)
    data = featurise(Chem.AddHs(Chem.MolFromSmiles("C" * 14)))
    condition = collate([data])
    clipped = replace(condition, hops=condition.hops.clamp(max=8))
    x, s = torch.randn(1, len(data.z), 3), torch.tensor([0.5])
    seen = [field.network(x, s, c, c.mask) for c in (condition, clipped)]
    assert torch.equal(*seen)
    with pytest.raises(ValueError, match="hop_kinds is 99"):
        build(config | {"hop_kinds": 99})
