"""Likelihood by the ODE against closed forms, and the divergence it integrates."""

import math

import numpy
import pytest
import torch

from geodiff.process.clocks import Cosine, DDPMLinear, Karras, Linear, LogLinear, PerFactor
from geodiff.process.corruption import Gaussian, Geodesic, HeatKernel
from geodiff.process.divergence import divergence, frame, rademacher
from geodiff.process.field import NetworkField
from geodiff.process.likelihood import base_log_prob, log_prob, prior_tv
from geodiff.process.randomness import Noise
from manifolds import (
    SE3,
    SO3,
    Centered,
    Euclidean,
    Hyperbolic,
    Poses,
    Product,
    Scaled,
    Sphere,
    Torus,
    heat,
)
from manifolds.rotations import euler_to_matrix, rotation_vector_to_matrix
from tests.process.exact import FlatTorus, Rotations, TwoSphere, generator

STD = 0.5
PLANE = Euclidean(2)


def normal_field(corruption, mean, std=STD):
    """The exact u where each coordinate of the data is normal."""

    def u(x, s, condition=None, mask=None):
        kappa = corruption.clock.kappa(s).to(x)
        # the base is standard normal, the state is not divided by alpha
        if isinstance(corruption, Geodesic):
            gain = std**2 * (1 - kappa) / ((1 - kappa) ** 2 * std**2 + kappa**2)
            return mean + gain * (x - (1 - kappa) * mean) - x
        return kappa**2 / (kappa**2 + std**2) * (mean - x)

    return u


def normal_log_prob(x, mean, std=STD):
    return torch.distributions.Normal(mean, std).log_prob(x).sum(-1)


# A base that ignores the mean of the data biases log p: mean 0 where the last level leaves a trace
# of it.
@pytest.mark.parametrize(
    "corruption, mean, steps, bound",
    [
        (Gaussian(PLANE, Karras(0.01, 200.0)), 0.0, 40, 1e-3),
        (Gaussian(PLANE, LogLinear(0.02, 200.0)), 0.0, 40, 1e-3),
        (Gaussian(PLANE, Cosine()), 0.4, 20, 5e-4),
        (Gaussian(PLANE, DDPMLinear()), 0.0, 50, 1e-3),
        (Gaussian(PLANE, Linear()), 0.4, 20, 2e-4),
        (Geodesic(PLANE), 0.4, 20, 2e-4),
        (HeatKernel(PLANE, LogLinear(0.02, 200.0)), 0.0, 50, 1e-3),
    ],
    ids=["karras", "exploding", "cosine", "ddpm", "linear", "flow", "heat"],
)
def test_normal_data_have_their_closed_form(corruption, mean, steps, bound):
    x = mean + STD * torch.randn(50, 2, dtype=torch.float64, generator=generator(0))
    value = log_prob(normal_field(corruption, mean), corruption, x, steps=steps)
    assert (value - normal_log_prob(x, mean)).abs().max() < bound


@pytest.mark.parametrize(
    "space, lengths",
    [
        (Scaled(PLANE, 2.0), [2.0, 2.0]),
        (Product((Euclidean(1), Scaled(Euclidean(1), 4.0))), [1.0, 4.0]),
    ],
    ids=repr,
)
@pytest.mark.parametrize(
    "make",
    [
        lambda space: Gaussian(space, Cosine()),
        lambda space: Gaussian(space, Linear()),
        lambda space: HeatKernel(space, LogLinear(0.02, 500.0)),
    ],
    ids=["cosine", "linear", "heat"],
)
def test_normal_data_have_their_closed_form_on_every_flat_space(make, space, lengths):
    lengths = torch.tensor(lengths, dtype=torch.float64)
    x = STD * torch.randn(50, 2, dtype=torch.float64, generator=generator(0))
    field = normal_field(corruption := make(space), 0.0, lengths * STD)
    value = log_prob(field, corruption, x, steps=50)
    assert (value - (normal_log_prob(x, 0.0) - lengths.log().sum())).abs().max() < 2e-3


