"""The frame mode of the transformer under the motions, paddings and derivatives that it
promises.
"""

import math

import pytest
import torch

from geodiff.networks import Transformer
from geodiff.networks.frames import FrameTransformer, InvariantPointAttention, point_attention
from manifolds import SO3
from tests.scripts import benchmarks

WIDTH, PAIR, HEADS = 32, 5, 4
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-10}
DTYPES = list(TOLERANCE)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def randn(*size, seed, dtype=torch.float64):
    return torch.randn(*size, generator=seeded(seed), dtype=torch.float64).to(dtype)


def build(dtype=torch.float64, zeros=False, layers=2, **options):
    """A small network; unless `zeros`, with every parameter moved off its initial value."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = FrameTransformer(
            WIDTH,
            layers,
            HEADS,
            **{"pair_width": PAIR, "query_points": 3, "value_points": 5} | options,
        )
    network = network.double()
    if not zeros:
        for i, parameter in enumerate(network.parameters()):
            parameter.data += 0.1 * randn(*parameter.shape, seed=i)
    return network.to(dtype)


class Inputs:
    """Frames about 10 angstrom apart; the second of two samples is shorter."""

    names = ("tokens", "pair", "conditioning", "mask", "rotations", "translations")

    def __init__(self, dtype=torch.float64, batch=2, n=7, lengths=(7, 5)):
        self.tokens = randn(batch, n, WIDTH, seed=10, dtype=dtype)
        self.pair = randn(batch, n, n, PAIR, seed=13, dtype=dtype)
        self.conditioning = randn(batch, WIDTH, seed=11, dtype=dtype)
        self.mask = torch.arange(n) < torch.tensor(lengths)[:, None]
        self.rotations = (
            SO3().random_point(batch, n, generator=seeded(14), dtype=torch.float64).to(dtype)
        )
        self.translations = 10 * randn(batch, n, 3, seed=12, dtype=dtype)

    def replace(self, **changes):
        other = object.__new__(Inputs)
        other.__dict__ = self.__dict__ | changes
        return other

    def values(self):
        return [getattr(self, name) for name in self.names]


def run(network, inputs, **changes):
    return network(*inputs.replace(**changes).values())


def rotation(seed=0, dtype=torch.float64):
    return SO3().random_point(generator=seeded(seed), dtype=torch.float64).to(dtype)


def error(x, y):
    return ((x - y).abs().max() / y.abs().max()).item()


def algorithm_22(layer, h, rotations, translations, bias):
    """Invariant point attention head by head, with the distance of every pair of points written
    out.

    Jumper et al. 2021, supplement, algorithm 22, lines 1-11; with the normalised q and k, and
    without pair values.
    """
    heads, (count, _, _) = layer.heads, layer.counts
    q, k, v = layer.qkv(h).chunk(3, -1)
    points = layer.points(h).unflatten(-1, (heads, -1, 3))
    w_c, w_l = math.sqrt(2 / (9 * count)), math.sqrt(1 / 3)
    found = []
    for head in range(heads):
        take = slice(head * q.shape[-1] // heads, (head + 1) * q.shape[-1] // heads)
        q_h, k_h, v_h = layer.norm_q(q[..., take]), layer.norm_k(k[..., take]), v[..., take]
        world = (
            torch.einsum("bnij,bnpj->bnpi", rotations, points[:, :, head])
            + translations[:, :, None]
        )
        q_p, k_p, v_p = world.split(layer.counts, 2)
        squared = (q_p[:, :, None] - k_p[:, None]).square().sum((-1, -2))
        gamma = torch.nn.functional.softplus(layer.point_weight[head])
        score = (
            torch.einsum("bic,bjc->bij", q_h, k_h) / math.sqrt(q_h.shape[-1])
            - gamma * w_c / 2 * squared
        )
        a = torch.softmax(w_l * score + bias[:, head], -1)
        mean = torch.einsum("bij,bjpx->bipx", a, v_p) - translations[:, :, None]
        found.append((a @ v_h, torch.einsum("bnji,bnpj->bnpi", rotations, mean)))
    scalars, local = (torch.cat([x[i].flatten(2) for x in found], -1) for i in range(2))
    lengths = torch.sqrt(local.unflatten(-1, (-1, 3)).square().sum(-1) + 1e-4)
    return layer.out(torch.cat([scalars, local, lengths], -1))


@pytest.mark.parametrize("kind", ["math", "sdpa"])
def test_the_layer_is_invariant_point_attention(kind):
    layer, inputs = build(attention=kind).blocks[0].attention, Inputs()
    bias = randn(2, HEADS, 7, 7, seed=20).masked_fill(~inputs.mask[:, None, None], -torch.inf)
    arguments = (inputs.tokens, inputs.rotations, inputs.translations / 10, bias)
    assert error(layer(*arguments), algorithm_22(layer, *arguments)) < 1e-10


@pytest.mark.parametrize("kind", ["auto", "math", "sdpa"])
def test_the_whole_network_agrees_with_explicit_distances(kind, monkeypatch):
    network, inputs = build(attention=kind), Inputs()
    with torch.no_grad():
        folded = run(network, inputs)
        monkeypatch.setattr(InvariantPointAttention, "forward", algorithm_22)
        explicit = run(network, inputs)
    for one, other in zip(folded, explicit, strict=True):
        assert error(one, other) < 1e-10


def test_gradients_agree_with_those_of_explicit_distances(monkeypatch):
    network, inputs = build(), Inputs()
    sum(out.sin().sum() for out in run(network, inputs)).backward()
    folded = {name: p.grad.clone() for name, p in network.named_parameters()}
    network.zero_grad()
    monkeypatch.setattr(InvariantPointAttention, "forward", algorithm_22)
    sum(out.sin().sum() for out in run(network, inputs)).backward()
    for name, p in network.named_parameters():
        assert (folded[name] - p.grad).abs().max() < 1e-9 * (1 + p.grad.abs().max()), name


@pytest.mark.parametrize("sizes", [(4, 1, 1), (8, 4, 8), (6, 2, 7), (16, 8, 12)], ids=str)
def test_folded_points_take_any_counts(sizes):
    c, few, many = sizes
    q, k, v = (randn(2, 3, 5, c, seed=i) for i in range(3))
    q_p, k_p, v_p = (randn(2, 3, 5, p, 3, seed=3 + i) for i, p in enumerate((few, few, many)))
    bias, weight = randn(2, 3, 5, 5, seed=6), randn(3, seed=7).abs()
    squared = (q_p[:, :, :, None] - k_p[:, :, None]).square().sum((-1, -2))
    a = torch.softmax(q @ k.transpose(-1, -2) - weight[:, None, None] / 2 * squared + bias, -1)
    for kind in ("auto", "math", "sdpa"):
        scalars, points = point_attention(q, k, v, q_p, k_p, v_p, weight, bias, kind)
        assert error(scalars, a @ v) < 1e-12
        assert error(points, torch.einsum("bhij,bhjpx->bhipx", a, v_p)) < 1e-12


@pytest.mark.parametrize("dtype", DTYPES)
def test_frames_move_along_and_tokens_stay(dtype):
    network, inputs = build(dtype), Inputs(dtype)
    tokens, rotations, translations = run(network, inputs)
    keep, shift = inputs.mask[..., None], torch.tensor([30.0, -20.0, 50.0], dtype=dtype)
    for seed in range(3):
        turn = rotation(seed, dtype)
        moved = run(
            network,
            inputs,
            rotations=turn @ inputs.rotations,
            translations=inputs.translations @ turn.T + shift,
        )
        assert error(moved[0], tokens) < TOLERANCE[dtype]
        assert (
            error(moved[1] * keep[..., None], turn @ rotations * keep[..., None]) < TOLERANCE[dtype]
        )
        assert error(moved[2], (translations @ turn.T + shift) * keep) < TOLERANCE[dtype]


def test_a_mirror_image_is_told_apart():
    network, inputs = build(), Inputs()
    mirror = torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64)
    # The mirrored frames are proper again once their own third axis is mirrored too, as atoms on it
    # would be.
    flipped = mirror[:, None] * inputs.rotations * mirror
    other = run(network, inputs, rotations=flipped, translations=inputs.translations * mirror)
    assert error(other[0], run(network, inputs)[0]) > 1e-3


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_place_far_from_the_origin_costs_no_accuracy(dtype):
    # Multiples of 1/64 angstrom: the shift itself is exact in float32.
    network, near = build(dtype), Inputs(dtype)
    near = near.replace(translations=(64 * near.translations).round() / 64)
    shift = torch.tensor([1024.0, -1024.0, 2048.0], dtype=dtype)
    exact = run(
        build(),
        Inputs().replace(
            translations=near.translations.double(),
            rotations=near.rotations.double(),
            pair=near.pair.double(),
            tokens=near.tokens.double(),
            conditioning=near.conditioning.double(),
        ),
    )
    for place in (0 * shift, shift):
        tokens, rotations, translations = run(network, near, translations=near.translations + place)
        assert error(tokens.double(), exact[0]) < 0.1 * TOLERANCE[dtype]
        assert error(rotations.double(), exact[1]) < 0.1 * TOLERANCE[dtype]
        back = (translations - place * near.mask[..., None]).double()
        # What is left is the spacing of the numbers at 2048: 2.4e-4 in float32.
        assert (back - exact[2]).abs().max() < (3e-4 if dtype == torch.float32 else 1e-10)


def test_the_scale_of_a_protein_is_safe_in_float32():
    # 100 frames over 100 angstrom; distances of 10 nm, whose squares the folding must not lose.
    inputs = Inputs(batch=1, n=100, lengths=(100,))
    inputs.translations = 25 * randn(1, 100, 3, seed=12)
    exact = run(build(), inputs)
    single = Inputs(torch.float32, batch=1, n=100, lengths=(100,)).replace(
        translations=inputs.translations.float()
    )
    for rough, out in zip(run(build(torch.float32), single), exact, strict=True):
        assert error(rough.double(), out) < 1e-4


@pytest.mark.parametrize("dtype", DTYPES)
def test_renumbered_tokens_give_renumbered_outputs(dtype):
    network, inputs = build(dtype), Inputs(dtype)
    order = torch.randperm(7, generator=seeded(3))
    changes = {
        name: getattr(inputs, name)[:, order]
        for name in ("tokens", "mask", "rotations", "translations")
    }
    shuffled = run(network, inputs, **changes, pair=inputs.pair[:, order][:, :, order])
    for out, new in zip(run(network, inputs), shuffled, strict=True):
        assert error(new, out[:, order]) < TOLERANCE[dtype]


def test_padding_and_what_stands_in_it_change_nothing():
    network, short = build(torch.float32), Inputs(torch.float32)
    short.tokens[1, 5:], short.translations[1, 5:], short.rotations[1, 5:] = 7.0, torch.nan, 0.0
    long = short.replace(
        tokens=torch.cat([short.tokens, 50 * randn(2, 4, WIDTH, seed=30, dtype=torch.float32)], 1),
        translations=torch.cat(
            [short.translations, 1e5 * randn(2, 4, 3, seed=31, dtype=torch.float32)], 1
        ),
        rotations=torch.cat(
            [short.rotations, 1e3 * randn(2, 4, 3, 3, seed=32, dtype=torch.float32)], 1
        ),
        pair=torch.nn.functional.pad(short.pair, (0, 0, 0, 4, 0, 4), value=9.0),
        mask=torch.cat([short.mask, torch.zeros(2, 4, dtype=torch.bool)], 1),
    )
    clean = run(network, Inputs(torch.float32))
    for out, padded, first in zip(run(network, short), run(network, long), clean, strict=True):
        assert error(padded[:, :7], out) < 1e-6
        assert error(out, first) < 1e-6


def test_a_sample_does_not_depend_on_its_batch():
    network, inputs = build(), Inputs()
    alone = run(network, inputs, **{name: getattr(inputs, name)[1:] for name in inputs.names})
    for out, single in zip(run(network, inputs), alone, strict=True):
        assert error(single, out[1:]) < 1e-12


def test_masked_tokens_return_zero_and_the_identity_frame():
    inputs = Inputs()
    tokens, rotations, translations = run(build(), inputs)
    outside = ~inputs.mask
    assert (tokens[outside] == 0).all() and (translations[outside] == 0).all()
    assert (rotations[outside] == torch.eye(3)).all()
    assert (tokens[inputs.mask] != 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_rotations_stay_rotations(dtype):
    network, inputs = build(dtype, layers=8), Inputs(dtype)
    _, rotations, _ = run(network, inputs)
    assert error(rotations, inputs.rotations) > 0.1
    assert SO3().check(rotations) is None


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_block_starts_as_the_identity_on_tokens_and_frames(dtype):
    network, inputs = build(dtype, zeros=True), Inputs(dtype)
    tokens, rotations, translations = run(network, inputs)
    normed = torch.nn.functional.layer_norm(inputs.tokens, (WIDTH,))
    assert torch.equal(tokens, normed * inputs.mask[..., None])
    assert torch.equal(translations, inputs.translations * inputs.mask[..., None])
    assert error(rotations[inputs.mask], inputs.rotations[inputs.mask]) < 0.01 * TOLERANCE[dtype]


def parameters_without_gradient(network, outputs):
    loss = sum((out * randn(*out.shape, seed=40)).sum() for out in outputs)
    loss.backward()
    return {
        name
        for name, p in network.named_parameters()
        if p.grad is None or not p.grad.abs().max() > 1e-10
    }


def test_gradient_reaches_every_parameter():
    network, inputs = build(), Inputs()
    assert not parameters_without_gradient(network, run(network, inputs))


def test_one_step_of_gradient_descent_wakes_the_zeros():
    network, inputs = build(zeros=True), Inputs()
    for _ in range(2):
        parameters_without_gradient(network, run(network, inputs))
        with torch.no_grad():
            for p in network.parameters():
                p -= 1e-3 * p.grad
                p.grad = None
    assert not parameters_without_gradient(network, run(network, inputs))


def test_frames_of_every_block_move():
    network, inputs = build(zeros=True), Inputs()
    for block in network.blocks:
        with torch.no_grad():
            block.step.bias += torch.tensor([0.0, 0.0, 0.125, 0.25, 0.0, 0.0])
    _, rotations, translations = run(network, inputs)
    keep = inputs.mask
    turn = torch.tensor([0.0, 0.0, 0.125]).double().expand(2, 7, 3)
    first = SO3().exp(inputs.rotations, turn)
    # Each block: 1/8 rad about the frame's own z, and 1/4 unit of 10 angstrom along its x of
    # before.
    along = 2.5 * (inputs.rotations[..., 0] + first[..., 0])
    assert error(rotations[keep], SO3().exp(first, turn)[keep]) < 1e-12
    assert error((translations - inputs.translations)[keep], along[keep]) < 1e-12


@pytest.mark.parametrize("length", [1.0, 10.0])
def test_the_unit_of_length_is_only_a_unit(length):
    inputs = Inputs()
    tokens, rotations, translations = run(build(length=10.0), inputs)
    there = run(build(length=length), inputs, translations=inputs.translations * (length / 10))
    assert error(there[0], tokens) < 1e-10 and error(there[1], rotations) < 1e-10
    assert error(there[2] * (10 / length), translations) < 1e-10


def moved(inputs, direction, size=1.0):
    """Frames pushed by `direction` (batch, n, 6): three of rotation, three of translation."""
    turn, shift = (size * direction).split(3, -1)
    return {
        "rotations": SO3().exp(inputs.rotations, turn),
        "translations": inputs.translations + shift,
    }


@pytest.mark.parametrize("choice", ["auto", "math"])
def test_double_backward_agrees_with_finite_differences(choice):
    network, inputs, direction = build(attention=choice), Inputs(), randn(2, 7, 6, seed=50)

    def slope(push, create_graph=False):
        energy = sum(out.sin().sum() for out in run(network, inputs, **moved(inputs, push)))
        return torch.autograd.grad(energy, push, create_graph=create_graph)[0]

    push = torch.zeros(2, 7, 6, dtype=torch.float64, requires_grad=True)
    second = torch.autograd.grad((slope(push, create_graph=True) * direction).sum(), push)[0]
    step = 1e-5
    ahead, behind = (
        slope((push + sign * step * direction).detach().requires_grad_()) for sign in (1, -1)
    )
    assert error(second, (ahead - behind) / (2 * step)) < 1e-6


@pytest.mark.parametrize("recording", [True, False])
@pytest.mark.parametrize("choice", ["auto", "math"])
def test_jvp_agrees_with_finite_differences(choice, recording):
    network, inputs, direction = build(attention=choice), Inputs(), randn(2, 7, 6, seed=50)

    def readout(push):
        return torch.cat(
            [out.flatten(2) for out in run(network, inputs, **moved(inputs, push))], -1
        )

    with torch.set_grad_enabled(recording):
        push, step = torch.zeros_like(direction), 1e-5
        value, slope = torch.func.jvp(readout, (push,), (direction,))
        ahead, behind = (readout(sign * step * direction) for sign in (1, -1))
        assert error(value, readout(push)) < 1e-10
        assert error(slope, (ahead - behind) / (2 * step)) < 1e-6


def test_jvp_can_be_trained_through():
    network, inputs, direction = build(), Inputs(), randn(2, 7, 6, seed=50)
    _, slope = torch.func.jvp(
        lambda push: run(network, inputs, **moved(inputs, push))[2],
        (torch.zeros_like(direction),),
        (direction,),
    )
    slope.square().sum().backward()
    gradient = network.blocks[0].attention.points.weight.grad
    assert gradient.isfinite().all() and gradient.abs().max() > 0


def test_vmap_of_gradients_gives_each_sample_its_own():
    network, inputs = build(), Inputs()

    def energy(translations, *others):
        named = dict(
            zip(("tokens", "pair", "conditioning", "mask", "rotations"), others, strict=True)
        )
        batched = {name: value[None] for name, value in named.items()}
        return sum(
            out.sin().sum()
            for out in run(network, inputs, **batched, translations=translations[None])
        )

    arguments = (inputs.translations, *inputs.values()[:5])
    together = torch.func.vmap(torch.func.grad(energy))(*arguments)
    alone = torch.stack([torch.func.grad(energy)(*row) for row in zip(*arguments, strict=True)])
    assert error(together, alone) < 1e-10


@pytest.mark.parametrize("dtype", DTYPES)
def test_derivatives_are_finite_at_equal_frames(dtype):
    network, inputs = build(dtype), Inputs(dtype)
    pairs = inputs.translations.clone(), inputs.rotations.clone()
    for value in pairs:
        value[:, 1] = value[:, 0]
    all_equal = (
        torch.zeros_like(inputs.translations),
        torch.eye(3, dtype=dtype).expand(2, 7, 3, 3).clone(),
    )
    for translations, rotations in (pairs, all_equal):
        given = translations.requires_grad_(), rotations.requires_grad_()
        outputs = run(network, inputs, translations=translations, rotations=rotations)
        first = torch.autograd.grad(
            sum(out.square().sum() for out in outputs), given, create_graph=True
        )
        sum(gradient.square().sum() for gradient in first).backward()
        for value in (*outputs, *first, *(x.grad for x in given)):
            assert value.isfinite().all()
        assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


def test_derivatives_are_finite_where_value_points_stand_on_the_origin_of_the_frame():
    network, inputs = build(zeros=True), Inputs(batch=1, n=1, lengths=(1,))
    for block in network.blocks:
        torch.nn.init.zeros_(block.attention.points.weight)
        torch.nn.init.zeros_(block.attention.points.bias)
        torch.nn.init.ones_(block.modulation.bias)
    sum(out.square().sum() for out in run(network, inputs)).backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_single_residue_is_a_protein(dtype):
    network, inputs = build(dtype), Inputs(dtype, batch=1, n=1, lengths=(1,))
    tokens, rotations, translations = run(network, inputs)
    turn = rotation(0, dtype)
    there = run(
        network,
        inputs,
        rotations=turn @ inputs.rotations,
        translations=inputs.translations @ turn.T + 5,
    )
    assert error(there[0], tokens) < TOLERANCE[dtype]
    assert error(there[1], turn @ rotations) < TOLERANCE[dtype]
    assert error(there[2], translations @ turn.T + 5) < TOLERANCE[dtype]


def test_distant_frames_do_not_overflow():
    network, inputs = build(torch.float32), Inputs(torch.float32)
    inputs.translations = (1e5 * inputs.translations).requires_grad_()
    outputs = run(network, inputs)
    sum(out.square().mean() for out in outputs).backward()
    assert all(out.isfinite().all() for out in outputs)
    assert inputs.translations.grad.isfinite().all()


def test_all_attention_kernels_give_one_answer():
    inputs, found = Inputs(torch.float32), []
    for choice in ("auto", "math", "sdpa"):
        network = build(torch.float32, attention=choice)
        found.append(run(network, inputs))
        with torch.no_grad():
            found.append(run(network, inputs))
    for outputs in found[1:]:
        for out, first in zip(outputs, found[0], strict=True):
            assert error(out, first) < 1e-5


def test_sdpa_is_called_once_per_block(monkeypatch):
    calls, fused = [], torch.nn.functional.scaled_dot_product_attention

    def counted(q, k, v, **options):
        calls.append((tuple(q.shape), tuple(v.shape)))
        return fused(q, k, v, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", counted)
    with torch.no_grad():
        run(build(), Inputs())
    # c + 3 P + 1 = 8 + 9 + 1 = 18 columns of keys, 8 + 15 = 23 of values, filled up to 24.
    assert calls == [((2, HEADS, 7, 24), (2, HEADS, 7, 24))] * 2


# rms_norm of bfloat16 values with a float32 weight takes the unfused form and says so.
@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight:UserWarning")
def test_bfloat16_autocast_trains_keeps_frames_exact_and_stays_near_float32():
    network, inputs = build(torch.float32), Inputs(torch.float32)
    exact = run(network, inputs)
    with torch.autocast("cpu", torch.bfloat16):
        rough = run(network, inputs)
    sum(out.float().square().mean() for out in rough).backward()
    for out, reference in zip(rough, exact, strict=True):
        assert out.isfinite().all()
        assert (out - reference).norm() < 0.1 * reference.norm()
    assert rough[1].dtype == rough[2].dtype == torch.float32 and SO3().check(rough[1]) is None
    assert all(p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight:UserWarning")
def test_bfloat16_autocast_does_not_round_distances():
    # 64 frames spread by 5 units an axis: in bfloat16 their squared coordinates are wrong by
    # tenths.
    layer, inputs = (
        build(torch.float32).blocks[0].attention,
        Inputs(torch.float32, batch=1, n=64, lengths=(64,)),
    )
    arguments = (
        inputs.tokens,
        inputs.rotations,
        inputs.translations / 2,
        torch.zeros(1, HEADS, 64, 64),
    )
    exact = layer(*arguments)
    with torch.autocast("cpu", torch.bfloat16):
        rough = layer(*arguments)
    # 0.004; 0.018 with the distances in bfloat16 too.
    assert (rough - exact).norm() < 0.01 * exact.norm()


def test_a_network_can_be_copied_through_its_state():
    network, other, inputs = build(), build(zeros=True), Inputs()
    other.load_state_dict(network.state_dict())
    for out, copy in zip(run(network, inputs), run(other, inputs), strict=True):
        assert torch.equal(out, copy)


def test_it_learns_to_put_frames_back():
    n, batch = 8, 4
    index = torch.arange(n)[:, None]
    axis, place = torch.tensor([0.0, 0.0, 1.0]), index - torch.arange(n)
    # A helix: 100 degrees and 1.5 angstrom a step, radius 2.3; shaken by 1 angstrom and 0.3 rad an
    # axis.
    clean_rotations = SO3().exp(torch.eye(3).expand(n, 3, 3), math.radians(100) * index * axis)
    clean = 2.3 * clean_rotations[..., 0] + 1.5 * index * axis
    pair = (
        torch.stack([place == d for d in (-2, -1, 0, 1, 2)], -1).float().expand(batch, n, n, PAIR)
    )
    names = randn(n, WIDTH, seed=61, dtype=torch.float32).expand(batch, n, WIDTH)
    fixed = names, pair, torch.zeros(batch, WIDTH), torch.ones(batch, n, dtype=torch.bool)
    network, generator, losses = build(torch.float32, zeros=True, length=4.0), seeded(60), []
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(150):
        noise, turn = torch.randn(2, batch, n, 3, generator=generator)
        noise = noise - noise.mean(1, keepdim=True)
        start = SO3().exp(clean_rotations.expand(batch, n, 3, 3), 0.3 * turn)
        _, rotations, translations = network(*fixed, start, clean + noise)
        loss = torch.stack(
            [
                (translations - clean).square().sum(-1).mean() / (3 * (1 - 1 / n)),
                (rotations - clean_rotations).square().sum((-1, -2)).mean() / (6 * 0.3**2),
            ]
        )
        optimiser.zero_grad()
        loss.sum().backward()
        optimiser.step()
        losses.append(loss.detach())
    # 1 for doing nothing, in translation and in rotation.
    first, last = torch.stack(losses[:2]).mean(0), torch.stack(losses[-20:]).mean(0)
    assert (first > 0.7).all()
    assert (last < 0.5).all()  # 0.25 and 0.25


@pytest.mark.parametrize(
    "options, words",
    [
        ({"width": 30}, "heads"),
        ({"query_points": 0}, "query_points"),
        ({"value_points": 0}, "value_points"),
        ({"length": 0.0}, "length"),
        ({"length": float("nan")}, "length"),
        ({"attention": "flash"}, "attention"),
    ],
)
def test_wrong_options_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        FrameTransformer(**({"width": 32, "layers": 1, "heads": 4, "pair_width": PAIR} | options))


def test_wrong_frames_are_named():
    network, inputs = build(), Inputs()
    with pytest.raises(ValueError, match="rotations"):
        run(network, inputs, rotations=inputs.rotations[:, :-1])
    with pytest.raises(ValueError, match="translations"):
        run(network, inputs, translations=inputs.translations[..., None])


@pytest.fixture(scope="module")
def benchmark():
    with benchmarks("invariant_point_attention") as modules:
        yield modules["invariant_point_attention"]


def test_the_stacks_of_the_benchmark_have_the_sizes_they_claim(benchmark):
    with torch.device("meta"):
        ours, equal, peer, lean = (
            sum(p.numel() for p in build().parameters()) / 1e6
            for build in benchmark.NETWORKS.values()
        )
    assert 16.5 < peer < 17.5
    assert abs(equal / peer - 1) < 0.07 and abs(ours / lean - 1) < 0.07


def test_the_peer_of_the_benchmark_computes_the_same_attention_and_is_equivariant(benchmark):
    n, heads = 6, benchmark.HEADS
    node, edge, rotations, translations = (x.double() for x in benchmark.inputs(n))
    rotations = SO3().project(rotations)  # in single precision they are none to 1e-10
    with torch.random.fork_rng():
        torch.manual_seed(0)
        peer = benchmark.FrameDiffStack(16, blocks=2).double()
    layer, captured = peer.blocks[0]["attention"], []
    layer.out.register_forward_pre_hook(lambda _, given: captured.append(given[0]))
    outputs = peer(node, edge, rotations, translations)
    q, k, v = layer.scalars(node).view(1, n, heads, 3, 16).permute(3, 0, 2, 1, 4)
    world = layer.points(node).view(1, n, heads, -1, 3)
    world = (world @ rotations[:, :, None].mT + translations[:, :, None, None] / 10).transpose(1, 2)
    weight = torch.nn.functional.softplus(layer.point_weight) * math.sqrt(
        2 / (27 * benchmark.QUERY_POINTS)
    )
    scalars, points = point_attention(
        q / math.sqrt(48),
        k,
        v,
        *world.split([8, 8, 12], 3),
        weight,
        layer.bias(edge).permute(0, 3, 1, 2) / math.sqrt(3),
    )
    local = (points.transpose(1, 2).flatten(2, 3) - translations[:, :, None] / 10) @ rotations
    given, edges = captured[0], 32 * heads
    assert error(given[..., : 16 * heads], scalars.transpose(1, 2).flatten(2)) < 1e-10
    assert error(given[..., 16 * heads + edges : -12 * heads], local.flatten(2)) < 1e-10

    turn = rotation()
    there = peer(node, edge, turn @ rotations, translations @ turn.T + 7)
    for one, other in zip(
        there, (outputs[0], turn @ outputs[1], outputs[2] @ turn.T + 7), strict=True
    ):
        assert error(one, other) < 1e-10


def test_the_vector_mode_keeps_its_parameters_and_its_answers():
    # Weights trained with the vector mode are shipped: its names, shapes and computation are fixed.
    network = Transformer(
        8, 1, 2, pair_width=3, geometry="vectors", vector_width=4, vectors_in=1, symmetry="SO3"
    )
    shapes = {name: tuple(p.shape) for name, p in network.state_dict().items()}
    assert shapes == {
        "pair_bias.weight": (4, 3),
        "pair_bias.bias": (4,),
        "vectors_in.weight": (4, 1),
        "blocks.0.modulation.weight": (48, 8),
        "blocks.0.modulation.bias": (48,),
        "blocks.0.qkv.weight": (24, 8),
        "blocks.0.qkv.bias": (24,),
        "blocks.0.norm_q.weight": (4,),
        "blocks.0.norm_k.weight": (4,),
        "blocks.0.out.weight": (8, 8),
        "blocks.0.out.bias": (8,),
        "blocks.0.up.weight": (32, 16),
        "blocks.0.up.bias": (32,),
        "blocks.0.down.weight": (8, 32),
        "blocks.0.down.bias": (8,),
        "blocks.0.vector_value.weight": (4, 4),
        "blocks.0.vector_out.weight": (4, 6),
        "blocks.0.vector_mix.weight": (8, 4),
        "blocks.0.vector_down.weight": (4, 8),
        "blocks.0.gate.weight": (4, 32),
        "blocks.0.gate.bias": (4,),
        "blocks.0.gate_attention.weight": (4, 8),
        "blocks.0.gate_attention.bias": (4,),
        "modulation.weight": (16, 8),
        "modulation.bias": (16,),
    }

    def wave(*shape):
        return torch.arange(1, 1 + math.prod(shape), dtype=torch.float64).sin().view(shape)

    network = network.double()
    for p in network.parameters():
        p.data = 0.5 * wave(*p.shape)
    tokens, vectors = network(
        wave(1, 4, 8),
        wave(1, 4, 4, 3),
        wave(1, 8),
        torch.ones(1, 4, dtype=torch.bool),
        2 * wave(1, 4, 3),
        wave(1, 4, 1, 3),
    )
    answer = (tokens * wave(*tokens.shape)).sum(), (vectors * wave(*vectors.shape)).sum()
    assert torch.stack(answer).tolist() == pytest.approx(
        [1.5743379778803697, 1.1239538243817229], rel=1e-9
    )
