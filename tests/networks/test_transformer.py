"""The transformer core under the motions, paddings and derivatives that it promises."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from geodiff.networks import Transformer
from geodiff.networks.attention import attention

WIDTH, PAIR, VECTORS = 32, 6, 8
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
DTYPES = list(TOLERANCE)
KINDS = ["none", "O3", "SO3"]


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def randn(*size, seed, dtype=torch.float64):
    return torch.randn(*size, generator=seeded(seed), dtype=torch.float64).to(dtype)


def build(kind, dtype=torch.float64, zeros=False, **options):
    """A small network; unless `zeros`, with every parameter moved off its initial value."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind != "none":
            options = {"geometry": "vectors", "vector_width": VECTORS, "symmetry": kind} | options
        network = Transformer(WIDTH, 2, 4, pair_width=PAIR, **options)
    network = network.double()
    if not zeros:
        for i, parameter in enumerate(network.parameters()):
            parameter.data += 0.2 * randn(*parameter.shape, seed=i)
    return network.to(dtype)


def features(positions):
    """Invariant pair features of positions."""
    squared = (positions[:, :, None] - positions[:, None]).square().sum(-1, keepdim=True)
    return torch.exp(-squared / torch.tensor([0.5, 1, 2, 4, 8, 16], dtype=positions.dtype))


class Inputs:
    def __init__(self, dtype=torch.float64, batch=2, n=7, lengths=(7, 5)):
        self.tokens = randn(batch, n, WIDTH, seed=10, dtype=dtype)
        self.conditioning = randn(batch, WIDTH, seed=11, dtype=dtype)
        self.positions = 2 * randn(batch, n, 3, seed=12, dtype=dtype)
        self.mask = torch.arange(n) < torch.tensor(lengths)[:, None]


def run(network, inputs, positions=None, pair=None, tokens=None):
    positions = inputs.positions if positions is None else positions
    pair = features(positions) if pair is None else pair
    given = positions if network.geometry == "vectors" else None
    tokens = inputs.tokens if tokens is None else tokens
    return network(tokens, pair, inputs.conditioning, inputs.mask, given)


def rotation(seed=0, dtype=torch.float64):
    q = torch.linalg.qr(randn(3, 3, seed=seed))[0]
    return (q * torch.linalg.det(q)).to(dtype)


def error(x, y):
    return ((x - y).abs().max() / y.abs().max()).item()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["O3", "SO3"])
def test_vectors_turn_with_the_positions_and_tokens_stay(kind, dtype):
    network, inputs = build(kind, dtype), Inputs(dtype)
    tokens, vectors = run(network, inputs)
    for seed in range(3):
        turn = rotation(seed, dtype)
        turned_tokens, turned_vectors = run(network, inputs, inputs.positions @ turn.T)
        assert error(turned_tokens, tokens) < TOLERANCE[dtype]
        assert error(turned_vectors, vectors @ turn.T) < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_mirrored_input_gives_the_mirrored_output_under_O3(dtype):
    network, inputs = build("O3", dtype), Inputs(dtype)
    tokens, vectors = run(network, inputs)
    mirror = rotation(1, dtype) * torch.tensor([1, 1, -1], dtype=dtype)
    for flip in (mirror, -torch.eye(3, dtype=dtype)):
        flipped_tokens, flipped_vectors = run(network, inputs, inputs.positions @ flip.T)
        assert error(flipped_tokens, tokens) < TOLERANCE[dtype]
        assert error(flipped_vectors, vectors @ flip.T) < TOLERANCE[dtype]


def test_SO3_tells_mirror_images_apart():
    network, inputs = build("SO3"), Inputs()
    tokens, vectors = run(network, inputs)
    flipped_tokens, flipped_vectors = run(network, inputs, -inputs.positions)
    assert error(flipped_tokens, tokens) > 1e-3
    assert error(flipped_vectors, -vectors) > 1e-3


def test_SO3_cannot_tell_apart_the_mirror_images_of_a_planar_cloud():
    # The mirror image in its own plane is the cloud itself, and any other one is that image turned.
    network, inputs = build("SO3"), Inputs()
    planar = inputs.positions * torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    assert error(run(network, inputs, -planar)[0], run(network, inputs, planar)[0]) < 1e-10


def test_plain_geometry_does_not_see_positions_except_in_pair_features():
    network, inputs = build("none"), Inputs()
    tokens, vectors = run(network, inputs)
    assert vectors is None
    assert error(run(network, inputs, inputs.positions @ rotation())[0], tokens) < 1e-10


