"""Reflow: the pairs that a model makes."""

import pytest
import torch

from geodiff.process.clocks import Linear, LogLinear
from geodiff.process.corruption import Gaussian, Geodesic, HeatKernel
from geodiff.process.field import NetworkField
from geodiff.process.objectives.matching import matching_loss
from geodiff.process.randomness import Noise
from geodiff.process.reflow import reflow
from geodiff.process.sampling import sample
from manifolds import Euclidean, Sphere, Torus


@pytest.mark.parametrize(
    "corruption",
    [Geodesic(Sphere(2)), Gaussian(Euclidean(3), Linear())],
    ids=["geodesic", "gaussian"],
)
def test_reflow_gives_the_ends_of_the_models_own_paths(corruption):
    target = torch.tensor([0.0, 0.6, 0.8])
    field = (
        NetworkField(
            lambda x, s, condition, mask: target + 0.1 * torch.sin(3 * x), corruption, "clean"
        )
        if isinstance(corruption, Gaussian)
        else NetworkField(
            lambda x, s, condition, mask: Sphere(2).project(target + 0.1 * torch.sin(3 * x)),
            corruption,
            "clean",
        )
    )
    clean, noise = reflow(field, 8, steps=5, generator=Noise(0))
    assert torch.equal(noise, corruption.base(8, generator=Noise(0)))
    assert torch.equal(clean, sample(field, noise, steps=5))
    again = matching_loss(field, clean, noise=noise, s=0.5)
    assert torch.isfinite(again.value) and not clean.requires_grad


def test_reflow_of_one_clean_point_is_already_straight():
    target = torch.tensor([0.0, 0.6, 0.8], dtype=torch.float64)
    field = NetworkField(
        lambda x, s, condition, mask: target.expand_as(x), Geodesic(Sphere(2)), "clean"
    )
    noise = Sphere(2).random_point(8, generator=Noise(0), dtype=torch.float64)
    clean, same = reflow(field, noise, steps=3)
    assert (
        same is noise and matching_loss(field, clean, noise=noise, generator=Noise(1)).value < 1e-20
    )


def test_reflow_refuses_a_heat_kernel_with_the_reason():
    field = NetworkField(lambda x, s, condition, mask: x, HeatKernel(Torus(2), LogLinear(0.1, 3.0)))
    with pytest.raises(ValueError, match="not with one noise"):
        reflow(field, 4)
