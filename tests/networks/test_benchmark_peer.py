"""The comparison in examples/benchmarks is fair: a correct peer, and networks of one size."""

import pytest
import torch

from tests.scripts import benchmarks


@pytest.fixture(scope="module")
def benchmark():
    with benchmarks("network_step") as modules:
        yield modules["network_step"]


def size(network):
    return sum(p.numel() for p in network.parameters())


def test_both_networks_have_the_size_of_etflow(benchmark):
    ours, peer = size(benchmark.Ours()), size(benchmark.EquivariantTransformer())
    assert 6.2e6 < peer < 6.5e6
    assert abs(ours / peer - 1) < 0.03


def test_the_peer_is_equivariant_and_uses_neither_padding_nor_place(benchmark):
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        peer = benchmark.EquivariantTransformer(width=16, layers=2, heads=4, cutoff=5.0).double()
    kinds, level = (
        torch.randint(1, 9, (2, 8), generator=generator),
        torch.tensor([0.2, 0.8]).double(),
    )
    mask = torch.arange(8) < torch.tensor([[8], [5]])
    x = 2 * torch.randn(2, 8, 3, generator=generator, dtype=torch.float64)
    out = peer(kinds, x, level, mask)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]
    for motion in (turn, -turn):
        assert (
            peer(kinds, x @ motion.T + 1, level, mask) - out @ motion.T
        ).abs().max() < 1e-10 * out.abs().max()
    assert (out[~mask] == 0).all()
    alone = peer(kinds[1:, :5], x[1:, :5], level[1:], mask[1:, :5])
    torch.testing.assert_close(alone, out[1:, :5], rtol=1e-10, atol=1e-12)


def test_molecules_are_drug_sized_and_bonded(benchmark):
    kinds, positions, mask, bonds = benchmark.molecules(count=2)
    assert ((mask.sum(1) >= 40) & (mask.sum(1) <= 48)).all()
    assert (kinds[mask] > 0).all()
    source = bonds.nonzero()
    lengths = (positions[source[:, 0], source[:, 1]] - positions[source[:, 0], source[:, 2]]).norm(
        dim=-1
    )
    assert ((lengths > 0.8) & (lengths < 2.5)).all()
