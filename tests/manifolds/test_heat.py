"""Heat kernels are densities with the right score, are drawn exactly, and form a semigroup."""

import math
import time

import mpmath
import numpy
import pytest
import scipy.special
import scipy.stats
import torch

from manifolds import (
    SE3,
    SO3,
    Centered,
    Euclidean,
    Hyperbolic,
    Poses,
    Power,
    Product,
    Scaled,
    Sphere,
    Torus,
)
from manifolds.base import randn
from manifolds.heat import angle, kernel
from manifolds.heat.product import of_factors
from manifolds.testing import points

DTYPES = pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64], ids=["float32", "float64"]
)
COMPACT = [Torus(2), Sphere(2), SO3()]
SPACES = [
    Euclidean(3),
    Centered(),
    Poses(),
    *COMPACT,
    SE3(),
    Product((SO3(), Euclidean(2), Torus(1), Sphere(2))),
    Hyperbolic(3),
    Scaled(SO3(), 2.0),
    Product((Scaled(Sphere(2), 0.5), Hyperbolic(3))),
    Scaled(SE3(), 2.0),
    Scaled(Poses(), 2.0),
    Power(SO3()),
    Power(Scaled(Sphere(2), 3.0)),
    Power(Product((Torus(1), Scaled(Euclidean(2), 0.5))), centred=True),
]
COMPACT_TOO = [Scaled(SO3(), 2.0), Product((Torus(1), Scaled(Sphere(2), 0.5))), Power(Torus(1))]


def _seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def _double(value):
    return torch.tensor(value, dtype=torch.float64)


def _exact(a, t):
    """The density of a rotation by angle a against the uniform one, in mpmath, by whichever sum is
    short.
    """
    if t < 1:
        images = (a + 2 * mpmath.pi * k for k in range(-6, 7))
        total = sum(
            (-1) ** k * y * mpmath.exp(-(y**2) / (2 * t)) for k, y in zip(range(-6, 7), images)
        )
        scale = mpmath.sqrt(2 * mpmath.pi) * mpmath.exp(t / 8) * t ** mpmath.mpf(-1.5)
        return scale * total / mpmath.sin(a / 2)
    return sum(
        (2 * l + 1)
        * mpmath.exp(-mpmath.mpf(l) * (l + 1) * t / 2)
        * mpmath.sin((l + 0.5) * a)
        / mpmath.sin(a / 2)
        for l in range(40)
    )


@pytest.mark.parametrize(
    ("dtype", "density_limit", "score_limit"),
    [(torch.float32, 1e-6, 1e-5), (torch.float64, 1e-13, 1e-12)],
)
def test_rotation_density_and_slope_agree_with_forty_digits(dtype, density_limit, score_limit):
    for kappa in (1e-3, 0.01, 0.05, 0.3, 0.999, 1.001, 1.414, 1.415, 2.0, 5.0):
        t = torch.tensor(kappa, dtype=dtype).square()
        for share in (1e-6, 1e-3, 0.1, 1.0, 3.0, 6.0, 10.0):
            a = torch.tensor(min(share * kappa, 3.14159), dtype=dtype)
            with mpmath.workdps(40):
                exact_t = mpmath.mpf(float(t))
                value = mpmath.log(_exact(mpmath.mpf(float(a)), exact_t))
                step = mpmath.mpf(10) ** -12 * mpmath.mpf(float(a))
                place = mpmath.mpf(float(a))
                rate = mpmath.diff(lambda y, s=exact_t: mpmath.log(_exact(y, s)), place, h=step)
                value, rate = float(value), float(rate)
            found = float(angle.log_density(a.square(), t))
            found_rate = float(angle.slope(a.square(), t)) * float(a) / float(t)
            assert abs(found - value) < density_limit * (1 + abs(value))
            assert abs(found_rate - rate) * kappa < score_limit * (1 + abs(rate) * kappa)


@pytest.mark.parametrize("kappa", [0.01, 0.1, 0.31, 0.32, 0.5, 1.4, 1.5, 3.0, 30.0])
def test_rotation_kernels_integrate_to_one_and_the_distribution_function_is_their_integral(kappa):
    a = torch.linspace(0, min(math.pi, 12 * kappa), 20001, dtype=torch.float64)
    density = angle.log_density(a.square(), _double(kappa).square()).exp() * (1 - a.cos()) / math.pi
    assert abs(float(torch.trapezoid(density, a)) - 1) < 1e-8
    cumulative = torch.cumulative_trapezoid(density, a)
    assert (angle.cdf(a[1:], _double(kappa)) - cumulative).abs().max() < 1e-5


