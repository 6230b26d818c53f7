"""What hyperbolic space promises beyond the laws."""

import math

import mpmath
import pytest
import scipy.stats
import torch

from manifolds import Hyperbolic, numerics
from manifolds.heat import kernel

DTYPES = pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64], ids=["float32", "float64"]
)


def _seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def _at_radius(space, radius, count, seed=0, dtype=torch.float64):
    """Points at a distance from the origin, in random directions."""
    direction = torch.randn(count, space.n, generator=_seeded(seed), dtype=torch.float64)
    direction = direction / direction.norm(dim=-1, keepdim=True)
    time = torch.full((count, 1), math.cosh(radius), dtype=torch.float64)
    return torch.cat([time, math.sinh(radius) * direction], -1).to(dtype)


def _minkowski(u, v):
    return (u[..., 1:] * v[..., 1:]).sum(-1) - u[..., 0] * v[..., 0]


@pytest.mark.parametrize("n", [1, 2, 5])
def test_points_tangents_and_lengths_are_those_of_the_minkowski_product(n):
    space = Hyperbolic(n)
    x, y = space.random_point(2, 50, generator=_seeded(), dtype=torch.float64)
    u, v = (space.random_tangent(x, generator=_seeded(seed)) for seed in (1, 2))
    for point in (x, y, space.exp(x, v)):
        assert ((_minkowski(point, point) + 1) / point[:, 0] ** 2).abs().max() < 1e-14
    for base, tangent in ((x, u), (x, space.log(x, y)), (y, space.transport(x, y, u))):
        assert (_minkowski(base, tangent) / base[:, 0] ** 2).abs().max() < 1e-13
    assert (space.inner(x, u, v) - _minkowski(u, v)).abs().max() < 1e-10
    assert (space.dist(x, y).cosh() + _minkowski(x, y)).abs().max() < 1e-9
    away = space.norm(x, v).unsqueeze(-1)
    assert (space.exp(x, v) - (away.cosh() * x + away.sinh() * v / away)).abs().max() < 1e-9


def test_distances_of_far_points_agree_with_fifty_digits():
    space = Hyperbolic(3)
    for radius in (0.1, 1.0, 3.0, 5.0):
        x, y = (_at_radius(space, radius, 10, seed, torch.float32) for seed in (0, 1))
        near = space.exp(x, 1e-2 * space.random_tangent(x, generator=_seeded(2)))
        for other in (y, near, -y, space.project(1.001 * x)):
            found = space.dist(x, other).double()
            with mpmath.workdps(50):
                for a, b, value in zip(x[:, 1:].tolist(), other[:, 1:].tolist(), found.tolist()):
                    norm = [
                        mpmath.sqrt(1 + mpmath.fsum(mpmath.mpf(e) ** 2 for e in p)) for p in (a, b)
                    ]
                    dot = mpmath.fsum(mpmath.mpf(e) * mpmath.mpf(f) for e, f in zip(a, b))
                    exact = float(mpmath.acosh(norm[0] * norm[1] - dot))
                    assert abs(value - exact) < 1e-6 + 2e-5 * exact
                    assert value == pytest.approx(exact, rel=2e-4)


@DTYPES
def test_tiny_distances_keep_their_relative_accuracy(dtype):
    space, limit = Hyperbolic(3), 20 * torch.finfo(dtype).eps
    x = space.random_point(generator=_seeded(), dtype=dtype).expand(5, 4)
    origin = torch.tensor([1.0, 0, 0, 0], dtype=dtype)
    size = torch.tensor([1e-12, 1e-9, 1e-6, 1e-3, 0.1], dtype=dtype)
    v = size.unsqueeze(-1) * torch.tensor([0.0, 0.6, 0.0, -0.8], dtype=dtype)
    assert (space.dist(origin, space.exp(origin, v)) / size - 1).abs().max() < limit
    assert (space.dist(x, x) == 0).all() and (space.log(x, x) == 0).all()


def test_points_stay_on_the_space_for_a_thousand_float32_steps_within_radius_five():
    space, generator = Hyperbolic(3), _seeded()
    x = space.random_point(50, generator=generator, dtype=torch.float32)
    origin = torch.tensor([1.0, 0, 0, 0])
    for _ in range(1000):
        step = space.exp(x, 0.3 * space.random_tangent(x, generator=generator))
        x = torch.where((space.dist(origin, step) < 5).unsqueeze(-1), step, x)
    exact = x.double()
    defect = (_minkowski(exact, exact) + 1) / exact[:, 0] ** 2
    assert space.dist(origin, x).max() > 4 and defect.abs().max() < 1e-6


