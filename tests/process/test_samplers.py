"""Steppers and the loop they share."""

import pickle

import pytest
import torch

from geodiff.process.clocks import Karras, Linear, LogLinear, PerFactor
from geodiff.process.corruption import Gaussian, Geodesic, HeatKernel
from geodiff.process.levels import Levels, levels
from geodiff.process.randomness import Noise
from geodiff.process.samplers import (
    Ancestral,
    ExponentialEuler,
    Heun,
    Multistep,
    RungeKutta4,
    Singlestep,
    UniPC,
    integrate,
)
from manifolds import SE3, SO3, Centered, Euclidean, Sphere, Torus
from tests.process.exact import LAWS, Plane, Rotations

DETERMINISTIC = [
    ExponentialEuler(),
    Multistep(2),
    Multistep(3),
    UniPC(1),
    UniPC(2),
    UniPC(3),
    UniPC(3, corrector=False),
    Singlestep(2),
    Singlestep(3),
    Heun(),
    RungeKutta4(),
]
WITHIN = RungeKutta4, Singlestep  # ask u at levels within a step too
STEPPERS = [*DETERMINISTIC, Ancestral(1.0), Ancestral(0.3)]
SPACES = [Euclidean(2), Torus(2), Sphere(2), SO3(), SE3()]
DTYPES = [torch.float32, torch.float64]


def heat(manifold):
    """A corruption that says how a stochastic stepper adds noise."""
    return HeatKernel(manifold, LogLinear(0.05, 3.0))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("stepper", STEPPERS, ids=repr)
def test_every_stepper_ends_at_0_finite_and_on_the_space(stepper, law, dtype):
    mixture = law(dtype)
    kappas = torch.tensor([3.0, 1.0, 0.5, 0.25, 0.1, 0.0])
    x = integrate(
        mixture.manifold,
        mixture.u,
        mixture.start(20),
        kappas,
        stepper,
        generator=Noise(0),
        corruption=heat(mixture.manifold),
    )
    assert x.dtype == dtype
    assert mixture.manifold.check(x) is None


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("manifold", SPACES, ids=repr)
@pytest.mark.parametrize("stepper", STEPPERS, ids=repr)
def test_one_clean_point_is_reached_exactly(stepper, manifold, dtype):
    clean, x = (manifold.random_point(10, generator=Noise(i), dtype=dtype) for i in (0, 1))
    end = integrate(
        manifold,
        lambda x, kappa: manifold.log(x, clean),
        x,
        torch.tensor([1.0, 0.6, 0.3, 0.0]),
        stepper,
        generator=Noise(2),
        corruption=heat(manifold),
    )
    assert manifold.dist(end, clean).max() < (3e-6 if dtype == torch.float32 else 1e-12)


@pytest.mark.parametrize("manifold", SPACES, ids=repr)
def test_exponential_euler_is_exact_on_one_clean_point_in_one_step(manifold):
    """For Geodesic paths and, on flat space, for Gaussian ones: the step lands on the path
    itself.
    """
    corruption = Geodesic(manifold)
    clean, noise = (
        manifold.random_point(10, generator=Noise(i), dtype=torch.float64) for i in (0, 1)
    )
    at = [corruption.corrupt(clean, s, noise=noise) for s in (0.9, 0.2)]
    end = integrate(
        manifold,
        lambda x, kappa: manifold.log(x, clean),
        at[0].x,
        torch.tensor([0.9, 0.2], dtype=torch.float64),
        ExponentialEuler(),
    )
    assert manifold.dist(end, at[1].x).max() < 1e-12


def test_exponential_euler_is_exact_on_one_clean_point_for_gaussian_paths():
    corruption = Gaussian(Euclidean(3), Karras())
    clean, noise = (
        Euclidean(3).random_point(10, generator=Noise(i), dtype=torch.float64) for i in (0, 1)
    )
    start, end = (corruption.corrupt(clean, s, noise=noise) for s in (1.0, 0.3))
    kappas = torch.stack([start.kappa[0], end.kappa[0]])
    got = integrate(Euclidean(3), lambda x, kappa: clean - x, start.x, kappas, ExponentialEuler())
    assert (got - end.x).abs().max() < 1e-12


