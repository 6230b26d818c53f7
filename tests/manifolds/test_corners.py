"""Angles of every size, and a few rounding errors from a half turn, in batches of every shape and
layout.
"""

import math

import hypothesis
import mpmath
import pytest
import torch
from hypothesis import strategies

from manifolds import SE3, SO3, Euclidean, Hyperbolic, Product, Scaled, Sphere, Torus
from manifolds.testing import points, tangents, within_reach
from manifolds.torus import wrap

DTYPES = pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64], ids=["float32", "float64"]
)
EPS = {torch.float32: 2.0**-23, torch.float64: 2.0**-52}
SPACES = pytest.mark.parametrize(
    "space",
    [
        Euclidean(3),
        Sphere(1),
        Sphere(2),
        Sphere(6),
        Torus(3),
        SO3(),
        SE3(),
        Scaled(SO3(), 2.0),
        Product((SO3(), Euclidean(2), Sphere(2))),
    ],
    ids=repr,
)
ordinary = hypothesis.settings(max_examples=40, deadline=None, derandomize=True, database=None)


def _near_pi(ulps):
    angle = math.pi
    for _ in range(abs(ulps)):
        angle = math.nextafter(angle, math.copysign(math.inf, ulps))
    return angle


angles = strategies.one_of(
    strategies.floats(-30, math.log10(math.pi)).map(lambda power: 10.0**power),
    strategies.sampled_from([0.0, math.pi, math.pi - 1e-3, math.pi - 1e-6, math.pi / 2]),
    strategies.integers(-4, 4).map(_near_pi),
)
axes = strategies.one_of(
    strategies.sampled_from([(1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 1.0, 0.0)]),
    strategies.tuples(*[strategies.floats(-1, 1)] * 3).filter(lambda v: math.hypot(*v) > 0.1),
)
layouts = strategies.sampled_from(
    ["()", "(0,)", "(3,)", "(2, 3)", "expanded", "strided", "transposed"]
)


def _laid_out(value, layout):
    """Copies of a value in a batch of this shape or memory layout."""
    shape = {"()": (), "(0,)": (0,), "(3,)": (3,), "(2, 3)": (2, 3)}.get(layout)
    if shape is not None:
        return value.expand(*shape, *value.shape).contiguous()
    if layout == "expanded":
        return value.expand(4, 2, *value.shape)
    many = value.expand(4, 6, *value.shape).contiguous()
    return many[::2, ::3] if layout == "strided" else many.transpose(0, 1)


def _vector(angle, axis, dtype):
    axis = torch.tensor(axis, dtype=torch.float64)
    return (angle * axis / axis.norm()).to(dtype)


@DTYPES
@ordinary
@hypothesis.given(angle=angles, axis=axes, layout=layouts)
def test_rotations_of_every_angle_there_and_back(dtype, angle, axis, layout):
    space, eps = SO3(), EPS[dtype]
    v = _laid_out(_vector(angle, axis, dtype), layout)
    turned = space.exp(torch.eye(3, dtype=dtype), v)
    assert turned.shape == (*v.shape, 3) and space.check(turned) is None
    if v.numel() == 0:
        return
    back = space.log(torch.eye(3, dtype=dtype), turned)
    size = float(v.double().norm(dim=-1).reshape(-1)[0])
    assert (back.double().norm(dim=-1) <= math.pi * (1 + 2 * eps)).all()
    assert (space.exp(torch.eye(3, dtype=dtype), back) - turned).abs().max() <= 8 * eps
    if size < math.pi - 1e-2:  # nearer, the other way round may be as short
        assert ((back - v).abs() <= 6 * eps * max(size, 1e-30)).all()


@DTYPES
@ordinary
@hypothesis.given(angle=angles, axis=axes, layout=layouts)
def test_twists_of_every_angle_there_and_back(dtype, angle, axis, layout):
    space, eps = SE3(), EPS[dtype]
    twist = _laid_out(
        torch.cat([_vector(angle, axis, dtype), _vector(1.0, (0.3, -0.5, 0.8), dtype)]), layout
    )
    pose = space.group_exp(twist)
    assert space.check(pose) is None
    if twist.numel() == 0:
        return
    back = space.group_log(pose)
    assert (space.group_exp(back) - pose).abs().max() <= 16 * eps
    if angle < math.pi - 1e-2:
        assert (back - twist).abs().max() <= 12 * eps * max(1.0, angle)


