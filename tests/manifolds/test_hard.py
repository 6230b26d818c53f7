"""The places where libraries for curved spaces lose digits, with the accuracy asked for there."""

import math

import mpmath
import pytest
import torch

from manifolds import SE3, SO3, Euclidean, Hyperbolic, Product, Scaled, Sphere, Torus, rotations

SINGLE, DOUBLE = torch.float32, torch.float64
# At zero, tiny, near a quarter turn of each series switch, and within a few rounding errors of a
# half turn.
ANGLES = [
    0.0,
    1e-30,
    1e-12,
    1e-8,
    1e-6,
    1e-4,
    1e-3,
    0.01,
    0.1,
    0.5,
    0.999,
    1.0,
    1.001,
    2.0,
    3.0,
    3.13,
    3.1413,
    math.pi - 1e-6,
    math.nextafter(math.pi, 0),
    math.pi,
]


def _seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def _axes():
    axes = torch.randn(3, 3, generator=_seeded(), dtype=DOUBLE)
    return torch.cat([axes / axes.norm(dim=-1, keepdim=True), torch.eye(3, dtype=DOUBLE)])


def _vectors(angles, dtype):
    return (torch.tensor(angles, dtype=DOUBLE)[:, None, None] * _axes()).reshape(-1, 3).to(dtype)


def _mp(vector):
    return [mpmath.mpf(float(entry)) for entry in vector]


def _mp_hat(w):
    return mpmath.matrix([[0, -w[2], w[1]], [w[2], 0, -w[0]], [-w[1], w[0], 0]])


def _series(w, sine, cosine):
    """1 + sine(a) hat(w) + cosine(a) hat(w)^2 in fifty digits, a = |w|; the coefficients' limits at
    0.
    """
    angle = mpmath.sqrt(sum(entry**2 for entry in w))
    small = angle < mpmath.mpf(10) ** -20
    skew = _mp_hat(w)
    first = sine(angle) if not small else sine(mpmath.mpf(10) ** -10)
    second = cosine(angle) if not small else cosine(mpmath.mpf(10) ** -10)
    return mpmath.eye(3) + skew * first + skew * skew * second


def _exact_rotation(w):
    return _series(w, lambda a: mpmath.sin(a) / a, lambda a: (1 - mpmath.cos(a)) / a**2)


def _exact_right_jacobian(w):
    """d log(exp(w)^-1 exp(w + dw)) / dw."""
    return _series(w, lambda a: -(1 - mpmath.cos(a)) / a**2, lambda a: (a - mpmath.sin(a)) / a**3)


def _tensor(matrices):
    return torch.tensor([[float(entry) for entry in matrix] for matrix in matrices], dtype=DOUBLE)


@pytest.mark.parametrize(
    ("dtype", "limit", "defect"), [(SINGLE, 6e-7, 5e-7), (DOUBLE, 1.5e-15, 2e-15)]
)
def test_rotations_of_up_to_five_turns_are_right_and_orthonormal(dtype, limit, defect):
    vectors = _vectors([*ANGLES, 4.0, 6.28, 2 * math.pi, 10.0, 20.0, 10 * math.pi], dtype)
    with mpmath.workdps(50):
        exact = _tensor([_exact_rotation(_mp(vector)) for vector in vectors]).reshape(-1, 3, 3)
    found = SO3().exp(torch.eye(3, dtype=dtype), vectors).double()
    allowed = limit * (vectors.double().norm(dim=-1) / 2).clamp(min=1)
    assert ((found - exact).abs().amax((-2, -1)) <= allowed).all()
    assert (found.mT @ found - torch.eye(3, dtype=DOUBLE)).abs().max() < defect
    assert (torch.linalg.det(found) - 1).abs().max() < 2 * defect


