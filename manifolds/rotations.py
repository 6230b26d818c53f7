"""Conversions between the ways to write a rotation in space.

Quaternions are (w, x, y, z), real part first; q and -q are the same rotation. Matrices act on
column vectors. Rotation vectors are axis times angle, radians. The six numbers of `sixd` are the
first two matrix columns. All functions take and return batches, keep the dtype, and have finite
gradients at every rotation.
"""

from __future__ import annotations

import torch
from torch import Tensor

from manifolds import components, numerics
from manifolds.components import tiled


def hat(w: Tensor) -> Tensor:
    """Skew matrix of a vector, (*batch, 3) to (*batch, 3, 3): hat(w) v is the cross product w x
    v.

    Args:
        w: (*batch, 3).
    """
    x, y, z = w.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))


def vee(matrix: Tensor) -> Tensor:
    """Vector of a skew matrix, (*batch, 3, 3) to (*batch, 3); for any matrix, that of its skew
    part.

    Args:
        matrix: (*batch, 3, 3).
    """
    return 0.5 * torch.stack(
        [
            matrix[..., 2, 1] - matrix[..., 1, 2],
            matrix[..., 0, 2] - matrix[..., 2, 0],
            matrix[..., 1, 0] - matrix[..., 0, 1],
        ],
        -1,
    )


@tiled(1, 2, 2)
def _turn_back(w: Tensor, matrix: Tensor, gradient: Tensor) -> tuple[Tensor]:
    """Gradient of a rotation vector from that of its matrix."""
    w, matrix, gradient = (
        w.movedim(-1, 0),
        components.to_front(matrix, 2),
        components.to_front(gradient, 2),
    )
    return (components.to_back(coordinates_back(w, turn_of(matrix, gradient)), 1),)


@components.backward(_turn_back, 1)
@tiled(1)
def rotation_vector_to_matrix(w: Tensor) -> Tensor:
    """Rotation by |w| radians about w, (*batch, 3) to (*batch, 3, 3).

    Args:
        w: (*batch, 3), radians.

    Source: Rodrigues' formula.
    """
    return components.to_back(turn(components.to_front(w, 1)), 2)


def turn(w: Tensor) -> Tensor:
    """`rotation_vector_to_matrix` with the components in front, (3, *batch) to (3, 3, *batch).

    Args:
        w: (3, *batch), radians.
    """
    squared = (w * w).sum(0, keepdim=True)
    # Both coefficients at once: sin(a) / a, and sin(a/2) / (a/2), whose square is (1 - cos a) /
    # (a^2 / 2).
    both = numerics.sinc(torch.cat([squared, 0.25 * squared]))
    sine, half_squared = both[:1], both[1:].square()
    cosine = numerics.add_product(torch.ones_like(squared), half_squared, squared, -0.5)
    return numerics.add_product(
        components.spin(cosine, sine * w), (half_squared * w).unsqueeze(1), w, 0.5
    )


def turn_of(matrix: Tensor, gradient: Tensor) -> Tensor:
    """Gradient of a turn u applied last, R expm(hat u) at u = 0, from that of the matrix R, (3,
    *batch).

    Args:
        matrix: rotations, (3, 3, *batch).
        gradient: of them, (3, 3, *batch).
    """
    return components.cross(gradient, matrix, 1).sum(0)


def coordinates_back(w: Tensor, gradient: Tensor) -> Tensor:
    """Gradient of w from that of the turn u it makes: expm(hat(w + dw)) = expm(hat w) expm(hat u),
    (3, *batch).

    Args:
        w: rotation vectors, (3, *batch).
        gradient: of the turn, (3, *batch).
    """
    squared = w.square().sum(0, keepdim=True)
    # Where a is small, cancellation in the coefficient of the second order does not matter.
    angle = squared.clamp(min=torch.finfo(w.dtype).tiny).sqrt()
    sine, half = angle.sin() / angle, (0.5 * angle).sin() / angle
    rest = (1 - sine) / angle.square()
    once = components.cross(w, gradient)
    return gradient + 2 * half.square() * once + rest * components.cross(w, once)


