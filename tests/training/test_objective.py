"""Levels of training: where they lie, how often, and from which numbers they are made."""

import pytest
import torch

from geodiff.process.randomness import Noise
from geodiff.training.objective import LevelLaw


def test_levels_are_those_of_the_formula_for_a_seed():
    law, drawn = LevelLaw(0.05, 0.9), torch.rand(6, generator=torch.Generator().manual_seed(3))
    made = law.draw(6, generator=torch.Generator().manual_seed(3))
    assert torch.equal(made, 1 - 0.95 * drawn ** (1 / 1.9))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        assert torch.equal(law.draw(6), made)


@pytest.mark.parametrize("bias", [0.0, 0.9, 3.0])
def test_levels_have_the_density_that_is_promised(bias):
    """The mean of (1 - s) / (1 - low) under a density (1 - s)^bias is (1 + bias) / (2 + bias)."""
    s = LevelLaw(0.1, bias).draw(200_000, generator=torch.Generator().manual_seed(0))
    assert 0.1 <= s.min() and s.max() <= 1
    assert ((1 - s) / 0.9).mean().item() == pytest.approx((1 + bias) / (2 + bias), abs=2e-3)


def test_streams_of_samples_draw_levels_too():
    made = LevelLaw().draw(3, generator=Noise(0, samples=range(3)))
    alone = LevelLaw().draw(1, generator=Noise(0, samples=[2]))
    assert made[2] == alone[0]
