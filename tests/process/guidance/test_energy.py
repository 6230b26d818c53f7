"""Guidance by energies: of noisy states, and of clean estimates."""

import math

import pytest
import torch

from geodiff.process.clocks import LogLinear
from geodiff.process.corruption import Gaussian, Geodesic, HeatKernel
from geodiff.process.field import NetworkField
from geodiff.process.guidance import Energy, Reconstruction
from geodiff.process.levels import levels
from geodiff.process.randomness import Noise
from geodiff.process.samplers import Ancestral, ExponentialEuler
from geodiff.process.sampling import sample
from manifolds import SO3, Euclidean, Hyperbolic, Product, Scaled, Sphere, Torus
from tests.process.guidance.normal import CLOCK, DOUBLE, mean_and_variance, normal_field

SPACES = [
    Euclidean(3),
    Torus(2),
    Sphere(2),
    SO3(),
    Scaled(SO3(), 2.0),
    Hyperbolic(3),
    Product((Sphere(2), Scaled(Euclidean(2), 0.5))),
]


def nowhere(space, clock=LogLinear(0.02, 3.0)):
    """The field that leads nowhere: of noise without end, or uniform points."""
    corruption = Gaussian(space, clock) if space.flat else HeatKernel(space, clock)
    return NetworkField(lambda x, s, condition, mask: torch.zeros_like(space.log(x, x)), corruption)


@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_the_energy_of_a_heat_kernel_leads_to_its_clean_point(space):
    """u is the kernel's own displacement, whatever the metric, also under no_grad."""
    field = nowhere(space)
    kernel, clock = space.heat(), field.corruption.clock
    clean = space.random_point(1, generator=Noise(3), dtype=DOUBLE)[0]

    def energy(x, s, condition, mask):
        return -kernel.log_prob(x, clean.expand_as(x), clock.kappa(s))

    x = space.random_point(6, generator=Noise(0), dtype=DOUBLE)
    s = torch.linspace(0.6, 0.95, 6, dtype=DOUBLE)
    with torch.no_grad():
        u = Energy(field, energy)(x, s)
    wanted = kernel.displacement(x, clean.expand_as(x), clock.kappa(s))
    assert (u - wanted).abs().max() < 1e-6 * (1 + wanted.abs().max())
    assert torch.allclose(Energy(field, energy, 2.5)(x, s), 2.5 * u)


def test_a_normal_law_times_a_normal_likelihood_gives_the_posterior():
    """N(0, 1) seen as 2 with variance 1: N(1, 1/2), mean and variance within 1 %."""

    def energy(x, s, condition, mask):
        squared = CLOCK.kappa(s) ** 2
        spread = 1 + squared / (1 + squared)
        return (2 - x[:, 0] / (1 + squared)) ** 2 / (2 * spread) + spread.log() / 2

    mean, variance = mean_and_variance(Energy(normal_field([0.0], [1.0]), energy), None)
    assert mean == pytest.approx(1, rel=0.01) and variance == pytest.approx(0.5, rel=0.01)


def test_an_energy_of_estimates_taken_for_certain_pulls_as_the_docstring_says():
    field = normal_field([0.0], [1.0])
    guide = Reconstruction(field, lambda clean, kappa: (clean[:, 0] - 2) ** 2 / 2)
    mean, variance = mean_and_variance(guide, None)
    assert mean == pytest.approx(1.45, abs=0.01) and variance == pytest.approx(0.37, abs=0.01)


COVARIANCE = torch.tensor([[1.0, 0.9], [0.9, 1.0]], dtype=DOUBLE)


def correlated(clock=LogLinear(0.01, 50.0)):
    """The field of two normal numbers with correlation 0.9."""
    corruption = Gaussian(Euclidean(2), clock)

    def network(seen, s, condition, mask):
        x = seen * corruption.network_scale(s)
        total = COVARIANCE + clock.kappa(s)[:, None, None] ** 2 * torch.eye(2, dtype=DOUBLE)
        return torch.linalg.solve(total, x[..., None]).mT[:, 0] @ COVARIANCE

    field = NetworkField(network, corruption, "clean")
    field.register_parameter("unused", torch.nn.Parameter(torch.zeros(1, dtype=DOUBLE)))
    return field


def test_reconstruction_with_the_posterior_variance_completes_a_pair():
    """The second of two normal numbers has mean 0.9 where the first is 1."""

    def energy(clean, kappa):
        noise = kappa[:, None, None] ** 2 * torch.eye(2, dtype=DOUBLE)
        variance = (COVARIANCE @ torch.linalg.inv(COVARIANCE + noise) @ noise)[:, 0, 0]
        return (clean[:, 0] - 1) ** 2 / (2 * variance)

    made = sample(
        Reconstruction(correlated(), energy),
        4000,
        steps=300,
        stepper=Ancestral(),
        generator=Noise(0),
    )
    assert (made[:, 0] - 1).abs().max() < 1e-3
    assert made[:, 1].mean() == pytest.approx(0.9, abs=0.02)
    assert made[:, 1].var() == pytest.approx(0.19, abs=0.02)


@pytest.mark.parametrize("space", [Euclidean(3), Sphere(2), SO3()], ids=repr)
def test_reconstruction_pulls_down_the_energy_on_every_space(space):
    field = nowhere(space)
    target = space.random_point(1, generator=Noise(3), dtype=DOUBLE)[0]
    guide = Reconstruction(
        field, lambda clean, kappa: space.dist(clean, target) ** 2 / (2 * kappa**2 + 0.02)
    )
    noise = field.corruption.base(200, generator=Noise(1), dtype=DOUBLE)
    choose = dict(stepper=ExponentialEuler(), levels=levels(field.corruption.clock, 30))
    far, near = (space.dist(sample(f, noise, **choose), target).mean() for f in (field, guide))
    assert near < 0.3 * far


def test_a_gradient_passes_through_an_energy():
    x = Sphere(2).random_point(4, generator=Noise(0), dtype=DOUBLE).requires_grad_()
    field = nowhere(Sphere(2))
    for guide in (
        Energy(field, lambda x, s, condition, mask: x[:, 0] ** 3),
        Reconstruction(field, lambda clean, kappa: clean[:, 0] ** 3),
    ):
        (gradient,) = torch.autograd.grad(guide(x, 0.5).square().sum(), x)
        assert torch.isfinite(gradient).all() and gradient.abs().max() > 0


def test_what_has_no_score_and_what_is_no_energy_is_refused_with_the_reason():
    flow = NetworkField(lambda x, s, condition, mask: x.flip(-1), Geodesic(Sphere(2)))
    for guide in (Energy, Reconstruction):
        with pytest.raises(ValueError, match="Geodesic has no score: .*HeatKernel.*best_of"):
            guide(flow, lambda *told: told[0].sum(-1))
        with pytest.raises(ValueError, match="scale: expected a finite number"):
            guide(nowhere(SO3()), lambda *told: told[0].sum(-1), math.inf)
        x = Sphere(2).random_point(3, dtype=DOUBLE)
        with pytest.raises(ValueError, match=r"energy: expected one number a point, \(3,\)"):
            guide(nowhere(Sphere(2)), lambda *told: told[0])(x, 0.5)
