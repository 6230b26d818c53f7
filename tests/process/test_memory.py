"""Self-conditioning: what a network hears of itself, and when."""

from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor

from geodiff.process.clocks import Cosine, LogLinear
from geodiff.process.corruption import Gaussian, Geodesic, HeatKernel
from geodiff.process.field import NetworkField
from geodiff.process.randomness import Noise
from geodiff.process.samplers import (
    Ancestral,
    ExponentialEuler,
    Heun,
    Multistep,
    RungeKutta4,
    UniPC,
)
from geodiff.process.sampling import sample
from manifolds import Euclidean, Sphere

SPACE = Sphere(2)


@dataclass(frozen=True)
class Said:
    """A condition that notes what is given to it."""

    previous: Tensor | None = None
    heard: list = field(default_factory=list)

    def given(self, previous: Tensor | None) -> "Said":
        self.heard.append(previous)
        return replace(self, previous=previous)


def network(seen, s, condition, mask):
    """Leans towards the north, and towards what it said before."""
    pull = torch.zeros_like(seen)
    pull[..., -1] = 1.0
    pull = pull + 0.3 * torch.tanh(seen).flip(-1)
    return pull if condition.previous is None else pull + 0.5 * condition.previous


def heard_under(stepper, steps: int = 4) -> list:
    condition = Said()
    flow = NetworkField(network, Geodesic(SPACE), "u")
    sample(
        flow,
        3,
        steps=steps,
        stepper=stepper,
        condition=condition,
        generator=Noise(0),
        remember=True,
    )
    return condition.heard


@pytest.mark.parametrize(
    "stepper, calls",
    [
        (ExponentialEuler(), [1, 1, 1, 1]),
        (Multistep(), [1, 1, 1, 1]),
        (Heun(), [2, 2, 2, 1]),
        (RungeKutta4(), [4, 4, 4, 1]),
        (UniPC(), [2, 1, 1]),
    ],
    ids=repr,
)
def test_within_a_step_every_evaluation_hears_the_same(stepper, calls):
    heard = heard_under(stepper)
    assert len(heard) == sum(calls)
    ids = [id(x) for x in heard]
    steps = [ids[sum(calls[:i]) : sum(calls[: i + 1])] for i in range(len(calls))]
    assert all(len(set(step)) == 1 for step in steps)
    assert heard[0] is None and all(x is not None for x in heard[calls[0] :])
    assert len({step[0] for step in steps}) == len(calls)


class LastHeard:
    """The rule in its simplest form: at every call, the output of the call before."""

    def __init__(self):
        self.last = None

    def __call__(self, seen, s, condition, mask):
        self.last = network(seen, s, replace(condition, previous=self.last), mask)
        return self.last


@pytest.mark.parametrize(
    "corruption, reading, stepper",
    [
        (Geodesic(SPACE), "u", ExponentialEuler()),
        (Geodesic(SPACE), "u", Multistep()),
        (HeatKernel(SPACE, LogLinear(0.1, 3.0)), "u", Ancestral()),
        (Gaussian(Euclidean(3), Cosine()), "v", Multistep()),  # the closed step is a step
        (Gaussian(Euclidean(3), Cosine()), "v", Ancestral()),
    ],
    ids=str,
)
def test_with_one_call_a_step_it_is_the_output_of_the_call_before(corruption, reading, stepper):
    told, plain = (
        sample(
            NetworkField(asked, corruption, reading),
            5,
            steps=6,
            stepper=stepper,
            condition=Said(),
            generator=Noise(3),
            remember=remember,
        )
        for asked, remember in ((network, True), (LastHeard(), False))
    )
    assert torch.equal(told, plain)


def test_a_run_leaves_no_memory_behind():
    flow = NetworkField(network, Geodesic(SPACE), "u")
    first, second = (
        sample(flow, 3, steps=3, condition=Said(), generator=Noise(1), remember=True)
        for _ in range(2)
    )
    assert torch.equal(first, second)


def test_a_callback_is_called_as_without_memory():
    flow, seen = NetworkField(network, Geodesic(SPACE), "u"), []
    sample(
        flow,
        2,
        steps=3,
        condition=Said(),
        remember=True,
        callback=lambda i, x, kappa: seen.append((i, kappa.item())),
    )
    assert [i for i, _ in seen] == [1, 2, 3] and seen[-1][1] == 0


def test_the_network_alone_runs_in_the_lower_precision():
    linear = torch.nn.Linear(3, 3)
    flow = NetworkField(lambda x, s, c, mask: linear(x), Geodesic(SPACE), "u")
    flow.autocast, condition = torch.bfloat16, Said()
    x = sample(flow, 3, steps=3, condition=condition, generator=Noise(0), remember=True)
    assert x.dtype == torch.float32 and condition.heard[-1].dtype == torch.float32


def test_what_cannot_remember_is_refused_with_the_reason():
    flow = NetworkField(network, Geodesic(SPACE), "u")
    with pytest.raises(TypeError, match=r"given\(previous\), which NoneType lacks"):
        sample(flow, 2, remember=True)
    with pytest.raises(TypeError, match="a NetworkField is needed, got Bare"):

        class Bare(type(flow).__mro__[1]):
            def displacement(self, x, s, condition, mask):
                return torch.zeros_like(x)

        sample(Bare(Geodesic(SPACE)), 2, condition=Said(), remember=True)
