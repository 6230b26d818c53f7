"""The laws of guides, which every guide takes, and those of each."""

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from geodiff.process.clocks import Cosine, LogLinear
from geodiff.process.condition import Labels
from geodiff.process.corruption import Gaussian, Geodesic
from geodiff.process.field import Field, NetworkField
from geodiff.process.guidance import (
    Autoguidance,
    ClassifierFree,
    Clipped,
    Guide,
    Interval,
    Rescaled,
    ScaledNull,
)
from geodiff.process.levels import levels
from geodiff.process.randomness import Noise
from geodiff.process.samplers import RungeKutta4
from geodiff.process.sampling import sample
from manifolds import SO3, Centered, Euclidean, Sphere

DOUBLE = torch.float64


@dataclass(frozen=True)
class Targets:
    """A point of the sphere for each row, and the one, (3,), that stands for none."""

    points: Tensor
    none: Tensor

    def __len__(self):
        return len(self.points)

    def to(self, device=None, dtype=None):
        return Targets(self.points.to(device, dtype), self.none.to(device, dtype))

    def select(self, rows):
        return Targets(self.points[rows], self.none)

    def null(self, rows=None):
        rows = torch.ones(len(self), dtype=torch.bool) if rows is None else rows
        return Targets(torch.where(rows[:, None], self.none, self.points), self.none)

    def turned(self, turn):
        return Targets(self.points @ turn.mT, self.none @ turn.mT)


def field_on(space, calls: list | None = None) -> Field:
    """A field whose network is told a label, and notes how large its batches are."""
    centre = torch.zeros(3, dtype=DOUBLE)
    if space not in (Centered(3), Euclidean(3)):
        centre = space.random_point(1, generator=Noise(5), dtype=DOUBLE)[0]

    def network(x, s, condition, mask):
        if calls is not None:
            calls.append(len(x))
        away = space.log(x, centre.to(x).expand_as(x))
        axes = (...,) + (None,) * (away.ndim - 1)
        return torch.sin(3 * away + condition.labels[axes]) + 0.2 * s[axes]

    return NetworkField(network, Geodesic(space), "u")


GUIDES = {
    "classifier free": lambda field: ClassifierFree(field, 2.5),
    "interval": lambda field: Interval(ClassifierFree(field, 2.5), 0.2, 0.7),
    "clipped": lambda field: Clipped(field, 0.3),
    "clipped at the radius": lambda field: Clipped(ClassifierFree(field, 9.0)),
    "rescaled": lambda field: Rescaled(ClassifierFree(field, 2.5), 0.7),
    "scaled null": lambda field: ScaledNull(field, 2.5),
    "autoguidance": lambda field: Autoguidance(field, Clipped(field, 0.2), 1.5),
    "nested": lambda field: Clipped(Interval(ClassifierFree(field, 3.0), 0.0, 0.9), 1.0),
}
guides = pytest.mark.parametrize("guide", GUIDES.values(), ids=GUIDES)


@guides
@pytest.mark.parametrize("space", [Sphere(2), Euclidean(3), SO3()], ids=repr)
def test_a_guide_is_a_field_of_tangents_and_samples(guide, space):
    bent = guide(field_on(space))
    assert isinstance(bent, Guide) and isinstance(bent, Field)
    x = space.random_point(6, generator=Noise(0), dtype=DOUBLE)
    told = Labels(torch.arange(6) % 3, unknown=3)
    s = torch.linspace(0.1, 0.9, 6, dtype=DOUBLE)
    with torch.no_grad():
        u = bent(x, s, told)
    assert u.shape == (6, *space.tangent_shape) and torch.isfinite(u).all()
    assert torch.allclose(space.to_tangent(x, u), u, atol=1e-15)
    made = sample(bent, 6, steps=4, condition=told, generator=Noise(1))
    assert space.check(made) is None


@guides
def test_padding_stays_0_and_rows_do_not_mix(guide):
    mask = torch.tensor([[True] * 4 + [False], [True] * 5, [True] * 2 + [False] * 3])
    bent, told = guide(field_on(Centered(3))), Labels(torch.tensor([0, 2, 1]), unknown=3)
    x = Centered(3).random_point(3, mask=mask, generator=Noise(0), dtype=DOUBLE)
    whole = bent(x, 0.5, told, mask)
    assert (whole[~mask] == 0).all() and whole.sum(1).abs().max() < 1e-14
    for rows in ([1], [2, 0]):
        assert torch.allclose(bent(x[rows], 0.5, told.select(rows), mask[rows]), whole[rows])