@pytest.mark.parametrize("stepper", STEPPERS, ids=repr)
@pytest.mark.parametrize(
    "made",
    [
        levels(Karras(), 7),
        levels(Linear(), 7),
        torch.tensor([2.0, 1.0, 0.1]),
        levels(LogLinear(0.1, 3.0), 7, s_min=0.2),
    ],
    ids=["karras", "linear", "tensor", "no zero"],
)
def test_the_level_reached_is_the_level_in_the_list(stepper, made):
    """The callback sees the list; u is asked at its levels, and elsewhere only by those that look
    within a step.
    """
    reached, asked = [], []

    def u(x, kappa):
        asked.append(kappa.item())
        return -x

    integrate(
        Euclidean(2),
        u,
        torch.ones(1, 2, dtype=torch.float64),
        made,
        stepper,
        generator=Noise(0),
        corruption=heat(Euclidean(2)),
        callback=lambda i, x, kappa: reached.append((i, kappa.item())),
    )
    kappas = made.kappas if isinstance(made, Levels) else made.double()
    assert reached == list(enumerate(kappas[1:].tolist(), 1))
    if not isinstance(stepper, WITHIN):
        assert set(asked) <= set(kappas.tolist())
    assert 0.0 not in asked


@pytest.mark.parametrize(
    "stepper, calls",
    [
        (ExponentialEuler(), 10),
        (Multistep(2), 10),
        (Multistep(3), 10),
        (UniPC(1), 10),
        (UniPC(2), 10),
        (UniPC(3), 10),
        (UniPC(3, corrector=False), 10),
        (Singlestep(2), 19),
        (Singlestep(3), 28),
        (Ancestral(), 10),
        (Heun(), 19),
        (RungeKutta4(), 37),
    ],
    ids=repr,
)
def test_calls_are_as_few_as_promised(stepper, calls):
    asked = []
    integrate(
        Euclidean(1),
        lambda x, kappa: asked.append(kappa) or -x,
        torch.ones(1, 1),
        levels(Karras(), 10),
        stepper,
        generator=Noise(0),
        corruption=heat(Euclidean(1)),
    )
    assert len(asked) == calls


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("stepper, bound", [(RungeKutta4(), 1e-6), (UniPC(2), 1e-4)], ids=repr)
def test_going_to_noise_and_back_returns(law, stepper, bound):
    mixture = law()
    down = torch.logspace(0.4, -0.5, 101, dtype=torch.float64)
    there = integrate(mixture.manifold, mixture.u, mixture.start(20), down, stepper)
    back = integrate(mixture.manifold, mixture.u, there, down.flip(0), stepper)
    again = integrate(mixture.manifold, mixture.u, back, down, stepper)
    assert mixture.manifold.dist(back, mixture.start(20)).median() < bound
    assert mixture.manifold.dist(again, there).median() < bound


@pytest.mark.parametrize("stepper", STEPPERS, ids=repr)
def test_steppers_keep_nothing_between_calls(stepper):
    mixture, kappas = Rotations(), torch.tensor([3.0, 1.0, 0.3, 0.1])
    first, second = (
        integrate(
            mixture.manifold,
            mixture.u,
            mixture.start(5),
            kappas,
            stepper,
            generator=Noise(0),
            corruption=heat(mixture.manifold),
        )
        for _ in range(2)
    )
    assert torch.equal(first, second)
    copy = pickle.loads(pickle.dumps(stepper))
    assert copy == stepper and hash(copy) == hash(stepper)


@pytest.mark.parametrize("stepper", STEPPERS, ids=repr)
def test_samples_do_not_depend_on_the_batch(stepper):
    mixture, kappas = Plane(), torch.tensor([3.0, 1.0, 0.3, 0.0])
    start = mixture.start(4)
    batch, alone = (
        integrate(
            mixture.manifold,
            mixture.u,
            start[rows],
            kappas,
            stepper,
            generator=Noise(1).streams(0, rows),
            corruption=heat(mixture.manifold),
        )
        for rows in ([0, 1, 2, 3], [2])
    )
    assert torch.allclose(batch[2:3], alone, atol=1e-14)


@pytest.mark.parametrize("stepper", STEPPERS, ids=repr)
def test_integration_is_differentiable(stepper):
    mixture, start = Rotations(), Rotations().start(3).requires_grad_()
    integrate(
        mixture.manifold,
        mixture.u,
        start,
        torch.tensor([2.0, 1.0, 0.5, 0.0]),
        stepper,
        generator=Noise(0),
        corruption=heat(mixture.manifold),
    ).sum().backward()
    assert torch.isfinite(start.grad).all()


@pytest.mark.parametrize("stepper", DETERMINISTIC, ids=repr)
def test_a_kappa_per_coordinate_solves_each_at_its_own_level(stepper):
    """Two independent normal laws at different levels, in one tensor or one by one, are the
    same.
    """
    width = torch.tensor([0.5, 2.0], dtype=torch.float64)
    clocks = LogLinear(0.1, 3.0), LogLinear(0.01, 50.0)
    x = torch.tensor([[1.0, 30.0], [-2.0, 5.0]], dtype=torch.float64)

    def u(x, kappa):
        return -(kappa**2) / (kappa**2 + width**2) * x

    together = integrate(
        Euclidean(2), u, x, levels(PerFactor(clocks, (1, 1)), 12, s_min=0.01), stepper
    )
    for i, clock in enumerate(clocks):
        alone = integrate(
            Euclidean(1),
            lambda x, kappa: -(kappa**2) / (kappa**2 + width[i] ** 2) * x,
            x[:, i : i + 1],
            levels(clock, 12, s_min=0.01),
            stepper,
        )
        assert torch.allclose(together[:, i : i + 1], alone, rtol=1e-10)
    last, first = (PerFactor(clocks, (1, 1)).kappa(s) ** 2 + width**2 for s in (0.01, 1.0))
    assert torch.allclose(together, x * torch.sqrt(last / first), rtol=0.2)


