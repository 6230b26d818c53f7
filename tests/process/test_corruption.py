"""Corruptions: what they make of clean points, and how network outputs are read."""

import math

import pytest
import torch

from geodiff.process.clocks import (
    Cosine,
    DDPMLinear,
    Karras,
    Linear,
    LogLinear,
    PerFactor,
    derivative,
)
from geodiff.process.corruption import Gaussian, Geodesic, HeatKernel
from geodiff.process.couplings import registered
from geodiff.process.field import NetworkField
from geodiff.process.objectives.matching import matching_loss
from geodiff.process.randomness import Noise
from geodiff.process.sampling import sample
from manifolds import SE3, SO3, Centered, Euclidean, Poses, Power, Product, Scaled, Sphere, Torus

SPACES = [Euclidean(2), Torus(2), Sphere(2), SO3(), SE3(), Product((SO3(), Euclidean(2)))]
DTYPES = [torch.float32, torch.float64]
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-11}
GAUSSIAN_CLOCKS = [Linear(), Karras(), Cosine(), DDPMLinear()]
MASK = torch.tensor([[True] * 4 + [False] * 2, [True] * 6])


def points(manifold, count, dtype=torch.float64, seed=0):
    return manifold.random_point(count, generator=Noise(seed), dtype=dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("manifold", SPACES, ids=repr)
@pytest.mark.parametrize(
    "kind",
    [lambda m: Geodesic(m), lambda m: HeatKernel(m, LogLinear(0.01, 3.0))],
    ids=["Geodesic", "HeatKernel"],
)
def test_noisy_points_are_points_and_targets_are_tangents(kind, manifold, dtype):
    corruption, clean = kind(manifold), points(manifold, 50, dtype)
    for s in (0.0, 0.3, 1.0, torch.linspace(0, 1, 50, dtype=dtype)):
        made = corruption.corrupt(clean, s, generator=Noise(1))
        assert manifold.check(made.x) is None
        assert made.x.dtype == made.u.dtype == made.kappa.dtype == made.s.dtype == dtype
        assert made.s.shape == made.kappa.shape == (50,)
        assert torch.isfinite(made.u).all()
        assert (manifold.to_tangent(made.x, made.u) - made.u).abs().max() < TOLERANCE[dtype]
    base = corruption.base(7, generator=Noise(2), dtype=dtype)
    assert base.shape == (7, *manifold.shape) and manifold.check(base) is None


@pytest.mark.parametrize("manifold", SPACES, ids=repr)
def test_a_geodesic_runs_from_clean_to_noise(manifold):
    corruption, clean, noise = (
        Geodesic(manifold),
        points(manifold, 20),
        points(manifold, 20, seed=1),
    )
    length = manifold.dist(clean, noise)
    for s in (0.0, 0.25, 1.0):
        made = corruption.corrupt(clean, s, noise=noise)
        assert (manifold.dist(clean, made.x) - s * length).abs().max() < 1e-7
        assert (manifold.dist(made.x, noise) - (1 - s) * length).abs().max() < 1e-7
        assert (manifold.dist(manifold.exp(made.x, made.u), clean)).max() < 1e-7


@pytest.mark.parametrize("clock", GAUSSIAN_CLOCKS, ids=repr)
def test_the_state_of_a_gaussian_is_noisy_over_alpha(clock):
    corruption, clean = Gaussian(Euclidean((2, 3)), clock), points(Euclidean((2, 3)), 9)
    made = corruption.corrupt(clean, 0.4, generator=Noise(1))
    alpha, sigma = corruption.clock.alpha(0.4), corruption.clock.sigma(0.4)
    assert torch.allclose(alpha * made.x, alpha * clean + sigma * made.noise)
    assert torch.allclose(made.x + made.u, clean)


def test_a_gaussian_refuses_an_infinite_state():
    with pytest.raises(ValueError, match="alpha is 0"):
        Gaussian(Euclidean(2), Linear()).corrupt(points(Euclidean(2), 3), 1.0)


@pytest.mark.parametrize("manifold", [Sphere(2), SO3(), Torus(2)], ids=repr)
def test_heat_of_two_levels_in_turn_is_heat_of_their_squares_sum(manifold):
    corruption = HeatKernel(manifold, LogLinear(0.01, 3.0))
    clean = points(manifold, 1).expand(4000, *manifold.shape)
    kappa = torch.tensor(0.4, dtype=torch.float64)
    twice = corruption.diffuse(clean, kappa, generator=Noise(1))
    twice = corruption.diffuse(twice, kappa, generator=Noise(2))
    once = corruption.diffuse(clean, kappa * math.sqrt(2), generator=Noise(3))
    a, b = (manifold.dist(clean, x).sort().values for x in (twice, once))
    steps = torch.linspace(0, a.max(), 200, dtype=a.dtype)
    gap = (torch.searchsorted(a, steps) - torch.searchsorted(b, steps)).abs().max() / 4000
    assert gap < 1.95 * math.sqrt(2 / 4000)  # two-sample Kolmogorov-Smirnov, p > .001


def consistent_outputs(corruption, x, s, clean):
    """What each reading would have to say for the clean estimate to be `clean`."""
    clock = corruption.clock
    alpha, sigma, kappa = (f(s)[:, None] for f in (clock.alpha, clock.sigma, clock.kappa))
    noisy = alpha * x
    eps = (noisy - alpha * clean) / sigma
    alpha_rate, sigma_rate = (derivative(f, s)[:, None] for f in (clock.alpha, clock.sigma))
    scale = corruption.data_scale
    skip, out = scale**2 / (kappa**2 + scale**2), kappa * scale / torch.sqrt(kappa**2 + scale**2)
    return {
        "u": clean - x,
        "clean": clean,
        "eps": eps,
        "score": -eps / kappa,
        "v": alpha * eps - sigma * clean,
        "F": (clean - skip * x) / out,
        "velocity": alpha_rate * clean + sigma_rate * eps,
    }


@pytest.mark.parametrize("clock", GAUSSIAN_CLOCKS, ids=repr)
def test_every_gaussian_reading_gives_the_same_u(clock):
    corruption = Gaussian(Euclidean(3), clock, data_scale=0.7)
    s = torch.linspace(0.0503, 0.9503, 10, dtype=torch.float64)
    clean = points(Euclidean(3), 10)
    x = corruption.corrupt(clean, s, generator=Noise(1)).x
    outputs = consistent_outputs(corruption, x, s, clean)
    assert set(outputs) == set(corruption.readings)
    for reading, output in outputs.items():
        u = corruption.displacement(reading, output, x, s)
        assert (u - (clean - x)).abs().max() < 1e-10, reading


@pytest.mark.parametrize("reading", ["clean", "v", "F", "velocity", "u", "eps", "score"])
def test_every_reading_gives_the_same_clean_estimate(reading):
    corruption = Gaussian(Euclidean(3), Linear(), data_scale=0.7)
    s, clean = torch.full((10,), 0.6, dtype=torch.float64), points(Euclidean(3), 10)
    made = corruption.corrupt(clean, s, generator=Noise(1))
    output = consistent_outputs(corruption, made.x, s, clean)[reading]
    estimate = corruption.clean_estimate(
        reading, output, corruption.clock.alpha(s)[:, None] * made.x, s
    )
    assert (estimate - clean).abs().max() < 1e-9


@pytest.mark.parametrize("manifold", SPACES, ids=repr)
def test_every_geodesic_reading_gives_the_same_u(manifold):
    corruption, clean = Geodesic(manifold), points(manifold, 10)
    s = torch.linspace(0.1, 0.9, 10, dtype=torch.float64)
    made = corruption.corrupt(clean, s, generator=Noise(1))
    velocity = -made.u / corruption.against_tangent(s)
    for reading, output in {"u": made.u, "clean": clean, "velocity": velocity}.items():
        assert (corruption.displacement(reading, output, made.x, s) - made.u).abs().max() < 1e-10


@pytest.mark.parametrize("manifold", SPACES, ids=repr)
def test_every_heat_kernel_reading_gives_the_same_u(manifold):
    corruption, clean = HeatKernel(manifold, LogLinear(0.05, 2.0)), points(manifold, 10)
    s = torch.linspace(0.1, 0.9, 10, dtype=torch.float64)
    made = corruption.corrupt(clean, s, generator=Noise(1))
    score = corruption.kernel.score(made.x, clean, made.kappa)
    for reading, output in {"u": made.u, "clean": clean, "score": score}.items():
        assert (corruption.displacement(reading, output, made.x, s) - made.u).abs().max() < 1e-10


def test_velocity_of_a_geodesic_is_the_slope_of_its_path():
    manifold, clean, noise = SO3(), points(SO3(), 10), points(SO3(), 10, seed=1)
    for clock in (Linear(), LogLinear(1e-4, 1.0)):
        corruption, step = Geodesic(manifold, clock), 1e-5
        before, here, after = (
            corruption.corrupt(clean, 0.5 + ds, noise=noise) for ds in (-step, 0.0, step)
        )
        velocity = manifold.log(here.x, after.x) - manifold.log(here.x, before.x)
        u = corruption.displacement("velocity", velocity / (2 * step), here.x, here.s)
        assert (u - here.u).abs().max() < 1e-8


@pytest.mark.parametrize(
    "corruption, reading, reason",
    [
        (Geodesic(SO3()), "eps", "base point"),
        (Geodesic(SO3()), "score", "not a gradient"),
        (Geodesic(Euclidean(2)), "v", "vector space"),
        (Geodesic(Euclidean(2)), "F", "origin"),
        (HeatKernel(SO3(), LogLinear(0.1, 2.0)), "eps", "curved"),
        (HeatKernel(SO3(), LogLinear(0.1, 2.0)), "v", "vector space"),
        (HeatKernel(SO3(), LogLinear(0.1, 2.0)), "F", "origin"),
        (HeatKernel(SO3(), LogLinear(0.1, 2.0)), "velocity", "no velocity"),
        (Gaussian(Euclidean(2), Cosine()), "epsilon", "expected one of"),
    ],
)
def test_readings_that_do_not_exist_are_refused_with_the_reason(corruption, reading, reason):
    with pytest.raises(ValueError, match=reason):
        NetworkField(lambda x, s, condition, mask: x, corruption, reading)


SCALE = 3.0
FLAT = [
    Scaled(Euclidean(2), SCALE),
    Product((Euclidean(2), Scaled(Euclidean(()), 0.5))),
    Scaled(Centered(2), 0.5),
    Power(Product((Euclidean(2), Scaled(Euclidean(1), 2.0))), centred=True),
]


@pytest.mark.parametrize("space", FLAT, ids=repr)
def test_gaussian_noise_is_brownian_motion_on_every_flat_space(space):
    corruption, heat = Gaussian(space, Cosine()), space.heat()
    size = (20_000, 3) if None in space.shape else (20_000,)
    noise = corruption.base(*size, generator=Noise(0), dtype=torch.float64)
    # Of variance 1 along each vector of a frame, so that kappa is the level of the heat kernel.
    mean_square = space.inner(noise, noise, noise).mean() / space.dim_of(noise)
    assert abs(float(mean_square) - 1) < 0.03
    clean = space.draw((1, *size[1:]), generator=Noise(1), dtype=torch.float64).expand_as(noise)
    made = corruption.corrupt(clean, 0.4, noise=noise)
    kappa = made.kappa.reshape(-1, *[1] * len(space.shape))
    score = heat.score(made.x, clean, made.kappa)
    assert torch.allclose(made.u, kappa.square() * score)
    assert torch.allclose(corruption.displacement("score", score, made.x, made.s), made.u)
    assert torch.allclose(corruption.displacement("eps", noise, made.x, made.s), made.u)
    field = NetworkField(lambda x, s, condition, mask: noise, corruption, "eps")
    assert torch.allclose(field(made.x, made.s), made.u)
    more = corruption.diffuse(made.x, torch.tensor(0.5), generator=Noise(2)) - made.x
    assert abs(float(space.inner(more, more, more).mean() / space.dim_of(more)) - 0.25) < 0.01


@pytest.mark.parametrize("reading", Gaussian.readings)
def test_a_longer_unit_of_length_is_the_same_process(reading):
    """By x -> 3 x the plane with lengths times 3 becomes the plane, points and tangents alike."""
    wide, plain = (Gaussian(space, Cosine(), 2.0) for space in (FLAT[0], Euclidean(2)))
    clean = points(Euclidean(2), 20)
    a, b = (
        one.corrupt(x, 0.6, generator=Noise(1))
        for one, x in ((wide, clean), (plain, SCALE * clean))
    )
    assert torch.allclose(SCALE * a.x, b.x) and torch.allclose(SCALE * a.u, b.u)
    output = points(Euclidean(2), 20, seed=3)
    assert torch.allclose(
        SCALE * wide.displacement(reading, output, a.x, a.s),
        plain.displacement(reading, SCALE * output, b.x, b.s),
    )


def test_wrong_corruptions_are_refused():
    with pytest.raises(ValueError, match="vector space"):
        Gaussian(Sphere(2), Cosine())
    with pytest.raises(ValueError, match=r"kappa\(1\) = 1"):
        Geodesic(Sphere(2), Karras())
    with pytest.raises(ValueError, match="noise"):
        HeatKernel(SO3(), LogLinear(0.1, 2.0)).corrupt(
            points(SO3(), 2), 0.5, noise=points(SO3(), 2)
        )
    with pytest.raises(ValueError, match="not a score"):
        Geodesic(SO3()).diffuse(points(SO3(), 2), torch.tensor(0.1))


@pytest.mark.parametrize(
    "corruption",
    [
        Geodesic(Centered(3)),
        Geodesic(Centered(3), coupling=registered),
        Gaussian(Centered(3), Cosine()),
        HeatKernel(Centered(3), LogLinear(0.01, 10.0)),
    ],
    ids=["geodesic", "registered", "gaussian", "heat"],
)
def test_padded_nodes_stay_exactly_0_and_clouds_centred(corruption):
    clean = Centered(3).random_point(2, mask=MASK, generator=Noise(0))
    made = corruption.corrupt(clean, 0.7, generator=Noise(1), mask=MASK)
    for cloud in (made.x, made.u, made.noise):
        assert (cloud[~MASK] == 0).all()
        assert cloud.sum(1).abs().max() < 1e-4
    assert (
        made.x[0, :4]
        - corruption.corrupt(clean[:1, :4], 0.7, generator=Noise(1), mask=MASK[:1, :4]).x
    ).abs().max() < 1e-5
    base = corruption.base(2, 6, mask=MASK, generator=Noise(2))
    assert base.shape == (2, 6, 3) and (base[~MASK] == 0).all()


def test_a_base_of_ones_own_gets_the_condition():
    def base(size, generator, dtype, device, mask, condition):
        return condition.expand(*size, 2).to(dtype)

    corruption = Geodesic(Euclidean(2), base=base)
    made = corruption.corrupt(points(Euclidean(2), 3), 1.0, condition=torch.tensor([5.0, 6.0]))
    assert made.x.tolist() == [[5, 6]] * 3


def test_each_factor_may_have_its_own_clock():
    """Rotations lag translations: half-way in s, they have turned exp(-5) of the way to the
    noise.
    """
    clock = PerFactor((LogLinear(math.exp(-10), 1.0), Linear()), (3, 3))
    corruption, clean, noise = Geodesic(SE3(), clock), points(SE3(), 5), points(SE3(), 5, seed=1)
    made = corruption.corrupt(clean, 0.5, noise=noise)
    way, rest = SE3().log(clean, noise), SE3().log(clean, made.x)
    assert torch.allclose(rest[:, :3], math.exp(-5) * way[:, :3])
    assert torch.allclose(rest[:, 3:], 0.5 * way[:, 3:])
    assert made.kappa.shape == (5, 6)
    heat = HeatKernel(SE3(), PerFactor((LogLinear(0.01, 3.0), LogLinear(0.1, 10.0)), (3, 3)))
    made = heat.corrupt(points(SE3(), 4000).mul(0).add(torch.eye(4)), 1.0, generator=Noise(3))
    assert abs(made.x[:, :3, 3].std() - 10) < 0.3
    assert SE3().check(made.x) is None


@pytest.mark.parametrize("kind", [Geodesic, HeatKernel])
def test_clouds_of_frames_have_a_clock_per_factor_and_a_mask(kind):
    """One rotation level and one translation level for all frames of a cloud; padding stays the
    identity.
    """
    space, mask = Poses(), torch.tensor([[True] * 4, [True, True, True, False]])
    clocks = (
        (Linear(), Linear()) if kind is Geodesic else (LogLinear(0.01, 3.0), LogLinear(0.1, 10.0))
    )
    corruption = kind(space, PerFactor(clocks, (3, 3), leader=1))
    clean = space.random_point(2, mask=mask, generator=Noise(0), dtype=torch.float64)
    s = torch.tensor([0.3, 0.8], dtype=torch.float64)
    made = corruption.corrupt(clean, s, generator=Noise(1), mask=mask)
    assert made.kappa.shape == (2, 6) and made.u.shape == (2, 4, 6)
    assert space.check(made.x, mask) is None and (made.u[~mask] == 0).all()
    assert corruption.base(2, 4, generator=Noise(2), mask=mask).shape == (2, 4, 4, 4)
    field = NetworkField(lambda x, s, condition, mask: clean, corruption, reading="clean")
    assert torch.allclose(field(made.x, s, mask=mask), made.u)
    assert matching_loss(field, clean, s=s, mask=mask, generator=Noise(1)).value < 1e-24
    noise = corruption.base(2, 4, generator=Noise(3), mask=mask, dtype=torch.float64)
    made = sample(field, noise, steps=200, mask=mask)
    assert space.check(made, mask) is None
    assert torch.allclose(made, clean, atol=1e-6 if kind is Geodesic else 1e-2)
