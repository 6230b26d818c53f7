"""The differential of log, in closed form, against forward differentiation of log itself."""

import pytest
import torch

from manifolds import (
    SE3,
    SO3,
    Centered,
    Euclidean,
    Hyperbolic,
    Manifold,
    Poses,
    Power,
    Product,
    Scaled,
    Sphere,
    Torus,
)
from manifolds.testing import points, tangents, within_reach

CURVED = [Sphere(1), Sphere(2), Sphere(7), SO3(), SE3(), Hyperbolic(2), Hyperbolic(3)]
SPACES = [
    *CURVED,
    Euclidean(3),
    Torus(3),
    Centered(),
    Scaled(Sphere(2), 3.0),
    Product((SO3(), Sphere(2), Hyperbolic(2))),
    Power(Sphere(2)),
    Poses(),
]


@pytest.mark.parametrize("fraction", [1e-9, 1e-4, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_the_closed_form_is_the_forward_derivative_of_log(space, fraction):
    x = points(space, 30, dtype=torch.float64)
    y = space.exp(x, fraction * within_reach(space, x))
    v = tangents(space, y)
    expected = Manifold.pull_back(space, x, y, v)
    size = expected.abs().amax()
    assert (space.pull_back(x, y, v) - expected).abs().amax() < 1e-11 * space.magnification * size


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("space", CURVED, ids=repr)
def test_it_is_the_identity_at_equal_points_with_finite_gradients(space, dtype):
    x = points(space, 20, dtype=dtype)
    v = tangents(space, x)
    leaves = [part.clone().requires_grad_() for part in (x, x, v)]
    moved = space.pull_back(*leaves)
    assert (moved - v).abs().amax() < 20 * torch.finfo(dtype).eps * space.magnification
    moved.square().sum().backward()
    assert all(leaf.grad.isfinite().all() for leaf in leaves)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("space", [Sphere(1), Sphere(2), SO3()], ids=repr)
def test_it_is_finite_at_the_cut_locus(space, dtype):
    x = points(space, 50, dtype=dtype)
    if space == SO3():
        half_turn = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=dtype))
        y = x @ half_turn
    else:
        y = -x
    assert space.pull_back(x, y, tangents(space, y)).isfinite().all()
