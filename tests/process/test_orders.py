"""The order of every stepper: slope of the median error against the number of steps, kappa 3 to
0.05.
"""

import functools
import math

import pytest
import torch
from torch import Tensor

from geodiff.process.samplers import (
    ExponentialEuler,
    Heun,
    Multistep,
    RungeKutta4,
    Singlestep,
    UniPC,
    integrate,
)
from manifolds import Sphere
from tests.process.exact import LAWS, FlatTorus, Plane, Rotations, TwoSphere

FLAT, CURVED = (Plane, FlatTorus), (TwoSphere, Rotations)
STARTS = 96


def levels(steps: int) -> Tensor:
    return torch.logspace(math.log10(3), math.log10(0.05), steps + 1, dtype=torch.float64)


@functools.cache
def reference(law: type) -> Tensor:
    """End points with 400 Runge-Kutta steps, exact to 1e-9 against errors of 1e-7 and more."""
    return integrate(law.manifold, law().u, law().start(STARTS), levels(400), RungeKutta4())


def order(law: type, stepper, steps=(32, 128), manifold=None) -> float:
    errors = []
    for count in steps:
        end = integrate(
            manifold or law.manifold, law().u, law().start(STARTS), levels(count), stepper
        )
        errors.append(law.manifold.dist(law.manifold.project(end), reference(law)).median().item())
    return math.log(errors[0] / errors[1]) / math.log(steps[1] / steps[0])


@pytest.mark.parametrize("law", LAWS)
def test_exponential_euler_has_order_1(law):
    assert abs(order(law, ExponentialEuler()) - 1) < 0.05


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("stepper", [Multistep(2), Heun()], ids=repr)
def test_multistep_and_heun_have_order_2(law, stepper):
    assert abs(order(law, stepper) - 2) < 0.15


@pytest.mark.parametrize("law", LAWS)
def test_multistep_of_order_3_keeps_it_from_its_own_start(law):
    assert 2.8 < order(law, Multistep(3), (64, 128)) < 3.4


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(
    "stepper, low, high",
    [(UniPC(1), 1.8, 2.2), (UniPC(2), 2.8, 3.3), (UniPC(3), 2.9, 4.3)],
    ids=repr,
)
def test_the_corrector_gives_unipc_an_order_more(law, stepper, low, high):
    assert low < order(law, stepper) < high


@pytest.mark.parametrize("law", LAWS)
def test_unipc_without_its_corrector_is_the_multistep_rule(law):
    multistep, unipc = (
        integrate(law.manifold, law().u, law().start(9), levels(8), stepper)
        for stepper in (Multistep(2), UniPC(2, corrector=False))
    )
    assert torch.equal(multistep, unipc)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("promised", [2, 3])
def test_singlestep_has_its_order(law, promised):
    assert abs(order(law, Singlestep(promised)) - promised) < 0.15


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("stepper", [Multistep(2), Multistep(3), UniPC(2), UniPC(3)], ids=repr)
def test_a_long_last_step_is_about_as_good_as_exponential_euler(law, stepper):
    """Down to kappa = 0.5 in 30 steps, then to 0.02 in one: lines through the last two points miss
    by up to 9 times as much.
    """
    kappas = torch.cat([torch.logspace(0.477, -0.301, 30), torch.tensor([0.02])]).double()
    fine = torch.logspace(0.477, math.log10(0.02), 201, dtype=torch.float64)
    end = integrate(law.manifold, law().u, law().start(24), fine, RungeKutta4())

    def error(rule):
        reached = integrate(law.manifold, law().u, law().start(24), kappas, rule)
        return law.manifold.dist(reached, end).median()

    assert error(stepper) < 1.1 * error(ExponentialEuler())


@pytest.mark.parametrize("law", LAWS)
def test_runge_kutta_has_order_4(law):
    assert abs(order(law, RungeKutta4(), (16, 48)) - 4) < 0.15


class PlainSphere(Sphere):
    """The textbook exponential map, which trusts v to be tangent, and no transport."""

    def exp(self, x, v):
        angle = v.norm(dim=-1, keepdim=True)
        return torch.cos(angle) * x + torch.sin(angle) / angle * v

    def transport(self, x, y, v):
        return v


class FrameSphere(Sphere):
    """Copies the coordinates of a tangent in one frame to the next, as if frames were parallel."""

    def transport(self, x, y, v):
        coordinates = (self.frame(x) * v[..., None, :]).sum(-1)
        return (coordinates[..., None] * self.frame(y)).sum(-2)


@pytest.mark.parametrize("manifold", [PlainSphere(2), FrameSphere(2)], ids=["identity", "frames"])
def test_without_transport_multistep_falls_to_order_1_on_the_sphere(manifold):
    assert order(TwoSphere, Multistep(2), (64, 128), manifold=manifold) < 1.2


@pytest.mark.parametrize("law", LAWS)
def test_one_call_a_step_pays(law):
    """At 16 calls the multistep error is below a third of exponential Euler's."""

    def error(stepper):
        end = integrate(law.manifold, law().u, law().start(STARTS), levels(16), stepper)
        return law.manifold.dist(end, reference(law)).median()

    assert error(Multistep(2)) < error(ExponentialEuler()) / 3
    assert error(UniPC(2)) < error(ExponentialEuler()) / 3
