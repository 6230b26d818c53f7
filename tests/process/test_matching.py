"""The matching loss, and that the exact displacement minimises it."""

import math

import pytest
import torch

from geodiff.process.clocks import Cosine, LogLinear
from geodiff.process.corruption import Gaussian, Geodesic, HeatKernel
from geodiff.process.field import NetworkField
from geodiff.process.objectives.matching import matching_loss
from geodiff.process.randomness import Noise
from manifolds import SE3, SO3, Centered, Euclidean, Sphere, Torus
from tests.process.exact import FlatTorus, Rotations, TwoSphere, generator

COUNT = 10_000


class WithOffset(torch.nn.Module):
    """The exact u plus amount * direction(x), for states x: a step away from the minimum."""

    def __init__(self, corruption, exact, direction, amount):
        super().__init__()
        self.corruption, self.exact, self.direction, self.amount = (
            corruption,
            exact,
            direction,
            amount,
        )

    def forward(self, x, s, condition=None, mask=None):
        kappa = self.corruption.clock.kappa(s.flatten()[0])
        return self.exact(x, kappa) + self.amount * self.corruption.manifold.to_tangent(
            x, self.direction(x)
        )


def check_minimum(corruption, exact, clean, s):
    """The slope of the loss at the exact u is 0 along two directions, |z| < 4."""
    size = corruption.manifold.tangent_shape[-1]
    for direction in (
        lambda x: torch.cos(2 * x.flatten(1)[:, :size] / x.std()),
        lambda x: torch.sin(x.flatten(1)[:, -size:] / x.std() + 0.2),
    ):
        up, down = (
            matching_loss(
                WithOffset(corruption, exact, direction, amount), clean, s=s, generator=generator(3)
            ).per_sample
            for amount in (1.0, -1.0)
        )
        slope = up - down
        assert abs(slope.mean()) < 4 * slope.std() / len(slope) ** 0.5


@pytest.mark.parametrize("law", [FlatTorus, TwoSphere, Rotations])
@pytest.mark.parametrize("kappa", [0.2, 1.0])
def test_the_exact_u_minimises_the_heat_kernel_loss(law, kappa):
    mixture = law()
    corruption = HeatKernel(mixture.manifold, LogLinear(0.02, 3.0))
    which = torch.multinomial(mixture.weights, COUNT, replacement=True, generator=generator(1))
    check_minimum(corruption, mixture.u, mixture.means[which], float(corruption.clock.s(kappa)))


def normal_data():
    mean, std = torch.tensor([1.0, -0.5], dtype=torch.float64), 0.6
    return (
        mean,
        std,
        mean + std * torch.randn(COUNT, 2, dtype=torch.float64, generator=generator(1)),
    )


@pytest.mark.parametrize("s", [0.2, 0.8])
def test_the_exact_u_minimises_the_gaussian_loss(s):
    mean, std, clean = normal_data()
    check_minimum(
        Gaussian(Euclidean(2), Cosine()),
        lambda x, kappa: kappa**2 / (kappa**2 + std**2) * (mean - x),
        clean,
        s,
    )


def test_a_u_that_is_20_percent_too_long_does_not_pass():
    """The control of the tests around it."""
    mean, std, clean = normal_data()
    with pytest.raises(AssertionError):
        check_minimum(
            Gaussian(Euclidean(2), Cosine()),
            lambda x, kappa: 1.2 * kappa**2 / (kappa**2 + std**2) * (mean - x),
            clean,
            0.8,
        )


@pytest.mark.parametrize("s", [0.2, 0.8])
def test_the_exact_u_minimises_the_flow_matching_loss(s):
    mean, std, clean = normal_data()

    def exact(x, kappa):
        gain = std**2 * (1 - kappa) / ((1 - kappa) ** 2 * std**2 + kappa**2)
        return mean + gain * (x - (1 - kappa) * mean) - x

    check_minimum(Geodesic(Euclidean(2)), exact, clean, s)


@pytest.mark.parametrize("manifold", [Euclidean(2), Torus(2), Sphere(2), SO3(), SE3()], ids=repr)
def test_one_clean_point_has_loss_0(manifold):
    clean = manifold.random_point(1, generator=Noise(0), dtype=torch.float64).expand(
        20, *manifold.shape
    )
    field = NetworkField(lambda x, s, condition, mask: clean, Geodesic(manifold), "clean")
    assert matching_loss(field, clean, generator=Noise(1)).value < 1e-20


def test_the_loss_is_the_mean_square_per_dimension_times_the_weight():
    clean = torch.zeros(4, 2, 5, dtype=torch.float64)
    corruption = Geodesic(Euclidean((2, 5)))
    field = NetworkField(lambda x, s, condition, mask: torch.zeros_like(x), corruption)
    s = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    loss = matching_loss(
        field, clean, s=s, noise=torch.ones_like(clean), weight=lambda s, kappa: 1 / kappa
    )
    assert torch.allclose(loss.per_sample, s)
    assert torch.allclose(loss.value, s.mean())


def test_levels_are_drawn_between_the_bounds_and_from_the_generator():
    clean = torch.zeros(500, 2)
    field = NetworkField(lambda x, s, condition, mask: x, Geodesic(Euclidean(2)))
    losses = [
        matching_loss(field, clean, generator=Noise(1), s_min=0.2, s_max=0.6) for _ in range(2)
    ]
    assert torch.equal(losses[0].s, losses[1].s) and torch.equal(losses[0].value, losses[1].value)
    assert 0.2 <= losses[0].s.min() < 0.22 and 0.58 < losses[0].s.max() < 0.6


