"""Steppers that add noise keep the law, measured on laws in closed form."""

import math

import pytest
import torch
from torch import Tensor

from geodiff.process.clocks import DDPMLinear, LogLinear
from geodiff.process.corruption import Gaussian, Geodesic, HeatKernel
from geodiff.process.randomness import Noise
from geodiff.process.samplers import Ancestral, Churn, ExponentialEuler, Heun, Langevin, integrate
from manifolds import SO3, Euclidean, Sphere, Torus
from tests.process.exact import TwoSphere

LINE = Euclidean(1)
NOISY = [Churn(0.3), Langevin(2, 0.2), Langevin(2, 0.2, predictor=None), Ancestral(1.0, spread=1.0)]


def normal(x: Tensor, kappa: Tensor) -> Tensor:
    """u where clean points are standard normal."""
    return -(kappa**2) / (1 + kappa**2) * x


def variance(stepper, kappas, count=40_000) -> float:
    """Of the end, from the exact law at the first level, where clean points are standard normal."""
    start = torch.randn(count, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    end = integrate(
        LINE,
        normal,
        start * math.sqrt(1 + kappas[0] ** 2),
        torch.tensor(kappas, dtype=torch.float64),
        stepper,
        generator=torch.Generator().manual_seed(1),
        corruption=HeatKernel(LINE, LogLinear(0.01, 100.0)),
    )
    return end.var().item()


def test_the_larger_variance_of_ddpm_is_exact_for_standard_normal_points_and_the_smaller_is_not():
    assert abs(variance(Ancestral(spread=1.0), [2.0, 0.5]) / 1.25 - 1) < 0.03
    # The step leaves a quarter of the state, of variance 5, and adds noise of 15 / 64.
    smaller = 5 / 16 + 15 / 64
    assert abs(variance(Ancestral(), [2.0, 0.5]) / smaller - 1) < 0.03


def test_both_variances_are_those_of_ddpm():
    """beta and beta (1 - abar') / (1 - abar), of noisy, are read off the noise added to the
    state.
    """
    clock = DDPMLinear()
    s = torch.tensor([0.6, 0.5], dtype=torch.float64)
    kappas, alpha = clock.kappa(s), clock.alpha(s)
    beta = 1 - (alpha[0] / alpha[1]) ** 2
    share = clock.sigma(s[1]) ** 2 / clock.sigma(s[0]) ** 2
    for stepper, wanted in [(Ancestral(spread=1.0), beta), (Ancestral(), beta * share)]:
        end = integrate(
            LINE,
            lambda x, kappa: torch.zeros_like(x),
            torch.zeros(40_000, 1, dtype=torch.float64),
            kappas,
            stepper,
            generator=torch.Generator().manual_seed(2),
            corruption=Gaussian(LINE, clock),
        )
        assert abs((alpha[1] * end).var() / wanted - 1) < 0.03


@pytest.mark.parametrize("stepper", [Churn(0.3), Churn(0.3, stepper=Heun(), low=0.2)], ids=repr)
def test_churn_keeps_the_law(stepper):
    kappas = torch.logspace(0.3, -0.5, 17).tolist()
    assert abs(variance(stepper, kappas) / (1 + kappas[-1] ** 2) - 1) < 0.03


def test_churn_asks_at_the_noised_point_and_level_and_never_above_the_highest():
    asked = []
    integrate(
        LINE,
        lambda x, kappa: asked.append((x.item(), kappa.item())) or -x,
        torch.ones(1, 1, dtype=torch.float64),
        torch.tensor([3.0, 1.0, 0.1], dtype=torch.float64),
        Churn(0.2, stepper=ExponentialEuler()),
        generator=Noise(0),
        corruption=HeatKernel(LINE, LogLinear(0.05, 3.0)),
    )
    (first, top), (_, next_level) = asked
    assert first == 1.0 and top == pytest.approx(3.0) and next_level == pytest.approx(1.2)


def test_langevin_at_one_level_keeps_the_exact_law_on_the_sphere():
    """A chain from the uniform law, against the mixture's density at kappa = 0.7 by chi^2."""
    law, kappa, count, bins = TwoSphere(), 0.7, 4000, 10
    space = law.manifold
    end = integrate(
        space,
        law.u,
        law.start(count),
        torch.tensor([kappa * 1.001, kappa], dtype=torch.float64),
        Langevin(120, 0.05, predictor=None),
        generator=Noise(3),
        corruption=HeatKernel(space, LogLinear(0.05, 3.0)),
    )
    uniform = law.start(200_000, seed=9)
    weight = (law.weights * law.density_and_gradient(uniform, kappa)[0]).sum(1)
    edges = torch.linspace(-1, 1, bins + 1, dtype=torch.float64)[1:-1]
    cell = lambda x: torch.bucketize((x @ law.means[0]).contiguous(), edges)  # noqa: E731
    expected = torch.zeros(bins, dtype=torch.float64).index_add(0, cell(uniform), weight)
    expected = count * expected / expected.sum()
    seen = torch.bincount(cell(end), minlength=bins)
    assert ((seen - expected) ** 2 / expected).sum() < 21.67  # p = 0.01 at 9 degrees


@pytest.mark.parametrize("space", [Euclidean(2), Torus(2), Sphere(2), SO3()], ids=repr)
@pytest.mark.parametrize("stepper", NOISY, ids=repr)
def test_noisy_steppers_reach_one_clean_point_and_repeat_by_their_seed(stepper, space):
    clean, x = (space.random_point(5, generator=Noise(i), dtype=torch.float64) for i in (0, 1))
    first, second = (
        integrate(
            space,
            lambda x, kappa: space.log(x, clean),
            x,
            torch.tensor([1.0, 0.6, 0.3, 0.0]),
            stepper,
            generator=Noise(2),
            corruption=HeatKernel(space, LogLinear(0.05, 3.0)),
        )
        for _ in range(2)
    )
    assert torch.equal(first, second)
    assert space.dist(first, clean).max() < 1e-12


@pytest.mark.parametrize("stepper", NOISY, ids=repr)
def test_noisy_steppers_are_refused_where_there_is_no_score(stepper):
    x, kappas = SO3().random_point(1), torch.tensor([0.9, 0.5])
    with pytest.raises(ValueError, match="has no score"):
        integrate(SO3(), lambda x, kappa: x, x, kappas, stepper, corruption=Geodesic(SO3()))


def test_numbers_outside_their_range_are_refused():
    for made, argument in [
        (lambda: Churn(0.0), "gamma"),
        (lambda: Churn(low=2.0, high=1.0), "low, high"),
        (lambda: Churn(scale=0.0), "scale"),
        (lambda: Langevin(0), "moves"),
        (lambda: Langevin(size=1.5), "size"),
        (lambda: Ancestral(spread=-1.0), "spread"),
    ]:
        with pytest.raises(ValueError, match=argument):
            made()
