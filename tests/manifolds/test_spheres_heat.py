"""Brownian motion on spheres of every dimension: the circle, the sphere, unit quaternions, and
beyond.
"""

import math

import mpmath
import numpy
import pytest
import scipy.stats
import torch

from manifolds import SO3, Sphere, Torus
from manifolds.heat import kernel, prior_tv
from manifolds.rotations import quaternion_to_matrix
from manifolds.testing import points

DTYPES = pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64], ids=["float32", "float64"]
)
DIMENSIONS = pytest.mark.parametrize("n", [1, 3, 20, 64])
KAPPAS = (1e-3, 0.1, 0.7, 0.8, 5.0)


def _seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def _double(value):
    return torch.tensor(value, dtype=torch.float64)


def _at(n, distance, dtype=torch.float64):
    """The first axis, and the point of S^n at this distance from it."""
    clean, x = torch.zeros(n + 1, dtype=dtype), torch.zeros(n + 1, dtype=dtype)
    clean[0] = 1
    x[0], x[1] = math.cos(distance), math.sin(distance)
    return clean, x


def _gegenbauer(d, t, n):
    """The heat kernel of S^n at distance d in mpmath, by the series; digits for its cancellation
    are the caller's.
    """
    l, c = mpmath.mpf(n - 1) / 2, mpmath.cos(d)
    before, now, total, k = mpmath.mpf(1), c, mpmath.mpf(1), 1
    weight = mpmath.mpf(1)
    while k < 5 or weight > mpmath.mpf(10) ** -mpmath.mp.dps:
        count = mpmath.binomial(k + n - 1, k) * (2 * k + n - 1) / mpmath.mpf(k + n - 1)
        weight = count * mpmath.exp(-k * (k + 2 * l) * t / 2)
        total += weight * now
        before, now = now, (2 * (k + l) * c * now - k * before) / (k + 2 * l)
        k += 1
    return total * mpmath.gamma(l + 1) / (2 * mpmath.pi ** (l + 1))


def _quaternions(d, t):
    """The heat kernel of S^3 at distance d by its images 2 pi apart, short at small t."""
    total = sum(
        (d + 2 * mpmath.pi * k) * mpmath.exp(-((d + 2 * mpmath.pi * k) ** 2) / (2 * t))
        for k in range(-9, 10)
    )
    return mpmath.exp(t / 2) / (2 * mpmath.pi * t) ** mpmath.mpf(1.5) * total / mpmath.sin(d)


def _distance(clean, x):
    """The distance of the rounded points, exactly."""
    return 2 * mpmath.atan2(
        mpmath.norm([mpmath.mpf(float(a - b)) for a, b in zip(x.double(), clean.double())]),
        mpmath.norm([mpmath.mpf(float(a + b)) for a, b in zip(x.double(), clean.double())]),
    )


@pytest.mark.parametrize(
    ("dtype", "density_limit", "score_limit"),
    [(torch.float32, 2e-6, 1e-5), (torch.float64, 1e-12, 1e-10)],
)
@pytest.mark.parametrize("kappa", KAPPAS)
def test_unit_quaternions_have_their_closed_form_from_tiny_levels_to_large(
    kappa, dtype, density_limit, score_limit
):
    law = kernel(Sphere(3))
    for share in (1e-3, 1.0, 8.0):
        clean, x = _at(3, min(share * kappa, 3.1), dtype)
        level = float(torch.tensor(kappa, dtype=dtype))
        with mpmath.workdps(60):
            d, t = _distance(clean, x), mpmath.mpf(level) ** 2
            form = _quaternions if kappa < 3 else lambda d, t: _gegenbauer(d, t, 3)
            value = float(mpmath.log(form(d, t)))
            rate = float(
                mpmath.diff(
                    lambda y, form=form, t=t: mpmath.log(form(y, t)), d, h=d * mpmath.mpf(10) ** -15
                )
            )
        found, score = law.log_prob(x, clean, level), law.score(x, clean, level)
        assert abs(float(found) - value) < density_limit * (1 + abs(value))
        along = float((score * Sphere(3).log(x, clean)).sum() / Sphere(3).dist(x, clean))
        assert abs(along + rate) * kappa < score_limit * (1 + abs(rate) * kappa)


