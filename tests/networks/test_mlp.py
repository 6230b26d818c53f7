"""The perceptron: its call, its mask, its derivatives, and that it learns."""

import math

import pytest
import torch

from geodiff.networks.mlp import MLP

# point shape, options
CASES = {
    "plane": ((2,), {}),
    "sphere": (3, {"condition_width": 4}),
    "torus": ((7,), {"periodic": True}),
    "rotations": ((3, 3), {"out_shape": (3,)}),
    "cloud": ((5, 3), {"scale": 4.0}),
}


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def build(shape, zeros=False, dtype=torch.float64, **options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = MLP(shape, **({"width": 32, "layers": 2, "features": 8} | options)).to(dtype)
    if not zeros:
        for i, p in enumerate(network.parameters()):
            p.data += 0.1 * torch.randn(p.shape, generator=seeded(i), dtype=dtype)
    return network


def inputs(network, *batch, dtype=torch.float64):
    x = torch.randn(*batch, *network.shape, generator=seeded(1), dtype=dtype)
    s = torch.rand(batch, generator=seeded(2), dtype=dtype)
    width = network.condition_width
    condition = torch.randn(*batch, width, generator=seeded(3), dtype=dtype) if width else None
    return x, s, condition


@pytest.fixture(params=CASES)
def network(request):
    shape, options = CASES[request.param]
    return build(shape, **options)


@pytest.mark.parametrize("batch", [(), (1,), (4,), (3, 1, 2)], ids=str)
def test_rows_of_a_batch_are_what_they_are_alone(network, batch):
    x, s, condition = inputs(network, *batch)
    out = network(x, s, condition)
    assert out.shape == (*batch, *network.out_shape)
    row = (0,) * len(batch)
    alone = network(x[row], s[row], None if condition is None else condition[row])
    torch.testing.assert_close(alone, out[row], rtol=1e-10, atol=1e-12)


def test_the_output_starts_at_zero(network):
    fresh = build(network.shape, zeros=True, out_shape=network.out_shape)
    x, s, _ = inputs(network, 5)
    assert (fresh(x, s) == 0).all()


def test_one_level_for_the_whole_batch_may_be_a_number(network):
    x, _, condition = inputs(network, 5)
    level = torch.full((5,), 0.3, dtype=torch.float64)
    assert torch.equal(network(x, 0.3, condition), network(x, level, condition))


def test_the_output_depends_on_point_level_and_condition(network):
    x, s, condition = inputs(network, 5)
    out = network(x, s, condition)
    assert ((network(x + 0.1, s, condition) - out).abs() > 1e-6).all()
    assert ((network(x, 0.9 * s, condition) - out).abs() > 1e-6).all()
    if condition is not None:
        assert ((network(x, s, condition + 0.1) - out).abs() > 1e-6).all()


def test_angles_may_be_given_in_any_turn():
    network = build(7, periodic=True)
    x, s, _ = inputs(network, 5)
    turns = 2 * math.pi * torch.randint(-2, 3, x.shape, generator=seeded(4)).double()
    torch.testing.assert_close(network(x + turns, s), network(x, s), rtol=1e-9, atol=1e-10)


def test_masked_nodes_are_neither_read_nor_written():
    network = build((5, 3))
    x, s, _ = inputs(network, 4)
    mask = torch.arange(5) < torch.tensor([5, 3, 1, 0])[:, None]
    out = network(x, s, None, mask)
    assert (out[~mask] == 0).all()
    assert (out[mask] != 0).all()
    for junk in (0.0, 1e6, torch.nan):
        assert torch.equal(network(x.masked_fill(~mask[..., None], junk), s, None, mask), out)


def test_gradient_reaches_every_parameter(network):
    out = network(*inputs(network, 6))
    (out * torch.randn(out.shape, generator=seeded(5), dtype=out.dtype)).sum().backward()
    assert all(p.grad.abs().max() > 1e-10 for p in network.parameters())


def test_every_derivative_exists_and_agrees_with_finite_differences(network):
    x, s, condition = inputs(network, 3)
    dx, ds = (torch.randn(v.shape, generator=seeded(6), dtype=v.dtype) for v in (x, s))
    step = 1e-6

    def forward(x, s):
        return network(x, s, condition)

    _, slope = torch.func.jvp(forward, (x, s), (dx, ds))
    ahead, behind = (forward(x + sign * step * dx, s + sign * step * ds) for sign in (1, -1))
    torch.testing.assert_close(slope, (ahead - behind) / (2 * step), rtol=1e-5, atol=1e-6)

    gradient = torch.func.grad(lambda x: forward(x, s).square().sum())
    # backward over backward; the Hessian is symmetric
    second = torch.func.vjp(gradient, x)[1](dx)[0]
    ahead, behind = (gradient(x + sign * step * dx) for sign in (1, -1))
    torch.testing.assert_close(second, (ahead - behind) / (2 * step), rtol=1e-4, atol=1e-4)


def test_bfloat16_autocast_stays_near_float32(network):
    network = network.float()
    arguments = inputs(network, 6, dtype=torch.float32)
    exact = network(*arguments)
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(*arguments)
    rough.float().square().mean().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())
    assert (rough - exact).norm() < 0.5 * exact.norm()  # phases of tens of radians, 8 bits


def test_frequencies_travel_with_the_state():
    one, other = build(3), build(3, features=8)
    other.frequencies.mul_(2)
    other.load_state_dict(one.state_dict())
    x, s, _ = inputs(one, 4)
    assert torch.equal(one(x, s), other(x, s))


def relative_loss(network, target, point, steps, rate=2e-3):
    """Mean square error over variance after training on fresh points."""
    optimiser = torch.optim.Adam(network.parameters(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for step in range(steps):
        x = point(256, seeded(step))
        loss = (network(x, 0.5) - target(x)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    x = point(2000, seeded(10**6))
    with torch.no_grad():
        return ((network(x, 0.5) - target(x)).square().mean() / target(x).var()).item()


def sphere_point(n, generator):
    return torch.nn.functional.normalize(torch.randn(n, 3, generator=generator), dim=-1)


def torus_point(n, generator):
    return math.pi * (2 * torch.rand(n, 2, generator=generator) - 1)


@pytest.mark.parametrize(
    "network, target, point, bound",
    [
        (MLP, lambda x: x.roll(1, -1), sphere_point, 0.001),
        (MLP, lambda x: torch.sin(6 * x), sphere_point, 0.01),
        (MLP, lambda x: torch.sin(x + 2 * x.roll(1, -1)), torus_point, 0.003),
    ],
    ids=["smooth field on the sphere", "details on the sphere", "torus"],
)
def test_a_field_is_learned_in_a_few_hundred_steps(network, target, point, bound):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        periodic = point is torus_point
        network = MLP(2 if periodic else 3, width=64, layers=2, periodic=periodic)
    assert relative_loss(network, target, point, 300) < bound


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: MLP(3, scale=0.0), "scale"),
        (lambda: MLP(3, scale=2.0, periodic=True), "scale"),
        (lambda: MLP(3, width=33), "width"),
        (lambda: build((3, 3))(torch.zeros(4, 3), 0.5), "x: expected"),
        (
            lambda: build(3)(torch.zeros(4, 3).double(), 0.5, torch.zeros(4, 2)),
            "condition: expected None",
        ),
        (
            lambda: build(3, condition_width=2)(torch.zeros(4, 3).double(), 0.5),
            "condition: expected .*2",
        ),
    ],
)
def test_wrong_arguments_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
