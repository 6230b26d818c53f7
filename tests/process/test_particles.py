"""Steering by weights: the law is the field's times exp(-energy), on every space."""

import math

import pytest
import torch

from geodiff.process.clocks import Cosine, LogLinear
from geodiff.process.condition import Labels
from geodiff.process.corruption import Gaussian, Geodesic, HeatKernel
from geodiff.process.field import NetworkField
from geodiff.process.guidance import Reconstruction
from geodiff.process.levels import levels
from geodiff.process.particles import steer, systematic
from geodiff.process.randomness import Noise
from manifolds import SO3, Centered, Euclidean, Sphere, Torus

DOUBLE = torch.float64


def normal(clock=LogLinear(0.01, 20.0), network=None):
    """The field of N(0, 1) on the line."""
    corruption = Gaussian(Euclidean(1), clock)

    def exact(seen, s, condition, mask):
        return seen * corruption.network_scale(s) / (1 + clock.kappa(s)[:, None] ** 2)

    return double(NetworkField(network or exact, corruption, "clean"))


def double(field):
    field.register_parameter("unused", torch.nn.Parameter(torch.zeros(1, dtype=DOUBLE)))
    return field


def uniform(space):
    """The field of uniform points."""
    corruption = HeatKernel(space, LogLinear(0.02, 2.0))
    return double(
        NetworkField(lambda x, s, condition, mask: torch.zeros_like(space.log(x, x)), corruption)
    )


def seen_as_2(clean, kappa):
    return (clean[:, 0] - 2) ** 2 / 2


def average(cloud, function):
    return (cloud.log_weights.exp() * function(cloud.points)).sum(1)


@pytest.mark.parametrize("led", [False, True])
def test_a_normal_law_seen_with_noise_has_its_posterior(led):
    """N(0, 1) times exp(-(x - 2)^2 / 2) is N(1, 1/2), mean within 2 %, at 1,000 particles 40 times;
    the mean of exp(-energy) is exp(-1) / sqrt(2).
    """
    field = normal()
    proposal = Reconstruction(field, seen_as_2) if led else None
    cloud = steer(field, 40, 1000, seen_as_2, proposal=proposal, steps=400, generator=Noise(1))
    mean = average(cloud, lambda x: x[..., 0])
    variance = average(cloud, lambda x: x[..., 0] ** 2) - mean**2
    assert mean.mean() == pytest.approx(1, abs=0.02)
    assert variance.mean() == pytest.approx(0.5, rel=0.04)
    evidence = -1 - math.log(2) / 2
    assert cloud.log_evidence.mean() == pytest.approx(evidence, abs=0.04)
    assert cloud.effective.shape == (400, 40) and cloud.effective.min() > 100


TILTS = {
    # exp(2 cos) on S^2 has mean cosine coth 2 - 1 / 2, on a circle I1(2) / I0(2). What is left of
    # a cosine after noise of level kappa is exp(-rate kappa^2) of it.
    "sphere": (Sphere(2), lambda x: x[..., 0], 1.0, 1 / math.tanh(2) - 0.5),
    "torus": (Torus(1), lambda x: torch.cos(x[..., 0]), 0.5, 0.6977746579640080),
}


@pytest.mark.parametrize("space, height, rate, mean", TILTS.values(), ids=TILTS)
@pytest.mark.parametrize("led", [False, True])
def test_uniform_points_are_tilted_by_the_same_lines(space, height, rate, mean, led):
    def energy(clean, kappa):
        return -2 * torch.exp(-rate * kappa**2) * height(clean)

    field = uniform(space)
    proposal = Reconstruction(field, energy) if led else None
    cloud = steer(field, 8, 1000, energy, proposal=proposal, steps=25, generator=Noise(1))
    assert space.check(cloud.points) is None
    assert average(cloud, height).mean() == pytest.approx(mean, rel=0.02)


def test_rotations_are_tilted_by_the_same_lines():
    """exp(tr R) against Haar measure, whose angles have density (1 - cos) / pi."""

    def energy(clean, kappa):
        return -torch.exp(-(kappa**2)) * clean.diagonal(dim1=-2, dim2=-1).sum(-1)

    angle = torch.linspace(0, math.pi, 20001, dtype=DOUBLE)
    density = (1 - angle.cos()) * torch.exp(1 + 2 * angle.cos())
    mean = ((1 + 2 * angle.cos()) * density).sum() / density.sum()
    cloud = steer(uniform(SO3()), 8, 1000, energy, steps=40, generator=Noise(1))
    found = average(cloud, lambda x: x.diagonal(dim1=-2, dim2=-1).sum(-1))
    assert found.mean() == pytest.approx(float(mean), rel=0.02)


def test_a_forbidden_half_stays_empty():
    """The northern half of a sphere has mean height 1/2, and half of its area. The energy of
    the other half grows as the level falls: what is dead cannot come back.
    """

    def energy(clean, kappa):
        return torch.where(clean[:, 0] > 0, 0.0, 1 / kappa)

    cloud = steer(uniform(Sphere(2)), 8, 1000, energy, steps=40, generator=Noise(2))
    alive = cloud.log_weights > -30
    assert alive.double().mean() > 0.4 and (cloud.points[..., 0][alive] > -0.1).all()
    assert average(cloud, lambda x: x[..., 0]).mean() == pytest.approx(0.5, rel=0.02)
    assert cloud.log_evidence.mean() == pytest.approx(math.log(0.5), abs=0.02)


