"""The e3nn network under the laws it is the oracle for."""

import copy
import subprocess
import sys

import pytest
import torch

from geodiff.networks.tensor_product import TensorProductNetwork

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
DTYPES = list(TOLERANCE)


def randn(*size, seed, dtype=torch.float64):
    return torch.randn(
        *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    ).to(dtype)


@pytest.fixture(scope="module")
def original():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TensorProductNetwork(8, 3, cutoff=4.0, condition_width=2)


@pytest.fixture(params=DTYPES, ids=str)
def network(request, original):
    return original.to(request.param)


def inputs(dtype=torch.float64):
    mask = torch.arange(6) < torch.tensor([6, 4])[:, None]
    x = 1.5 * randn(2, 6, 3, seed=1, dtype=dtype).masked_fill(~mask[..., None], 0)
    return x, torch.tensor([0.2, 0.7], dtype=dtype), randn(2, 6, 2, seed=2, dtype=dtype), mask


def dtype_of(network):
    return network.centres.dtype


def error(x, y):
    return ((x - y).abs().max() / y.abs().max()).item()


def test_vectors_turn_and_flip_with_the_cloud_and_ignore_its_place(network):
    dtype = dtype_of(network)
    x, s, condition, mask = inputs(dtype)
    out = network(x, s, condition, mask)
    turn = torch.linalg.qr(randn(3, 3, seed=3))[0].to(dtype)
    for motion in (turn, -turn):  # one of the two is a reflection
        assert (
            error(network(x @ motion.T + 1.0, s, condition, mask), out @ motion.T)
            < TOLERANCE[dtype]
        )


def test_renumbered_nodes_give_renumbered_vectors(network):
    x, s, condition, mask = inputs(dtype_of(network))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    shuffled = network(x[:, order], s, condition[:, order], mask[:, order])
    assert error(shuffled, network(x, s, condition, mask)[:, order]) < TOLERANCE[dtype_of(network)]


def test_padding_changes_nothing_and_masked_vectors_are_zero(network):
    x, s, condition, mask = inputs(dtype_of(network))
    out = network(x, s, condition, mask)
    assert (out[~mask] == 0).all()
    x[~mask] = 3.0
    condition[~mask] = -5.0
    assert error(network(x, s, condition, mask), out) < 1e-6
    alone = network(x[1:, :4], s[1:], condition[1:, :4])
    assert error(alone, out[1:, :4]) < 1e-6


def test_the_output_depends_on_level_and_condition(network):
    x, s, condition, mask = inputs(dtype_of(network))
    out = network(x, s, condition, mask)
    assert error(network(x, s / 2, condition, mask), out) > 1e-3
    assert error(network(x, s, condition + 1, mask), out) > 1e-3


def test_the_field_is_continuous_where_an_edge_fades_out(original):
    network, (_, s, condition, _) = original.double(), inputs()
    for gap in (1e-3, 1e-4):
        x = torch.zeros(2, 1, 2, 3, dtype=torch.float64)
        x[0, 0, 1, 0], x[1, 0, 1, 0] = network.cutoff - gap, network.cutoff + gap
        inside, outside = (network(cloud, s[:1], condition[:1, :2]) for cloud in x)
        assert (inside - outside).abs().max() < gap


def test_derivatives_are_finite_where_nodes_coincide_and_second_ones_exist(original):
    network, (x, s, condition, mask) = original.double(), inputs()
    for cloud in (x.clone(), torch.zeros_like(x)):
        cloud[:, 1] = cloud[:, 0]
        cloud.requires_grad_()
        out = network(cloud, s, condition, mask)
        (gradient,) = torch.autograd.grad(out.square().sum() + out.sum(), cloud, create_graph=True)
        gradient.square().sum().backward()
        assert out.isfinite().all()
        assert cloud.grad.isfinite().all()