@pytest.mark.parametrize("n", [2, 4, 7, 20, 64])
def test_densities_agree_with_the_gegenbauer_series_in_many_digits(n):
    law = kernel(Sphere(n))
    for kappa in (0.3, 0.6, 0.75):
        for share in (0.0, 2.0, 6.0):
            clean, x = _at(n, min(share * kappa * math.sqrt(n), math.pi))
            with mpmath.workdps(
                40 + int(n * max(0, -math.log10(kappa)) + min(200, 0.3 * (3 / kappa) ** 2))
            ):
                value = float(
                    mpmath.log(_gegenbauer(_distance(clean, x), mpmath.mpf(kappa) ** 2, n))
                )
            assert abs(float(law.log_prob(x, clean, kappa)) - value) < 1e-12 * (1 + abs(value))


@pytest.mark.parametrize("kappa", [1e-3, 0.1, 0.8, 5.0])
@DTYPES
def test_the_sphere_in_space_agrees_with_forty_digits(kappa, dtype):
    law, limit = kernel(Sphere(2)), 1e-5 if dtype == torch.float32 else 1e-11
    for share in (0.3, 4.0):
        clean, x = _at(2, min(share * kappa, 3.1), dtype)
        level = float(torch.tensor(kappa, dtype=dtype))
        with mpmath.workdps(40):
            d, t = _distance(clean, x), mpmath.mpf(level) ** 2
            if kappa < 0.01:  # the first terms of the expansion for short times
                flat = -(d**2) / (2 * t) - mpmath.log(2 * mpmath.pi * t)
                value = float(flat + mpmath.log(d / mpmath.sin(d)) / 2 + t / 6)
                limit = 1e-5 if dtype == torch.float32 else 1e-8
            else:
                value = float(mpmath.log(_gegenbauer(d, t, 2)))
        assert abs(float(law.log_prob(x, clean, level)) - value) < limit * (1 + abs(value))


@pytest.mark.parametrize("n", [5, 64])
def test_densities_are_normal_at_tiny_levels(n):
    # p = e^(-d^2 / 2t) (2 pi t)^(-n/2) (d / sin d)^((n - 1) / 2) (1 + O(n^2 t)).
    kappa, clean, x = 1e-5, *_at(n, 0.7)
    d = float(Sphere(n).dist(clean, x))
    wanted = (
        -(d**2) / 2e-10
        - 0.5 * n * math.log(2 * math.pi * 1e-10)
        + 0.5 * (n - 1) * math.log(d / math.sin(d))
    )
    assert float(kernel(Sphere(n)).log_prob(x, clean, kappa)) == pytest.approx(wanted, rel=1e-12)


def test_the_circle_is_the_torus_of_one_angle():
    circle, torus = kernel(Sphere(1)), kernel(Torus(1))
    clean, x = Torus(1).random_point(2, 50, generator=_seeded(), dtype=torch.float64)
    on_circle = [torch.cat([angle.cos(), angle.sin()], -1) for angle in (clean, x)]
    along = torch.cat([-x.sin(), x.cos()], -1)
    for kappa in (0.05, 0.7, 1.99, 2.01, 6.0):
        density = circle.log_prob(on_circle[1], on_circle[0], kappa)
        assert (density - torus.log_prob(x, clean, kappa)).abs().max() < 1e-11 / kappa**2
        score = (circle.score(on_circle[1], on_circle[0], kappa) * along).sum(-1, keepdim=True)
        assert ((score - torus.score(x, clean, kappa)) * kappa).abs().max() < 1e-11 / kappa
    drawn = circle.sample(on_circle[0], 0.4, generator=_seeded())
    away = torus.sample(0 * clean, 0.4, generator=_seeded())
    assert (Sphere(1).dist(drawn, on_circle[0]) - away[:, 0].abs()).abs().max() < 1e-12


def test_unit_quaternions_are_twice_the_rotations():
    # A rotation by a has the lifts at a / 2 and pi - a / 2; volumes are 8 pi^2 and 2 pi^2,
    # densities 1 to 8.
    q, p = Sphere(3).random_point(2, 40, generator=_seeded(), dtype=torch.float64)
    kappa = torch.logspace(-1, 0.5, 40, dtype=torch.float64)
    both = torch.stack([kernel(Sphere(3)).log_prob(sign * q, p, kappa / 2) for sign in (1, -1)])
    rotations = kernel(SO3()).log_prob(quaternion_to_matrix(q), quaternion_to_matrix(p), kappa)
    assert (torch.logsumexp(both, 0) - math.log(8) - rotations).abs().max() < 1e-12


