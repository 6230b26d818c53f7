"""What single spaces promise beyond the laws."""

import math
import subprocess
import sys

import numpy
import pytest
import scipy.linalg
import torch

import manifolds
from manifolds import SE3, SO3, Centered, Euclidean, Product, Sphere, Torus
from manifolds.base import expand, rand, randn
from manifolds.heat import kernel
from manifolds.rotations import hat
from manifolds.torus import wrap

DTYPES = pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64], ids=["float32", "float64"]
)


def _seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_importing_manifolds_imports_torch_and_the_standard_library_only():
    code = (
        "import sys, torch; before = set(sys.modules); import manifolds, manifolds.heat, "
        "manifolds.testing\nimport manifolds.registration\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(new - {'manifolds'} - set(sys.stdlib_module_names)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == []


@DTYPES
@pytest.mark.parametrize("n", [1, 2, 7])
def test_sphere_antipodes_are_joined_by_a_tangent_of_length_pi(n, dtype):
    space = Sphere(n)
    x = space.random_point(50, generator=_seeded(), dtype=dtype).requires_grad_()
    y = (-x.detach()).requires_grad_()
    v = space.log(x, y)
    assert (v.norm(dim=-1) - math.pi).abs().max() < (1e-6 if dtype == torch.float32 else 1e-14)
    assert (space.to_tangent(x, v) - v).abs().max() < 1e-5 and space.dist(
        space.exp(x, v), y
    ).max() < 1e-5
    for gradient in torch.autograd.grad(v.square().sum() + v.sum(), (x, y)):
        assert torch.isfinite(gradient).all()


@DTYPES
@pytest.mark.parametrize("n", [1, 2, 7])
def test_points_a_few_roundings_from_the_antipode_are_joined_by_tangents_too(n, dtype):
    space, eps = Sphere(n), torch.finfo(dtype).eps
    x = space.random_point(50, generator=_seeded(), dtype=dtype)
    x[: n + 1] = torch.eye(n + 1, dtype=dtype)
    for off in (0.0, 1.0, 5.0, 7.0, 20.0, 1e3):
        y = space.project(-x + off * eps * space.frame(x)[:, 0])
        v, (point, back) = space.log(x, y), space.geodesic_and_back(x, y, 0.5)
        assert ((v.norm(dim=-1) - math.pi).abs() < (off + 10) * eps).all()
        for at, tangent in ((x, v), (point, back)):
            assert (at * tangent).sum(-1).abs().max() < 20 * eps
        assert (point.norm(dim=-1) - 1).abs().max() < 10 * eps
        assert (back.norm(dim=-1) - math.pi / 2).abs().max() < (off + 10) * eps


@DTYPES
def test_sphere_distances_keep_their_accuracy_from_tiny_to_pi(dtype):
    angles = [0.0, 1e-12, 1e-7, 1e-4, 1e-2, 0.5, 1.5, 3.0, 3.1, 3.14, 3.1415]
    angles = torch.tensor(angles, dtype=torch.float64)
    points = torch.stack([angles.cos(), angles.sin(), 0 * angles], -1).to(dtype)
    exact = torch.atan2(points[:, 1].double(), points[:, 0].double())
    dist = Sphere(2).dist(torch.tensor([1.0, 0.0, 0.0], dtype=dtype), points).double()
    eps = torch.finfo(dtype).eps
    assert (dist - exact).abs().max() < 4 * eps
    assert ((dist - exact)[1:5] / exact[1:5]).abs().max() < 4 * eps


def test_transport_around_an_octant_turns_by_its_area():
    space = Sphere(2)
    corners = torch.eye(3, dtype=torch.float64)
    v = corners[1]
    for start, end in ((0, 1), (1, 2), (2, 0)):
        v = space.transport(corners[start], corners[end], v)
    assert (v - corners[2]).abs().max() < 1e-15  # a quarter turn, pi / 2


def test_transport_on_rotations_agrees_with_the_ladder_of_geodesics():
    # Schild's ladder uses exp and log only; on a symmetric space it errs by the size of the tangent
    # carried.
    space, small = SO3(), 1e-5
    x, y = space.random_point(2, generator=_seeded(1), dtype=torch.float64)
    v = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64)
    moved, path = small * v, [space.geodesic(x, y, i / 8) for i in range(9)]
    for here, there in zip(path, path[1:]):
        middle = space.geodesic(space.exp(here, moved), there, 0.5)
        moved = space.log(there, space.geodesic(here, middle, 2.0))
    assert (moved / small - space.transport(x, y, v)).norm() < 1e-5