@guides
def test_a_guide_keeps_the_symmetry_of_its_field(guide):
    """A rotation of states, targets and null turns the tangents along."""
    space = Sphere(2)
    field = NetworkField(
        lambda x, s, condition, mask: (
            s[:, None] * condition.points + torch.linalg.cross(x, condition.points)
        ),
        Geodesic(space),
    )
    bent, x = guide(field), space.random_point(7, generator=Noise(0), dtype=DOUBLE)
    told = Targets(*(space.random_point(8, generator=Noise(1), dtype=DOUBLE).split((7, 1))))
    told = Targets(told.points, told.none[0])
    turn = SO3().random_point(1, generator=Noise(9), dtype=DOUBLE)[0]
    s = torch.linspace(0.1, 0.9, 7, dtype=DOUBLE)
    turned = bent(x @ turn.mT, s, told.turned(turn))
    assert torch.allclose(turned, bent(x, s, told) @ turn.mT, atol=1e-14)


@guides
def test_a_gradient_passes_through_a_guide(guide):
    space, told = Sphere(2), Labels(torch.arange(4), unknown=3)
    x = space.random_point(4, generator=Noise(0), dtype=DOUBLE).requires_grad_()
    guide(field_on(space))(x, 0.5, told).square().sum().backward()
    assert torch.isfinite(x.grad).all() and x.grad.abs().max() > 0


def test_scale_1_is_the_conditional_field_and_scale_0_the_unconditional_one():
    calls, told = [], Labels(torch.tensor([0, 1, 2]), unknown=3)
    field = field_on(Sphere(2), calls)
    x = Sphere(2).random_point(3, generator=Noise(0), dtype=DOUBLE)
    assert torch.equal(ClassifierFree(field, 1.0)(x, 0.4, told), field(x, 0.4, told))
    assert torch.equal(ClassifierFree(field, 0.0)(x, 0.4, told), field(x, 0.4, told.null()))
    assert calls == [3] * 4
    # At scale 1 nothing is asked of the condition, so a plain tensor or None will do.
    plain = NetworkField(lambda x, s, condition, mask: x.flip(-1), Geodesic(Sphere(2)))
    assert torch.equal(ClassifierFree(plain, 1)(x, 0.4), plain(x, 0.4))


def test_condition_and_null_are_one_batch_and_mix_as_said():
    calls, told = [], Labels(torch.tensor([0, 1, 2]), unknown=3)
    field = field_on(Sphere(2), calls)
    x = Sphere(2).random_point(3, generator=Noise(0), dtype=DOUBLE)
    u = ClassifierFree(field, 2.5)(x, 0.4, told)
    assert calls == [6]
    given, null = field(x, 0.4, told), field(x, 0.4, told.null())
    assert torch.allclose(u, null + 2.5 * (given - null), atol=1e-15)