@pytest.mark.parametrize("reading", ["clean", "v", "velocity"])
def test_every_reading_of_a_linear_gaussian_gives_the_same_density(reading):
    corruption = Gaussian(PLANE, Linear())

    def network(seen, s, condition, mask):
        s = s[..., None]
        alpha, sigma = 1 - s, s
        noisy = seen * corruption.network_scale(s[..., 0])
        clean = alpha * STD**2 * noisy / (alpha**2 * STD**2 + sigma**2)
        eps = sigma * noisy / (alpha**2 * STD**2 + sigma**2)
        return {"clean": clean, "v": alpha * eps - sigma * clean, "velocity": eps - clean}[reading]

    x = STD * torch.randn(10, 2, dtype=torch.float64, generator=generator(0))
    value = log_prob(NetworkField(network, corruption, reading), corruption, x, steps=20)
    assert (value - normal_log_prob(x, 0.0)).abs().max() < 2e-4


def test_a_field_20_percent_too_long_misses_the_closed_form():
    """The control of the test above."""
    corruption = Geodesic(PLANE)
    exact, x = normal_field(corruption, 0.4), torch.zeros(1, 2, dtype=torch.float64)
    value = log_prob(lambda *arguments: 1.2 * exact(*arguments), corruption, x, steps=20)
    assert (value - normal_log_prob(x, 0.4)).abs().max() > 0.05


def grid_torus():
    angle = torch.linspace(-math.pi, math.pi, 25, dtype=torch.float64)[:-1]
    return torch.cartesian_prod(angle, angle), torch.full(
        (576,), (2 * math.pi / 24) ** 2, dtype=torch.float64
    )


def legendre(count):
    return (torch.from_numpy(a) for a in numpy.polynomial.legendre.leggauss(count))


def grid_sphere():
    height, weight = legendre(14)
    turn = torch.linspace(0, 2 * math.pi, 29, dtype=torch.float64)[:-1]
    z, angle = torch.cartesian_prod(height, turn).unbind(-1)
    ring = (1 - z**2).sqrt()
    points = torch.stack([ring * angle.cos(), ring * angle.sin(), z], -1)
    return points, weight.repeat_interleave(28) * 2 * math.pi / 28


def grid_rotations():
    height, weight = legendre(10)
    turn = torch.linspace(0, 2 * math.pi, 19, dtype=torch.float64)[:-1]
    first, z, last = torch.cartesian_prod(turn, height, turn).unbind(-1)
    points = euler_to_matrix(torch.stack([first, torch.acos(z), last], -1), "ZYZ")
    # The volume of the rotations is 8 pi^2 in this metric: d alpha d cos(beta) d gamma.
    return points, weight.repeat_interleave(18).repeat(18) * (2 * math.pi / 18) ** 2


@pytest.mark.parametrize(
    "law, grid, kappa_max, steps",
    [
        (FlatTorus, grid_torus, 5.0, 24),
        (TwoSphere, grid_sphere, 3.2, 14),
        (Rotations, grid_rotations, 3.2, 14),
    ],
    ids=["T^2", "S^2", "SO(3)"],
)
def test_a_mixture_on_a_curved_space_has_its_exact_density_and_integrates_to_1(
    law, grid, kappa_max, steps
):
    mixture, width = law(), 0.7
    corruption = HeatKernel(mixture.manifold, LogLinear(0.07, kappa_max))

    def u(x, s, condition, mask):  # data of this width at kappa = 0: variances add
        kappa = float(corruption.clock.kappa(s))
        total = math.hypot(kappa, width)
        return (kappa / total) ** 2 * mixture.u(x, total)

    x, weight = grid()
    with torch.no_grad():
        value = log_prob(u, corruption, x, steps=steps)
    each = torch.stack(
        [corruption.kernel.log_prob(x, mean.expand_as(x), width) for mean in mixture.means], -1
    )
    exact = torch.logsumexp(each + mixture.weights.log(), -1)
    assert abs((weight * exact.exp()).sum() - 1) < 1e-4  # the grid itself
    assert abs((weight * value.exp()).sum() - 1) < 2e-4
    assert (value - exact).abs().max() < 2e-3  # of log p, everywhere on the space
    assert (weight * exact.exp() * (value - exact)).sum().abs() < 1e-4  # of the mean over the law


class VonMises:
    """A base on the sphere that is not uniform."""

    def log_prob(self, noise, condition, mask):
        return 2 * noise[..., 2] - math.log(2 * math.pi * math.sinh(2.0))


