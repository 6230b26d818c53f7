"""Any space for each node of a cloud: what holds beyond the laws."""

import math

import pytest
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
from manifolds.testing import points, tangents

MASK = torch.tensor([[True, True, True, False], [True] * 4])


def _seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("thin", "power"),
    [(Centered(2), Power(Euclidean(2), centred=True)), (Poses(), Power(SE3(), centred=True))],
    ids=repr,
)
def test_centred_clouds_and_poses_are_powers(thin, power):
    assert (thin.shape, thin.tangent_shape) == (power.shape, power.tangent_shape)
    x, y = (
        space.random_point(2, mask=MASK, generator=_seeded(), dtype=torch.float64)
        for space in (thin, power)
    )
    assert torch.equal(x, y)
    u, v = (space.random_tangent(x, generator=_seeded(1), mask=MASK) for space in (thin, power))
    assert torch.equal(u, v) and torch.equal(thin.frame(x, MASK), power.frame(x, MASK))
    a, b = thin.heat(), power.heat()
    noisy = a.sample(x, 0.5, generator=_seeded(2), mask=MASK)
    assert torch.equal(noisy, b.sample(x, 0.5, generator=_seeded(2), mask=MASK))
    assert torch.equal(a.score(noisy, x, 0.5, MASK), b.score(noisy, x, 0.5, MASK))
    assert torch.equal(a.log_prob(noisy, x, 0.5, MASK), b.log_prob(noisy, x, 0.5, MASK))
    assert torch.allclose(thin.inner(x, u, u), power.inner(x, u, u))
    assert torch.allclose(thin.norm(x, u), power.norm(x, u))


@pytest.mark.parametrize(
    "space", [Torus(2), SO3(), SE3(), Sphere(2), Scaled(Sphere(2), 3.0), Hyperbolic(3)], ids=repr
)
def test_nodes_move_as_if_alone(space):
    cloud = Power(space)
    x = space.random_point(2, 5, generator=_seeded(), dtype=torch.float64)
    y = space.random_point(2, 5, generator=_seeded(1), dtype=torch.float64)
    v = tangents(cloud, x)
    assert torch.equal(cloud.exp(x, v), space.exp(x, v))
    assert torch.allclose(cloud.dist(x, y).square(), space.dist(x, y).square().sum(-1))
    law, each = cloud.heat(), space.heat()
    kappa = torch.tensor([0.5, 1.5], dtype=torch.float64)
    assert torch.allclose(law.log_prob(x, y, kappa), each.log_prob(x, y, kappa[:, None]).sum(-1))
    assert torch.allclose(law.displacement(x, y, kappa), each.displacement(x, y, kappa[:, None]))
    assert torch.allclose(law.score(x, y, kappa), each.score(x, y, kappa[:, None]))
    assert torch.allclose(cloud.log_prob_of_random(x), space.log_prob_of_random(x).sum(-1))


def test_the_cloud_of_a_product_is_the_product_of_clouds():
    cloud = Power(Product((Sphere(2), Euclidean(2), Torus(1))), centred=True)
    parts = Power(Sphere(2)), Power(Euclidean(2), centred=True), Power(Torus(1))
    assert cloud.factors == parts
    x = cloud.random_point(2, mask=MASK, generator=_seeded(), dtype=torch.float64)
    clean = cloud.random_point(2, mask=MASK, generator=_seeded(1), dtype=torch.float64)
    levels = [0.3, 2.0, 1.0]
    # One level per factor, as a list or along the entries of a tangent.
    wide = torch.tensor([0.3] * 3 + [2.0] * 2 + [1.0], dtype=torch.float64).expand(2, 6)
    law = cloud.heat()
    split = list(zip(parts, levels, cloud.split(x), cloud.split(clean)))
    total = sum(space.heat().log_prob(a, b, level, MASK) for space, level, a, b in split)
    for kappa in (levels, wide):
        assert torch.allclose(law.log_prob(x, clean, kappa, MASK), total)
        for part, (space, level, a, b) in zip(
            cloud.split_tangent(law.score(x, clean, kappa, MASK)), split
        ):
            assert torch.allclose(part, space.heat().score(a, b, level, MASK))


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_centring_and_scaling_may_change_places(scale):
    inside = Power(Scaled(Euclidean(2), scale), centred=True)
    outside = Scaled(Power(Euclidean(2), centred=True), scale)
    x, y = points(inside, 3, seed=0), points(inside, 3, seed=1)
    v = tangents(inside, x)
    assert torch.allclose(inside.norm(x, v), outside.norm(x, v))
    assert torch.allclose(v, tangents(outside, x))
    assert torch.allclose(inside.log_prob_of_random(x), outside.log_prob_of_random(x))
    a, b = inside.heat(), outside.heat()
    kappa = torch.tensor([0.1, 1.0, 4.0], dtype=torch.float64)
    assert torch.allclose(a.log_prob(x, y, kappa), b.log_prob(x, y, kappa))
    assert torch.allclose(a.score(x, y, kappa), b.score(x, y, kappa))
    assert torch.allclose(a.log_prob_of_diffused(x, kappa), b.log_prob_of_diffused(x, kappa))


