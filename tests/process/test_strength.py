"""Samples that start from clean points."""

import pytest
import torch

from geodiff.process.clocks import Cosine, LogLinear
from geodiff.process.corruption import Gaussian, Geodesic, HeatKernel
from geodiff.process.couplings import MinibatchOT
from geodiff.process.field import NetworkField
from geodiff.process.flowmap import NetworkFlowMap
from geodiff.process.levels import levels
from geodiff.process.randomness import Noise
from geodiff.process.sampling import sample
from manifolds import Euclidean, Power, Sphere
from tests.process.exact import TwoSphere

DOUBLE = torch.float64


def normal(clock):
    """The field of N(0, 1) on R^2, in double."""
    corruption = Gaussian(Euclidean(2), clock)

    def network(seen, s, condition, mask):
        alpha, sigma = corruption.clock.alpha(s)[:, None], corruption.clock.sigma(s)[:, None]
        return alpha / (alpha**2 + sigma**2) * seen * corruption.network_scale(s)

    field = NetworkField(network, corruption, "clean")
    field.register_parameter("unused", torch.nn.Parameter(torch.zeros(1, dtype=DOUBLE)))
    return field


@pytest.mark.parametrize("clock", [LogLinear(1e-5, 100.0), Cosine()], ids=repr)
def test_the_stronger_the_farther_from_identity_to_independence(clock):
    """At 1e-4 nothing moves (1e-4), the distance grows with the strength, and at 1 nothing of the
    start is left (correlation below .05).
    """
    field = normal(clock)
    start = field.corruption.manifold.random_point(2000, generator=Noise(5), dtype=DOUBLE)
    moved = []
    for strength in (0.01, 0.3, 0.6, 0.8, 1.0):
        made = sample(field, 2000, steps=20, start=start, strength=strength, generator=Noise(0))
        moved.append((made - start).square().mean().sqrt())
    small = sample(field, 2000, steps=5, start=start, strength=1e-9, generator=Noise(0))
    assert (small - start).abs().max() < 1e-4
    assert all(a < b for a, b in zip(moved, moved[1:]))
    assert abs(torch.corrcoef(torch.stack([made.flatten(), start.flatten()]))[0, 1]) < 0.05


def test_the_law_is_kept_on_a_sphere_and_the_start_chosen():
    """Clean points of a heat mixture come back to one of its points, at low strength to their
    own.
    """
    law = TwoSphere()
    corruption = HeatKernel(Sphere(2), LogLinear(0.02, 3.0))
    field = NetworkField(
        lambda x, s, condition, mask: law.u(x, corruption.clock.kappa(s)[0]), corruption
    )
    field.register_parameter("unused", torch.nn.Parameter(torch.zeros(1, dtype=DOUBLE)))
    made = sample(field, 60, steps=30, start=law.means[1], strength=0.3, generator=Noise(0))
    assert Sphere(2).dist(made, law.means[1].expand_as(made)).max() < 1e-2
    made = sample(field, 60, steps=30, start=law.means[1], strength=1.0, generator=Noise(0))
    nearest = Sphere(2).dist(made[:, None], law.means).argmin(1)
    assert len(nearest.unique()) == 3


def test_a_flow_a_flow_map_and_levels_of_ones_own_start_there():
    space = Sphere(2)
    clean = space.random_point(4, generator=Noise(2), dtype=DOUBLE)
    noise = space.random_point(4, generator=Noise(3), dtype=DOUBLE)
    flow = Geodesic(space, coupling=MinibatchOT(space))
    field = NetworkField(lambda x, s, condition, mask: clean, flow, "clean")
    flow_map = NetworkFlowMap(lambda x, s, t, condition, mask: clean, flow, "clean")
    for model in (field, flow_map):
        seen = []
        made = sample(
            model,
            noise,
            steps=4,
            start=clean,
            strength=0.5,
            callback=lambda i, x, kappa: seen.append(float(kappa)),
        )
        assert seen == [0.375, 0.25, 0.125, 0] and space.dist(made, clean).max() < 1e-7
    path = levels(flow.clock, 3, s_max=0.2)
    made = sample(field, noise, levels=path[:2], start=clean)
    assert (space.dist(made, clean) < 0.2 * 3.15).all() and space.dist(made, clean).max() > 0.01


def test_padding_stays_and_bad_starts_are_refused():
    cloud = Power(Sphere(2))
    mask = torch.tensor([[True, True, False], [True] * 3])
    clean = cloud.random_point(2, mask=mask, generator=Noise(0))
    field = NetworkField(lambda x, s, condition, mask: 0.1 * x, Geodesic(cloud))
    made = sample(field, (2, 3), start=clean, strength=0.4, steps=3, mask=mask, generator=Noise(1))
    assert cloud.check(made, mask) is None
    field, start = normal(LogLinear(1e-5, 100.0)), torch.zeros(3, 2, dtype=DOUBLE)
    with pytest.raises(ValueError, match="give either strength"):
        sample(field, 3, start=start)
    with pytest.raises(ValueError, match="give either strength"):
        sample(field, 3, start=start, strength=0.5, levels=torch.tensor([1.0, 0.0]))
    with pytest.raises(ValueError, match="give them as start="):
        sample(field, 3, strength=0.5)
    for strength in (0.0, 1.5):
        with pytest.raises(ValueError, match=r"strength: expected a number in \(0, 1\]"):
            sample(field, 3, start=start, strength=strength)
    with pytest.raises(ValueError, match=r"start: expected points that broadcast to \(4, 2\)"):
        sample(field, 4, start=start[:1].expand(5, 4, 2), strength=0.5)
    with pytest.raises(ValueError, match="start: not points of"):
        sample(field, 4, start=torch.zeros(3), strength=0.5)