def rate_of(w: Tensor, u: Tensor) -> Tensor:
    """How a rotation vector changes when its rotation is turned: expm(hat(w + dw)) = expm(hat w)
    expm(hat u) to first order in u, for |w| below 2 pi.

    That is `jacobians.right_jacobian_inverse`, applied without forming it.

    Args:
        w: rotation vectors, (*batch, 3), radians.
        u: the turns, in the body frame, (*batch, 3).

    Returns: dw, (*batch, 3).
    """
    once = torch.linalg.cross(w, u)
    rest = numerics.half_cot(numerics.squared_norm(w).unsqueeze(-1))
    return u + 0.5 * once + rest * torch.linalg.cross(w, once)


@tiled(2, 1, 1)
def _unturn_back(matrix: Tensor, v: Tensor, gradient: Tensor) -> tuple[Tensor]:
    """Gradient of a matrix from that of its rotation vector."""
    return (
        components.to_back(
            matrix_back(components.to_front(v, 1), components.to_front(gradient, 1)), 2
        ),
    )


@components.backward(_unturn_back, 2)
@tiled(2)
def matrix_to_rotation_vector(matrix: Tensor) -> Tensor:
    """Shortest rotation vector of a rotation matrix, (*batch, 3, 3) to (*batch, 3), norm at most
    pi.

    At angle pi two vectors are shortest; one of them is returned, always finite, as is the
    gradient.

    Args:
        matrix: rotations, (*batch, 3, 3).
    """
    return components.to_back(unturn(components.to_front(matrix, 2)), 1)


def unturn(matrix: Tensor) -> Tensor:
    """`matrix_to_rotation_vector` with the components in front, (3, 3, *batch) to (3, *batch).

    Args:
        matrix: rotations, (3, 3, *batch).
    """
    real, imaginary = _quaternion(matrix).split((1, 3))
    squared = components.squared_norm(imaginary)
    # The quaternion's length is at least 2: where the imaginary part is short, the real part is at
    # least 1.9.
    limit = 0.04
    near, long_enough = squared < limit, real.clamp(min=1)
    count = 8 if matrix.dtype == torch.float64 else 4
    ratio = squared.clamp(max=limit) / (long_enough * long_enough)
    series = (
        numerics.polynomial(ratio, [(-1) ** n / (2 * n + 1) for n in range(count)]) / long_enough
    )
    sine = squared.clamp(min=limit).sqrt()
    # Divided first, the vector's length is right to a rounding or two.
    return 2 * torch.where(near, series * imaginary, torch.atan2(sine, real) * (imaginary / sine))


def matrix_back(v: Tensor, gradient: Tensor) -> Tensor:
    """Gradient of the matrix whose `unturn` is v, (3, *batch) twice to (3, 3, *batch).

    Args:
        v: (3, *batch).
        gradient: of it, (3, *batch).
    """
    squared = v.square().sum(0, keepdim=True).clamp(min=torch.finfo(v.dtype).tiny)
    angle = squared.sqrt()
    half = 0.5 * angle
    real, scale = half.cos(), half.sin() / angle  # the unit quaternion is (real, scale v)
    along = (gradient * v).sum(0, keepdim=True)
    stretch = 0.5 / scale
    of_real = -2 * scale * along
    of_imaginary = 2 * stretch * gradient + 2 * (real - stretch) / squared * along * v
    # `_quaternion` gave the unit quaternion times four times its largest component. It is linear in
    # the matrix, as a matrix is bilinear in its quaternion: this is that of the gradient and of the
    # column that was taken.
    q = torch.cat([real, scale * v])
    column = _largest(q.square())
    column = column / (4 * (column * q).sum(0, keepdim=True))
    p, u = column.split((1, 3))
    outer = u.unsqueeze(1) * of_imaginary
    diagonal = p * of_real - (u * of_imaginary).sum(0, keepdim=True)
    return components.spin(diagonal, p * of_imaginary + of_real * u) + outer + outer.transpose(0, 1)


