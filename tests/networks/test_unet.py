"""The U-Net: its call, its sizes, its classes, its derivatives, and that it learns."""

import pytest
import torch

from geodiff.networks.unet import UNet

SMALL = {"width": 8, "heads": 2}
CASES = {
    "plain": {},
    "classes": {"classes": 3},
    "colour": {"channels": 3, "classes": 3, "multipliers": (1, 2, 3)},
    "one level": {"multipliers": (1,), "out_channels": 2, "blocks": 2},
}


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def build(zeros=False, dtype=torch.float64, **options):
    """A small network; unless `zeros`, with every parameter moved off its initial value."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = UNet(**(SMALL | options)).to(dtype)
    if not zeros:
        for i, parameter in enumerate(network.parameters()):
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=seeded(i), dtype=dtype)
    return network


def inputs(network, *batch, size=(6, 5), dtype=torch.float64):
    x = torch.randn(*batch, network.channels, *size, generator=seeded(1), dtype=dtype)
    s = torch.rand(batch, generator=seeded(2), dtype=dtype)
    classes = network.classes
    return x, s, torch.randint(classes, batch, generator=seeded(3)) if classes else None


@pytest.fixture(params=CASES)
def network(request):
    return build(**CASES[request.param])


@pytest.mark.parametrize("batch", [(), (1,), (4,), (3, 1, 2), (0,)], ids=str)
def test_rows_of_a_batch_are_what_they_are_alone(network, batch):
    x, s, condition = inputs(network, *batch)
    out = network(x, s, condition)
    assert out.shape == (*batch, network.outward[-1].out_channels, 6, 5)
    if out.numel():
        row = (0,) * len(batch)
        alone = network(x[row], s[row], None if condition is None else condition[row])
        torch.testing.assert_close(alone, out[row], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (2, 3), (5, 5), (7, 8), (9, 11)], ids=str)
def test_every_size_goes_in_and_comes_out(size):
    network = build(multipliers=(1, 2, 2))
    x, s, _ = inputs(network, 2, size=size)
    out = network(x, s)
    assert out.shape == x.shape and out.isfinite().all()
    edge = x.clone()
    edge[..., -1, -1] += 1  # the last row and column of an odd size are read too
    assert (network(edge, s) - out).abs().max() > 1e-6


def test_the_output_starts_at_zero():
    network = build(zeros=True, classes=3)
    assert (network(*inputs(network, 5)) == 0).all()


def test_one_level_for_the_whole_batch_may_be_a_number(network):
    x, _, condition = inputs(network, 5)
    level = torch.full((5,), 0.3, dtype=torch.float64)
    torch.testing.assert_close(
        network(x, 0.3, condition), network(x, level, condition), rtol=1e-12, atol=1e-12
    )


def test_the_output_depends_on_image_level_and_class():
    network = build(classes=3)
    x, s, condition = inputs(network, 5)
    out = network(x, s, condition)
    changed = [
        network(x + 0.1 * x.roll(1, -1), s, condition),
        network(x, 0.9 * s, condition),
        network(x, s, (condition + 1) % 3),
        network(x, s, None),
    ]
    for other in changed:
        assert ((other - out).abs().amax((1, 2, 3)) > 1e-4).all()


def test_no_class_is_the_class_unknown():
    network = build(classes=3)
    x, s, _ = inputs(network, 5)
    torch.testing.assert_close(network(x, s), network(x, s, torch.full((5,), network.unknown)))


def test_attention_treats_all_pixels_alike():
    """It has no places of its own: shuffled pixels come out shuffled, and each hears of every
    other.
    """
    block = build(multipliers=(1,)).attention
    h = torch.randn(2, 8, 3, 4, generator=seeded(4), dtype=torch.float64)
    order = torch.randperm(12, generator=seeded(5))
    shuffled = block(h.flatten(2)[..., order].unflatten(2, (3, 4))).flatten(2)
    torch.testing.assert_close(shuffled, block(h).flatten(2)[..., order], rtol=1e-10, atol=1e-12)
    moved = h.clone()
    moved[..., 0, 0] += torch.randn(2, 8, generator=seeded(6), dtype=torch.float64)
    assert ((block(moved) - block(h)).abs().amax(1) > 1e-6).all()


def test_gradient_reaches_every_parameter(network):
    x, s, condition = inputs(network, 6)
    if condition is not None:
        condition[0] = network.unknown
    out = network(x, s, condition)
    (out * torch.randn(out.shape, generator=seeded(5), dtype=out.dtype)).sum().backward()
    silent = [name for name, p in network.named_parameters() if p.grad.abs().max() < 1e-10]
    assert not silent


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


def test_sampling_without_gradients_gives_what_training_sees(network):
    arguments = inputs(network, 4)
    with torch.no_grad():
        quiet = network(*arguments)
    torch.testing.assert_close(quiet, network(*arguments), rtol=1e-10, atol=1e-12)


def test_bfloat16_autocast_stays_near_float32():
    network = build(classes=3).float()
    arguments = inputs(network, 6, dtype=torch.float32)
    exact = network(*arguments)
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(*arguments)
    rough.float().square().mean().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())
    assert (rough - exact).norm() < 0.1 * exact.norm()


def test_it_learns_which_class_is_which_pattern():
    """Two stripes, told apart by the class alone: the input is noise."""
    network = build(zeros=True, dtype=torch.float32, classes=2)
    stripes = torch.ones(6, 6)
    stripes[::2] = -1
    patterns = torch.stack([stripes, stripes.T])[:, None]
    optimiser = torch.optim.Adam(network.parameters(), 5e-3)
    for i in range(80):
        labels = torch.randint(2, (16,), generator=seeded(i))
        noise = torch.randn(16, 1, 6, 6, generator=seeded(1000 + i))
        loss = (network(noise, 1.0, labels) - patterns[labels]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.2  # without the class: 0.5 at best, since half of each pattern is shared


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: UNet(width=12), "multiples of 8"),
        (lambda: UNet(width=8, heads=3), "heads = 3"),
        (lambda: UNet(multipliers=()), "at least one level"),
        (lambda: UNet(blocks=0), "at least one block"),
        (
            lambda: build(channels=3)(torch.zeros(2, 1, 4, 4).double(), 0.5),
            "x: expected .*3, height",
        ),
        (lambda: build()(torch.zeros(4, 4).double(), 0.5), "x: expected"),
        (lambda: build()(torch.zeros(2, 1, 0, 4).double(), 0.5), "x: expected"),
        (
            lambda: build()(torch.zeros(2, 1, 4, 4).double(), 0.5, torch.zeros(2).long()),
            "classes=0",
        ),
        (
            lambda: build(classes=2)(torch.zeros(2, 1, 4, 4).double(), 0.5, torch.zeros(2)),
            "labels.long",
        ),
        (
            lambda: build()(torch.zeros(2, 1, 4, 4).double(), 0.5, None, torch.ones(2, 4)),
            "mask: expected None",
        ),
    ],
)
def test_wrong_arguments_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
