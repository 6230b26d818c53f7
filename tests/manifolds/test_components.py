"""The maps of rotations and poses keep their results in tiles, at any batch shape, and between two
points at once.
"""

import pytest
import torch

from manifolds import SE3, SO3, Euclidean, Poses, Product, Scaled, Sphere, Torus
from manifolds.components import _TILE
from manifolds.rotations import matrix_to_rotation_vector, rotation_vector_to_matrix
from manifolds.so3 import exp, log


def seeded():
    return torch.Generator().manual_seed(0)


def test_large_batches_are_what_their_pieces_are_with_their_derivatives():
    n = 2 * _TILE + 5
    x = SO3().random_point(n, generator=seeded()).requires_grad_()
    w = torch.randn(n, 3, generator=seeded()).requires_grad_()
    whole = SO3().exp(x, w)
    part = slice(_TILE - 3, _TILE + 3)
    assert (whole[part] - SO3().exp(x[part], w[part])).abs().max() < 3e-7
    gradient = torch.autograd.grad(whole[part].square().sum() + whole[part, 0].sum(), w)[0]
    alone = SO3().exp(x[part], w[part])
    wanted = torch.autograd.grad(alone.square().sum() + alone[:, 0].sum(), w)[0]
    assert (gradient - wanted).abs().max() < 1e-5
    grid = SO3().exp(
        x.detach()[: 2 * _TILE + 4].reshape(4, -1, 3, 3),
        w.detach()[: 2 * _TILE + 4].reshape(4, -1, 3),
    )
    assert (grid.reshape(-1, 3, 3) - whole[: 2 * _TILE + 4]).abs().max() < 3e-7
    back = matrix_to_rotation_vector(rotation_vector_to_matrix(w.detach()))
    assert back.shape == w.shape and SO3().log(torch.eye(3), whole).shape == (n, 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize(
    "function",
    [rotation_vector_to_matrix, matrix_to_rotation_vector, exp, log],
    ids=lambda function: function.__name__,
)
def test_derivatives_in_closed_form_are_those_of_the_steps(function, dtype):
    n = 2 * _TILE + 400  # more than two tiles
    x, y = SO3().random_point(2, n, generator=seeded(), dtype=dtype)
    w = torch.randn(n, 3, generator=seeded(), dtype=torch.float64)
    angles = [0.0, 1e-30, 1e-9, 1e-5, 1e-3, 0.19, 0.21, 0.25, 1.0, 2.09, 2.1, 3.1, 3.14159]
    w[: len(angles)] *= (torch.tensor(angles, dtype=torch.float64) / w[: len(angles)].norm(dim=-1))[
        :, None
    ]
    w = w.to(dtype)
    y[: len(angles)] = x[: len(angles)] @ rotation_vector_to_matrix(w[: len(angles)])
    given = {exp: (x, w), log: (x, y), rotation_vector_to_matrix: (w,)}.get(
        function, (rotation_vector_to_matrix(w),)
    )
    given = [tensor.clone().requires_grad_() for tensor in given]
    weights = torch.randn(function(*given).shape, generator=seeded(), dtype=dtype)
    found = torch.autograd.grad(function(*given), given, weights)
    steps = torch.autograd.grad(function.__wrapped__(*given), given, weights)
    twice = torch.autograd.grad(function(*given), given, weights, create_graph=True)
    for one, other, third in zip(found, steps, twice):
        assert (one - other).abs().max() < 40 * torch.finfo(dtype).eps * other.abs().max()
        assert torch.equal(third, other)


@pytest.mark.parametrize("batch", [(), (0,), (1,), (3, 1, 2)])
def test_results_are_in_memory_order_at_every_batch_shape(batch):
    twist = torch.randn(*batch, 6, generator=seeded())
    pose = SE3().group_exp(twist)
    results = {
        pose: (*batch, 4, 4),
        SE3().group_log(pose): (*batch, 6),
        SO3().exp(torch.eye(3), twist[..., :3]): (*batch, 3, 3),
        SO3().log(torch.eye(3), pose[..., :3, :3]): (*batch, 3),
        SE3().compose(pose, torch.eye(4)): (*batch, 4, 4),
    }
    for result, shape in results.items():
        assert result.shape == shape and result.is_contiguous()


def test_the_group_exponential_is_that_of_the_matrices():
    twist = torch.randn(50, 6, generator=seeded(), dtype=torch.float64)
    w, matrix = twist[:, :3], torch.zeros(50, 4, 4, dtype=torch.float64)
    matrix[:, :3, :3] = torch.linalg.cross(
        w[:, None], torch.eye(3, dtype=torch.float64)[None]
    ).transpose(1, 2)
    matrix[:, :3, 3] = twist[:, 3:]
    assert (SE3().group_exp(twist) - torch.linalg.matrix_exp(matrix)).abs().max() < 1e-13


SPACES = [
    Euclidean(3),
    Torus(2),
    Sphere(1),
    Sphere(2),
    Sphere(7),
    SO3(),
    SE3(),
    Poses(),
    Scaled(Sphere(2), 2.0),
    Product((Sphere(2), SO3())),
]


@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_a_geodesic_comes_with_the_tangent_that_leads_back(space):
    size = (40, 5) if None in space.shape else (40,)
    x, y = (space.draw(size, generator=seeded(), dtype=torch.float64) for _ in range(2))
    y[:3] = x[:3]
    t = torch.rand(40, generator=seeded(), dtype=torch.float64)
    t[0], t[3] = 0, 0
    point, back = space.geodesic_and_back(x, y, t)
    assert (point - space.geodesic(x, y, t)).abs().max() < 1e-13
    assert (back - space.log(point, x)).abs().max() < 1e-12


@pytest.mark.parametrize("n", [1, 2, 7])
def test_the_way_between_opposite_points_is_half_a_great_circle_and_smooth_at_equal_ones(n):
    space = Sphere(n)
    x = space.random_point(20, generator=seeded(), dtype=torch.float64)
    x[0] = torch.eye(n + 1, dtype=torch.float64)[0]
    x.requires_grad_()
    point, back = space.geodesic_and_back(x, -x, 0.25)
    assert (space.dist(x, point) - torch.pi / 4).abs().max() < 1e-12
    assert (back.norm(dim=-1) - torch.pi / 4).abs().max() < 1e-12
    assert torch.isfinite(torch.autograd.grad(point.sum() + back.sum(), x)[0]).all()
    x = x.detach()
    aside = space.to_tangent(x, torch.ones_like(x))
    moved = torch.func.jvp(lambda y: space.geodesic_and_back(x, y, 0.25), (x,), (aside,))[1]
    assert (moved[0] - 0.25 * aside).abs().max() < 1e-12 and (
        moved[1] + 0.25 * aside
    ).abs().max() < 1e-12
