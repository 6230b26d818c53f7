"""Flow maps: those of exact fields land where the field's ODE lands, in one call or in four."""

import pytest
import torch

from geodiff.process.clocks import Cosine, Karras, Linear, LogLinear, PerFactor
from geodiff.process.corruption import Gaussian, Geodesic, HeatKernel
from geodiff.process.flowmap import NetworkFlowMap
from geodiff.process.levels import levels
from geodiff.process.randomness import Noise
from geodiff.process.samplers import ExponentialEuler, UniPC
from geodiff.process.sampling import sample
from manifolds import SE3, SO3, Centered, Euclidean, Sphere

DOUBLE = torch.float64
MEAN, WIDTH = torch.tensor([1.0, -0.5], dtype=DOUBLE), 0.6


def one_clean_point(space, clock=Linear()) -> NetworkFlowMap:
    """Every path is a geodesic to one point, so U is Log_x(clean) at any t."""
    clean = space.random_point(1, generator=Noise(7), dtype=DOUBLE)[0]
    return NetworkFlowMap(
        lambda x, s, t, condition, mask: clean.expand_as(x), Geodesic(space, clock), "clean"
    )


def normal_data(corruption) -> NetworkFlowMap:
    """The map of data N(MEAN, WIDTH^2) on the plane, in closed form.

    Along the ODE (x - m(s)) / width(s) stays, with the mean and width of the state at each level.
    """

    def moments(s):
        kappa = corruption.clock.kappa(s)[:, None]
        if isinstance(corruption, Gaussian):  # the state is clean + kappa eps
            return kappa, MEAN, torch.sqrt(WIDTH**2 + kappa**2)
        share = 1 - kappa  # the straight path to a standard normal base
        return kappa, share * MEAN, torch.sqrt((share * WIDTH) ** 2 + kappa**2)

    def network(seen, s, t, condition, mask):
        x = seen * (corruption.state_scale(s) if isinstance(corruption, Gaussian) else 1)
        (start, mean, width), (end, mean_t, width_t) = moments(s), moments(t)
        there = mean_t + (x - mean) * width_t / width
        if isinstance(corruption, Gaussian):
            u = -(start**2) / width**2 * (x - mean)
        else:
            gain = WIDTH**2 * (1 - start) / width**2
            u = MEAN + gain * (x - mean) - x
        here = s == t
        share = torch.where(here[:, None], 1.0, 1 - end / start)
        return torch.where(here[:, None], u, (there - x) / share)

    return NetworkFlowMap(network, corruption, "u")


MAPS = {
    "point of the plane": lambda: one_clean_point(Euclidean(2)),
    "point of the sphere": lambda: one_clean_point(Sphere(2)),
    "rotation": lambda: one_clean_point(SO3()),
    "pose, a clock per factor": lambda: one_clean_point(
        SE3(), PerFactor((Linear(), Linear()), (3, 3))
    ),
    "normal law, diffusion": lambda: normal_data(Gaussian(Euclidean(2), Karras())),
    "normal law, flow": lambda: normal_data(Geodesic(Euclidean(2))),
}
maps = pytest.mark.parametrize("flow_map", [make() for make in MAPS.values()], ids=MAPS)


def drawn(flow_map, count: int = 20):
    return flow_map.corruption.base(count, generator=Noise(0), dtype=DOUBLE)


@maps
def test_few_calls_land_where_256_steps_of_the_field_land(flow_map):
    noise, space = drawn(flow_map), flow_map.corruption.manifold
    path = levels(flow_map.corruption.clock, 256)
    field_end = sample(flow_map.field, noise, levels=path, stepper=UniPC())
    for steps in (1, 2, 4):
        made = sample(flow_map, noise, steps=steps)
        assert space.dist(made, field_end).max() < 5e-5


@maps
def test_two_steps_are_one(flow_map):
    """The semigroup law: from s by way of r to t is from s to t."""
    x, space = (
        flow_map.corruption.start(drawn(flow_map), flow_map.corruption.clock.kappa(1.0)),
        (flow_map.corruption.manifold),
    )
    for s, r, t in ((1.0, 0.5, 0.2), (1.0, 0.99, 0.01), (1.0, 0.3, 0.0)):
        straight = flow_map.step(x, s, t)
        assert space.dist(flow_map.step(flow_map.step(x, s, r), r, t), straight).max() < 1e-7


