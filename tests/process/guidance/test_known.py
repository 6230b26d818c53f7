"""Inpainting by replacement: what is known is kept, and the bias is what the docstring says."""

import pytest
import torch

from geodiff.process.clocks import Cosine, LogLinear
from geodiff.process.corruption import Gaussian, Geodesic, HeatKernel
from geodiff.process.field import NetworkField
from geodiff.process.guidance import Known
from geodiff.process.levels import levels
from geodiff.process.particles import steer
from geodiff.process.randomness import Noise
from geodiff.process.samplers import Ancestral, ExponentialEuler, Multistep, RePaint
from geodiff.process.sampling import sample
from manifolds import SO3, Centered, Euclidean, Power, Product, Sphere, Torus
from tests.process.guidance.normal import DOUBLE
from tests.process.guidance.test_energy import correlated

PAIR = torch.tensor([1.0, 0.0], dtype=DOUBLE), torch.tensor([True, False])


def bent(space, corruption):
    """A field that mixes what it hears of all parts."""
    middle = space.draw((1, 4) if None in space.shape else (1,), generator=Noise(5), dtype=DOUBLE)[
        0
    ]

    def network(x, s, condition, mask):
        away = space.log(x, middle.expand_as(x))
        return 0.5 * away + 0.1 * torch.sin(away.sum((-2, -1), keepdim=True))

    return NetworkField(network, corruption)


CASES = {
    "coordinates": (Euclidean((4, 2)), torch.tensor([[True, False]] * 4)),
    "nodes of a torus": (Power(Torus(1)), torch.tensor([[True], [False], [False], [True]])),
    "nodes of rotations": (Power(SO3()), torch.tensor([[True], [False], [False], [True]])),
    "nodes of a sphere": (Power(Sphere(2)), torch.tensor([[False], [False], [False], [True]])),
}


def known_parts(space, where, x):
    """The entries of points that are known."""
    where = where if where.shape[-1] != 1 else where[:, 0]
    return x[:, where]


@pytest.mark.parametrize("kind", ["flow", "diffusion"])
@pytest.mark.parametrize("space, where", CASES.values(), ids=CASES)
def test_what_is_known_is_reached_and_the_rest_is_alive(space, where, kind):
    clock = LogLinear(1e-3, 3.0)
    noisy = Gaussian(space, clock) if space.flat else HeatKernel(space, clock)
    corruption = Geodesic(space) if kind == "flow" else noisy
    size = (5, 4) if None in space.shape else (5,)
    points = space.draw(size, generator=Noise(2), dtype=DOUBLE)
    known = Known(bent(space, corruption), points, where)
    noise = corruption.base(*size, generator=Noise(3), dtype=DOUBLE)
    for stepper in [Multistep()] if kind == "flow" else [Multistep(), Ancestral(), RePaint(2)]:
        made = sample(known, noise, steps=20, stepper=stepper, generator=Noise(4))
        assert space.check(made) is None
        off = known_parts(space, where, made) - known_parts(space, where, points)
        assert off.abs().max() < (1e-12 if space.flat or kind == "flow" else 1e-5)
        assert (made - points).abs().max() > 0.1


def test_a_level_with_alpha_0_is_left_to_the_known_points():
    corruption = Gaussian(Euclidean(2), Cosine())
    field = NetworkField(lambda x, s, condition, mask: 0.3 * x, corruption, "clean")
    field.register_parameter("unused", torch.nn.Parameter(torch.zeros(1, dtype=DOUBLE)))
    made = sample(Known(field, *PAIR), 6, steps=8, generator=Noise(0))
    assert (made[:, 0] - 1).abs().max() < 1e-12 and made[:, 1].std() > 0