@DTYPES
@pytest.mark.parametrize("n", [1, 2, 5])
@ordinary
@hypothesis.given(angle=angles, seed=strategies.integers(0, 20), layout=layouts)
def test_great_circles_of_every_angle_there_and_back(n, dtype, angle, seed, layout):
    space, eps = Sphere(n), EPS[dtype]
    x = space.random_point(generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    v = (angle * space.frame(x)[0]).to(dtype)
    x = space.project(x.to(dtype))
    x, v = _laid_out(x, layout), space.to_tangent(_laid_out(x, layout), _laid_out(v, layout))
    y = space.exp(x, v)
    assert space.check(y) is None
    back = space.log(x, y)
    if back.numel() == 0:
        return
    length = space.dist(x, y).double()
    assert torch.isfinite(back).all() and (length <= math.pi * (1 + 2 * eps)).all()
    assert ((length - min(angle, 2 * math.pi - angle)).abs() <= 8 * eps).all()
    assert space.dist(space.exp(x, back), y).max() <= 8 * eps
    # The direction is as uncertain as eps / (pi - angle), and the smaller of tiny tangents as
    # rounding of x.
    if angle < math.pi - 1e-2:
        assert (back - v).abs().max() <= 6 * eps * (1 + math.pi / (math.pi - angle))


@pytest.mark.parametrize("width", [32, 64])
@ordinary
@hypothesis.given(data=strategies.data())
def test_wrapped_angles_of_every_float_are_right(width, data):
    dtype = torch.float32 if width == 32 else torch.float64
    value = data.draw(
        strategies.one_of(
            strategies.floats(
                allow_nan=False,
                allow_infinity=False,
                width=width,
                min_value=-(2.0**40),
                max_value=2.0**40,
            ),
            strategies.integers(-40, 40).map(
                lambda k: float(torch.tensor(k * math.pi, dtype=dtype))
            ),
        )
    )
    angle = torch.tensor(value, dtype=dtype)
    wrapped = wrap(angle)
    assert -math.pi <= float(wrapped) < math.pi
    if -math.pi <= value < math.pi:
        assert torch.equal(wrapped, angle)
    with mpmath.workdps(60):
        turns = (mpmath.mpf(float(wrapped)) - mpmath.mpf(float(angle))) / (2 * mpmath.pi)
        assert abs(turns - mpmath.nint(turns)) <= 2 * EPS[dtype]


@DTYPES
@ordinary
@hypothesis.given(angle=angles, axis=axes)
def test_gradients_are_finite_at_every_angle(dtype, angle, axis):
    for space, x in ((SO3(), torch.eye(3, dtype=dtype)), (Sphere(3), torch.eye(4, dtype=dtype)[0])):
        v = torch.tensordot(_vector(angle, axis, dtype), space.frame(x), 1).requires_grad_()
        y = space.exp(x, v)
        u = space.log(x, y)
        outputs = [y, u, space.dist(x, y), space.dist(x, y).square(), space.transport(x, y, v)]
        for output in outputs:
            (gradient,) = torch.autograd.grad(output.sum(), v, retain_graph=True)
            assert torch.isfinite(output).all() and torch.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("dtype", "limit"), [(torch.float32, 2e-6), (torch.float64, 4e-15)], ids=["32", "64"]
)
@SPACES
def test_parallel_transport_keeps_lengths_and_angles_to_rounding(space, dtype, limit):
    x = points(space, 200, dtype=dtype)
    # Projected once more: a tangent much shorter than what it was made from is off by the rounding
    # of that.
    y, *pair = space.exp(x, within_reach(space, x)), tangents(space, x, 1), tangents(space, x, 2)
    u, v = (space.to_tangent(x, w) for w in pair)
    moved = [space.transport(x, y, w) for w in (u, v)]
    scale = space.norm(x, u) * space.norm(x, v)
    assert ((space.inner(y, *moved) - space.inner(x, u, v)).abs() / scale).max() <= limit
    assert ((space.norm(y, moved[0]) - space.norm(x, u)).abs() / space.norm(x, u)).max() <= limit
    same = space.transport(x, x, v)
    assert ((same - v).abs().flatten(1).amax(1) / space.norm(x, v)).max() <= limit


@pytest.mark.parametrize(
    ("dtype", "limit"), [(torch.float32, 2e-6), (torch.float64, 4e-15)], ids=["32", "64"]
)
@SPACES
def test_geodesics_are_proportional_and_distances_a_metric_to_rounding(space, dtype, limit):
    x = points(space, 200, dtype=dtype)
    y, z = (space.exp(x, within_reach(space, x, seed)) for seed in (2, 3))
    size = space.dist(x, y).clamp(min=1)
    assert ((space.dist(x, y) - space.dist(y, x)).abs() / size).max() <= limit
    assert ((space.dist(x, z) - space.dist(x, y) - space.dist(y, z)) / size).max() <= limit
    for t in (0.0, 1e-3, 0.5, 1.0, torch.linspace(0, 1, 200, dtype=dtype)):
        between = space.geodesic(x, y, t)
        assert ((space.dist(x, between) - t * space.dist(x, y)).abs() / size).max() <= 2 * limit


@pytest.mark.parametrize(
    ("dtype", "limit"), [(torch.float32, 1e-5), (torch.float64, 1e-12)], ids=["32", "64"]
)
@pytest.mark.parametrize("space", [Sphere(2), Torus(2), SO3(), SE3(), Hyperbolic(2)], ids=repr)
def test_the_velocity_of_a_geodesic_is_the_derivative_of_its_path(space, dtype, limit):
    # In the coordinates of the points: the exp of a short tangent moves as fast as the tangent
    # says.
    x = points(space, 20, dtype=dtype)
    for y in (space.exp(x, within_reach(space, x)), x):
        v = space.log(x, y)
        for t in (0.0, 0.4, 1.0):
            at, one = space.exp(x, t * v), torch.ones((), dtype=dtype)
            path = torch.func.jvp(lambda s: space.exp(x, s * v), (t * one,), (one,))[1]
            along = space.transport(x, at, v)
            tangent = torch.func.jvp(lambda s: space.exp(at, s * along), (0 * one,), (one,))[1]
            scale = path.abs().amax().clamp(min=1)
            assert (path - tangent).abs().max() <= limit * scale