def _quaternion(matrix: Tensor) -> Tensor:
    """Quaternion of length 2 to 4 and real part >= 0, (3, 3, *batch) to (4, *batch).

    The matrix determines 4 q q^T linearly. Of its columns, which are q times four times one
    component, the longest is taken: that component is at least 1/2.
    """
    diagonal = matrix.flatten(0, 1)[::4]
    trace = diagonal.sum(0, keepdim=True)
    column = _largest(torch.cat([trace, diagonal]))
    p, u = column.split((1, 3))
    turned = matrix.transpose(0, 1)
    skew = (matrix - turned).flatten(0, 1)
    vector = torch.cat([skew[7:8], skew[2:4]])
    real = torch.addcmul((vector * u).sum(0, keepdim=True), trace, p)
    imaginary = numerics.add_product(
        torch.addcmul(components.apply(matrix + turned, u), vector, p), trace, u, -1
    )
    q = column + torch.cat([real, imaginary])
    return torch.where(q[:1] < 0, -q, q)


def _largest(x: Tensor) -> Tensor:
    """1 where the largest of the first axis stands, and 0 elsewhere; one 1 where several are as
    large.
    """
    index = x.detach().max(0, keepdim=True).indices
    places = torch.arange(len(x), device=x.device).reshape(-1, *[1] * (x.dim() - 1))
    return (index == places).to(x.dtype)


def rotation_vector_to_quaternion(w: Tensor) -> Tensor:
    """Unit quaternion of a rotation vector, (*batch, 3) to (*batch, 4); real part >= 0 up to angle
    pi.

    Args:
        w: (*batch, 3), radians.
    """
    quarter = numerics.squared_norm(w).unsqueeze(-1) / 4
    return torch.cat([1 - quarter * numerics.cosc(quarter), 0.5 * numerics.sinc(quarter) * w], -1)


def quaternion_to_rotation_vector(q: Tensor) -> Tensor:
    """Shortest rotation vector of a quaternion of any positive length, (*batch, 4) to (*batch,
    3).

    Args:
        q: (*batch, 4), wxyz.
    """
    q = torch.where(q[..., :1] < 0, -q, q)
    imaginary = q[..., 1:]
    return 2 * numerics.arc_along(
        imaginary, numerics.squared_norm(imaginary).unsqueeze(-1), q[..., :1]
    )


def quaternion_to_matrix(q: Tensor) -> Tensor:
    """Rotation matrix of a quaternion of any positive length, (*batch, 4) to (*batch, 3, 3).

    Args:
        q: (*batch, 4), wxyz.
    """
    w, x, y, z = numerics.normalise(q).unbind(-1)
    return torch.stack(
        [
            1 - 2 * (y * y + z * z),
            2 * (x * y - w * z),
            2 * (x * z + w * y),
            2 * (x * y + w * z),
            1 - 2 * (x * x + z * z),
            2 * (y * z - w * x),
            2 * (x * z - w * y),
            2 * (y * z + w * x),
            1 - 2 * (x * x + y * y),
        ],
        -1,
    ).unflatten(-1, (3, 3))


def matrix_to_quaternion(matrix: Tensor) -> Tensor:
    """Unit quaternion of a rotation matrix, (*batch, 3, 3) to (*batch, 4), real part >= 0.

    Nothing is divided by less than 1.

    Args:
        matrix: rotations, (*batch, 3, 3).

    Source: Shepperd 1978, and Markley 2008 for the columns.
    """
    return numerics.normalise(components.to_back(_quaternion(components.to_front(matrix, 2)), 1))