def test_turning_a_space_turns_the_density():
    axis = torch.tensor([0.7, -1.1, 0.4], dtype=torch.float64)
    corruption = Geodesic(Sphere(2), base=VonMises())
    x = Sphere(2).random_point(30, generator=Noise(0), dtype=torch.float64)
    value = log_prob(
        lambda x, s, condition, mask: -s * torch.linalg.cross(axis.expand_as(x), x),
        corruption,
        x,
        steps=20,
    )
    turned = x @ rotation_vector_to_matrix(axis).T
    assert (value - VonMises().log_prob(turned, None, None)).abs().max() < 1e-5


def wavy(manifold):
    """A smooth field that follows no symmetry."""
    size = math.prod(manifold.tangent_shape)
    mixing = torch.randn(
        size, math.prod(manifold.shape), dtype=torch.float64, generator=generator(3)
    )

    def u(x, s, condition=None, mask=None):
        wave = torch.sin(x.flatten(-len(manifold.shape)) @ mixing.to(x).T + 1.0)
        return s * manifold.to_tangent(x, wave.unflatten(-1, manifold.tangent_shape))

    return u


@pytest.mark.parametrize("manifold", [Sphere(2), SO3(), Torus(3), SE3()], ids=repr)
def test_the_mean_over_random_probes_is_the_exact_value(manifold):
    corruption = Geodesic(manifold)
    x = manifold.random_point(1, generator=generator(0), dtype=torch.float64)
    exact = log_prob(wavy(manifold), corruption, x, steps=5)
    many = x.expand(2000, *manifold.shape)
    drawn = log_prob(
        wavy(manifold), corruption, many, steps=5, divergence="hutchinson", generator=Noise(1)
    )
    error = drawn - exact
    assert drawn.std() > 0.01
    assert abs(error.mean()) < 4 * drawn.std() / len(drawn) ** 0.5
    four = log_prob(
        wavy(manifold),
        corruption,
        many[:500],
        steps=5,
        divergence="hutchinson",
        probes=4,
        generator=Noise(2),
    )
    assert 0.4 < four.std() / drawn.std() < 0.6


class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 3, dtype=torch.float64)
        with torch.no_grad():
            self.layer.weight.copy_(torch.randn(3, 4, generator=generator(2)))

    def forward(self, x, s, condition, mask):
        s = s[..., None] + torch.zeros_like(x[..., :1])
        return torch.tanh(self.layer(torch.cat([x, s], -1)))


@pytest.mark.parametrize("kind", ["exact", "hutchinson"])
def test_gradients_of_the_parameters_agree_with_finite_differences(kind):
    field = NetworkField(Small(), Geodesic(Sphere(2)), "velocity")
    x = Sphere(2).random_point(6, generator=Noise(0), dtype=torch.float64)

    def total():
        return log_prob(
            field, field.corruption, x, steps=4, divergence=kind, generator=Noise(1)
        ).sum()

    weight = field.network.layer.weight
    (slope,) = torch.autograd.grad(total(), weight)
    assert torch.isfinite(slope).all()
    step = 1e-5 * torch.randn(3, 4, dtype=torch.float64, generator=generator(4))
    with torch.no_grad():
        up = weight.add_(step), total()
        down = weight.sub_(2 * step), total()
    assert abs((slope * step).sum() - (up[1] - down[1]) / 2) < 1e-6 * (slope * step).abs().sum()


def test_single_precision_agrees_with_double():
    corruption = Geodesic(SO3())
    x = SO3().random_point(20, generator=Noise(0), dtype=torch.float64)
    double, single = (log_prob(wavy(SO3()), corruption, a, steps=8) for a in (x, x.float()))
    assert single.dtype == torch.float32
    assert (single - double).abs().max() < 2e-4