@pytest.mark.parametrize("stepper", STEPPERS, ids=repr)
def test_one_kappa_and_the_same_kappa_for_each_coordinate_take_the_same_steps(stepper):
    """Floats and tensors go through the same arithmetic."""
    plane, kappas = Euclidean(2), torch.tensor([3.0, 1.0, 0.4, 0.1, 0.0], dtype=torch.float64)
    start = 3 * torch.randn(4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def u(x, kappa):
        return torch.tanh(x) * kappa / (1 + kappa) - x

    one, each = (
        integrate(
            plane,
            u,
            start,
            made,
            stepper,
            generator=torch.Generator().manual_seed(1),
            corruption=Gaussian(plane, Karras()),
        )
        for made in (kappas, kappas[:, None].expand(5, 2))
    )
    torch.testing.assert_close(one, each, rtol=1e-12, atol=1e-12)


def test_runge_kutta_keeps_its_order_with_a_clock_per_factor():
    width, x = torch.tensor([[0.5, 2.0], [1.0, 3.0]], dtype=torch.float64).split(1)
    clock = PerFactor((Karras(0.1, 3.0), LogLinear(0.2, 9.0)), (1, 1))
    last, first = (clock.kappa(s) ** 2 + width**2 for s in (0.05, 1.0))
    errors = []
    for steps in (16, 32):
        end = integrate(
            Euclidean(2),
            lambda x, kappa: -(kappa**2) / (kappa**2 + width**2) * x,
            x,
            levels(clock, steps, s_min=0.05),
            RungeKutta4(),
        )
        errors.append((end - x * torch.sqrt(last / first)).norm())
    assert 14 < errors[0] / errors[1] < 18


def test_bad_levels_and_steppers_are_refused():
    x, u = torch.ones(1, 2), lambda x, kappa: -x
    with pytest.raises(ValueError, match="infinite"):
        integrate(Euclidean(2), u, x, levels(Linear().for_gaussian(), 3), Heun())
    with pytest.raises(ValueError, match="above 0"):
        integrate(Euclidean(2), u, x, torch.tensor([0.0, 0.5, 1.0]), Heun())
    with pytest.raises(ValueError, match="cannot invert"):
        kappas = torch.tensor([0.5, 1.0])
        integrate(Euclidean(2), u, x, kappas, Ancestral(), corruption=heat(Euclidean(2)))
    with pytest.raises(ValueError, match="order"):
        Multistep(4)
    with pytest.raises(ValueError, match="order"):
        UniPC(4)
    with pytest.raises(ValueError, match="order"):
        Singlestep(1)
    with pytest.raises(ValueError, match="eta"):
        Ancestral(1.5)


def test_noisy_steps_without_a_score_are_refused_with_the_reason():
    kappas, turn = torch.tensor([0.9, 0.5, 0.1]), SO3().random_point(1)
    walk = lambda stepper, corruption: integrate(  # noqa: E731
        SO3(), lambda x, kappa: torch.zeros(1, 3), turn, kappas, stepper, corruption=corruption
    )
    with pytest.raises(ValueError, match="Geodesic has no score"):
        walk(Ancestral(1.0), Geodesic(SO3()))
    with pytest.raises(ValueError, match="give integrate corruption="):
        walk(Ancestral(0.5), None)
    for corruption in (None, Geodesic(SO3())):
        assert torch.equal(walk(Ancestral(0.0), corruption), walk(ExponentialEuler(), corruption))


def test_the_noise_that_is_added_is_the_corruptions_own_and_padding_stays_0():
    """The stepper is told of both: on centred clouds the noise is centred and absent where
    masked.
    """
    mask, space = torch.tensor([[True] * 3 + [False]]), Centered(3)
    x = space.random_point(1, mask=mask, generator=Noise(0), dtype=torch.float64)
    end = integrate(
        space,
        lambda x, kappa: -0.5 * x,
        x,
        torch.tensor([1.0, 0.6, 0.3]),
        Ancestral(),
        generator=Noise(1),
        corruption=heat(space),
        mask=mask,
    )
    assert (end[~mask] == 0).all() and end.sum(1).abs().max() < 1e-14
    assert (end - x).abs().max() > 0.1
