"""A scaled space differs from the space in its metric alone."""

import math

import pytest
import torch

from manifolds import SO3, Centered, Euclidean, Scaled, Sphere
from manifolds.heat import kernel


def _seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_lengths_grow_by_the_scale_and_geodesics_stay():
    space, wide = Sphere(2), Scaled(Sphere(2), 3.0)
    x, y = space.random_point(2, 20, generator=_seeded(), dtype=torch.float64)
    v = space.log(x, y)
    assert torch.equal(wide.log(x, y), v) and torch.equal(wide.exp(x, v), space.exp(x, v))
    assert torch.equal(
        wide.random_point(5, generator=_seeded()), space.random_point(5, generator=_seeded())
    )
    assert torch.allclose(wide.dist(x, y), 3 * space.dist(x, y))
    assert torch.allclose(wide.inner(x, v, v), 9 * space.inner(x, v, v))
    assert wide.injectivity_radius == 3 * math.pi and wide.dim == 2 and wide.shape == (3,)
    assert wide.uniform_log_prob() == pytest.approx(-math.log(4 * math.pi * 9))


def test_the_heat_kernel_is_that_of_the_larger_space():
    flat, wide = kernel(Euclidean(2)), kernel(Scaled(Euclidean(2), 5.0))
    clean, x = torch.randn(2, 10, 2, generator=_seeded(), dtype=torch.float64)
    kappa = torch.linspace(0.5, 3.0, 10, dtype=torch.float64)
    # Isometric to the plane by the map x -> 5 x, which changes volumes by 25 and gradients by 1/5.
    assert torch.allclose(wide.log_prob(x, clean, kappa), flat.log_prob(5 * x, 5 * clean, kappa))
    assert torch.allclose(5 * wide.score(x, clean, kappa), flat.score(5 * x, 5 * clean, kappa))
    drawn = wide.sample(clean, kappa, generator=_seeded())
    assert torch.allclose(5 * drawn, flat.sample(5 * clean, kappa, generator=_seeded()))


def test_masks_pass_through():
    space, law = Scaled(Centered(), 2.0), kernel(Scaled(Centered(), 2.0))
    mask = torch.tensor([[True, True, True, False], [True] * 4])
    x = space.random_point(2, mask=mask, generator=_seeded(), dtype=torch.float64)
    assert (
        space.shape == (None, 3)
        and space.check(x, mask) is None
        and space.project(x, mask=mask).shape == x.shape
    )
    noisy = law.sample(x, 0.5, generator=_seeded(1), mask=mask)
    assert space.check(noisy, mask) is None
    alone = law.log_prob(noisy[0, :3], x[0, :3], 0.5)
    assert torch.allclose(law.log_prob(noisy, x, 0.5, mask=mask)[0], alone)


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf, math.nan, True, "2"])
def test_scales_that_mean_nothing_are_refused(scale):
    with pytest.raises(ValueError, match="scale: expected a positive finite number, got"):
        Scaled(SO3(), scale)
    with pytest.raises(TypeError, match="space: expected a manifold, got 3"):
        Scaled(3, 1.0)
