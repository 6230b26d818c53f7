"""Levels: the list that a sampler visits."""

import math

import pytest
import torch

from geodiff.process.clocks import (
    Cosine,
    DDPMLinear,
    Exponential,
    Karras,
    Linear,
    LinearGaussian,
    LogLinear,
)
from geodiff.process.levels import Levels, levels

CLOCKS = [
    Linear(),
    Exponential(10.0),
    LinearGaussian(),
    LogLinear(0.002, 80.0),
    Karras(),
    Cosine(),
    DDPMLinear(),
]


@pytest.mark.parametrize("clock", CLOCKS, ids=repr)
@pytest.mark.parametrize("steps", [1, 2, 17])
def test_levels_run_from_the_noisiest_to_clean_in_that_many_steps(clock, steps):
    made = levels(clock, steps)
    assert len(made) == steps + 1
    assert made[0] == clock.kappa(1.0)
    assert made[-1] == 0


def test_a_clock_that_stops_above_0_reaches_kappa_min_one_step_before_the_end():
    assert levels(LogLinear(0.01, 10.0), 4).kappas.tolist() == pytest.approx([10, 1, 0.1, 0.01, 0])


def test_karras_levels_equal_the_published_formula():
    i, rho = torch.arange(18, dtype=torch.float64), 7
    formula = (80 ** (1 / rho) + i / 17 * (0.002 ** (1 / rho) - 80 ** (1 / rho))) ** rho
    assert torch.allclose(levels(Karras(), 18).kappas[:-1], formula, rtol=1e-12)


def test_log_spacing_has_equal_ratios():
    made = levels(Linear(), 10, spacing="log", s_min=0.01, end_clean=True)
    ratios = made.kappas[1:-1] / made.kappas[:-2]
    assert torch.allclose(ratios, ratios[0].expand(9))
    assert made.kappas[-2] == 0.01 and made.kappas[-1] == 0


def test_warp_moves_the_levels():
    made = levels(Linear(), 4, warp=lambda r: r**2)
    assert made.kappas.tolist() == pytest.approx([1, 9 / 16, 1 / 4, 1 / 16, 0])


def test_s_min_above_0_ends_there():
    made = levels(Linear(), 4, s_max=0.9, s_min=0.1)
    assert made.kappas.tolist() == pytest.approx([0.9, 0.7, 0.5, 0.3, 0.1])


def test_levels_know_s_at_every_level():
    made = levels(Cosine(), 9)
    assert torch.equal(Cosine().kappa(made.s), made.kappas)
    assert torch.equal(made[2:5].kappas, made.kappas[2:5])


def test_reversed_levels_invert():
    made = levels(Karras(), 6, s_min=0.1).reversed()
    assert (made.kappas[1:] > made.kappas[:-1]).all()


def test_the_middle_is_the_geometric_mean():
    made = Levels.of(torch.tensor([4.0, 1.0, 0.25]))
    kappa, rates = made.middle(0)
    assert kappa == 2 and all(rate == math.log(4) for rate in rates)


@pytest.mark.parametrize(
    "kappas, word",
    [
        ([1.0], "at least 2"),
        ([1.0, 0.5, 0.5], "strictly"),
        ([1.0, 0.2, 0.5], "strictly"),
        ([0.0, 1.0], "above 0"),
        ([1.0, 0.0, -1.0], "none negative"),
        ([math.inf, 1.0], "finite"),
    ],
)
def test_levels_that_make_no_sense_are_refused(kappas, word):
    with pytest.raises(ValueError, match=word):
        Levels.of(torch.tensor(kappas))


def test_wrong_arguments_are_refused_with_a_way_out():
    with pytest.raises(ValueError, match="s_min > 0"):
        levels(Linear(), 5, spacing="log")
    with pytest.raises(ValueError, match="'s' or 'log'"):
        levels(Linear(), 5, spacing="karras")
    with pytest.raises(ValueError, match="steps"):
        levels(Linear(), 0)
    with pytest.raises(ValueError, match="s_min, s_max"):
        levels(Linear(), 5, s_max=0.0)