@pytest.mark.parametrize(
    "corruption",
    [
        Geodesic(Centered(3)),
        Gaussian(Centered(3), Cosine()),
        HeatKernel(Centered(3), LogLinear(0.01, 5.0)),
    ],
    ids=["geodesic", "gaussian", "heat"],
)
def test_padding_does_not_change_the_loss(corruption):
    mask = torch.tensor([[True] * 4 + [False] * 2, [True] * 6])
    clean = Centered(3).random_point(2, mask=mask, generator=Noise(0), dtype=torch.float64)
    more = torch.nn.functional.pad(clean, (0, 0, 0, 5)), torch.nn.functional.pad(mask, (0, 5))
    # A network that writes rubbish into the padding.
    field = NetworkField(
        lambda x, s, condition, mask: torch.sin(x) + torch.where(mask, 0.0, 9.0)[..., None],
        corruption,
    )
    loss, padded = (
        matching_loss(field, c, mask=m, generator=Noise(1)) for c, m in ((clean, mask), more)
    )
    assert torch.allclose(loss.per_sample, padded.per_sample, rtol=1e-12)
    assert loss.per_sample[0] > 0


def test_the_loss_does_not_depend_on_the_frame_of_rotations():
    """Turning the body frame of data, noise and network turns u and leaves the loss."""
    turn = SO3().random_point(generator=Noise(5), dtype=torch.float64)
    clean, noise = (SO3().random_point(30, generator=Noise(i), dtype=torch.float64) for i in (0, 1))
    s = torch.linspace(0.1, 0.9, 30, dtype=torch.float64)
    network = lambda x, s, condition, mask: x[..., 0, :]  # noqa: E731, a tangent, in the body frame
    turned = lambda x, s, condition, mask: network(x @ turn.T, s, condition, mask) @ turn  # noqa: E731
    plain = matching_loss(NetworkField(network, Geodesic(SO3())), clean, s=s, noise=noise)
    other = matching_loss(
        NetworkField(turned, Geodesic(SO3())), clean @ turn, s=s, noise=noise @ turn
    )
    assert torch.allclose(plain.per_sample, other.per_sample, atol=1e-12)


def test_gradients_reach_the_network():
    field = NetworkField(torch.nn.Module(), Geodesic(Sphere(2)), "clean")
    field.network.layer = torch.nn.Linear(3, 3)
    field.network.forward = lambda x, s, condition, mask: Sphere(2).project(field.network.layer(x))
    matching_loss(
        field, Sphere(2).random_point(8, generator=Noise(0)), generator=Noise(1)
    ).value.backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.abs().max() > 0 for p in field.parameters())


@pytest.mark.parametrize(
    "space, arguments, words",
    [
        (
            Sphere(2),
            dict(clean=torch.zeros(4, 4)),
            r"clean: not points of Sphere.*shape \(\*batch, 3\), got \(4, 4\)",
        ),
        (
            Sphere(2),
            dict(clean=2 * torch.eye(3)),
            r"clean: .*norm 1; .*is 1, at batch index \(0,\); project\(x\) moves",
        ),
        (Sphere(2), dict(clean=torch.eye(3), noise=2 * torch.eye(3)), "noise: .*norm 1"),
        (
            Torus(2),
            dict(clean=torch.full((4, 2), math.nan)),
            "clean: .*8 of 8 coordinates are not finite",
        ),
        (SO3(), dict(clean=torch.zeros(4, 3)), r"clean: .*\(\*batch, 3, 3\)"),
        (
            Torus(2),
            dict(clean=torch.zeros(4, 2, dtype=torch.long)),
            "clean: .*floating tensor, got torch.int64",
        ),
        (
            Sphere(2),
            dict(clean=torch.eye(3), noise=torch.eye(3).double()),
            "noise: expected dtype torch.float32",
        ),
        (Sphere(2), dict(clean=torch.eye(3), noise=torch.eye(4)), "noise: not points"),
        (
            Sphere(2),
            dict(clean=torch.eye(3), s=torch.rand(2)),
            "s: expected a number or a floating tensor",
        ),
        (
            Sphere(2),
            dict(clean=torch.eye(3), s=torch.ones(3, dtype=torch.long)),
            "s: expected .*got torch.int64",
        ),
        (Sphere(2), dict(clean=torch.eye(3), s=1.5), r"s: expected a number in \[0, 1\]"),
        (Sphere(2), dict(clean=torch.eye(3), s=float("nan")), r"s: expected a number in \[0, 1\]"),
        (
            Centered(3),
            dict(clean=torch.zeros(2, 5, 3), mask=torch.ones(2, 4).bool()),
            r"mask: .*batch, 5\)",
        ),
        (
            Centered(3),
            dict(clean=torch.zeros(2, 5, 3), mask=torch.ones(2, 5)),
            "mask: expected bool.*float32",
        ),
    ],
)
def test_what_is_no_batch_is_refused_by_name(space, arguments, words):
    field = NetworkField(lambda x, s, condition, mask: torch.zeros_like(x), Geodesic(space))
    with pytest.raises(ValueError, match=words):
        matching_loss(field, generator=generator(0), **arguments)


def test_a_look_at_the_numbers_can_be_left_out():
    field = NetworkField(lambda x, s, condition, mask: torch.zeros_like(x), Geodesic(Sphere(2)))
    one = lambda clean: matching_loss(field, clean, s=0.5, noise=clean.flip(-1), check=False).value  # noqa: E731
    clean = Sphere(2).random_point(4, generator=generator(0))
    assert torch.allclose(torch.func.vmap(one)(clean).mean(), one(clean))