@maps
def test_to_its_own_level_the_map_stays_and_U_is_u(flow_map):
    x = drawn(flow_map, 4)
    s = torch.tensor([0.1, 0.4, 0.7, 1.0], dtype=DOUBLE)
    assert flow_map.corruption.manifold.dist(flow_map.step(x, s, s), x).max() < 1e-12
    assert torch.equal(flow_map(x, s, s), flow_map.field(x, s))


def test_each_step_is_one_call_with_both_levels():
    asked, seen = [], []

    def network(x, s, t, condition, mask):
        asked.append((s[0].item(), t[0].item(), condition))
        return x.flip(-1)

    flow_map = NetworkFlowMap(network, Geodesic(Sphere(2)))
    sample(
        flow_map,
        3,
        steps=4,
        condition="told",
        callback=lambda i, x, kappa: seen.append((i, kappa.item())),
    )
    assert asked == [(s, s - 0.25, "told") for s in (1.0, 0.75, 0.5, 0.25)]
    assert seen == [(1, 0.75), (2, 0.5), (3, 0.25), (4, 0.0)]


def test_a_clock_that_starts_above_0_ends_along_the_field():
    flow_map = one_clean_point(Sphere(2))
    heat = NetworkFlowMap(flow_map.network, HeatKernel(Sphere(2), LogLinear(0.05, 3.0)), "u")
    asked = []
    heat.network = lambda x, s, t, condition, mask: asked.append((s[0].item(), t[0].item())) or x
    sample(heat, 3, steps=3)
    assert asked[-1] == (0.0, 0.0) and asked[0][0] == 1.0


def test_U_is_projected_and_0_where_masked():
    mask = torch.tensor([[True, True, False], [True, True, True]])
    flow_map = NetworkFlowMap(
        lambda x, s, t, condition, mask: torch.ones_like(x).cumsum(1), Geodesic(Centered(3))
    )
    x = Centered(3).random_point(2, mask=mask, generator=Noise(0))
    U = flow_map(x, 0.5, 0.1, None, mask)
    assert (U[~mask] == 0).all() and U.sum(1).abs().max() < 1e-5
    assert (sample(flow_map, (2, 3), steps=2, mask=mask)[~mask] == 0).all()


def test_parameters_are_the_networks_and_shared_with_the_field():
    class Small(torch.nn.Linear):
        def forward(self, x, s, t, condition, mask):
            return super().forward(x)

    flow_map = NetworkFlowMap(Small(2, 2).double(), Geodesic(Euclidean(2)))
    assert set(flow_map.state_dict()) == {"network.weight", "network.bias"}
    assert next(flow_map.field.parameters()) is flow_map.network.weight
    made = sample(flow_map, 3, steps=2)
    assert made.dtype == DOUBLE and not made.requires_grad


def test_what_a_map_cannot_do_is_refused_with_the_reason():
    flow_map = one_clean_point(Euclidean(2))
    with pytest.raises(ValueError, match="crosses each interval by itself"):
        sample(flow_map, 3, stepper=ExponentialEuler())
    with pytest.raises(ValueError, match="has no memory"):
        sample(flow_map, 3, remember=True)
    with pytest.raises(ValueError, match="to lower ones"):
        sample(flow_map, 3, levels=torch.tensor([0.1, 1.0]))
    with pytest.raises(ValueError, match="reading: 'eps' does not exist"):
        NetworkFlowMap(flow_map.network, Geodesic(Euclidean(2)), "eps")
    endless = NetworkFlowMap(lambda x, s, t, c, m: x, Gaussian(Euclidean(2), Cosine()), "clean")
    with pytest.raises(ValueError, match="finite noise levels"):
        sample(endless, 3)
    path = levels(endless.corruption.clock, 4, s_max=0.999)
    assert torch.isfinite(sample(endless, 3, levels=path)).all()