def test_the_way_there_and_back_in_small_steps_returns_within_radius_five():
    # 500 float32 steps out along a geodesic, 500 back; the error is that of coordinates of size
    # cosh 5.
    space = Hyperbolic(2)
    start = torch.tensor([[1.0, 0.0, 0.0]])
    far = _at_radius(space, 5.0, 1, dtype=torch.float32)
    x = start
    for target, steps in ((far, 500), (start, 500)):
        for left in range(steps, 0, -1):
            x = space.exp(x, space.log(x, target) / left)
    assert space.dist(x, start).max() < 1e-4


@DTYPES
@pytest.mark.parametrize("n", [1, 2, 7])
def test_the_ball_is_the_same_space(n, dtype):
    space = Hyperbolic(n)
    x, y = space.random_point(2, 50, generator=_seeded(), dtype=dtype)
    a, b = space.to_poincare(x), space.to_poincare(y)
    assert a.shape == (50, n) and (a.norm(dim=-1) < 1).all()
    limit = 1e-4 if dtype == torch.float32 else 1e-11
    assert ((space.from_poincare(a) - x) / x[:, :1]).abs().max() < limit
    gap = (a - b).square().sum(-1) / ((1 - a.square().sum(-1)) * (1 - b.square().sum(-1)))
    assert ((1 + 2 * gap).acosh() - space.dist(x, y)).abs().max() < 10 * limit
    with pytest.raises(ValueError, match=r"ball: expected \(\*batch"):
        space.from_poincare(x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("radius", [15.0, 20.0, 30.0, 60.0, 1000.0])
def test_steps_from_far_points_and_steps_of_any_length_end_at_points(radius, dtype):
    space = Hyperbolic(3)
    origin = space.origin(dtype=dtype).expand(500, 4)
    away = space.random_tangent(origin, generator=_seeded(0))
    x = space.exp(origin, radius * away / space.norm(origin, away).unsqueeze(-1))
    y = space.exp(x, space.random_tangent(x, generator=_seeded(1)))
    for point in (x, y):
        assert point.isfinite().all() and space.check(point) is None
    reached = 0.99 * min(radius, 41.6 if dtype == torch.float32 else 352.0)
    assert (space.dist(origin, x) > reached).all()


def test_gradients_are_finite_at_the_origin_equal_points_and_far_away():
    space = Hyperbolic(2)
    for radius in (0.0, 1e-20, 1.0, 5.0, 20.0):
        x, y = (
            _at_radius(space, radius, 3, seed, torch.float32).requires_grad_() for seed in (0, 1)
        )
        for other in (x, y, x.detach()):
            v = space.log(x, other)
            total = v.sum() + space.dist(x, other).sum() + space.transport(x, other, v).sum()
            for gradient in torch.autograd.grad(total + space.exp(x, 0 * v).sum(), x):
                assert torch.isfinite(gradient).all()


def test_coordinates_are_those_in_the_frame():
    space = Hyperbolic(3)
    x = space.random_point(20, generator=_seeded(), dtype=torch.float64)
    v = space.random_tangent(x, generator=_seeded(1))
    w = space.coordinates(x, v)
    assert (w - space.inner(x.unsqueeze(1), space.frame(x), v.unsqueeze(1))).abs().max() < 1e-11
    assert (space.from_coordinates(x, w) - v).abs().max() < 1e-11


def test_transport_around_a_triangle_turns_by_its_area():
    # A right triangle with legs a and b has tan A = tanh a / sinh b; its area is pi less the
    # angles.
    space, a, b = Hyperbolic(2), 0.8, 1.3
    corners = torch.tensor(
        [[1, 0, 0], [math.cosh(a), math.sinh(a), 0], [math.cosh(b), 0, math.sinh(b)]]
    )
    corners = space.project(corners.double())
    v = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    for start, end in ((0, 1), (1, 2), (2, 0)):
        v = space.transport(corners[start], corners[end], v)
    area = (
        math.pi / 2
        - math.atan2(math.tanh(a), math.sinh(b))
        - math.atan2(math.tanh(b), math.sinh(a))
    )
    assert abs(abs(float(torch.atan2(v[2], v[1]))) - area) < 1e-6


def test_check_names_the_departure_and_the_cure():
    space = Hyperbolic(2)
    reason = space.check(torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]]))
    assert "x0 = sqrt" in reason and "(1,)" in reason and "project" in reason
    assert "shape (*batch, 3), got (2,)" in space.check(torch.zeros(2))
    assert "not finite" in space.check(torch.full((3,), math.nan))
    for n in (0, -1, 2.0, True):
        with pytest.raises(ValueError, match="n: expected an integer of at least 1"):
            Hyperbolic(n)