def test_without_an_energy_nothing_is_weighed_and_ancestral_samples_remain():
    cloud = steer(
        normal(), 3, 50, lambda clean, kappa: torch.zeros(len(clean), dtype=DOUBLE), steps=10
    )
    assert torch.allclose(cloud.log_weights, torch.full((3, 50), -math.log(50), dtype=DOUBLE))
    assert (cloud.effective > 49.999).all() and cloud.log_evidence.abs().max() < 1e-12


def test_groups_are_apart_and_hear_their_own_condition():
    """A group's weights, draws and samples do not depend on the group beside it."""
    centre = torch.tensor([-3.0, 3.0], dtype=DOUBLE)

    def network(seen, s, condition, mask):
        return centre[condition.labels][:, None].expand_as(seen)

    field = normal(network=network)
    told = Labels(torch.tensor([0, 1]))
    cloud = steer(field, 2, 30, seen_as_2, steps=5, condition=told, generator=Noise(0))
    assert torch.equal(cloud.points.mean((1, 2)).sign(), centre.sign())
    alone = steer(field, 1, 30, seen_as_2, steps=5, condition=told.select([0]), generator=Noise(0))
    assert torch.allclose(alone.points, cloud.points[:1])
    assert torch.allclose(alone.log_weights, cloud.log_weights[:1])


def test_clouds_of_different_sizes_keep_their_padding():
    space = Centered(3)
    field = NetworkField(lambda x, s, condition, mask: -0.5 * x, Gaussian(space, LogLinear(0.1, 9)))
    mask = torch.tensor([[True] * 3 + [False], [True] * 4])
    cloud = steer(
        field,
        (2, 4),
        10,
        lambda clean, kappa: clean.square().sum((-2, -1)),
        steps=6,
        mask=mask,
        generator=Noise(0),
    )
    assert cloud.points.shape == (2, 10, 4, 3) and (cloud.points[0, :, 3] == 0).all()
    assert cloud.points.mean(2).abs().max() < 1e-6


def test_systematic_draws_are_as_often_as_their_share_up_to_one():
    weights = torch.rand(5, 40, dtype=DOUBLE, generator=torch.Generator().manual_seed(0)) ** 3
    rows = systematic(weights.log(), torch.Generator().manual_seed(1))
    counts = torch.stack([row.bincount(minlength=40) for row in rows])
    share = 40 * weights / weights.sum(1, keepdim=True)
    assert (counts >= share.floor()).all() and (counts <= share.ceil()).all()
    mean = torch.stack(
        [
            systematic(weights[:1].log(), torch.Generator().manual_seed(i))[0].bincount(
                minlength=40
            )
            for i in range(400)
        ]
    ).double()
    assert (mean.mean(0) - share[0]).abs().max() < 0.12
    alive = torch.full((1, 4), -math.inf, dtype=DOUBLE)
    alive[0, 2] = 0.0
    assert systematic(alive).tolist() == [[2, 2, 2, 2]]


def test_equal_particles_have_the_mean_of_weighted_ones():
    cloud = steer(normal(), 4, 1000, seen_as_2, steps=50, threshold=0.0, generator=Noise(1))
    assert (cloud.effective[-1] < 900).all()
    weighted = average(cloud, lambda x: x[..., 0])
    assert (cloud.equal(Noise(2))[..., 0].mean(1) - weighted).abs().max() < 0.03


def test_what_cannot_be_steered_is_refused_with_the_reason():
    def refused(field=None, energy=seen_as_2, particles=4, **options):
        steer(field or normal(), 2, particles, energy, **{"steps": 4, **options})

    flow = NetworkField(lambda x, s, condition, mask: x, Geodesic(Sphere(2)))
    with pytest.raises(ValueError, match="Geodesic has no score.*best_of"):
        refused(flow)
    with pytest.raises(ValueError, match="proposal: expected a field of Gaussian"):
        refused(proposal=uniform(Sphere(2)))
    with pytest.raises(ValueError, match="first noise level is infinite.*s_max=0.999"):
        refused(normal(Cosine()))
    with pytest.raises(ValueError, match="levels that end at kappa = 0"):
        refused(levels=levels(LogLinear(0.01, 20.0), 4, end_clean=False))
    with pytest.raises(ValueError, match="particles: expected at least 1"):
        refused(particles=0)
    with pytest.raises(ValueError, match="threshold"):
        refused(threshold=2.0)
    with pytest.raises(ValueError, match=r"energy: expected one number a point, \(8,\)"):
        refused(energy=lambda clean, kappa: clean)
    for bad in (math.inf, math.nan):
        with pytest.raises(ValueError, match=r"no particle of groups \[0, 1\] has a finite weight"):
            refused(energy=lambda clean, kappa, bad=bad: torch.full((8,), bad))
