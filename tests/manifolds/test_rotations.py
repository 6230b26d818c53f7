"""Rotations against mpmath in 50 digits, scipy, and each other."""

import itertools
import math

import mpmath
import numpy
import pytest
import torch
from scipy.spatial.transform import Rotation

from manifolds import SO3, rotations

DTYPES = pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64], ids=["float32", "float64"]
)
ACCURACY = {torch.float32: 1e-6, torch.float64: 1e-13}
SMALL = [1e-12, 1e-9, 1e-7, 1e-5, 1e-3, 0.03]
ANGLES = [*SMALL, 0.1, 0.3, 0.99, 1.0, 1.01, 2.0, 3.0, 3.1, 3.14, 3.141592, math.pi]


def _seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def _vectors(dtype):
    """Rotation vectors of every angle about random axes and the coordinate axes, rounded to
    dtype.
    """
    axes = torch.randn(5, 3, generator=_seeded(), dtype=torch.float64)
    axes = torch.cat([axes / axes.norm(dim=-1, keepdim=True), torch.eye(3, dtype=torch.float64)])
    return (
        (torch.tensor(ANGLES, dtype=torch.float64)[:, None, None] * axes).reshape(-1, 3).to(dtype)
    )


def _exact_matrix(vector):
    """expm(hat w) of the given binary numbers, in 50 digits, as nested lists of mpf."""
    w = [mpmath.mpf(float(entry)) for entry in vector]
    angle = mpmath.sqrt(sum(entry**2 for entry in w))
    hat = mpmath.matrix([[0, -w[2], w[1]], [w[2], 0, -w[0]], [-w[1], w[0], 0]])
    return (
        mpmath.eye(3)
        + hat * mpmath.sin(angle) / angle
        + hat * hat * (1 - mpmath.cos(angle)) / angle**2
    )


@DTYPES
def test_exp_agrees_with_fifty_digits_from_tiny_angles_to_pi(dtype):
    vectors = _vectors(dtype)
    identity = torch.eye(3, dtype=dtype)
    with mpmath.workdps(50):
        exact = torch.tensor(
            [[float(entry) for entry in _exact_matrix(vector)] for vector in vectors],
            dtype=torch.float64,
        ).reshape(-1, 3, 3)
    assert (SO3().exp(identity, vectors).double() - exact).abs().max() < ACCURACY[dtype]


@DTYPES
def test_log_agrees_with_fifty_digits_from_tiny_angles_to_pi(dtype):
    vectors = _vectors(dtype)
    identity = torch.eye(3, dtype=dtype)
    with mpmath.workdps(50):
        matrices = torch.tensor(
            [[float(entry) for entry in _exact_matrix(vector)] for vector in vectors],
            dtype=torch.float64,
        ).reshape(-1, 3, 3)
    found = SO3().log(identity, matrices.to(dtype)).double()
    wanted = vectors.double()
    error = (found - wanted).norm(dim=-1)
    # Within rounding of pi the other axis sign is as short.
    length = wanted.norm(dim=-1, keepdim=True)
    other = (found - wanted * (1 - 2 * math.pi / length)).norm(dim=-1)
    error = torch.where(length[:, 0] > math.pi - 1e-5, torch.minimum(error, other), error)
    assert error.max() < ACCURACY[dtype]


@DTYPES
def test_log_of_tiny_angles_keeps_its_relative_accuracy(dtype):
    vectors = _vectors(dtype)[: 8 * len(SMALL)]
    log = SO3().log(torch.eye(3, dtype=dtype), rotations.rotation_vector_to_matrix(vectors))
    relative = (log - vectors).norm(dim=-1) / vectors.norm(dim=-1)
    assert relative.max() < 10 * torch.finfo(dtype).eps