def sixd_to_matrix(sixd: Tensor) -> Tensor:
    """Rotation whose first two columns come from six numbers by Gram-Schmidt, (*batch, 6) to
    (*batch, 3, 3).

    Columns that are zero or parallel determine no rotation; one is chosen, and it is finite.

    Args:
        sixd: two columns, one after the other, (*batch, 6).

    Source: Zhou et al. 2019, "On the continuity of rotation representations in neural networks",
    eq. 17.
    """
    first = numerics.normalise(sixd[..., :3])
    second = sixd[..., 3:]
    second = second - (first * second).sum(-1, keepdim=True) * first
    # The axis least along the first column stands in for a second column that is parallel to it.
    axis = torch.nn.functional.one_hot(first.detach().abs().argmin(-1), 3).to(first.dtype)
    spare = axis - (first * axis).sum(-1, keepdim=True) * first
    size = sixd.detach()[..., 3:].abs().amax(-1, keepdim=True)
    eps = torch.finfo(sixd.dtype).eps
    parallel = second.detach().abs().amax(-1, keepdim=True) <= 4 * eps * size
    second = numerics.normalise(torch.where(parallel, spare, second))
    second = numerics.normalise(second - (first * second).sum(-1, keepdim=True) * first)
    return torch.stack([first, second, torch.linalg.cross(first, second)], -1)


def matrix_to_sixd(matrix: Tensor) -> Tensor:
    """First two columns of a rotation matrix, one after the other, (*batch, 3, 3) to (*batch,
    6).

    Args:
        matrix: rotations, (*batch, 3, 3).
    """
    return matrix[..., :2].transpose(-1, -2).flatten(-2)


def _axes(order: str) -> tuple[list[int], bool]:
    if (
        len(order) != 3
        or not (order.islower() or order.isupper())
        or set(order.lower()) - set("xyz")
        or order[0] == order[1]
        or order[1] == order[2]
    ):
        raise ValueError(
            "order: expected three axes, no two neighbours equal, such as 'xyz' (turns about "
            f"fixed axes) or 'ZYX' (about axes that turn along), got {order!r}"
        )
    return ["xyz".index(axis) for axis in order.lower()], order.isupper()


def euler_to_matrix(angles: Tensor, order: str) -> Tensor:
    """Rotation of three successive turns, (*batch, 3) radians to (*batch, 3, 3).

    Args:
        angles: (*batch, 3), radians.
        order: the axes in the order of the turns; small letters are fixed axes, capitals turn with
            the body.
    """
    axes, body = _axes(order)
    identity = torch.eye(3, dtype=angles.dtype, device=angles.device)
    vectors = [angles[..., i : i + 1] * identity[axis] for i, axis in enumerate(axes)]
    turns = [rotation_vector_to_matrix(vector) for vector in vectors]
    if not body:
        turns.reverse()
    return numerics.matmul(numerics.matmul(turns[0], turns[1]), turns[2])


def matrix_to_euler(matrix: Tensor, order: str) -> Tensor:
    """Angles whose `euler_to_matrix` is the rotation, (*batch, 3, 3) to (*batch, 3) radians.

    The outer angles are in (-pi, pi]; the middle one in [-pi/2, pi/2], or in [0, pi] if the outer
    axes are equal. In gimbal lock, where only a sum or difference of the outer angles is
    determined, one of them is 0; values and gradients are finite.

    Args:
        matrix: rotations, (*batch, 3, 3).
        order: as in `euler_to_matrix`.

    Source: Bernardes and Viollet 2022, "Quaternion to Euler angles conversion".
    """
    axes, body = _axes(order)
    i, j, k = reversed(axes) if body else axes
    same = i == k
    if same:
        k = 3 - i - j
    parity = (i - j) * (j - k) * (k - i) // 2
    q = matrix_to_quaternion(matrix)
    w, x, y, z = q[..., 0], q[..., 1 + i], q[..., 1 + j], q[..., 1 + k] * parity
    a, b, c, d = (w, x, y, z) if same else (w - y, x + z, y + w, z - x)
    low, high = torch.stack([c, d], -1), torch.stack([a, b], -1)
    low_norm, high_norm = numerics.norm(low), numerics.norm(high)
    middle = 2 * numerics.atan2(low_norm, high_norm)
    half_sum, half_difference = numerics.atan2(b, a), numerics.atan2(d, c)
    eps = torch.finfo(q.dtype).eps
    # Without a rotation of the pair, its direction is rounding noise: take it such that the last
    # angle is 0.
    locked_low, locked_high = low_norm <= 4 * eps, high_norm <= 4 * eps
    half_difference = torch.where(locked_low, -half_sum, half_difference)
    half_sum = torch.where(locked_high, -half_difference, half_sum)
    first, last = half_sum - half_difference, half_sum + half_difference
    if not same:
        last = last * parity
        middle = middle - torch.pi / 2
    outer = [last, first] if body else [first, last]
    angles = torch.stack([outer[0], middle, outer[1]], -1)
    turn = 2 * torch.pi
    angles = torch.where(angles > torch.pi, angles - turn, angles)
    return torch.where(angles <= -torch.pi, angles + turn, angles)


