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
    assert abs(order(law, ExponentialEuler()) - 1) < 0.15


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("stepper", [Multistep(2), Heun()], ids=repr)
def test_multistep_and_heun_have_order_2(law, stepper):
    assert abs(order(law, stepper) - 2) < 0.15


@pytest.mark.parametrize("law", LAWS)
def test_unipc_has_order_2_or_more(law):
    assert 1.9 < order(law, UniPC(2)) < 3.3


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