@pytest.mark.parametrize(
    ("dtype", "limit", "relative"), [(SINGLE, 6e-7, 5e-7), (DOUBLE, 2e-15, 1e-15)]
)
def test_rotation_vectors_are_right_from_tiny_ones_to_half_turns(dtype, limit, relative):
    vectors = _vectors([angle for angle in ANGLES if angle != 1e-30], dtype)
    with mpmath.workdps(50):
        exact = _tensor([_exact_rotation(_mp(vector)) for vector in vectors]).reshape(-1, 3, 3)
    found, wanted = SO3().log(torch.eye(3, dtype=dtype), exact.to(dtype)).double(), vectors.double()
    error, size = (found - wanted).norm(dim=-1), wanted.norm(dim=-1)
    other = wanted / size.clamp(min=1).unsqueeze(-1) * (size - 2 * math.pi).unsqueeze(-1)
    whole = (found - other).norm(dim=-1)
    error = torch.where(size > math.pi - 1e-3, torch.minimum(error, whole), error)
    assert error.max() <= limit
    tiny = (size >= 0.9e-12) & (size < 0.02)
    assert (error / size)[tiny].max() <= 2 * relative  # the matrix itself is rounded once


@pytest.mark.parametrize(
    ("dtype", "length", "back"), [(SINGLE, 4e-7, 1e-6), (DOUBLE, 1e-15, 1e-14)]
)
def test_half_turns_have_one_finite_answer_of_length_pi(dtype, length, back):
    space, identity = SO3(), torch.eye(3, dtype=dtype)
    for axis in _axes().to(dtype):
        turn = (2 * torch.outer(axis, axis) - torch.eye(3, dtype=dtype)).requires_grad_()
        v = space.log(identity, turn)
        assert abs(float(v.detach().double().norm()) - math.pi) <= length
        assert torch.equal(v, space.log(identity, turn))
        assert (space.exp(identity, v) - turn).abs().max() < back
        assert all(torch.isfinite(g).all() for g in torch.autograd.grad(v.sum(), turn))


@pytest.mark.parametrize(("dtype", "limit"), [(SINGLE, 6e-7), (DOUBLE, 2e-15)])
def test_twists_of_small_angle_lose_no_digits(dtype, limit):
    w = _vectors([1e-8, 1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 1e-2, 0.03, 0.1], dtype)
    shift = torch.randn(len(w), 3, generator=_seeded(3), dtype=DOUBLE)
    shift = (shift / shift.norm(dim=-1, keepdim=True)).to(dtype)
    with mpmath.workdps(50):
        turns = [_exact_rotation(_mp(vector)) for vector in w]
        levers = [
            _series(
                _mp(v), lambda a: (1 - mpmath.cos(a)) / a**2, lambda a: (a - mpmath.sin(a)) / a**3
            )
            for v in w
        ]
        moved = [lever * mpmath.matrix(_mp(t)) for lever, t in zip(levers, shift)]
    space, twist = SE3(), torch.cat([w, shift], -1)
    pose = space.group_exp(twist).double()
    assert (pose[:, :3, :3] - _tensor(turns).reshape(-1, 3, 3)).abs().max() <= limit
    assert (pose[:, :3, 3] - _tensor(moved)).abs().max() <= limit
    exact = torch.eye(4, dtype=DOUBLE).repeat(len(w), 1, 1)
    exact[:, :3, :3], exact[:, :3, 3] = _tensor(turns).reshape(-1, 3, 3), _tensor(moved)
    assert (space.group_log(exact.to(dtype)) - twist).abs().max() <= limit


@pytest.mark.parametrize(("dtype", "limit"), [(SINGLE, 5e-6), (DOUBLE, 1e-9)])
def test_jacobians_are_those_in_closed_form(dtype, limit):
    space, angles = SO3(), [0.0, 1e-8, 1e-4, 0.5, 1.0, math.pi - 1e-2, math.pi - 1e-4]
    vectors = _vectors(angles, dtype)
    with mpmath.workdps(50):
        jacobians = [_exact_right_jacobian(_mp(vector)) for vector in vectors]
        inverses = _tensor([jacobian**-1 for jacobian in jacobians]).reshape(-1, 3, 3)
        jacobians = _tensor(jacobians).reshape(-1, 3, 3)
    identity, zero = torch.eye(3, dtype=dtype), torch.zeros(3, dtype=dtype)

    def turned(w, v):  # exp(v)^-1 exp(w), and its coordinates, which start at 0
        return rotations.vee(space.exp(identity, v).mT @ space.exp(identity, w))

    def logged(u, v):
        return space.log(identity, space.exp(space.exp(identity, v), u))

    found = torch.func.vmap(torch.func.jacrev(turned))(vectors, vectors).double()
    size = jacobians.abs().amax((-2, -1))
    assert ((found - jacobians).abs().amax((-2, -1)) / size).max() < limit
    found = torch.func.vmap(torch.func.jacrev(logged), (None, 0))(zero, vectors).double()
    size = inverses.abs().amax((-2, -1))
    assert ((found - inverses).abs().amax((-2, -1)) / size).max() < 4 * limit