@DTYPES
def test_wrapped_angles_are_in_the_half_open_interval_whatever_comes(dtype):
    numbers = [
        0.0,
        -0.0,
        1e-30,
        -1e-30,
        math.pi,
        -math.pi,
        9.42477796,
        -21.9911486,
        1e8,
        -1e8,
        1e30,
    ]
    spread = torch.linspace(-50, 50, 20001, dtype=dtype)
    angle = torch.cat([torch.tensor(numbers, dtype=dtype), spread])
    for value in (angle, torch.nextafter(angle, angle + 1), torch.nextafter(angle, angle - 1)):
        wrapped = wrap(value)
        assert (wrapped.double() >= -math.pi).all() and (wrapped.double() < math.pi).all()
        assert torch.equal(wrap(wrapped), wrapped)
        assert Torus(len(value)).check(wrapped) is None
        moved = (wrapped.double() - value.double())[len(numbers) :] / (2 * math.pi)
        assert (moved - moved.round()).abs().max() < 4 * torch.finfo(dtype).eps
    assert wrap(torch.tensor(-1e-30, dtype=dtype)) == -1e-30


def test_wrapping_has_gradient_one_everywhere():
    angle = torch.tensor(
        [0.0, math.pi, -math.pi, 10.0, -100.0], dtype=torch.float64, requires_grad=True
    )
    (gradient,) = torch.autograd.grad(wrap(angle).sum(), angle)
    assert (gradient - 1).abs().max() < 1e-12


def test_opposite_angles_are_pi_apart_and_log_is_antisymmetric_off_the_cut():
    space = Torus(1)
    x = torch.tensor([0.5], dtype=torch.float64)
    assert abs(float(space.log(x, wrap(x + math.pi)).abs()) - math.pi) < 1e-15
    a, b = space.random_point(2, 100, generator=_seeded(), dtype=torch.float64)
    assert (space.log(a, b) + space.log(b, a)).abs().max() < 1e-14


def _twists():
    rotation = torch.randn(40, 3, generator=_seeded(), dtype=torch.float64)
    rotation = rotation / rotation.norm(dim=-1, keepdim=True)
    angle = torch.logspace(-8, math.log10(3.1), 40, dtype=torch.float64).unsqueeze(-1)
    return torch.cat(
        [angle * rotation, torch.randn(40, 3, generator=_seeded(1), dtype=torch.float64)], -1
    )


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1.5e-6), (torch.float64, 4e-15)])
def test_group_exp_and_log_agree_with_the_matrix_exponential_at_all_angles(dtype, limit):
    space, twist = SE3(), _twists().to(dtype)
    algebra = numpy.zeros((40, 4, 4))
    algebra[:, :3, :3], algebra[:, :3, 3] = (
        hat(twist[:, :3].double()).numpy(),
        twist[:, 3:].double().numpy(),
    )
    exact = torch.from_numpy(numpy.stack([scipy.linalg.expm(matrix) for matrix in algebra]))
    pose = space.group_exp(twist)
    assert (pose.double() - exact).abs().max() < limit
    assert (space.group_log(exact.to(dtype)) - twist).abs().max() < 2 * limit