def test_jvp_agrees_with_finite_differences(original):
    network, (x, s, condition, mask) = original.double(), inputs()
    direction, step = randn(2, 6, 3, seed=4), 1e-6

    def forward(x):
        return network(x, s, condition, mask)

    _, slope = torch.func.jvp(forward, (x,), (direction,))
    difference = (forward(x + step * direction) - forward(x - step * direction)) / (2 * step)
    assert error(slope, difference) < 1e-5


def test_gradient_reaches_every_parameter(original):
    network, (x, s, condition, mask) = original.double(), inputs()
    network.zero_grad()
    (network(x, s, condition, mask) * randn(2, 6, 3, seed=5)).sum().backward()
    idle = {
        name
        for name, p in network.named_parameters()
        if p.numel() and not p.grad.abs().max() > 1e-12
    }
    assert not idle


def test_a_single_node_and_an_empty_neighbourhood_give_zero(original):
    network = original.double()
    far = torch.tensor([[[0.0, 0, 0], [100, 0, 0]]], dtype=torch.float64)
    for x in (far, far[:, :1]):
        out = network(x, torch.tensor([0.5]), torch.ones(1, x.shape[1], 2, dtype=torch.float64))
        assert (out == 0).all()


def test_wrong_arguments_are_named(original):
    x, s, condition, mask = inputs()
    with pytest.raises(ValueError, match="x: expected"):
        original(x[0], s)
    with pytest.raises(ValueError, match="condition: expected"):
        original(x, s)
    with pytest.raises(ValueError, match="condition: expected"):
        original(x, s, condition[..., :1])


def test_a_missing_e3nn_names_its_cure(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "e3nn"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModuleNotFoundError, match="pip install"):
        TensorProductNetwork(8, 1)


def test_the_module_is_imported_without_e3nn():
    code = "import sys, geodiff.networks.tensor_product as t; sys.exit('e3nn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_copy_has_the_same_tensors_in_the_same_order_and_leaves_the_random_state_alone():
    """Averages of weights go through both side by side; torch's own copy gains buffers."""
    network = TensorProductNetwork(8, 3, condition_width=2).double().eval()
    network.centres.requires_grad_(False)
    next(network.parameters()).requires_grad_(False)
    before = torch.get_rng_state()
    copied = copy.deepcopy(network)
    assert torch.equal(torch.get_rng_state(), before)
    for kind in ("named_parameters", "named_buffers"):
        ours, theirs = list(getattr(network, kind)()), list(getattr(copied, kind)())
        assert [name for name, _ in ours] == [name for name, _ in theirs]
        assert all(torch.equal(a, b) and a is not b for (_, a), (_, b) in zip(ours, theirs))
    assert [p.requires_grad for p in copied.parameters()] == [
        p.requires_grad for p in network.parameters()
    ]
    assert not copied.training and torch.equal(copied(*inputs()), network(*inputs()))


def test_features_of_pairs_are_heard_along_edges_and_keep_every_symmetry():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = TensorProductNetwork(8, 2, lmax=1, cutoff=4.0, pair_width=3).double()
    x, s, _, mask = inputs()
    pair = randn(2, 6, 6, 3, seed=4)
    out = network(x, s, None, mask, pair)
    turn = torch.linalg.qr(randn(3, 3, seed=3))[0]
    assert error(network(x @ turn.T, s, None, mask, pair), out @ turn.T) < 1e-10
    order = torch.tensor([2, 0, 1, 3, 5, 4])
    numbered = pair[:, order][:, :, order]
    moved = network(x[:, order], s, None, mask[:, order], numbered)
    assert error(moved, out[:, order]) < 1e-10
    # Row 1 has four nodes: what a pair says there changes its nodes, never those of row 0.
    other = pair.clone()
    other[1, 0, 1] += 1.0
    changed = (network(x, s, None, mask, other) - out).abs().amax(-1)
    assert changed[0].max() == 0 and changed[1].max() > 1e-4
    with pytest.raises(ValueError, match=r"pair: expected \(batch, nodes, nodes, 3\), got None"):
        network(x, s, None, mask)