@DTYPES
def test_log_at_pi_has_length_pi_and_exp_returns(dtype):
    space = SO3()
    for axis in _vectors(dtype)[-8:]:
        half_turn = 2 * torch.outer(axis, axis) / axis.dot(axis) - torch.eye(3, dtype=dtype)
        half_turn.requires_grad_()
        log = space.log(torch.eye(3, dtype=dtype), half_turn)
        (gradient,) = torch.autograd.grad(log.sum(), half_turn)
        assert abs(float(log.detach().norm()) - math.pi) < ACCURACY[dtype]
        assert (
            space.exp(torch.eye(3, dtype=dtype), log.detach()) - half_turn
        ).abs().max() < ACCURACY[dtype]
        assert torch.isfinite(gradient).all()


def test_rotations_stay_rotations_for_a_thousand_float32_steps():
    space, generator = SO3(), _seeded()
    x = space.random_point(100, generator=generator, dtype=torch.float32)
    for _ in range(1000):
        x = space.exp(x, torch.randn(100, 3, generator=generator))
    assert (x.mT.double() @ x.double() - torch.eye(3, dtype=torch.float64)).abs().max() < 1e-6


@DTYPES
def test_conversions_agree_with_scipy(dtype):
    matrix = SO3().random_point(500, generator=_seeded(), dtype=dtype)
    known = Rotation.from_matrix(matrix.double().numpy())
    for found, wanted in [
        (rotations.matrix_to_quaternion(matrix), known.as_quat(canonical=True, scalar_first=True)),
        (rotations.matrix_to_rotation_vector(matrix), known.as_rotvec()),
        (rotations.matrix_to_euler(matrix, "zyx"), known.as_euler("zyx")),
        (rotations.matrix_to_euler(matrix, "XYX"), known.as_euler("XYX")),
    ]:
        # Away from pi and gimbal lock; those have their own tests.
        error = (found.double() - torch.from_numpy(wanted)).abs().amax(-1)
        assert error.quantile(0.97) < 20 * ACCURACY[dtype]


ORDERS = [
    "".join(order).upper() if body else "".join(order)
    for body in (False, True)
    for order in itertools.product("xyz", repeat=3)
    if order[0] != order[1] and order[1] != order[2]
]


@pytest.mark.parametrize("order", ORDERS)
def test_euler_angles_round_trip_and_mean_what_scipy_means(order):
    matrix = SO3().random_point(200, generator=_seeded(), dtype=torch.float64)
    angles = rotations.matrix_to_euler(matrix, order)
    assert (rotations.euler_to_matrix(angles, order) - matrix).abs().max() < 1e-13
    assert (
        numpy.abs(Rotation.from_euler(order, angles.numpy()).as_matrix() - matrix.numpy()).max()
        < 1e-13
    )


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("side", [0, 1])
def test_euler_angles_in_gimbal_lock_are_finite_and_round_trip(order, side):
    same = order[0] == order[2]
    middle = (math.pi if side else 0.0) if same else (math.pi / 2 if side else -math.pi / 2)
    matrix = rotations.euler_to_matrix(torch.tensor([0.7, middle, 0.4], dtype=torch.float64), order)
    matrix.requires_grad_()
    angles = rotations.matrix_to_euler(matrix, order)
    (gradient,) = torch.autograd.grad(angles.sum(), matrix)
    assert (rotations.euler_to_matrix(angles, order) - matrix).abs().max() < 1e-13
    assert (angles.detach()[[0, 2]].abs() < 1e-13).any() and torch.isfinite(gradient).all()


@pytest.mark.parametrize("order", ["xyy", "xy", "xyZ", "abc", ""])
def test_euler_orders_that_mean_nothing_are_refused(order):
    with pytest.raises(ValueError, match="order: expected three axes"):
        rotations.euler_to_matrix(torch.zeros(3), order)


