"""Implicit and sliced score matching: closed-form minimisers, unbiasedness, and the denoising
loss.
"""

import math

import pytest
import torch

from geodiff.process.clocks import Cosine, LogLinear
from geodiff.process.corruption import Gaussian, Geodesic, HeatKernel
from geodiff.process.field import NetworkField
from geodiff.process.objectives.score_matching import implicit_loss, score_of, sliced_loss
from geodiff.process.randomness import Noise
from manifolds import SO3, Centered, Euclidean, Hyperbolic, Product, Scaled, Sphere, Torus
from tests.process.exact import generator

COUNT = 10_000
LOSSES = pytest.mark.parametrize(
    "loss",
    [
        implicit_loss,
        lambda *arguments: implicit_loss(
            *arguments, divergence="hutchinson", generator=generator(9)
        ),
        lambda *arguments: sliced_loss(*arguments, probes=2, generator=generator(9)),
    ],
    ids=["exact", "hutchinson", "sliced"],
)


def minimiser(loss, family, manifold, x, size):
    """The least mean loss over a family that is linear in its parameters, (size,): a quadratic, so
    one solve.
    """
    value = lambda theta: loss(lambda x: family(theta, x), manifold, x).mean()  # noqa: E731
    zero = torch.zeros(size, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(value(zero), zero)
    hessian = torch.stack(
        [
            torch.autograd.grad(value(point := e.clone().requires_grad_()), point)[0] - gradient
            for e in torch.eye(size, dtype=torch.float64)
        ]
    )
    return torch.linalg.solve(hessian, -gradient)


@LOSSES
def test_angles_give_back_their_von_mises_law(loss):
    # p is proportional to exp(2 cos(x - 0.7)); its score is -2 cos(0.7) sin x + 2 sin(0.7) cos x.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        x = torch.distributions.VonMises(*torch.tensor([0.7, 2.0], dtype=torch.float64)).sample(
            (COUNT, 1)
        )
    found = minimiser(
        loss,
        lambda theta, x: -theta[0] * x.sin() + theta[1] * x.cos(),
        Torus(1),
        Torus(1).project(x),
        2,
    )
    assert (
        found - 2 * torch.tensor([math.cos(0.7), math.sin(0.7)], dtype=torch.float64)
    ).abs().max() < 0.09


@LOSSES
def test_unit_vectors_give_back_their_von_mises_fisher_law(loss):
    # p is proportional to exp(theta . x); its score is theta less its part along x.
    concentration, space = 3.0, Sphere(2)
    theta = concentration * space.random_point(generator=Noise(0), dtype=torch.float64)
    u = torch.rand(COUNT, 1, generator=generator(1), dtype=torch.float64)
    height = 1 + torch.log(u + (1 - u) * math.exp(-2 * concentration)) / concentration
    way = space.frame(theta / concentration)
    turn = 2 * math.pi * torch.rand(COUNT, 1, generator=generator(2), dtype=torch.float64)
    around = turn.cos() * way[0] + turn.sin() * way[1]
    x = space.project(height * theta / concentration + (1 - height**2).sqrt() * around)
    found = minimiser(loss, lambda theta, x: space.to_tangent(x, theta), space, x, 3)
    assert (found - theta).norm() < 0.2


@LOSSES
def test_normal_points_give_back_their_precision_and_mean(loss):
    factor = torch.tensor([[0.8, 0.0], [0.5, 1.2]], dtype=torch.float64)
    precision = torch.linalg.inv(factor @ factor.T)
    mean = torch.tensor([1.0, -0.5], dtype=torch.float64)
    x = mean + torch.randn(COUNT, 2, generator=generator(0), dtype=torch.float64) @ factor.T
    found = minimiser(
        loss, lambda theta, x: theta[:2] - x @ theta[2:].reshape(2, 2).T, Euclidean(2), x, 6
    )
    assert (found[2:].reshape(2, 2) - precision).abs().max() < 0.09
    assert (found[:2] - precision @ mean).abs().max() < 0.14


def test_exactly_the_mean_loss_of_the_true_score_is_minus_half_the_fisher_information():
    angle = torch.linspace(-math.pi, math.pi, 2001, dtype=torch.float64)[:-1, None]
    density = (2 * angle.cos()).exp()
    each = implicit_loss(lambda x: -2 * x.sin(), Torus(1), angle)[:, None]
    fisher = (density * (2 * angle.sin()).square()).sum() / density.sum()
    assert float((density * each).sum() / density.sum()) == pytest.approx(
        -float(fisher) / 2, rel=1e-10
    )
    # A score that is a tenth too long is worse by half of a hundredth of it.
    longer = implicit_loss(lambda x: -2.2 * x.sin(), Torus(1), angle)[:, None]
    worse = (density * (longer - each)).sum() / density.sum()
    assert float(worse) == pytest.approx(0.005 * float(fisher), rel=1e-8)


def wavy(space):
    """A tangent field without symmetry."""
    width = math.prod(space.shape)
    ambient = torch.randn(
        width, math.prod(space.tangent_shape), generator=generator(3), dtype=torch.float64
    )

    def score(x):
        flat = torch.sin(2 * x.flatten(x.ndim - len(space.shape)))
        return space.to_tangent(x, (flat @ ambient).unflatten(-1, space.tangent_shape))

    return score