@pytest.mark.parametrize("kind", ["O3", "SO3"])
def test_given_vectors_turn_with_the_positions(kind):
    network, inputs = build(kind, vectors_in=3), Inputs()
    given, turn, pair = randn(2, 7, 3, 3, seed=20), rotation(), features(inputs.positions)
    arguments = (inputs.tokens, pair, inputs.conditioning, inputs.mask)
    tokens, vectors = network(*arguments, inputs.positions, given)
    turned = network(*arguments, inputs.positions @ turn.T, given @ turn.T)
    assert error(turned[0], tokens) < 1e-10
    assert error(turned[1], vectors @ turn.T) < 1e-10
    assert error(network(*arguments, inputs.positions, 2 * given)[0], tokens) > 1e-3


@pytest.mark.parametrize("kind", ["O3", "SO3"])
def test_a_moved_cloud_gives_the_same_output(kind):
    network, inputs = build(kind), Inputs()
    there = inputs.positions + 3.0
    for moved, stayed in zip(run(network, inputs, there), run(network, inputs), strict=True):
        assert error(moved, stayed) < 1e-10


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_renumbered_nodes_give_renumbered_outputs(kind, dtype):
    network, inputs = build(kind, dtype), Inputs(dtype)
    outputs = run(network, inputs)
    order = torch.randperm(7, generator=seeded(3))
    shuffled = Inputs(dtype)
    for name in ("tokens", "positions", "mask"):
        setattr(shuffled, name, getattr(inputs, name)[:, order])
    for out, new in zip(outputs, run(network, shuffled), strict=True):
        assert out is new is None or error(new, out[:, order]) < TOLERANCE[dtype]