@DIMENSIONS
@pytest.mark.parametrize("kappa", [0.02, 0.5, 2.0])
def test_the_score_is_the_gradient_of_the_log_density(n, kappa):
    space, law = Sphere(n), kernel(Sphere(n))
    clean = points(space, 5)
    x = law.sample(clean, kappa, generator=_seeded())
    score, frame, step = law.score(x, clean, kappa), space.frame(x), 1e-4 * kappa
    around = (space.exp(x[:, None], sign * step * frame) for sign in (1, -1))
    ahead, behind = (law.log_prob(y, clean[:, None], kappa) for y in around)
    found = (frame * score[:, None]).sum(-1)
    assert (found - (ahead - behind) / (2 * step)).abs().max() * kappa < 1e-5
    v = torch.zeros_like(x, requires_grad=True)
    (gradient,) = torch.autograd.grad(law.log_prob(space.exp(x, v), clean, kappa).sum(), v)
    assert (gradient - score).abs().max() * kappa < 1e-9


@DIMENSIONS
@pytest.mark.parametrize("kappa", [0.05, 0.6, 1.3])
def test_drawn_distances_pass_a_kolmogorov_smirnov_test(n, kappa):
    space, law, count = Sphere(n), kernel(Sphere(n)), {1: 20000, 3: 4000}.get(n, 500)
    clean = _at(n, 0.0)[0].expand(count, n + 1)
    drawn = law.sample(clean, kappa, generator=_seeded(n))
    grid = torch.linspace(0, math.pi, 1001, dtype=torch.float64)
    rest = torch.zeros(1001, n - 1, dtype=torch.float64)
    place = torch.cat([grid.cos()[:, None], grid.sin()[:, None], rest], -1)
    around = Sphere(n - 1).uniform_log_prob() if n > 1 else -math.log(2)
    # Where the density falls below 1e-300 it counts for nothing.
    density = (
        law.log_prob(place, clean[0], kappa) - around + (n - 1) * grid.sin().clamp(min=1e-300).log()
    ).exp()
    cumulative = torch.cat([_double([0.0]), torch.cumulative_trapezoid(density, grid)])
    assert abs(float(cumulative[-1]) - 1) < 1e-3
    distribution = lambda d: numpy.interp(d, grid.numpy(), cumulative.numpy())  # noqa: E731
    assert scipy.stats.kstest(space.dist(clean, drawn).numpy(), distribution).pvalue > 1e-4
    # Directions are uniform: a coordinate's share of the length has a beta distribution.
    if n > 1:
        share = drawn[:, 1].square() / drawn[:, 1:].square().sum(-1)
        assert (
            scipy.stats.kstest(share.numpy(), scipy.stats.beta(0.5, 0.5 * (n - 1)).cdf).pvalue
            > 1e-4
        )


@pytest.mark.parametrize("n", [3, 5])
def test_two_short_motions_make_one_long_motion(n):
    space, law = Sphere(n), kernel(Sphere(n))
    clean = points(space)
    for first, second in ((0.2, 0.3), (0.6, 0.5)):
        both = math.hypot(first, second)
        x = law.sample(clean, both, generator=_seeded())
        middle = law.sample(clean.expand(5000, n + 1), first, generator=_seeded(1))
        values = (law.log_prob(x, middle, second) - law.log_prob(x, clean, both)).exp()
        assert abs(float(values.mean()) - 1) < 5 * float(values.std()) / 5000**0.5


@pytest.mark.parametrize("n", [1, 3, 64])
@pytest.mark.parametrize("kappa", [0.1, 0.72, 1.5])
def test_the_density_solves_the_heat_equation(n, kappa):
    space, law, clean = Sphere(n), kernel(Sphere(n)), points(Sphere(n))
    x = law.sample(clean.expand(3, n + 1), kappa, generator=_seeded())
    t, step = kappa**2, 2e-3 * kappa
    frame, at, here = space.frame(x), x.unsqueeze(1), law.log_prob(x, clean, kappa)
    ahead, behind = (
        law.log_prob(space.exp(at, sign * step * frame), clean, kappa) for sign in (1, -1)
    )
    laplacian = ((ahead - here[:, None]).exp() + (behind - here[:, None]).exp() - 2).sum(
        1
    ) / step**2
    later, earlier = (law.log_prob(x, clean, math.sqrt(t * (1 + sign * 1e-4))) for sign in (1, -1))
    rate = ((later - here).exp() - (earlier - here).exp()) / (2e-4 * t)
    assert ((rate - laplacian / 2).abs() * t).max() < 1e-4 * n