@pytest.mark.parametrize("kappa", [0.0, 1e-6, 0.005, 0.05, 0.316, 0.317, 0.5, 1.0, 3.0, 100.0])
def test_quantiles_invert_the_distribution_function(kappa):
    probability = torch.cat(
        [
            torch.rand(2000, generator=_seeded(), dtype=torch.float64),
            _double([0.0, 1e-12, 1e-6, 1 - 1e-6, 1 - 1e-12, 1 - 2**-53]),
        ]
    )
    found = angle.quantile(probability, _double(kappa))
    assert ((found >= 0) & (found <= math.pi)).all()
    if kappa:
        assert (angle.cdf(found, _double(kappa)) - probability).abs().max() < 1e-13
    else:
        assert (found == 0).all()


@pytest.mark.parametrize("kappa", [0.005, 0.05, 0.5, 3.0])
def test_sampled_angles_pass_a_kolmogorov_smirnov_test(kappa):
    space = SO3()
    clean = space.random_point(generator=_seeded(), dtype=torch.float64).expand(20000, 3, 3)
    drawn = space.log(clean, kernel(space).sample(clean, kappa, generator=_seeded(1)))
    size = drawn.norm(dim=-1)
    test = scipy.stats.kstest(
        size.numpy(), lambda a: angle.cdf(torch.from_numpy(a), _double(kappa)).numpy()
    )
    assert test.pvalue > 1e-4
    # Axes are uniform: each coordinate of a uniform unit vector is uniform on [-1, 1].
    for coordinate in (drawn / size.unsqueeze(-1)).unbind(-1):
        assert scipy.stats.kstest(coordinate.numpy(), scipy.stats.uniform(-1, 2).cdf).pvalue > 1e-4


@pytest.mark.parametrize("kappa", [0.05, 0.5, 1.5])
def test_sampled_distances_on_the_sphere_pass_a_kolmogorov_smirnov_test(kappa):
    space = Sphere(2)
    clean = space.random_point(generator=_seeded(), dtype=torch.float64).expand(20000, 3)
    dist = space.dist(clean, kernel(space).sample(clean, kappa, generator=_seeded(1)))
    grid = torch.linspace(0, math.pi, 20001, dtype=torch.float64)
    place = torch.stack([grid.sin(), 0 * grid, grid.cos()], -1)
    density = (
        kernel(space).log_prob(place, _double([0.0, 0.0, 1.0]), kappa).exp()
        * 2
        * math.pi
        * grid.sin()
    )
    cumulative = numpy.concatenate([[0], torch.cumulative_trapezoid(density, grid).numpy()])
    assert abs(cumulative[-1] - 1) < 1e-5
    assert (
        scipy.stats.kstest(dist.numpy(), lambda d: numpy.interp(d, grid.numpy(), cumulative)).pvalue
        > 1e-4
    )


@pytest.mark.parametrize("kappa", [0.3, 1.0, 1.99, 2.01, 10.0])
def test_torus_densities_integrate_to_one_and_agree_with_scipy_sums(kappa):
    space = Torus(1)
    x = torch.linspace(-math.pi, math.pi, 2001, dtype=torch.float64)[:-1].unsqueeze(-1)
    density = kernel(space).log_prob(x, _double([0.7]), kappa).exp()
    assert abs(float(density.mean()) * 2 * math.pi - 1) < 1e-12
    away = x[:, 0].numpy() - 0.7
    images = sum(scipy.stats.norm.pdf(away + 2 * math.pi * k, scale=kappa) for k in range(-60, 61))
    assert numpy.abs(density.numpy() - images).max() < 1e-12


@pytest.mark.parametrize("kappa", [0.05, 0.2, 0.36, 0.37, 1.0, 1.41, 1.42, 3.0])
def test_sphere_densities_agree_with_the_legendre_series(kappa):
    distance = numpy.linspace(0, min(math.pi, 5 * kappa), 40)
    degree = numpy.arange(int(10 / kappa) + 10)[:, None]
    terms = (2 * degree + 1) / (4 * math.pi) * numpy.exp(-degree * (degree + 1) * kappa**2 / 2)
    series = (terms * scipy.special.eval_legendre(degree, numpy.cos(distance))).sum(0)
    x = torch.from_numpy(numpy.stack([numpy.sin(distance), 0 * distance, numpy.cos(distance)], -1))
    found = kernel(Sphere(2)).log_prob(x, _double([0.0, 0.0, 1.0]), kappa).exp().numpy()
    assert numpy.abs(found - series).max() < 1e-12 * series.max()