@pytest.mark.parametrize("kind", ["exact", "hutchinson"])
@pytest.mark.parametrize(
    "corruption",
    [Gaussian(Centered(3), Linear()), Geodesic(Centered(3))],
    ids=["gaussian", "geodesic"],
)
def test_padding_does_not_change_the_density_of_a_cloud(corruption, kind):
    mask = torch.tensor([[True] * 3 + [False] * 2, [True] * 5])
    x = STD * Centered(3).random_point(2, mask=mask, generator=Noise(0), dtype=torch.float64)
    field = NetworkField(
        lambda x, s, condition, mask: (
            torch.sin(x) * x[..., :1].sum(-2, keepdim=True) + x.roll(1, -1)
        ),
        corruption,
        "velocity" if isinstance(corruption, Geodesic) else "clean",
    )
    options = dict(steps=4, divergence=kind, probes=2)
    padded = log_prob(field, corruption, x, mask=mask, generator=Noise(1), **options)
    tight = log_prob(field, corruption, x[:1, :3], mask=mask[:1, :3], generator=Noise(1), **options)
    assert torch.isfinite(padded).all() and torch.allclose(padded[:1], tight, rtol=1e-10)


def test_clouds_have_their_closed_form_in_the_dimensions_they_have():
    corruption = Gaussian(Centered(3), Linear())
    mask = torch.tensor([[True] * 3 + [False] * 2, [True] * 5])
    x = STD * Centered(3).random_point(2, mask=mask, generator=Noise(0), dtype=torch.float64)
    value = log_prob(normal_field(corruption, 0.0), corruption, x, steps=20, mask=mask)
    dim = 3 * (mask.sum(-1) - 1)
    exact = -0.5 * x.square().sum((1, 2)) / STD**2 - dim * math.log(STD * math.sqrt(2 * math.pi))
    assert (value - exact).abs().max() < 5e-4


def test_the_density_of_independent_factors_is_the_product():
    space = Product((Sphere(2), Euclidean(2)))
    clocks = LogLinear(0.05, 3.0), LogLinear(0.02, 50.0)
    corruption = HeatKernel(space, PerFactor(clocks, (3, 2)))
    x = space.random_point(5, generator=Noise(0), dtype=torch.float64)
    parts = [HeatKernel(factor, clock) for factor, clock in zip(space.spaces, clocks)]

    def on_sphere(x, s, condition=None, mask=None):
        return parts[0].clock.kappa(s).square() * wavy(Sphere(2))(x, 1.0)

    def both(x, s, condition=None, mask=None):
        a, b = space.split(x)
        return space.join_tangent([on_sphere(a, s), normal_field(parts[1], 0.0)(b, s)])

    value = log_prob(both, corruption, x, steps=5)
    fields = on_sphere, normal_field(parts[1], 0.0)
    each = [log_prob(f, part, a, steps=5) for f, part, a in zip(fields, parts, space.split(x))]
    assert torch.allclose(value, sum(each), rtol=1e-10)


def test_a_density_against_a_scaled_volume_is_scaled():
    x = Sphere(2).random_point(5, generator=Noise(0), dtype=torch.float64)
    plain = log_prob(wavy(Sphere(2)), Geodesic(Sphere(2)), x, steps=5)
    scaled = log_prob(wavy(Sphere(2)), Geodesic(Scaled(Sphere(2), 3.0)), x, steps=5)
    assert torch.allclose(scaled, plain - 2 * math.log(3.0))


def test_the_base_of_hyperbolic_space_integrates_to_1():
    radius = torch.linspace(0, 9, 4001, dtype=torch.float64)
    x = torch.stack([radius.cosh(), radius.sinh(), *[torch.zeros_like(radius)] * 2], -1)
    density = base_log_prob(Geodesic(Hyperbolic(3)), x).exp()
    assert abs(torch.trapezoid(density * 4 * math.pi * radius.sinh() ** 2, radius) - 1) < 1e-6


@pytest.mark.parametrize(
    "manifold, value, laplacian",
    [
        (Sphere(3), lambda x: x[..., 1], -3.0),
        (SO3(), lambda x: x.diagonal(dim1=-1, dim2=-2).sum(-1), -2.0),
        (Hyperbolic(3), lambda x: x[..., 0], 3.0),
        (Scaled(Sphere(2), 2.0), lambda x: x[..., 2], -0.5),
    ],
    ids=["S^3", "SO(3)", "H^3", "scaled"],
)
def test_the_divergence_of_a_gradient_is_the_laplacian(manifold, value, laplacian):
    """For eigenfunctions of the Laplacian: it is a number times the function."""

    def gradient(x):
        basis = frame(manifold, x)
        along = lambda d: torch.func.jvp(lambda v: value(manifold.exp(x, v)), (0 * d,), (d,))[1]  # noqa: E731
        slopes = torch.func.vmap(along)(basis)
        return (slopes[..., None] * basis).sum(0)

    x = manifold.random_point(10, generator=Noise(0), dtype=torch.float64)
    field, change = divergence(manifold, gradient, x, frame(manifold, x))
    assert (field - gradient(x)).abs().max() < 1e-12
    assert (change - laplacian * value(x)).abs().max() < 1e-9