def test_poses_form_a_group():
    space = SE3()
    a, b, c = space.random_point(3, 20, generator=_seeded(), dtype=torch.float64)
    assert (space.compose(a, b) - a @ b).abs().max() < 1e-14
    assert (space.compose(a, space.inverse(a)) - torch.eye(4)).abs().max() < 1e-14
    assert (
        space.compose(space.compose(a, b), c) - space.compose(a, space.compose(b, c))
    ).abs().max() < 1e-13


def test_the_adjoint_carries_twists():
    space = SE3()
    x = space.random_point(20, generator=_seeded(), dtype=torch.float64)
    twist = 0.5 * torch.randn(20, 6, generator=_seeded(1), dtype=torch.float64)
    carried = space.group_exp((space.adjoint(x) @ twist.unsqueeze(-1)).squeeze(-1))
    assert (carried - x @ space.group_exp(twist) @ space.inverse(x)).abs().max() < 1e-13


def test_group_maps_have_right_gradients_at_the_identity_and_finite_ones_at_pi():
    space = SE3()
    zero = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(space.group_exp, (zero,))
    assert torch.autograd.gradgradcheck(space.group_exp, (zero,))
    assert torch.autograd.gradcheck(
        space.group_log, (torch.eye(4, dtype=torch.float64).requires_grad_(),)
    )
    turn = space.group_exp(torch.tensor([0.0, math.pi, 0.0, 1.0, 2.0, 3.0])).requires_grad_()
    (gradient,) = torch.autograd.grad(space.group_log(turn).sum(), turn)
    assert torch.isfinite(gradient).all()


def test_uniform_densities_are_one_over_the_volume():
    assert Sphere(1).uniform_log_prob() == pytest.approx(-math.log(2 * math.pi))
    assert Sphere(2).uniform_log_prob() == pytest.approx(-math.log(4 * math.pi))
    assert Sphere(3).uniform_log_prob() == pytest.approx(-math.log(2 * math.pi**2))
    assert Torus(3).uniform_log_prob() == pytest.approx(-3 * math.log(2 * math.pi))
    assert SO3().uniform_log_prob() == pytest.approx(-math.log(8 * math.pi**2))
    both = Product((SO3(), Torus(2)))
    assert both.uniform_log_prob() == pytest.approx(
        -math.log(8 * math.pi**2) - 2 * math.log(2 * math.pi)
    )
    for space in (Euclidean(2), SE3(), Centered(), Product((SO3(), Euclidean(1)))):
        with pytest.raises(ValueError, match="infinite volume"):
            space.uniform_log_prob()


def test_random_rotations_are_uniform():
    rotation = SO3().random_point(20000, generator=_seeded(), dtype=torch.float64)
    trace = rotation.diagonal(dim1=-2, dim2=-1).sum(-1)
    # Moments of the character 1 + 2 cos(angle): mean 0, square 1, under the uniform distribution.
    assert abs(float(trace.mean())) < 0.03 and abs(float(trace.square().mean()) - 1) < 0.05


def test_products_split_and_join_to_the_same_point():
    space = Product((SO3(), Euclidean(()), Sphere(2), SE3()))
    assert (
        space.shape == (9 + 1 + 3 + 16,)
        and space.tangent_shape == (3 + 1 + 3 + 6,)
        and space.dim == 12
    )
    x = space.random_point(2, 5, generator=_seeded())
    parts = space.split(x)
    assert [part.shape for part in parts] == [(2, 5, 3, 3), (2, 5), (2, 5, 3), (2, 5, 4, 4)]
    assert torch.equal(space.join(parts), x)
    v = space.random_tangent(x, generator=_seeded())
    assert torch.equal(space.join_tangent(space.split_tangent(v)), v)