@pytest.mark.parametrize("kind", KINDS)
def test_padding_and_what_stands_in_it_change_nothing(kind):
    network = build(kind, torch.float32)
    short = Inputs(torch.float32)
    outputs = run(network, short)
    long = Inputs(torch.float32)
    long.tokens = torch.cat(
        (short.tokens, 50 * randn(2, 4, WIDTH, seed=30, dtype=torch.float32)), 1
    )
    long.positions = torch.cat(
        (short.positions, 1e3 * randn(2, 4, 3, seed=31, dtype=torch.float32)), 1
    )
    long.mask = torch.cat((short.mask, torch.zeros(2, 4, dtype=torch.bool)), 1)
    long.tokens[1, 5:], long.positions[1, 5:] = 7.0, -1e3
    for out, padded in zip(outputs, run(network, long), strict=True):
        assert out is padded is None or error(padded[:, :7], out) < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_does_not_depend_on_its_batch(kind):
    network, inputs = build(kind), Inputs()
    alone = Inputs()
    for name in ("tokens", "positions", "mask", "conditioning"):
        setattr(alone, name, getattr(inputs, name)[1:])
    for out, single in zip(run(network, inputs), run(network, alone), strict=True):
        assert out is single is None or error(single, out[1:]) < 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_masked_outputs_are_exactly_zero(kind):
    inputs = Inputs()
    for out in run(build(kind), inputs):
        if out is not None:
            assert (out[~inputs.mask] == 0).all()
            assert (out[inputs.mask] != 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_every_block_starts_as_the_identity_on_tokens(kind):
    network, inputs = build(kind, zeros=True), Inputs()
    tokens, _ = run(network, inputs)
    normed = torch.nn.functional.layer_norm(inputs.tokens, (WIDTH,))
    assert torch.equal(tokens, normed * inputs.mask[..., None])


@pytest.mark.parametrize("kind", ["O3", "SO3"])
def test_vectors_are_alive_at_initialisation(kind):
    # A head that reads them learns from the first step on: zero gates and a zero head would both
    # stay zero.
    _, vectors = run(build(kind, zeros=True), Inputs())
    assert vectors.abs().max() > 1e-3


# A number added to all biases of a head leaves its softmax as it is; the first block has no vectors
# to mix unless some are given.
IDLE = {
    "none": {"pair_bias.bias"},
    "O3": {"blocks.0.vector_value.weight"},
    "SO3": {"blocks.0.vector_value.weight"},
}


def parameters_without_gradient(network, outputs):
    loss = sum((out * randn(*out.shape, seed=40)).sum() for out in outputs if out is not None)
    loss.backward()
    return {
        name
        for name, p in network.named_parameters()
        if p.grad is None or not p.grad.abs().max() > 1e-10
    }


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_reaches_every_parameter_once_zeros_are_perturbed(kind):
    network, inputs = build(kind), Inputs()
    assert parameters_without_gradient(network, run(network, inputs)) <= IDLE[kind]


@pytest.mark.parametrize("kind", ["O3", "SO3"])
def test_gradient_reaches_every_parameter_where_vectors_are_given(kind):
    network, inputs = build(kind, vectors_in=3), Inputs()
    pair, given = features(inputs.positions), randn(2, 7, 3, 3, seed=20)
    outputs = network(
        inputs.tokens, pair, inputs.conditioning, inputs.mask, inputs.positions, given
    )
    assert not parameters_without_gradient(network, outputs)


@pytest.mark.parametrize("kind", KINDS)
def test_one_step_of_gradient_descent_wakes_the_zeros(kind):
    network, inputs = build(kind, zeros=True), Inputs()
    for _ in range(2):
        parameters_without_gradient(network, run(network, inputs))
        with torch.no_grad():
            for p in network.parameters():
                p -= 1e-3 * p.grad
                p.grad = None
    assert parameters_without_gradient(network, run(network, inputs)) <= IDLE[kind]


@pytest.mark.parametrize("choice", ["auto", "math"])
@pytest.mark.parametrize("kind", KINDS)
def test_double_backward_agrees_with_finite_differences(kind, choice):
    network, inputs = build(kind, attention=choice), Inputs()
    direction = randn(2, 7, 3, seed=50)

    def energy_gradient(positions, create_graph=False):
        outputs = run(network, inputs, positions)
        energy = sum(out.square().sum() for out in outputs if out is not None)
        return torch.autograd.grad(energy, positions, create_graph=create_graph)[0]

    positions = inputs.positions.clone().requires_grad_()
    first = energy_gradient(positions, create_graph=True)
    second = torch.autograd.grad((first * direction).sum(), positions)[0]
    step = 1e-5
    ahead, behind = (
        energy_gradient((positions + sign * step * direction).detach().requires_grad_())
        for sign in (1, -1)
    )
    assert error(second, (ahead - behind) / (2 * step)) < 1e-6


@pytest.mark.parametrize("recording", [True, False])
@pytest.mark.parametrize("choice", ["auto", "math"])
@pytest.mark.parametrize("kind", KINDS)
def test_jvp_agrees_with_finite_differences(kind, choice, recording):
    network, inputs = build(kind, attention=choice), Inputs()
    direction = randn(2, 7, 3, seed=50)

    def readout(positions):
        return torch.cat(
            [out.flatten(2) for out in run(network, inputs, positions) if out is not None], -1
        )

    with torch.set_grad_enabled(recording):
        value, slope = torch.func.jvp(readout, (inputs.positions,), (direction,))
        step = 1e-5
        ahead, behind = (readout(inputs.positions + sign * step * direction) for sign in (1, -1))
        assert error(value, readout(inputs.positions)) < 1e-10
        assert error(slope, (ahead - behind) / (2 * step)) < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_jvp_can_be_trained_through(kind):
    # Consistency and mean-flow losses differentiate a jvp.
    network, inputs = build(kind), Inputs()

    def readout(positions):
        return run(network, inputs, positions)[0]

    _, slope = torch.func.jvp(
        readout, (inputs.positions,), (torch.ones_like(inputs.positions).cumsum(1),)
    )
    slope.square().sum().backward()
    gradient = network.blocks[0].qkv.weight.grad
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_vmap_of_gradients_gives_each_sample_its_own(kind):
    network, inputs = build(kind), Inputs()

    def energy(positions, tokens, conditioning, mask):
        given = positions[None] if network.geometry == "vectors" else None
        out, _ = network(
            tokens[None], features(positions[None]), conditioning[None], mask[None], given
        )
        return out.sin().sum()

    arguments = (inputs.positions, inputs.tokens, inputs.conditioning, inputs.mask)
    together = torch.func.vmap(torch.func.grad(energy))(*arguments)
    alone = torch.stack([torch.func.grad(energy)(*row) for row in zip(*arguments, strict=True)])
    assert error(together, alone) < 1e-10


def test_all_attention_kernels_give_one_answer():
    inputs, outputs = Inputs(torch.float32), []
    for choice in ("auto", "math", "sdpa"):
        network = build("none", torch.float32, attention=choice)
        outputs.append(run(network, inputs)[0])
        with torch.no_grad():
            outputs.append(run(network, inputs)[0])
    for out in outputs[1:]:
        assert error(out, outputs[0]) < 1e-5


def test_attention_is_the_softmax_average():
    q, k, v = (randn(2, 4, 5, 8, seed=i) for i in range(3))
    bias = randn(2, 4, 5, 5, seed=3)
    bias[..., 2] = -torch.inf
    weights = torch.softmax(q @ k.transpose(-1, -2) / 8**0.5 + bias, -1)
    for kind in ("auto", "math", "sdpa"):
        assert error(attention(q, k, v, bias, kind), weights @ v) < 1e-12
    with pytest.raises(ValueError, match="attention"):
        attention(q, k, v, bias, "flash")


def test_auto_takes_the_fused_kernel_only_where_nothing_can_be_differentiated():
    q, k, v = (randn(1, 2, 3, 8, seed=i, dtype=torch.float32) for i in range(3))
    bias = torch.zeros(1, 1, 3, 3)
    with torch.no_grad(), sdpa_kernel([SDPBackend.CUDNN_ATTENTION]):  # a kernel that no CPU has
        with pytest.raises(RuntimeError, match="backend"):
            attention(q, k, v, bias, "auto")
    with sdpa_kernel([SDPBackend.CUDNN_ATTENTION]):
        attention(q, k, v, bias, "auto")


# rms_norm of bfloat16 values with a float32 weight takes the unfused form and says so.
@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_autocast_trains_and_stays_near_float32(kind):
    network, inputs = build(kind, torch.float32), Inputs(torch.float32)
    exact = run(network, inputs)
    with torch.autocast("cpu", torch.bfloat16):
        rough = run(network, inputs)
    sum(out.float().square().mean() for out in rough if out is not None).backward()
    for out, reference in zip(rough, exact, strict=True):
        if out is not None:
            assert out.isfinite().all()
            assert (out - reference).norm() < 0.1 * reference.norm()
    assert all(p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["O3", "SO3"])
def test_derivatives_are_finite_where_atoms_coincide(kind, dtype):
    network, inputs = build(kind, dtype), Inputs(dtype)
    for positions in (inputs.positions.clone(), torch.zeros_like(inputs.positions)):
        positions[:, 1] = positions[:, 0]
        positions.requires_grad_()
        outputs = run(network, inputs, positions)
        energy = sum(out.square().sum() for out in outputs)
        (gradient,) = torch.autograd.grad(energy, positions, create_graph=True)
        gradient.square().sum().backward()
        assert all(out.isfinite().all() for out in outputs)
        assert gradient.isfinite().all()
        assert positions.grad.isfinite().all()
        assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_atom_is_a_molecule(kind):
    network = build(kind)
    inputs = Inputs(batch=1, n=1, lengths=(1,))
    tokens, vectors = run(network, inputs)
    assert tokens.isfinite().all()
    if vectors is not None:
        assert (vectors == 0).all()  # one point has no direction


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_can_be_copied_through_its_state(kind):
    network, other, inputs = build(kind), build(kind, zeros=True), Inputs()
    other.load_state_dict(network.state_dict())
    assert torch.equal(run(network, inputs)[0], run(other, inputs)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_distant_atoms_do_not_overflow(kind):
    network, inputs = build(kind, torch.float32), Inputs(torch.float32)
    for out in run(network, inputs, 1e4 * inputs.positions):
        assert out is None or out.isfinite().all()


def test_the_vector_mode_learns_to_put_atoms_back():
    network, inputs = build("O3", torch.float32, zeros=True), Inputs(torch.float32, lengths=(7, 7))
    clean = inputs.positions
    head = torch.nn.Linear(VECTORS, 1, bias=False)
    optimiser = torch.optim.Adam([*network.parameters(), *head.parameters()], 3e-3)
    generator, losses = seeded(60), []
    for _ in range(300):
        noise = 0.5 * torch.randn(clean.shape, generator=generator)
        noise = noise - noise.mean(1, keepdim=True)
        _, vectors = run(network, inputs, clean + noise)
        loss = (head(vectors.transpose(-1, -2)).squeeze(-1) + noise).square().mean() / 0.25
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    # 6/7 predicts nothing; not all of it can be known, for the clean cloud has no frame.
    assert sum(losses[-20:]) / 20 < 0.5


@pytest.mark.parametrize(
    "options, words",
    [
        ({"geometry": "frames"}, "geometry"),
        ({"geometry": "vectors", "vector_width": 8, "symmetry": "E3"}, "symmetry"),
        ({"geometry": "vectors", "vector_width": 0}, "vector_width"),
        ({"geometry": "none", "vector_width": 8}, "vector_width"),
        ({"geometry": "vectors", "vector_width": 6}, "heads"),
        ({"width": 30}, "heads"),
    ],
)
def test_wrong_options_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        Transformer(**({"width": 32, "layers": 1, "heads": 4, "pair_width": PAIR} | options))


def test_missing_inputs_are_named():
    inputs = Inputs()
    arguments = (inputs.tokens, features(inputs.positions), inputs.conditioning, inputs.mask)
    with pytest.raises(ValueError, match="positions"):
        build("O3")(*arguments)
    with pytest.raises(ValueError, match="vectors"):
        build("O3", vectors_in=2)(*arguments, inputs.positions)
    with pytest.raises(ValueError, match="vectors"):
        build("O3")(*arguments, inputs.positions, randn(2, 7, 2, 3, seed=0))