def test_random_probes_have_identity_covariance():
    x = Sphere(2).random_point(1, generator=Noise(0), dtype=torch.float64).expand(20_000, 3)
    probes = rademacher(Sphere(2), x, 1, generator=Noise(1))[0]
    covariance = torch.einsum("bi,bj->ij", probes, probes) / len(x)
    assert (covariance - (torch.eye(3) - x[0, :, None] * x[0])).abs().max() < 0.03


@pytest.mark.parametrize(
    "options, words",
    [
        (dict(steps=0), "steps: expected a whole number"),
        (dict(steps=2, divergence="skilling"), "divergence: expected"),
        (dict(steps=2, probes=0), "probes: expected"),
        (dict(steps=2, s_min=0.7), "s_min: expected"),
    ],
)
def test_wrong_settings_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        log_prob(wavy(Sphere(2)), Geodesic(Sphere(2)), Sphere(2).random_point(1), **options)


def test_points_off_the_space_and_bases_without_density_are_refused():
    with pytest.raises(ValueError, match="x: not points of .*norm 1"):
        log_prob(wavy(Sphere(2)), Geodesic(Sphere(2)), torch.ones(1, 3), steps=2)
    with pytest.raises(ValueError, match="log_prob"):
        log_prob(
            wavy(Sphere(2)),
            Geodesic(Sphere(2), base=lambda *a: None),
            Sphere(2).random_point(1),
            steps=2,
        )


def test_the_distance_of_a_corruption_to_its_base_is_known():
    assert prior_tv(Geodesic(SO3())) == 0
    assert prior_tv(HeatKernel(SO3(), LogLinear(0.02, 2.5))).item() == pytest.approx(
        0.00239, rel=5e-3
    )
    kappa = 20.0
    exact = 2 * torch.distributions.Normal(0, 1).cdf(torch.tensor(math.sqrt(2) / (2 * kappa))) - 1
    assert prior_tv(Gaussian(PLANE, LogLinear(0.02, kappa))).item() == pytest.approx(
        exact.item(), rel=1e-5
    )
    assert prior_tv(Gaussian(PLANE, Linear())) == 0
    space = Product((SO3(), Euclidean(3)))
    clocks = PerFactor((LogLinear(0.02, 2.5), LogLinear(0.02, 5.0)), (3, 3))
    assert torch.allclose(prior_tv(HeatKernel(space, clocks)), heat.prior_tv(space, [2.5, 5.0]))
    with pytest.raises(ValueError, match="radius: expected"):
        prior_tv(Gaussian(Centered(3), Cosine()))


def test_the_base_of_a_cloud_of_poses_is_that_of_its_rotations_and_its_centred_translations():
    mask = torch.tensor([[True] * 4 + [False] * 2, [True] * 6])
    x = Poses().random_point(2, mask=mask, generator=Noise(0), dtype=torch.float64)
    turns = torch.tensor([4.0, 6.0], dtype=torch.float64) * SO3().uniform_log_prob()
    clocks = PerFactor((LogLinear(0.02, 2.5), LogLinear(0.02, 5.0)), (3, 3))
    for corruption, shifts in (
        (Geodesic(Poses()), Geodesic(Centered(3))),
        (HeatKernel(Poses(), clocks), HeatKernel(Centered(3), LogLinear(0.02, 5.0))),
    ):
        wanted = turns + base_log_prob(shifts, x[..., :3, 3], mask=mask)
        assert torch.allclose(base_log_prob(corruption, x, mask=mask), wanted)
        assert torch.allclose(base_log_prob(corruption, x[:1, :4]), wanted[:1])
    scaled = base_log_prob(Geodesic(Scaled(Poses(), 2.0)), x, mask=mask)
    plain = base_log_prob(Geodesic(Poses()), x, mask=mask)
    assert torch.allclose(
        scaled, plain - torch.tensor([21.0, 33.0], dtype=torch.float64) * math.log(2)
    )