@DTYPES
def test_opposite_quaternions_are_one_rotation_and_any_length_is_taken(dtype):
    q = torch.randn(100, 4, generator=_seeded(), dtype=dtype)
    for other in (-q, 3 * q, 1e-18 * q):
        difference = rotations.quaternion_to_matrix(other) - rotations.quaternion_to_matrix(q)
        assert difference.abs().max() < ACCURACY[dtype]
    vector = rotations.quaternion_to_rotation_vector(q)
    assert torch.equal(rotations.quaternion_to_rotation_vector(-q), vector)
    assert (
        rotations.rotation_vector_to_matrix(vector) - rotations.quaternion_to_matrix(q)
    ).abs().max() < 10 * ACCURACY[dtype]
    assert (vector.norm(dim=-1) <= math.pi + 1e-6).all()


def test_quaternion_products_are_matrix_products():
    p, q = torch.randn(2, 50, 4, generator=_seeded(), dtype=torch.float64)
    product = rotations.quaternion_to_matrix(rotations.quaternion_multiply(p, q))
    wanted = rotations.quaternion_to_matrix(p) @ rotations.quaternion_to_matrix(q)
    assert (product - wanted).abs().max() < 1e-13
    back = rotations.quaternion_to_matrix(rotations.quaternion_conjugate(p))
    assert (back - rotations.quaternion_to_matrix(p).mT).abs().max() < 1e-13


@DTYPES
def test_six_numbers_round_trip_and_degenerate_ones_give_rotations(dtype):
    space = SO3()
    matrix = space.random_point(100, generator=_seeded(), dtype=dtype)
    assert (
        rotations.sixd_to_matrix(rotations.matrix_to_sixd(matrix)) - matrix
    ).abs().max() < ACCURACY[dtype]
    loose = torch.randn(100, 6, generator=_seeded(), dtype=dtype)
    loose[0] = 0
    loose[1, 3:] = 2 * loose[1, :3]
    loose[2, 3:] = 0
    loose[3, :3] = 0
    loose.requires_grad_()
    found = rotations.sixd_to_matrix(loose)
    (gradient,) = torch.autograd.grad(found.sum(), loose)
    assert space.check(found.detach()) is None and torch.isfinite(gradient).all()


@DTYPES
def test_the_nearest_rotation_is_never_a_reflection(dtype):
    matrix = torch.randn(200, 3, 3, generator=_seeded(), dtype=dtype)
    matrix[0] = 0
    matrix[1] = -torch.eye(3)
    matrix[2] = torch.diag(torch.tensor([1.0, 1.0, -1.0]))
    matrix[3] = torch.ones(3, 3)
    matrix[4] = torch.eye(3)
    matrix.requires_grad_()
    nearest = SO3().project(matrix)
    (gradient,) = torch.autograd.grad(nearest.sum(), matrix)
    assert SO3().check(nearest.detach()) is None
    assert torch.isfinite(gradient).all()


def test_the_nearest_rotation_has_the_derivative_of_the_exact_map_at_repeated_singular_values():
    for scale in (torch.ones(3), torch.tensor([2.0, 1.0, 1.0]), torch.tensor([3.0, 2.0, -1.0])):
        rotation = SO3().random_point(generator=_seeded(), dtype=torch.float64)
        matrix = (rotation * scale.double()).requires_grad_()
        assert torch.autograd.gradcheck(rotations.nearest_rotation, (matrix,))


def test_noise_on_a_rotation_is_not_amplified_by_log():
    matrix = rotations.rotation_vector_to_matrix(_vectors(torch.float64)[:-16])
    noisy = matrix + 1e-6 * torch.randn(matrix.shape, generator=_seeded(), dtype=torch.float64)
    change = rotations.matrix_to_rotation_vector(noisy) - rotations.matrix_to_rotation_vector(
        matrix
    )
    assert change.norm(dim=-1).max() < 1e-5


def test_maps_keep_their_precision_inside_autocast():
    space = SO3()
    x, y = space.random_point(2, 10, generator=_seeded(), dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        there = space.exp(x, space.log(x, y))
    assert there.dtype == torch.float32 and (there - y).abs().max() < 1e-5