@pytest.mark.parametrize(
    ("space", "point", "reason"),
    [
        (
            Sphere(2),
            torch.tensor([[1.0, 0, 0], [0, 0, 2]]),
            "largest departure is 1, at batch index (1,)",
        ),
        (SO3(), torch.diag(torch.tensor([1.0, 1.0, -1.0])), "reflections"),
        (SO3(), 2 * torch.eye(3), "orthonormal"),
        (SE3(), torch.ones(4, 4).triu(), "orthonormal"),
        (SE3(), torch.eye(4) + torch.tensor([[0.0], [0], [0], [1]]) * torch.ones(4), "last row"),
        (Torus(2), torch.tensor([0.0, 4.0]), "[-pi, pi)"),
        (Centered(), torch.ones(4, 3), "mean 0"),
        (Euclidean(3), torch.zeros(4), "shape (*batch, 3), got (4,)"),
        (Euclidean(3), torch.zeros(3, dtype=torch.long), "floating"),
        (Product((Sphere(2), Sphere(1))), torch.tensor([1.0, 0, 0, 1, 1]), "factor 1, Sphere(n=1)"),
    ],
)
def test_check_says_why(space, point, reason):
    assert reason in space.check(point)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Sphere(0),
        lambda: Torus(-1),
        lambda: Euclidean((2, 0)),
        lambda: Product(()),
        lambda: Product((Centered(),)),
        lambda: Centered().random_point(2),
    ],
)
def test_impossible_spaces_are_refused(make):
    with pytest.raises(ValueError):
        make()


class _Counter:
    """A generator of another kind: the numbers say which row they are for."""

    def randn(self, *size, dtype=None, device=None):
        return torch.arange(size[0], dtype=dtype).reshape(-1, *[1] * (len(size) - 1)).expand(size)

    rand = randn


def test_random_numbers_come_from_whatever_generator_is_given():
    assert randn(3, 2, generator=_Counter())[2].tolist() == [2, 2]
    assert rand(3, 2, generator=_Counter())[2].tolist() == [2, 2]
    assert torch.equal(randn(4, generator=_seeded()), torch.randn(4, generator=_seeded()))
    assert torch.equal(rand(4, generator=_seeded()), torch.rand(4, generator=_seeded()))
    assert randn(4, dtype=torch.float64).dtype == torch.float64 and rand(2, 3).shape == (2, 3)
    centred = Centered().random_point(2, nodes=4, generator=_Counter(), dtype=torch.float32)
    assert torch.equal(centred, torch.zeros(2, 4, 3))


def test_levels_align_with_the_batch():
    x = torch.zeros(4, 5, 3)
    assert expand(0.5, x).shape == () and expand(torch.ones(4), x).shape == (4, 1, 1)
    assert expand(torch.ones(5), x, 1).shape == (5, 1) and expand(torch.ones(4, 5), x, 1).shape == (
        4,
        5,
        1,
    )
    assert expand(torch.ones(3, dtype=torch.float64), torch.zeros(3), 1).shape == (3,)
    assert expand(torch.ones(4, dtype=torch.float64), x).dtype == x.dtype


def test_public_names_are_the_spaces():
    for name in (
        "Manifold",
        "Euclidean",
        "Sphere",
        "Torus",
        "SO3",
        "SE3",
        "Centered",
        "Power",
        "Product",
    ):
        assert hasattr(manifolds, name)


@pytest.mark.parametrize(
    "space", [Sphere(2), Torus(3), SO3(), SE3(), Centered(), Product((SO3(), Torus(2)))], ids=repr
)
def test_nothing_is_made_on_another_device_than_the_points(space):
    # The meta device refuses to meet tensors of any other, and costs nothing.
    size = (5, 4) if None in space.shape else (5,)
    x, y = (space.draw(size, device="meta") for _ in range(2))
    v = space.random_tangent(x)
    assert space.exp(x, v).device == space.geodesic(x, y, 0.5).device == x.device
    assert (
        space.transport(x, y, v).device
        == space.frame(x).device
        == space.dist(x, y).device
        == x.device
    )
    law = kernel(space)
    kappa = torch.full((5,), 0.5, device="meta")
    assert law.log_prob(x, y, 0.5).device == law.score(x, y, kappa).device == x.device