def test_opposite_quaternions_have_the_same_distance_and_the_same_short_way():
    space = SO3()
    p, q = torch.randn(2, 50, 4, generator=_seeded(), dtype=DOUBLE)
    x, y = rotations.quaternion_to_matrix(p), rotations.quaternion_to_matrix(q)
    other = rotations.quaternion_to_matrix(-q)
    t = torch.linspace(0, 1, 50, dtype=DOUBLE)
    assert (
        torch.equal(space.dist(x, y), space.dist(x, other))
        and space.dist(x, y).max() <= math.pi + 1e-15
    )
    assert torch.equal(space.geodesic(x, y, t), space.geodesic(x, other, t))
    for i in (0, 20, 49):
        assert (
            space.geodesic(x[i], y[i], float(t[i])) - space.geodesic(x, y, t)[i]
        ).abs().max() < 1e-14


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize(("dtype", "length"), [(SINGLE, 5e-7), (DOUBLE, 2e-15)])
def test_sphere_tangents_are_right_from_equal_points_to_the_antipode(n, dtype, length):
    space, eps = Sphere(n), torch.finfo(dtype).eps
    base = space.random_point(generator=_seeded(n), dtype=DOUBLE)
    v = space.frame(base)[0]
    for angle in [0.0, 1e-12, 1e-6, 1e-3, 0.1, 1.0, 2.0, 3.0, 3.1, 3.14, math.pi - 1e-6]:
        x, y = base.to(dtype), (math.cos(angle) * base + math.sin(angle) * v).to(dtype)
        with mpmath.workdps(50):  # of the rounded points
            a, b = _mp(x), _mp(y)
            size = [mpmath.sqrt(sum(e**2 for e in p)) for p in (a, b)]
            a, b = ([e / s for e in p] for p, s in zip((a, b), size))
            dot = sum(e * f for e, f in zip(a, b))
            across = [f - dot * e for e, f in zip(a, b)]
            sine = mpmath.sqrt(sum(e**2 for e in across))
            exact = mpmath.atan2(sine, dot)
            wanted = torch.tensor(
                [float(e * exact / sine) if sine else 0.0 for e in across], dtype=DOUBLE
            )
        found = space.log(x, y).double()
        assert abs(float(found.norm()) - float(exact)) <= length
        assert (found - wanted).abs().max() <= 3 * eps * (1 + math.pi / (math.pi - angle))
        if angle in (1e-3, 1e-6):
            assert float(space.dist(x, y)) == pytest.approx(float(exact), rel=1e-4)
    over = base.to(dtype) * (1 + eps)
    for first, second in ((over, over), (over, base.to(dtype)), (-over, base.to(dtype))):
        first = first.clone().requires_grad_()
        dist = space.dist(first, second)
        assert torch.isfinite(dist) and torch.isfinite(torch.autograd.grad(dist, first)[0]).all()
    assert space.dist(over, over) < 1e-7


@pytest.mark.parametrize(
    "space",
    [
        Sphere(2),
        Torus(2),
        SO3(),
        SE3(),
        Hyperbolic(2),
        Euclidean(2),
        Scaled(SO3(), 2.0),
        Product((SO3(), Torus(1), Hyperbolic(2))),
    ],
    ids=repr,
)
def test_distances_have_gradient_zero_at_equal_points(space):
    for dtype in (SINGLE, DOUBLE):
        x = space.random_point(5, generator=_seeded(), dtype=dtype)
        y = (
            space.exp(x, 0 * space.random_tangent(x, generator=_seeded(1)))
            .detach()
            .requires_grad_()
        )
        v = (0 * space.log(x, y)).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(space.norm(x, v).sum(), v)
        assert (gradient == 0).all()
        x = y.detach()
        (gradient,) = torch.autograd.grad(space.dist(x, y).square().sum(), y)
        assert gradient.abs().max() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("space", [Sphere(2), SO3(), Hyperbolic(3), Torus(3)], ids=repr)