def test_sphere_densities_are_right_far_in_the_tail_where_the_series_cancels():
    # Small-time form: K = exp(-d^2 / 2t) / (2 pi t) sqrt(d / sin d) (1 + t a(d) + ...), in error by
    # order t.
    kappa, distance = 0.01, 0.5
    x = _double([math.sin(distance), 0.0, math.cos(distance)])
    found = float(kernel(Sphere(2)).log_prob(x, _double([0.0, 0.0, 1.0]), kappa))
    leading = -(distance**2) / (2 * kappa**2) - math.log(2 * math.pi * kappa**2)
    assert abs(found - leading - 0.5 * math.log(distance / math.sin(distance))) < kappa**2


@pytest.mark.parametrize("kappa", [0.05, 0.3, 0.317, 1.0, 1.4142, 1.4143, 2.5])
@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_the_score_is_the_riemannian_gradient_of_the_log_density(space, kappa):
    law = kernel(space)
    clean = points(space, 20)
    x = law.sample(clean, kappa, generator=_seeded())
    score = law.score(x, clean, kappa)
    step = 1e-4 * kappa
    frame = space.frame(x)
    at, source = x.unsqueeze(1), clean.unsqueeze(1)
    ahead, behind = (
        law.log_prob(space.exp(at, sign * step * frame), source, kappa) for sign in (1, -1)
    )
    wanted = (ahead - behind) / (2 * step)
    found = space.inner(at, frame, score.unsqueeze(1))
    assert (found - wanted).abs().max() * kappa < 1e-5
    assert (space.to_tangent(x, score) - score).abs().max() < 1e-9