@pytest.mark.parametrize(
    "space",
    [
        Sphere(2),
        SO3(),
        Hyperbolic(2),
        Scaled(Sphere(2), 2.0),
        Product((SO3(), Torus(2))),
        Euclidean((2, 2)),
    ],
    ids=repr,
)
def test_random_directions_are_unbiased(space):
    x, score = space.random_point(generator=Noise(0), dtype=torch.float64), wavy(space)
    exact = implicit_loss(score, space, x)
    many = x.expand(4000, *x.shape)
    for drawn in (
        sliced_loss(score, space, many, generator=generator(1)),
        implicit_loss(score, space, many, divergence="hutchinson", generator=generator(1)),
    ):
        assert drawn.shape == (4000,)
        assert abs(drawn.mean() - exact) < 4 * drawn.std() / 4000**0.5 + 1e-9
    assert torch.allclose(
        sliced_loss(score, space, x, probes=5, generator=generator(2)),
        sliced_loss(score, space, x[None], probes=5, generator=generator(2)),
    )


def test_the_loss_differs_from_the_denoising_one_by_a_number_that_no_field_changes():
    # Noised points of one clean point: half of E |score - kernel score|^2, less half of E |kernel
    # score|^2.
    space = Sphere(2)
    corruption = HeatKernel(space, LogLinear(0.05, 3.0))
    clean = space.random_point(1, generator=Noise(0), dtype=torch.float64).expand(COUNT, 3)
    state = corruption.corrupt(clean, 0.6, generator=generator(1))
    kernel_score = state.u / state.kappa[:, None].square()
    for amount in (0.3, 1.5):
        field = NetworkField(
            lambda x, s, condition, mask: amount * wavy(space)(x), corruption, "score"
        )
        implicit = implicit_loss(score_of(field, 0.6), space, state.x)
        error = score_of(field, 0.6)(state.x) - kernel_score
        denoising = 0.5 * (error.square() - kernel_score.square()).sum(-1)
        gap = implicit - denoising
        assert abs(gap.mean()) < 4 * gap.std() / COUNT**0.5 and gap.std() > 0


def test_a_field_on_a_gaussian_gives_the_score_of_its_states():
    corruption = Gaussian(Euclidean(2), Cosine())
    kappa = corruption.clock.kappa(0.5)
    field = NetworkField(
        lambda seen, s, condition, mask: torch.zeros_like(seen), corruption, "clean"
    )
    x = torch.randn(5, 2, generator=generator(0), dtype=torch.float64)
    assert torch.allclose(score_of(field, 0.5)(x), -x / kappa**2)
    levels = torch.linspace(0.2, 0.8, 5, dtype=torch.float64)
    assert torch.allclose(score_of(field, levels)(x)[3], score_of(field, 0.65)(x)[3])


def test_gradients_reach_the_field_and_the_points():
    space, weight = Sphere(2), torch.eye(3, dtype=torch.float64, requires_grad=True)
    x = space.random_point(4, generator=Noise(0), dtype=torch.float64).requires_grad_()
    score = lambda x: space.to_tangent(x, torch.sin(x @ weight))  # noqa: E731
    for value in (
        implicit_loss(score, space, x),
        sliced_loss(score, space, x, generator=generator(0)),
    ):
        for gradient in torch.autograd.grad(value.sum(), (weight, x)):
            assert torch.isfinite(gradient).all() and gradient.abs().max() > 0


def test_padding_does_not_change_the_losses():
    space = Centered(3)
    mask = torch.tensor([[True] * 4 + [False] * 2, [True] * 6])
    x = space.random_point(2, mask=mask, generator=Noise(0), dtype=torch.float64)
    score = lambda mask: lambda x: space.to_tangent(x, torch.sin(2 * x) + 9.0, mask)  # noqa: E731
    exact = implicit_loss(score(mask), space, x, mask=mask)
    assert torch.allclose(exact[0], implicit_loss(score(None), space, x[0, :4]))
    more = torch.nn.functional.pad(x, (0, 0, 0, 3)), torch.nn.functional.pad(mask, (0, 3))
    assert torch.allclose(exact, implicit_loss(score(more[1]), space, more[0], mask=more[1]))
    sliced = sliced_loss(
        score(mask), space, x.expand(3000, 2, 6, 3), mask=mask, generator=generator(0)
    )
    assert ((sliced.mean(0) - exact).abs() < 4 * sliced.std(0) / 3000**0.5).all()


@pytest.mark.parametrize(
    "call, words",
    [
        (
            lambda: implicit_loss(wavy(Sphere(2)), Sphere(2), torch.ones(2, 3)),
            "x: not points of .*norm 1.*project",
        ),
        (
            lambda: sliced_loss(wavy(Sphere(2)), Sphere(2), torch.eye(4)),
            r"x: .*shape \(\*batch, 3\), got",
        ),
        (
            lambda: sliced_loss(wavy(Sphere(2)), Sphere(2), torch.eye(3), probes=0),
            "probes: expected",
        ),
        (
            lambda: implicit_loss(wavy(Sphere(2)), Sphere(2), torch.eye(3), divergence="sliced"),
            "divergence: expected",
        ),
        (
            lambda: score_of(NetworkField(None, Geodesic(Sphere(2))), 0.5),
            "field: u of a Geodesic is not a score",
        ),
    ],
    ids=["off", "shape", "probes", "divergence", "flow"],
)
def test_bad_arguments_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