@pytest.mark.parametrize("n", [3, 8, 64])
def test_nothing_jumps_where_the_form_changes(n):
    law, clean, x = kernel(Sphere(n)), points(Sphere(n)), points(Sphere(n), 50, seed=1)
    for dimension in (n, n + 2):  # the slope takes both
        switch = math.sqrt(min(0.5, 2 / dimension * math.log(dimension + 1)))
        below, above = switch * (1 - 1e-13), switch * (1 + 1e-13)
        assert (law.log_prob(x, clean, below) - law.log_prob(x, clean, above)).abs().max() < 1e-11
        assert (law.score(x, clean, below) - law.score(x, clean, above)).abs().max() < 1e-10


@DTYPES
@pytest.mark.parametrize("n", [1, 3, 64])
def test_extreme_levels_and_singular_points_have_their_limits(n, dtype):
    space, law = Sphere(n), kernel(Sphere(n))
    clean, x = points(space, 4, seed=0, dtype=dtype), points(space, 4, seed=1, dtype=dtype)
    towards = space.log(x, clean)
    for kappa in (0.0, 1e-20, 1e-5):
        assert (law.displacement(x, clean, kappa) - towards).abs().max() < 2e-5
        assert space.dist(law.sample(clean, kappa, generator=_seeded()), clean).max() < 1e-3
    for kappa in (30.0, 1e4, math.inf):
        assert law.displacement(x, clean, kappa).abs().max() < 1e-6
        assert (law.log_prob(x, clean, kappa) - space.uniform_log_prob()).abs().max() < 1e-4
        assert space.check(law.sample(clean, kappa, generator=_seeded())) is None
    for kappa in (0.02, 0.5, 1.0, 3.0):
        for distance in (0.0, 1e-9, math.pi):
            y = space.exp(clean[:1], distance * space.frame(clean[0])).requires_grad_()
            values = law.log_prob(y, clean[:1], kappa), law.score(y, clean[:1], kappa)
            (gradient,) = torch.autograd.grad(sum(value.sum() for value in values), y)
            assert all(torch.isfinite(value).all() for value in (*values, gradient))


@DTYPES
@DIMENSIONS
def test_a_batch_takes_one_level_per_sample(n, dtype):
    space, law = Sphere(n), kernel(Sphere(n))
    clean = points(space, 3, 4, dtype=dtype)
    kappa = torch.logspace(-2, 1, 12, dtype=dtype).reshape(3, 4)
    x = law.sample(clean, kappa, generator=_seeded())
    density, score = law.log_prob(x, clean, kappa), law.score(x, clean, kappa)
    assert (
        x.dtype == density.dtype == score.dtype == dtype
        and density.shape == (3, 4)
        and space.check(x) is None
    )
    assert torch.equal(x, law.sample(clean, kappa, generator=_seeded()))
    for i, j in ((0, 0), (1, 2), (2, 3)):
        one = float(kappa[i, j])
        assert torch.allclose(
            law.log_prob(x[i, j], clean[i, j], one), density[i, j], rtol=1e-5, atol=1e-5
        )
        assert torch.allclose(
            law.score(x[i, j], clean[i, j], one), score[i, j], rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("n", [1, 4])
def test_second_derivatives_are_right_at_the_point_itself(n):
    space, law, clean = Sphere(n), kernel(Sphere(n)), points(Sphere(n))
    frame = space.frame(clean)
    along = lambda c: law.log_prob(space.exp(clean, (c[:, None] * frame).sum(0)), clean, 0.4)  # noqa: E731
    zero = torch.zeros(n, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(along, (zero,), atol=1e-6)
    hessian = torch.autograd.functional.hessian(along, zero.detach())
    step = 1e-3
    ahead, here = along(step * torch.eye(n, dtype=torch.float64)[0]), along(zero.detach())
    assert float(hessian[0, 0]) == pytest.approx(2 * float(ahead - here) / step**2, rel=1e-4)


@pytest.mark.parametrize("n", [1, 3, 10])
def test_the_distance_to_uniform_is_known_on_all_of_them(n):
    space, kappa = Sphere(n), 0.8
    clean = points(space, dtype=torch.float64)
    x = space.random_point(5000, generator=_seeded(), dtype=torch.float64)
    ratio = (kernel(space).log_prob(x, clean, kappa) - space.uniform_log_prob()).exp()
    half = 0.5 * (ratio - 1).abs()
    assert (
        abs(float(prior_tv(space, kappa)) - float(half.mean())) < 4 * float(half.std()) / 5000**0.5
    )


def test_too_many_dimensions_are_refused():
    with pytest.raises(
        ValueError, match=r"no heat kernel for Sphere\(n=65\).*at most 64.*Flow matching"
    ):
        kernel(Sphere(65))