def test_a_condition_of_fewer_rows_than_points_goes_along():
    """As grasps have it: k points in turn for each object."""

    def network(x, s, condition, mask):
        return x.flip(-1) * condition.labels.repeat_interleave(len(x) // len(condition))[:, None]

    field = NetworkField(network, Geodesic(Sphere(2)))
    x = Sphere(2).random_point(6, generator=Noise(0), dtype=DOUBLE)
    u = ClassifierFree(field, 2.0)(x, 0.5, Labels(torch.tensor([1, 2]), unknown=0))
    told = torch.tensor([1, 1, 1, 2, 2, 2])[:, None]
    assert torch.allclose(u, Sphere(2).to_tangent(x, 2.0 * told * x.flip(-1)), atol=1e-15)


MEANS, WIDTHS = torch.tensor([1.0, 0.0], dtype=DOUBLE), torch.tensor([0.5, 1.0], dtype=DOUBLE)


@pytest.mark.parametrize("clock", [LogLinear(0.002, 8000.0), Cosine()], ids=repr)
def test_what_guidance_does_to_normal_laws_is_what_its_docstring_says(clock):
    """Also from an infinite level, where the clean estimates are mixed alike."""
    corruption = Gaussian(Euclidean(1), clock)

    def network(seen, s, condition, mask):
        alpha, sigma = corruption.clock.alpha(s)[:, None], corruption.clock.sigma(s)[:, None]
        noisy = seen * corruption.network_scale(s)
        mean, width = MEANS[condition.labels][:, None], WIDTHS[condition.labels][:, None]
        gain = alpha * width**2 / (alpha**2 * width**2 + sigma**2)
        return mean + gain * (noisy - alpha * mean)

    noise = torch.tensor([[-1.0], [1.0]], dtype=DOUBLE)
    told = Labels(torch.tensor([0, 0]), unknown=1)
    made = sample(
        ClassifierFree(NetworkField(network, corruption, "clean"), 2.0),
        noise,
        levels=levels(corruption.clock, 400, end_clean=True),
        condition=told,
        stepper=RungeKutta4(),
    )
    assert abs(made.mean() - 1.380) < 1e-3 and abs((made[1] - made[0]) / 2 - 0.250) < 1e-3
    sharpened = 2 / 0.5**2 - 1
    assert (2 * 4 / sharpened, sharpened**-0.5) == pytest.approx((1.143, 0.378), abs=1e-3)


def test_outside_its_interval_a_guide_is_not_asked():
    calls, told = [], Labels(torch.tensor([0, 1, 2]), unknown=3)
    field = field_on(Sphere(2), calls)
    guide = ClassifierFree(field, 2.5)
    bent, x = Interval(guide, 0.2, 0.7), Sphere(2).random_point(3, generator=Noise(0), dtype=DOUBLE)
    for s in (0.1, 0.71, 1.0):
        assert torch.equal(bent(x, s, told), field(x, s, told))
    assert calls == [3] * 6
    for s in (0.2, 0.5, 0.7):
        assert torch.equal(bent(x, s, told), guide(x, s, told))
    assert calls[6:] == [6] * 6
    s = torch.tensor([0.1, 0.5, 0.9], dtype=DOUBLE)
    both, plain = guide(x, s, told), field(x, s, told)
    assert torch.equal(bent(x, s, told), torch.stack([plain[0], both[1], plain[2]]))


def test_clipping_shortens_only_what_is_longer():
    space, told = Sphere(2), Labels(torch.arange(20) % 3, unknown=3)
    field = field_on(space)
    x = space.random_point(20, generator=Noise(0), dtype=DOUBLE)
    u, cut = field(x, 0.5, told), Clipped(field, 0.9)(x, 0.5, told)
    before, after = space.norm(x, u), space.norm(x, cut)
    long = before > 0.9
    assert long.any() and not long.all()
    assert (cut - u)[~long].abs().max() < 1e-15 and (after[long] - 0.9).abs().max() < 1e-14
    assert torch.allclose(space.inner(x, u, cut), before * after)


def test_a_flow_on_the_sphere_is_never_clipped_at_the_injectivity_radius():
    clean = Sphere(2).random_point(50, generator=Noise(0), dtype=DOUBLE)
    flow = NetworkField(lambda x, s, condition, mask: clean, Geodesic(Sphere(2)), "clean")
    x = Sphere(2).random_point(50, generator=Noise(1), dtype=DOUBLE)
    x[0] = -clean[0]  # the farthest there is
    assert torch.allclose(Clipped(flow, math.pi)(x, 0.5), flow(x, 0.5), atol=1e-15)


def test_the_order_of_nesting_is_from_the_inside_out():
    told = Labels(torch.tensor([0, 1, 2]), unknown=3)
    field, x = field_on(Sphere(2)), Sphere(2).random_point(3, generator=Noise(0), dtype=DOUBLE)
    clipped_last = Clipped(ClassifierFree(field, 4.0), 0.5)(x, 0.5, told)
    guided_last = ClassifierFree(Clipped(field, 0.5), 4.0)(x, 0.5, told)
    assert Sphere(2).norm(x, clipped_last).max() < 0.5 + 1e-12
    assert Sphere(2).norm(x, guided_last).max() > 0.6


def test_what_cannot_be_guided_is_refused_with_the_reason():
    field, x = field_on(Sphere(2)), Sphere(2).random_point(2)
    guide = ClassifierFree(field, 2.0)
    with pytest.raises(TypeError, match=r"got Tensor; give geodiff.Labels\(labels, unknown"):
        guide(x, 0.5, torch.tensor([0, 1]))
    with pytest.raises(TypeError, match="needs a Condition .*got NoneType"):
        guide(x, 0.5)
    with pytest.raises(ValueError, match="no number for unknown"):
        guide(x, 0.5, Labels(torch.tensor([0, 1])))
    with pytest.raises(ValueError, match="needs an axis in front"):
        guide(x[0], 0.5, Labels(torch.tensor([0]), unknown=3))
    with pytest.raises(ValueError, match="scale: expected a finite number"):
        ClassifierFree(field, math.inf)
    with pytest.raises(TypeError, match="guide: expected a guide"):
        Interval(field, 0.1, 0.5)
    with pytest.raises(ValueError, match="s_min, s_max"):
        Interval(guide, 0.5, 0.5)
    with pytest.raises(ValueError, match="length"):
        Clipped(field, 0.0)
