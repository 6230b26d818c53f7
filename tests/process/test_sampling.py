"""`sample`: from a field to points, with every corruption."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from geodiff.process.clocks import Cosine, DDPMLinear, Karras, Linear, LogLinear
from geodiff.process.corruption import Gaussian, Geodesic, HeatKernel
from geodiff.process.field import Field, NetworkField
from geodiff.process.levels import levels
from geodiff.process.randomness import Noise
from geodiff.process.samplers import (
    Ancestral,
    ExponentialEuler,
    Heun,
    Multistep,
    RungeKutta4,
    UniPC,
)
from geodiff.process.sampling import sample
from manifolds import SO3, Centered, Euclidean, Sphere
from tests.process.exact import FlatTorus, Rotations, TwoSphere

STEPPERS = [ExponentialEuler(), Multistep(2), UniPC(2), Heun(), RungeKutta4(), Ancestral()]
CLOCKS = [Linear(), Karras(), Cosine(), DDPMLinear()]
MEAN, STD = torch.tensor([1.0, -0.5], dtype=torch.float64), 0.6


def normal_field(clock, reading="clean", data_scale=1.0) -> Field:
    """The exact field of data N(MEAN, STD^2) on the plane, in the coordinates that a network
    sees.
    """
    corruption = Gaussian(Euclidean(2), clock, data_scale=data_scale)

    def network(seen, s, condition, mask):
        alpha, sigma = corruption.clock.alpha(s)[:, None], corruption.clock.sigma(s)[:, None]
        noisy = seen * corruption.network_scale(s)
        clean = MEAN + alpha * STD**2 / (alpha**2 * STD**2 + sigma**2) * (noisy - alpha * MEAN)
        if reading == "clean":
            return clean
        eps = (noisy - alpha * clean) / sigma
        if reading == "v":
            return alpha * eps - sigma * clean
        if reading == "velocity":  # of the linear flow
            return eps - clean
        total = torch.sqrt((alpha * data_scale) ** 2 + sigma**2)
        # F
        return (clean - data_scale**2 * alpha * noisy / total**2) * total / (data_scale * sigma)

    field = NetworkField(network, corruption, reading)
    field.register_parameter("unused", torch.nn.Parameter(torch.zeros(1, dtype=torch.float64)))
    return field


@pytest.mark.parametrize("clock", CLOCKS, ids=repr)
@pytest.mark.parametrize("stepper", STEPPERS, ids=repr)
def test_one_clean_point_is_reached_from_every_clock(clock, stepper):
    corruption = Gaussian(Centered(3), clock)
    clean = Centered(3).random_point(3, nodes=5, generator=Noise(0), dtype=torch.float64)
    noise = corruption.base(3, 5, generator=Noise(1), dtype=torch.float64)
    for steps in (1, 2, 7):
        x = sample(
            NetworkField(lambda x, s, condition, mask: clean, corruption, "clean"),
            noise,
            steps=steps,
            stepper=stepper,
            generator=Noise(2),
        )
        # Runge-Kutta is not exact here: long steps take it far out before the last one lands.
        assert (x - clean).abs().max() < (1e-8 if stepper == RungeKutta4() else 1e-12)


@pytest.mark.parametrize("clock", [Linear(), Cosine()], ids=repr)
@pytest.mark.parametrize("reading", ["clean", "v", "F"])
def test_an_infinite_level_is_left_by_one_closed_step(clock, reading):
    """noisy' = (sigma' / sigma) noisy + alpha' E[clean], and E[clean] is the mean of the data
    there.
    """
    field = normal_field(clock, reading, data_scale=0.8)
    noise = field.corruption.base(50, generator=Noise(0), dtype=torch.float64)
    made, seen = levels(field.corruption.clock, 10), []
    x = sample(
        field, noise, levels=made, callback=lambda i, x, kappa: seen.append((i, x, kappa.item()))
    )
    assert [kappa for _, _, kappa in seen] == made.kappas[1:].tolist()
    assert [i for i, _, _ in seen] == list(range(1, 11))
    alpha, sigma = field.corruption.clock.alpha(made.s[1]), field.corruption.clock.sigma(made.s[1])
    assert torch.allclose(alpha * seen[0][1], sigma * noise + alpha * MEAN)
    assert torch.isfinite(x).all()


@pytest.mark.parametrize("reading", ["eps", "score", "u"])
def test_a_reading_that_cannot_leave_an_infinite_level_is_refused(reading):
    field = NetworkField(lambda x, s, condition, mask: x, Gaussian(Euclidean(2), Linear()), reading)
    with pytest.raises(ValueError, match="alpha = 0"):
        sample(field, 3)
    x = sample(field, 3, levels=levels(field.corruption.clock, 5, s_max=0.9), generator=Noise(0))
    assert torch.isfinite(x).all()


@pytest.mark.parametrize("clock", CLOCKS, ids=repr)
@pytest.mark.parametrize("stepper", [UniPC(2), Multistep(2)], ids=repr)
def test_samples_of_a_normal_law_have_its_moments(clock, stepper):
    count = 4000
    x = sample(normal_field(clock), count, steps=60, stepper=stepper, generator=Noise(3))
    assert ((x.mean(0) - MEAN).abs() < 4 * STD / count**0.5 + 0.01).all()
    assert ((x.std(0) / STD - 1).abs() < 4 / (2 * count) ** 0.5 + 0.01).all()


@pytest.mark.parametrize("clock", CLOCKS, ids=repr)
def test_ancestral_has_weak_order_1(clock):
    """Its samples are too narrow, by a quarter as much with four times the steps."""
    narrow = []
    for steps in (30, 120):
        x = sample(
            normal_field(clock), 20_000, steps=steps, stepper=Ancestral(), generator=Noise(3)
        )
        narrow.append(1 - (x - MEAN).square().mean().sqrt() / STD)
    assert 2.8 < narrow[0] / narrow[1] < 5.6


@pytest.mark.parametrize("reading", ["clean", "v", "velocity", "F"])
def test_linear_flow_as_gaussian_and_as_geodesic_is_one_flow(reading):
    """Two coordinates of one path: the same noise ends at the same point, at every exponential
    Euler step.
    """
    gaussian = normal_field(Linear(), reading)

    def clean(x, s, condition, mask):
        gain = STD**2 * (1 - s) / ((1 - s) ** 2 * STD**2 + s**2)
        return MEAN + gain[:, None] * (x - (1 - s[:, None]) * MEAN)

    geodesic = NetworkField(clean, Geodesic(Euclidean(2)), "clean")
    noise = torch.randn(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ends = [
        sample(field, noise, steps=9, stepper=ExponentialEuler()) for field in (gaussian, geodesic)
    ]
    assert torch.allclose(*ends, atol=1e-12)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ancestral_reproduces_a_mixture(eta):
    """Kolmogorov-Smirnov against the exact law of a two-mode mixture on the line, p > .001."""
    count, kappa_end = 4000, 0.02
    modes, weights = torch.tensor([[-1.0, 1.5], [0.3, 0.7]], dtype=torch.float64)
    corruption = Gaussian(Euclidean(1), LogLinear(kappa_end, 30.0))

    def network(seen, s, condition, mask):
        x = seen * corruption.network_scale(s)
        variance = corruption.clock.kappa(s)[:, None] ** 2 + 0.1
        share = torch.softmax(torch.log(weights) - (x - modes) ** 2 / (2 * variance), 1)
        return (share * (modes + 0.1 / variance * (x - modes))).sum(1, keepdim=True)

    noise = corruption.base(count, generator=Noise(5), dtype=torch.float64)
    x = sample(
        NetworkField(network, corruption, "clean"),
        noise,
        steps=120,
        stepper=Ancestral(eta),
        generator=Noise(6),
    )
    ordered = x[:, 0].sort().values[:, None]
    cdf = (weights * torch.special.ndtr((ordered - modes) / math.sqrt(0.1))).sum(1)
    grid = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    assert (cdf - grid).abs().max() < 1.95 / count**0.5 + 0.005


@pytest.mark.parametrize("law", [FlatTorus, TwoSphere, Rotations])
@pytest.mark.parametrize("stepper", [Ancestral(1.0), UniPC(2)], ids=repr)
def test_every_clean_point_of_a_curved_mixture_gets_its_share(law, stepper):
    mixture, count = law(), 600
    corruption = HeatKernel(mixture.manifold, LogLinear(0.05, 3.0))
    field = NetworkField(
        lambda x, s, condition, mask: mixture.u(x, corruption.clock.kappa(s[0])), corruption
    )
    noise = corruption.base(count, generator=Noise(1), dtype=torch.float64)
    x = sample(field, noise, steps=40, stepper=stepper, generator=Noise(2))
    away = mixture.manifold.dist(x[:, None], mixture.means)
    assert away.amin(1).max() < 0.02
    share = torch.bincount(away.argmin(1), minlength=3) / count
    error = (mixture.weights * (1 - mixture.weights) / count).sqrt()
    assert ((share - mixture.weights).abs() < 4 * error).all()


def test_ancestral_on_a_flow_is_refused():
    field = NetworkField(lambda x, s, condition, mask: x, Geodesic(SO3()), "clean")
    with pytest.raises(ValueError, match="no score"):
        sample(field, 3, stepper=Ancestral())


def test_a_flow_cannot_start_half_way_from_noise():
    field = NetworkField(lambda x, s, condition, mask: x, Geodesic(SO3()), "clean")
    with pytest.raises(ValueError, match="kappa = 1"):
        sample(field, 3, levels=levels(Linear(), 5, s_max=0.5))


@pytest.mark.parametrize(
    "corruption",
    [
        Geodesic(Centered(3)),
        Gaussian(Centered(3), Cosine()),
        HeatKernel(Centered(3), LogLinear(0.01, 5.0)),
    ],
    ids=["geodesic", "gaussian", "heat"],
)
@pytest.mark.parametrize("stepper", STEPPERS, ids=repr)
def test_padding_stays_0_and_changes_no_sample(corruption, stepper):
    if not corruption.has_score and isinstance(stepper, Ancestral):
        stepper = Ancestral(0.0)
    field = NetworkField(
        lambda x, s, condition, mask: 0.3 * torch.tanh(x) + torch.where(mask, 0.0, 9.0)[..., None],
        corruption,
        "clean",
    )
    mask = torch.tensor([[True] * 4 + [False] * 2, [True] * 6])
    both = sample(field, (2, 6), steps=5, stepper=stepper, mask=mask, generator=Noise(4))
    alone = sample(field, (1, 4), steps=5, stepper=stepper, mask=mask[:1, :4], generator=Noise(4))
    assert (both[~mask] == 0).all()
    assert (both[0, :4] - alone[0]).abs().max() < 1e-4
    assert both.sum(1).abs().max() < 1e-3


def test_samples_need_no_gradient_and_take_the_dtype_of_the_network():
    network = torch.nn.Linear(3, 3).double()
    field = NetworkField(network, Geodesic(Sphere(2)))
    field.network.forward = lambda x, s, condition, mask: torch.nn.functional.linear(
        x, network.weight
    )
    x = sample(field, 5, steps=3)
    assert x.dtype == torch.float64 and not x.requires_grad
    assert sample(field, (2, 3), steps=3).shape == (2, 3, 3)


class Operations(TorchDispatchMode):
    """Counts what torch is asked to do."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += 1
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "corruption, reading, stepper, most",
    [
        (Geodesic(Euclidean(4)), "velocity", Multistep(2), 24),
        (Geodesic(Euclidean(4)), "clean", ExponentialEuler(), 10),
        (Gaussian(Euclidean(4), Karras()), "F", Heun(), 80),
        (Gaussian(Euclidean(4), DDPMLinear()), "eps", Ancestral(), 70),
    ],
    ids=str,
)
def test_a_step_costs_little_beside_its_network(corruption, reading, stepper, most):
    """Counted in tensor operations, about 2 microseconds each on a CPU (206 a step cost 0.36 ms, 82
    cost 0.15 ms).
    """
    field, counts = NetworkField(lambda x, s, condition, mask: x, corruption, reading), []
    noise = corruption.base(2, generator=Noise(0))
    for steps in (10, 20):
        with Operations() as operations:
            sample(field, noise, steps=steps, stepper=stepper, generator=torch.Generator())
        counts.append(operations.count)
    assert (counts[1] - counts[0]) / 10 <= most