@pytest.mark.parametrize("kappa", [0.02, 0.5, 2.0])
def test_drawn_distances_pass_a_kolmogorov_smirnov_test_and_the_density_integrates_to_one(kappa):
    space = Hyperbolic(3)
    law = kernel(space)
    clean = space.random_point(generator=_seeded(), dtype=torch.float64)
    r = torch.linspace(0, 10 * kappa + 2 * kappa**2, 4001, dtype=torch.float64)
    ray = space.exp(clean, r.unsqueeze(-1) * space.frame(clean)[0])
    density = law.log_prob(ray, clean, kappa).exp() * 4 * math.pi * r.sinh().square()
    assert abs(float(torch.trapezoid(density, r)) - 1) < 1e-5
    cumulative = torch.cumulative_trapezoid(density, r)

    def below(distance):
        place = torch.searchsorted(r, torch.from_numpy(distance)).clamp(1, len(r) - 1)
        return cumulative[place - 1].numpy()

    drawn = law.sample(clean.expand(10000, 4), kappa, generator=_seeded(1))
    assert scipy.stats.kstest(space.dist(clean, drawn).numpy(), below).statistic < 0.02
    direction = space.coordinates(clean, space.log(clean, drawn))
    direction = direction / direction.norm(dim=-1, keepdim=True)
    for coordinate in direction.unbind(-1):
        assert scipy.stats.kstest(coordinate.numpy(), scipy.stats.uniform(-1, 2).cdf).pvalue > 1e-4


@DTYPES
def test_density_and_slope_agree_with_forty_digits(dtype):
    limit = 1e-6 if dtype == torch.float32 else 1e-14
    for r in (0.0, 1e-8, 1e-3, 0.3, 0.49, 0.51, 0.99, 1.01, 3.0, 30.0, 80.0):
        squared = torch.tensor(r, dtype=dtype).square()
        with mpmath.workdps(40):
            size = mpmath.sqrt(mpmath.mpf(float(squared)))
            exact = mpmath.log(mpmath.sinh(size) / size) if size else mpmath.mpf(0)
            rest = (size * mpmath.coth(size) - 1) / size**2 if size else mpmath.mpf(1) / 3
            short = mpmath.asinh(size) / size if size else mpmath.mpf(1)
        assert abs(float(numerics.log_sinhc(squared)) - float(exact)) <= limit * (
            1 + abs(float(exact))
        )
        assert float(numerics.coth_rest(squared)) == pytest.approx(float(rest), rel=10 * limit)
        assert float(numerics.asinhc(squared)) == pytest.approx(float(short), rel=10 * limit)


def test_the_kernel_solves_the_heat_equation_and_its_values_are_finite_at_extremes():
    space = Hyperbolic(3)
    law, clean = kernel(space), space.random_point(generator=_seeded(), dtype=torch.float64)
    for kappa in (0.3, 1.0, 2.0):
        x = law.sample(clean.expand(5, 4), kappa, generator=_seeded())
        t, step = kappa**2, 2e-3 * kappa
        frame, at = space.frame(x), x.unsqueeze(1)
        here = law.log_prob(x, clean, kappa).exp()
        ahead, behind = (
            law.log_prob(space.exp(at, s * step * frame), clean, kappa).exp() for s in (1, -1)
        )
        laplacian = (ahead + behind - 2 * here.unsqueeze(1)).sum(1) / step**2
        later, earlier = (
            law.log_prob(x, clean, math.sqrt(t * (1 + s * 1e-4))).exp() for s in (1, -1)
        )
        assert (((later - earlier) / (2e-4 * t) - laplacian / 2).abs() * t / here).max() < 1e-4
    x = clean.float().requires_grad_()
    for kappa in (1e-3, 1.0, 5.0):
        values = law.log_prob(x, clean.float(), kappa), law.score(x, clean.float(), kappa).sum()
        assert all(torch.isfinite(value) for value in values)
        assert torch.isfinite(torch.autograd.grad(sum(values), x)[0]).all()