@DTYPES
@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_density_score_and_draws_keep_the_dtype_and_take_one_level_per_sample(space, dtype):
    law = kernel(space)
    clean = points(space, 3, 4, dtype=dtype)
    # At kappa = 10 Brownian motion on hyperbolic space is 100 away, beyond the numbers of float32.
    top = 0.5 if "Hyperbolic" in repr(space) else 1.0
    kappa = torch.logspace(-2, top, 12, dtype=dtype).reshape(3, 4)
    x = law.sample(clean, kappa, generator=_seeded())
    density, score = law.log_prob(x, clean, kappa), law.score(x, clean, kappa)
    assert x.dtype == density.dtype == score.dtype == dtype
    assert (
        density.shape == (3, 4)
        and score.shape == space.log(x, clean).shape
        and space.check(x) is None
    )
    for i, j in ((0, 0), (1, 2), (2, 3)):
        one = float(kappa[i, j])
        assert torch.allclose(
            law.log_prob(x[i, j], clean[i, j], one), density[i, j], rtol=1e-5, atol=1e-5
        )
        assert torch.allclose(
            law.score(x[i, j], clean[i, j], one), score[i, j], rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_draws_repeat_with_the_generator_and_spread_with_the_level(space):
    law = kernel(space)
    clean = points(space, 4000, dtype=torch.float64)
    kappa = torch.tensor([0.01, 0.1], dtype=torch.float64).repeat(2000)
    x = law.sample(clean, kappa, generator=_seeded())
    assert torch.equal(x, law.sample(clean, kappa, generator=_seeded()))
    mean_square = space.dist(clean, x).square().reshape(2000, 2).mean(0)
    dim = space.frame(clean[:1]).shape[1]
    # Brownian motion of variance kappa^2 in each direction; curvature enters at kappa^4.
    assert ((mean_square / (dim * kappa[:2].square())) - 1).abs().max() < 0.12


@pytest.mark.parametrize("space", [*COMPACT, *COMPACT_TOO], ids=repr)
@pytest.mark.parametrize("kappas", [(0.1, 0.2), (0.7, 1.2), (1.0, 1.5)])
def test_two_short_motions_make_one_long_motion(space, kappas):
    # Chapman-Kolmogorov: the mean of p_s(x | y) over y drawn from p_t(y | clean) is p_(s+t)(x |
    # clean).
    first, second = kappas
    both = math.hypot(first, second)
    clean, law = points(space), kernel(space)
    x = law.sample(clean, both, generator=_seeded())
    middle = law.sample(clean.expand(40000, *clean.shape), first, generator=_seeded(1))
    values = law.log_prob(x, middle, second).exp()
    wanted = float(law.log_prob(x, clean, both).exp())
    assert abs(float(values.mean()) - wanted) < 5 * float(values.std()) / 200


@pytest.mark.parametrize("space", [*COMPACT, *COMPACT_TOO], ids=repr)
@pytest.mark.parametrize("kappa", [0.3, 1.0, 1.9, 2.1])
def test_the_density_solves_the_heat_equation(space, kappa):
    law, clean = kernel(space), points(space)
    x = law.sample(clean.expand(5, *clean.shape), kappa, generator=_seeded())
    t, step = kappa**2, 2e-3 * kappa
    frame, at = space.frame(x), x.unsqueeze(1)
    here = law.log_prob(x, clean, kappa).exp()
    ahead, behind = (
        law.log_prob(space.exp(at, sign * step * frame), clean, kappa).exp() for sign in (1, -1)
    )
    laplacian = (ahead + behind - 2 * here.unsqueeze(1)).sum(1) / step**2
    later, earlier = (
        law.log_prob(x, clean, math.sqrt(t * (1 + sign * 1e-4))).exp() for sign in (1, -1)
    )
    rate = (later - earlier) / (2e-4 * t)
    assert ((rate - laplacian / 2).abs() * t / here).max() < 1e-4


@pytest.mark.parametrize("space", COMPACT, ids=repr)
def test_nothing_jumps_where_the_form_changes(space):
    law, clean = kernel(space), points(space)
    x = points(space, 50, seed=1)
    for switch in (2.0, math.sqrt(2.0), 1.0, math.sqrt(0.1)):
        below, above = switch * (1 - 1e-12), switch * (1 + 1e-12)
        assert (law.log_prob(x, clean, below) - law.log_prob(x, clean, above)).abs().max() < 1e-9
        assert (law.score(x, clean, below) - law.score(x, clean, above)).abs().max() < 1e-9
    u = torch.rand(100, generator=_seeded(), dtype=torch.float64)
    below, above = (angle.quantile(u, _double(math.sqrt(0.1) + sign * 1e-12)) for sign in (-1, 1))
    assert (below - above).abs().max() < 1e-10


@DTYPES
@pytest.mark.parametrize("space", COMPACT, ids=repr)
def test_extreme_levels_have_their_limits(space, dtype):
    law = kernel(space)
    clean, x = points(space, 20, seed=0, dtype=dtype), points(space, 20, seed=1, dtype=dtype)
    towards = space.log(x, clean)
    assert (law.displacement(x, clean, 0.0) - towards).abs().max() < 1e-5
    assert (law.displacement(x, clean, 1e-4) - towards).abs().max() < 1e-2
    for kappa in (30.0, 1e4, math.inf):
        assert law.displacement(x, clean, kappa).abs().max() < 1e-6
        assert (law.log_prob(x, clean, kappa) - space.uniform_log_prob()).abs().max() < 1e-5
    assert space.dist(law.sample(clean, 0.0, generator=_seeded()), clean).max() < 1e-5
    assert space.check(law.sample(clean, math.inf, generator=_seeded())) is None


@DTYPES
@pytest.mark.parametrize("space", COMPACT, ids=repr)
def test_values_and_gradients_are_finite_at_equal_points_and_at_the_cut_locus(space, dtype):
    law = kernel(space)
    clean = points(space, dtype=dtype)
    for kappa in (0.02, 0.5, 1.5, 3.0):
        for distance in (0.0, math.pi):
            x = space.exp(clean, distance * space.frame(clean)).requires_grad_()
            values = (law.log_prob(x, clean, kappa), law.score(x, clean, kappa))
            assert all(torch.isfinite(value).all() for value in values)
            (gradient,) = torch.autograd.grad(sum(value.sum() for value in values), x)
            assert torch.isfinite(gradient).all()


def test_autograd_of_the_density_is_the_score():
    space = SO3()
    law, clean = kernel(space), space.random_point(10, generator=_seeded(), dtype=torch.float64)
    kappa = torch.logspace(-1, 0.5, 10, dtype=torch.float64)
    x = law.sample(clean, kappa, generator=_seeded(1))
    v = torch.zeros(10, 3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(law.log_prob(space.exp(x, v), clean, kappa).sum(), v)
    assert (gradient - law.score(x, clean, kappa)).abs().max() < 1e-9


@pytest.mark.parametrize("kappa", [0.1, 0.9, 1.1, 1.5, 3.0])
def test_the_hessian_of_the_rotation_density_is_right_at_and_near_the_clean_point(kappa):
    t, eye = _double(kappa).square(), torch.eye(3, dtype=torch.float64)
    for size in (0.0, 1e-9, 1e-4):
        w = size * _double([0.6, 0.0, 0.8])
        hessian = torch.func.hessian(lambda w: angle.log_density(w.square().sum(), t))(w)
        jacobian = torch.func.jacfwd(lambda w: angle.slope(w.square().sum(), t) / t * w)(w)
        # There it is the slope in every direction, to second order of the distance from the clean
        # point.
        limit = angle.slope(_double(0.0), t) / t * eye
        assert (hessian - limit).abs().max() < 1e-7 * limit.abs().max()
        assert (jacobian - hessian).abs().max() < 1e-12 * limit.abs().max()


def test_levels_of_a_product_are_one_for_all_or_one_per_factor():
    space = Product((SO3(), Euclidean(2)))
    law, clean = kernel(space), points(space, 5)
    x = law.sample(clean, [0.3, 2.0], generator=_seeded())
    flat = _double([0.3, 0.3, 0.3, 2.0, 2.0]).expand(5, 5)
    assert torch.equal(law.log_prob(x, clean, [0.3, 2.0]), law.log_prob(x, clean, flat))
    assert torch.equal(law.score(x, clean, [0.3, 2.0]), law.score(x, clean, flat))
    parts = zip(space.spaces, space.split(x), space.split(clean), (0.3, 2.0))
    total = sum(kernel(factor).log_prob(a, b, level) for factor, a, b, level in parts)
    assert torch.equal(law.log_prob(x, clean, flat), total)
    pose, clean_pose = points(SE3(), 4, seed=1), points(SE3(), 4, seed=2)
    poses = kernel(SE3())
    wide = _double([0.5, 0.5, 0.5, 3.0, 3.0, 3.0]).expand(4, 6)
    assert torch.equal(
        poses.score(pose, clean_pose, (0.5, 3.0)), poses.score(pose, clean_pose, wide)
    )
    with pytest.raises(ValueError, match="kappa: expected one level, or 2"):
        law.sample(clean, [0.1, 0.2, 0.3])


@pytest.mark.parametrize("space", [Centered(), Poses()], ids=repr)
def test_masked_clouds_get_no_noise_and_count_no_dimension(space):
    law = kernel(space)
    mask = torch.tensor([[True, True, True, False], [True, True, True, True]])
    clean = space.random_point(2, mask=mask, generator=_seeded(), dtype=torch.float64)
    kappa = _double([0.5, 2.0])
    x = law.sample(clean, kappa, generator=_seeded(1), mask=mask)
    assert space.check(x, mask) is None
    alone = law.log_prob(x[0, :3], clean[0, :3], 0.5)
    assert torch.allclose(law.log_prob(x, clean, kappa, mask=mask)[0], alone)
    assert (law.score(x, clean, kappa, mask=mask)[~mask] == 0).all()


@pytest.mark.parametrize(
    "space",
    [
        Euclidean(2),
        Scaled(Euclidean(2), 3.0),
        SO3(),
        SE3(),
        Scaled(SE3(), 0.5),
        Product((Sphere(2), Scaled(Euclidean(1), 2.0))),
        Centered(2),
        Scaled(Centered(2), 2.0),
        Power(Scaled(Euclidean(1), 2.0), centred=True),
        Power(Product((Torus(1), Euclidean(1))), centred=True),
    ],
    ids=repr,
)
def test_random_points_after_motion_have_the_density_that_is_the_mean_of_the_kernel(space):
    law, size = space.heat(), (2,) if None in space.shape else ()
    x = space.draw(size, generator=_seeded(), dtype=torch.float64)
    many = space.draw((100_000, *size), generator=_seeded(1), dtype=torch.float64)
    values = law.log_prob(x, many, 1.5).exp()
    wanted = float(law.log_prob_of_diffused(x, 1.5).exp())
    assert abs(float(values.mean()) - wanted) < 5 * float(values.std()) / 100_000**0.5
    limit = law.log_prob_of_diffused(x, 0.0)
    assert (limit - space.log_prob_of_random(x)).abs() < 1e-12


def test_a_scaled_cloud_of_frames_is_that_of_its_scaled_parts():
    # Five frames have 27 dimensions, each of which is twice as long.
    space, mask = Poses(), torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    clean = space.random_point(2, mask=mask, generator=_seeded(), dtype=torch.float64)
    x = kernel(space).sample(clean, 0.5, generator=_seeded(1), mask=mask)
    for given, dim in ((None, [27.0, 27.0]), (mask, [27.0, 15.0])):
        larger = kernel(Scaled(space, 2.0)).log_prob(x, clean, 1.0, given)
        wanted = kernel(space).log_prob(x, clean, 0.5, given) - _double(dim) * math.log(2)
        assert (larger - wanted).abs().max() < 1e-12


def test_hyperbolic_points_after_motion_have_no_closed_density():
    x = points(Hyperbolic(3), 4)
    law = kernel(Hyperbolic(3))
    assert torch.equal(law.log_prob_of_diffused(x, 0.0), Hyperbolic(3).log_prob_of_random(x))
    with pytest.raises(ValueError, match="kappa: random points of .* use a Geodesic"):
        law.log_prob_of_diffused(x, 0.5)


def test_spaces_without_a_kernel_are_refused_with_a_way_out():
    with pytest.raises(ValueError, match=r"no heat kernel for Hyperbolic\(n=4\).*Flow matching"):
        kernel(Hyperbolic(4))
    with pytest.raises(ValueError, match="no heat kernel"):
        kernel(Product((SO3(), Hyperbolic(2))))


def test_a_space_of_several_factors_is_told_where_its_kernel_is(monkeypatch):
    monkeypatch.delattr(SE3, "heat")
    with pytest.raises(
        NotImplementedError, match=r"SE3\(\): a space of several factors .*of_factors\(self\)"
    ):
        kernel(SE3())
    monkeypatch.setattr(SE3, "heat", of_factors, raising=False)
    assert kernel(SE3()).kernels == (kernel(SO3()), kernel(Euclidean(3)))


def test_a_product_of_one_space_moves_as_that_space_does():
    law, x = kernel(Product((Sphere(2),))), points(Sphere(2), 4)
    assert torch.equal(
        law.log_prob(x, x.flip(0), 0.7), kernel(Sphere(2)).log_prob(x, x.flip(0), 0.7)
    )


def test_the_first_draw_needs_no_table():
    clean = SO3().random_point(8, 128, generator=_seeded())
    kappa = torch.logspace(-1, 0.2, 8).unsqueeze(-1)
    start = time.process_time()
    x = kernel(SO3()).sample(clean, kappa, generator=_seeded())
    kernel(SO3()).score(x, clean, kappa)
    assert time.process_time() - start < 1


def test_the_random_numbers_of_a_draw_come_from_the_generator_given():
    class Zero:
        def randn(self, *size, dtype=None, device=None):
            return randn(*size, generator=_seeded(), dtype=dtype, device=device)

        def rand(self, *size, dtype=None, device=None):
            return torch.zeros(size, dtype=dtype, device=device)

    clean = SO3().random_point(3, generator=_seeded())
    assert SO3().dist(kernel(SO3()).sample(clean, 0.5, generator=Zero()), clean).max() < 1e-5


@pytest.mark.parametrize("space", [*SPACES, Sphere(1), Sphere(3)], ids=repr)
def test_what_is_no_point_is_refused_by_name(space):
    law, good = kernel(space), points(space, 4)
    wrong = {
        "shape": (torch.zeros(4, 7, 5, dtype=torch.float64), "x: not points of .*must have shape"),
        "dtype": (
            good.float(),
            "clean: expected dtype torch.float32, that of x, got torch.float64",
        ),
        "integers": (good.long(), "x: not points of .*floating tensor, got torch.int64"),
        "device": (good.to("meta"), "clean: expected device meta, that of x, got cpu"),
    }
    for x, words in wrong.values():
        for call in (law.log_prob, law.score, law.displacement):
            with pytest.raises(ValueError, match=words):
                call(x, good, 0.5)
    for kappa in (-1.0, math.nan):
        with pytest.raises(ValueError, match="kappa: expected a level of at least 0"):
            law.sample(good, kappa)
    with pytest.raises(ValueError, match="clean: not points of"):
        law.sample(wrong["shape"][0], 0.5)