def test_ten_thousand_float32_steps_do_not_leave_the_space(space):
    x = space.random_point(20, generator=_seeded(), dtype=SINGLE)
    generator = _seeded(1)
    for _ in range(10000):
        step = space.exp(x, 0.1 * space.random_tangent(x, generator=generator))
        x = torch.where(
            (step.abs() < 70).flatten(1).all(1).reshape(-1, *[1] * (x.dim() - 1)), step, x
        )
    assert ((space.project(x) - x).abs() / x.abs().clamp(min=1)).max() < 5e-6 and space.check(
        x
    ) is None


def test_distances_of_rotations_are_invariant_from_both_sides_and_those_of_poses_from_the_left():
    space = SO3()
    x, y, g = space.random_point(3, 50, generator=_seeded(), dtype=DOUBLE)
    for a, b in ((g @ x, g @ y), (x @ g, y @ g)):
        assert (space.dist(a, b) - space.dist(x, y)).abs().max() < 1e-13
    # Their tangents too: a body-frame vector does not see a turn of the world.
    assert (space.log(g @ x, g @ y) - space.log(x, y)).abs().max() < 1e-13
    poses = SE3()
    x, y, g = poses.random_point(3, 50, generator=_seeded(), dtype=DOUBLE)
    assert (
        poses.dist(poses.compose(g, x), poses.compose(g, y)) - poses.dist(x, y)
    ).abs().max() < 1e-12


@pytest.mark.parametrize(
    ("space", "start"), [(Sphere(2), torch.eye(3)[0]), (SO3(), torch.eye(3))], ids=repr
)
def test_a_walk_of_geodesic_steps_reaches_the_heat_kernel_at_first_order(space, start):
    # The mean of an eigenfunction decays as exp(-t l / 2): the coordinate of S^2 with l = 2, the
    # trace of the rotation, three times the mean cosine, with l = 2 for unit vectors in the body
    # frame.
    t, errors, counts = 0.8, [], (1, 2, 4)
    for steps in counts:
        x = start.double().expand(100000, *start.shape)
        generator = _seeded(steps)
        for _ in range(steps):
            x = space.exp(x, math.sqrt(t / steps) * space.random_tangent(x, generator=generator))
        mean = x[:, 0].mean() if start.dim() == 1 else x.diagonal(dim1=-2, dim2=-1).mean()
        errors.append(abs(float(mean) - math.exp(-t)))
    slope = math.log(errors[0] / errors[-1]) / math.log(counts[-1] / counts[0])
    assert slope > 0.8 and errors[-1] < 0.05


def test_factors_of_another_dtype_are_refused():
    space = Product((SO3(), Euclidean(2)))
    with pytest.raises(
        ValueError, match="parts: expected one dtype and one device, got torch.float64"
    ):
        space.join([torch.eye(3, dtype=DOUBLE), torch.zeros(2)])
    with pytest.raises(ValueError, match="parts: expected one dtype"):
        space.join_tangent([torch.zeros(3), torch.zeros(2, device="meta")])


@pytest.mark.parametrize(
    ("space", "wrong", "reason"),
    [
        (
            Sphere(2),
            torch.ones(3),
            r"clean: not points of Sphere\(n=2\): points must have norm 1.*project",
        ),
        (SO3(), torch.eye(4), r"clean: .*shape \(\*batch, 3, 3\), got \(4, 4\)"),
        (Torus(1), torch.tensor([math.nan]), r"clean: .*1 of 1 coordinates are not finite"),
        (SE3(), torch.eye(4).long(), r"clean: .*floating tensor, got torch.int64"),
        (Hyperbolic(1), "a word", r"clean: .*got str"),
    ],
    ids=["off", "shape", "nan", "integers", "no tensor"],
)
def test_what_is_no_point_is_refused_by_name_with_the_cure(space, wrong, reason):
    good = space.random_point(2, generator=_seeded())
    space.require(clean=good, noise=good)
    with pytest.raises(ValueError, match=reason):
        space.require(noise=good, clean=wrong)
    with pytest.raises(
        ValueError, match=r"clean: expected dtype torch.float32, that of noise, got .*64"
    ):
        space.require(noise=good, clean=good.double())
