"""How far the noisiest law of a diffusion is from its base: exact values, bounds, and refusals."""

import math

import pytest
import scipy.integrate
import scipy.stats
import torch

from manifolds import SE3, SO3, Centered, Euclidean, Hyperbolic, Product, Scaled, Sphere, Torus
from manifolds.heat import angle, kernel, prior_tv


def _double(value):
    return torch.tensor(value, dtype=torch.float64)


def test_rotations_at_known_levels():
    found = prior_tv(SO3(), _double([1.5, 2.0, 2.5]))
    assert found.tolist() == pytest.approx([0.130, 0.0227, 0.00239], rel=5e-3)
    assert prior_tv(SO3(), 2.5).shape == () and found.dtype == torch.float64


@pytest.mark.parametrize("kappa", [0.01, 0.3, 1.0, 1.5, 2.5])
def test_rotations_have_half_the_integral_of_the_difference(kappa):
    a = torch.linspace(1e-6, math.pi, 400_001, dtype=torch.float64)
    measure = (1 - a.cos()) / math.pi
    density = angle.log_density(a.square(), _double(kappa).square()).exp()
    wanted = 0.5 * float(torch.trapezoid((density - 1).abs() * measure, a))
    assert float(prior_tv(SO3(), kappa)) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("space", [Sphere(2), Torus(1), SO3()], ids=repr)
@pytest.mark.parametrize("kappa", [0.5, 1.5])
def test_compact_spaces_agree_with_uniform_points(space, kappa):
    # 1/2 the mean of |p / u - 1| over uniform points, with its own standard error.
    clean, x = (
        space.random_point(n, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
        for n in (1, 20_000)
    )
    ratio = (kernel(space).log_prob(x, clean, kappa) - space.uniform_log_prob()).exp()
    half = 0.5 * (ratio - 1).abs()
    assert (
        abs(float(prior_tv(space, kappa)) - float(half.mean()))
        < 4 * float(half.std()) / len(x) ** 0.5
    )


@pytest.mark.parametrize(
    ("dim", "radius"), [(1, 0.0), (1, 2.0), (2, 1.0), (3, 0.0), (3, 5.0), (60, 7.0)]
)
@pytest.mark.parametrize("kappa", [0.3, 2.0, 50.0])
def test_flat_spaces_agree_with_the_non_central_chi_square_law(dim, radius, kappa):
    t, wide = kappa**2, 1 + kappa**2
    size = t * wide * (dim * math.log1p(1 / t) + radius**2)
    away = t * radius  # from the clean point to the middle of the ball
    inside = scipy.stats.ncx2 if radius else scipy.stats.chi2
    arguments = [
        (dim, (middle / scale) ** 2) if radius else (dim,)
        for middle, scale in ((away, kappa), (wide * radius, math.sqrt(wide)))
    ]
    first, second = (inside.cdf(size / scale, *a) for a, scale in zip(arguments, (t, wide)))
    assert float(prior_tv(Euclidean(dim), kappa, radius)) == pytest.approx(first - second, abs=1e-6)


def test_a_line_has_half_the_integral_of_the_difference():
    first, second = scipy.stats.norm(1.5, 0.8), scipy.stats.norm(0, math.sqrt(1.64))
    wanted = scipy.integrate.quad(
        lambda x: 0.5 * abs(first.pdf(x) - second.pdf(x)), -10, 10, limit=200
    )[0]
    assert float(prior_tv(Euclidean(1), 0.8, 1.5)) == pytest.approx(wanted, abs=1e-7)


def test_products_are_between_their_largest_factor_and_the_bound():
    # Exactly on two angles, by the grid.
    angles = torch.linspace(-math.pi, math.pi, 401, dtype=torch.float64)[:-1]
    grid, space, kappa = torch.cartesian_prod(angles, angles), Torus(2), 1.5
    density = kernel(space).log_prob(grid, torch.zeros(2, dtype=torch.float64), kappa).exp()
    exact = 0.5 * float((density * 4 * math.pi**2 - 1).abs().mean())
    assert float(prior_tv(Torus(1), kappa)) < exact < float(prior_tv(space, kappa)) < 1.4 * exact
    # Many factors: the affinity grows with their root, the other bound with their number.
    one = float(prior_tv(SO3(), 2.5))
    many = float(prior_tv(Product((SO3(),) * 100), 2.5))
    assert 5 * one < many < 0.2 < 1 - (1 - one) ** 100


def test_factors_take_levels_of_their_own():
    space = Product((SO3(), Euclidean(3), Torus(2)))
    wide = _double([2.0] * 3 + [5.0] * 3 + [3.0] * 2).expand(4, 8)
    listed = prior_tv(space, [2.0, 5.0, 3.0])
    assert torch.allclose(prior_tv(space, wide, per_entry=True), listed.expand(4))
    assert prior_tv(SE3(), (2.0, 5.0)) < listed
    assert prior_tv(Scaled(SO3(), 2.0), 3.0) == prior_tv(SO3(), 1.5)
    assert prior_tv(Torus(1), _double([[1.0]]), per_entry=True).shape == (1,)


@pytest.mark.parametrize(
    "space", [SO3(), Sphere(2), Torus(1), Torus(3), Euclidean(2), SE3()], ids=repr
)
def test_it_falls_from_one_with_the_level(space):
    found = prior_tv(space, torch.logspace(-6, 1, 20))
    assert found[0] > 1 - 1e-5 and (found.diff() <= 1e-9).all() and (found >= 0).all()
    assert prior_tv(space, 0.0) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((Hyperbolic(3), 1.0), r"law: the base .* no closed density"),
        ((Centered(), 1.0), r"law: .*Euclidean\(\(n - 1\)"),
        ((SO3(), -1.0), "kappa: expected levels of at least 0"),
        ((SO3(), math.nan), "kappa: expected levels of at least 0"),
        ((SE3(), [1.0]), "kappa: expected one level, or 2"),
        ((Euclidean(2), 1.0, -1.0), "radius: expected a distance"),
        ((Hyperbolic(2), 1.0), "no heat kernel"),
    ],
)
def test_what_has_no_answer_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        prior_tv(*arguments)