@pytest.mark.parametrize(
    "stepper, mean",
    [(Ancestral(), 0.61), (ExponentialEuler(), 0.44), (RePaint(5), 0.84), (RePaint(20), 0.89)],
    ids=repr,
)
def test_replacement_is_biased_as_its_docstring_says(stepper, mean):
    """Of two normal numbers with correlation 0.9, the second where the first is 1: 0.90."""
    made = sample(Known(correlated(), *PAIR), 2000, steps=200, stepper=stepper, generator=Noise(0))
    assert (made[:, 0] == 1).all()
    assert made[:, 1].mean() == pytest.approx(mean, abs=0.03)


def test_particles_mend_the_bias():
    """1,000 particles, 8 times: the mean within 2 %, the variance 0.19 within 5 %."""
    known = Known(correlated(), *PAIR)
    cloud = steer(known.field, 8, 1000, known.energy, proposal=known, steps=200, generator=Noise(1))
    weights, second = cloud.log_weights.exp(), cloud.points[..., 1]
    mean = (weights * second).sum(1)
    assert mean.mean() == pytest.approx(0.9, rel=0.02) and mean.std() < 0.05
    variance = (weights * second**2).sum(1) - mean**2
    assert variance.mean() == pytest.approx(0.19, rel=0.05)
    assert (cloud.points[..., 0] == 1).all()


def test_repeats_of_1_are_the_stepper_itself():
    known, noise = Known(correlated(), *PAIR), torch.ones(3, 2, dtype=DOUBLE)
    choose = dict(steps=10, generator=None)
    plain = sample(known, noise, stepper=Multistep(), **choose)
    assert torch.equal(sample(known, noise, stepper=RePaint(1, Multistep()), **choose), plain)


def test_the_dtype_is_that_of_the_states():
    field = NetworkField(
        lambda x, s, condition, mask: 0.3 * x, Gaussian(Euclidean(2), LogLinear(0.01, 9.0)), "clean"
    )
    known = Known(field, *PAIR)
    made = sample(known, 3, steps=4)
    assert made.dtype == torch.float32 and (made[:, 0] == 1).all()
    assert known.energy(made, torch.ones(3)).dtype == torch.float32


def test_energy_of_what_is_known_counts_known_parts_alone_and_in_the_metric():
    space = Product((Sphere(2), Euclidean(2)))
    points = space.random_point(3, generator=Noise(0), dtype=DOUBLE)
    where = torch.tensor([True] * 3 + [False] * 2)
    known = Known(bent_product(space), points, where)
    clean = space.random_point(3, generator=Noise(1), dtype=DOUBLE)
    kappa = torch.tensor([0.5, 1.0, 2.0], dtype=DOUBLE)
    wanted = Sphere(2).dist(clean[:, :3], points[:, :3]) ** 2 / (2 * kappa**2)
    assert torch.allclose(known.energy(clean, kappa), wanted)


def bent_product(space):
    corruption = HeatKernel(space, LogLinear(1e-3, 3.0))
    return NetworkField(lambda x, s, condition, mask: space.log(x, x), corruption)


def test_what_cannot_be_known_is_refused():
    field = correlated()
    with pytest.raises(TypeError, match="where: expected True"):
        Known(field, PAIR[0], torch.tensor([1.0, 0.0]))
    with pytest.raises(ValueError, match="points: not points of"):
        Known(field, torch.zeros(3, dtype=DOUBLE), PAIR[1])
    centred = NetworkField(lambda x, s, condition, mask: x, Geodesic(Centered(3)))
    with pytest.raises(ValueError, match="have mean 0"):
        Known(centred, torch.zeros(4, 3), torch.tensor([[True]] * 4))
    flow = NetworkField(lambda x, s, condition, mask: x, Geodesic(Sphere(2)))
    with pytest.raises(ValueError, match="no score, so the noisy steps of RePaint"):
        sample(flow, 2, steps=3, stepper=RePaint(2))
    with pytest.raises(ValueError, match="repeats: expected a whole number"):
        RePaint(0)
    rising = levels(LogLinear(0.01, 50.0), 4, s_min=0.1).reversed()
    with pytest.raises(ValueError, match="cannot invert"):
        sample(field, 2, levels=rising, stepper=RePaint(2))