def quaternion_multiply(p: Tensor, q: Tensor) -> Tensor:
    """Product of quaternions, (*batch, 4): the rotation q followed by p.

    Args:
        p: (*batch, 4), wxyz.
        q: (*batch, 4), wxyz.
    """
    a, b = p[..., :1], q[..., :1]
    u, v = p[..., 1:], q[..., 1:]
    real = a * b - (u * v).sum(-1, keepdim=True)
    return torch.cat([real, a * v + b * u + torch.linalg.cross(u, v)], -1)


def quaternion_conjugate(q: Tensor) -> Tensor:
    """Conjugate of a quaternion, (*batch, 4): the inverse rotation, if the quaternion has length
    1.

    Args:
        q: (*batch, 4), wxyz.
    """
    return torch.cat([q[..., :1], -q[..., 1:]], -1)


def nearest_rotation(matrix: Tensor) -> Tensor:
    """Rotation R that maximises trace(R^T matrix), never a reflection, (*batch, 3, 3).

    The derivative is that of the exact map, by the implicit function theorem: it is finite also
    where singular values coincide and that of a decomposition is not, and 0 where R is not unique.
    Only first derivatives are exact.

    Args:
        matrix: any, (*batch, 3, 3).

    Source: Kabsch 1976.
    """
    with torch.no_grad():
        plain = matrix.detach()
        work = plain if plain.dtype in (torch.float32, torch.float64) else plain.float()
        left, _, right = torch.linalg.svd(work)
        sign = torch.linalg.det(numerics.matmul(left, right)).sign()
        left = torch.cat([left[..., :2], left[..., 2:] * sign[..., None, None]], -1)
        rotation = polish(numerics.matmul(left, right)).to(plain.dtype)
    # With R^T M = S symmetric, a change dM turns R by the body vector o with (tr S - S) o = 2
    # vee(R^T dM).
    stretch = numerics.matmul(rotation.transpose(-1, -2), matrix)
    with torch.no_grad():
        fixed = stretch.detach()
        fixed = 0.5 * (fixed + fixed.transpose(-1, -2))
        identity = torch.eye(3, dtype=fixed.dtype, device=fixed.device)
        system = fixed.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None] * identity - fixed
        size = system.abs().amax((-2, -1), keepdim=True)
        size = torch.where(size > 0, size, 1.0)
        # The adjugate by cross products: decompositions do not take half precision.
        first, second, third = (system / size).unbind(-2)
        crossed = [
            torch.linalg.cross(*pair) for pair in ((second, third), (third, first), (first, second))
        ]
        determinant = (first * crossed[0]).sum(-1)[..., None, None]
        unique = determinant > torch.finfo(system.dtype).eps ** 2
        inverse = torch.stack(crossed, -1) / (torch.where(unique, determinant, 1.0) * size)
        inverse = torch.where(unique, inverse, 0.0)
    turn = 2 * numerics.matmul(inverse, vee(stretch).unsqueeze(-1)).squeeze(-1)
    return numerics.matmul(rotation, rotation_vector_to_matrix(turn - turn.detach()))


def polish(matrix: Tensor) -> Tensor:
    """One Newton step towards the nearest orthonormal matrix: a defect e becomes e^2, (*batch, 3,
    3).

    Args:
        matrix: nearly orthonormal, (*batch, 3, 3).
    """
    gram = numerics.matmul(matrix.transpose(-1, -2), matrix)
    return 1.5 * matrix - 0.5 * numerics.matmul(matrix, gram)