def test_levels_of_a_cloud_may_differ_by_coordinate():
    space = Centered(2)
    x, clean = points(space, 3, seed=0), points(space, 3, seed=1)
    kappa = torch.tensor([0.5, 2.0], dtype=torch.float64).expand(3, 2)
    law, line = space.heat(), Centered(1).heat()
    parts = zip(x.split(1, -1), clean.split(1, -1), (0.5, 2.0))
    alone = [line.log_prob(a, b, level) for a, b, level in parts]
    assert torch.allclose(law.log_prob(x, clean, kappa), sum(alone))
    assert torch.allclose(law.score(x, clean, kappa)[..., 1:], (clean - x)[..., 1:] / 4)
    clean = clean[:1].expand(20000, 5, 2)
    noise = law.sample(clean, kappa[0].expand(20000, 2), generator=_seeded()) - clean
    assert noise.mean(-2).abs().max() < 1e-12
    # Of five centred normals each has 4/5 of the variance.
    assert torch.allclose(noise.var((0, 1)), 0.8 * kappa[0].square(), rtol=0.03)


def test_the_dimension_counts_real_nodes_and_the_mean():
    x = Poses().random_point(2, mask=MASK, dtype=torch.float64)
    assert Poses().dim_of(x, MASK).tolist() == [15, 21] and Poses().dim_of(x) == 21
    assert Poses().coordinates_of(x, MASK).tolist() == [18, 24]
    turns = x[..., :3, :3]
    assert Power(SO3()).dim_of(turns, MASK).tolist() == [9, 12]
    assert Power(SO3()).dim_of(turns) == Power(SO3()).coordinates_of(turns) == 12
    empty = torch.zeros(2, 4, dtype=torch.bool)
    assert Centered().dim_of(x[..., :3, 3], empty).tolist() == [0, 0]
    zeros = torch.zeros(2, 4, 3, dtype=torch.float64)
    assert Centered().log_prob_of_random(zeros, empty).tolist() == [0, 0]


def test_masked_nodes_stand_at_the_origin():
    for space in (Torus(2), Sphere(2), SO3(), SE3(), Hyperbolic(2)):
        x = Power(space).random_point(2, mask=MASK, generator=_seeded())
        assert torch.equal(x[0, 3], space.origin())
    clean = Power(Sphere(2)).random_point(2, mask=MASK, generator=_seeded())
    noisy = Power(Sphere(2)).heat().sample(clean, 1.0, generator=_seeded(1), mask=MASK)
    assert torch.equal(noisy[0, 3], clean[0, 3]) and not torch.equal(noisy[0, 2], clean[0, 2])


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Power(3), TypeError, "space: expected a manifold, got 3"),
        (lambda: Power(Centered()), ValueError, "space: .*make one cloud of all nodes"),
        (lambda: Power(Sphere(2), centred=True), ValueError, "centred: .* has no flat factor"),
        (lambda: Power(SO3()).random_point(2), ValueError, "nodes: a cloud has any number"),
        (
            lambda: Power(SO3()).random_point(2, nodes=3, mask=MASK),
            ValueError,
            r"mask: expected \(\*batch, 3\)",
        ),
        (lambda: Power(SO3()).uniform_log_prob(), ValueError, "log_prob_of_random"),
        (lambda: Poses().uniform_log_prob(), ValueError, "infinite volume"),
        (lambda: Product((Power(SO3()),)), ValueError, "do not fit in a flat vector"),
        (lambda: Power(Hyperbolic(2)).heat(), ValueError, r"no heat kernel for Hyperbolic\(n=2\)"),
    ],
)
def test_what_means_nothing_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_powers_print_what_they_are():
    assert repr(Power(SO3())) == "Power(space=SO3(), centred=False)"
    assert repr(Centered()) == "Centered(point_dim=3)" and repr(Poses()) == "Poses()"
    assert Power(SE3()) == Power(SE3(), False) != Power(SE3(), True)
    assert Power(SO3()).injectivity_radius == math.pi
