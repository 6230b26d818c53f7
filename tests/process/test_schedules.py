"""Clocks and levels."""

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
    PerFactor,
    derivative,
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
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_s_undoes_kappa(clock, dtype):
    s = torch.linspace(0, 1, 257, dtype=dtype)
    kappa = clock.kappa(s)
    assert kappa.dtype == dtype
    assert (kappa[1:] > kappa[:-1]).all()
    assert (clock.s(kappa) - s).abs().max() < (2e-5 if dtype == torch.float32 else 1e-13)


@pytest.mark.parametrize("clock", CLOCKS[1:], ids=repr)
def test_kappa_is_sigma_over_alpha(clock):
    s = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    assert torch.allclose(clock.sigma(s) / clock.alpha(s), clock.kappa(s), rtol=1e-12, atol=0)


@pytest.mark.parametrize("clock", [Cosine(), DDPMLinear()], ids=repr)
def test_variance_preserving_clocks_keep_the_variance(clock):
    s = torch.linspace(0, 1, 101, dtype=torch.float64)
    assert torch.allclose(clock.alpha(s) ** 2 + clock.sigma(s) ** 2, torch.ones_like(s), rtol=1e-12)


def test_linear_means_another_kappa_to_a_gaussian():
    assert Linear().kappa(0.75) == 0.75
    assert Linear().for_gaussian().kappa(0.75) == 3.0


def test_ddpm_clock_equals_the_product_of_its_chain():
    product = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)
    s = torch.arange(1, 1001, dtype=torch.float64) / 1000
    assert torch.allclose(DDPMLinear().alpha(s) ** 2, product, rtol=1e-11)


def test_cosine_clock_equals_its_formula():
    s = torch.linspace(0, 1, 1001, dtype=torch.float64)
    wave = torch.cos((s + 0.008) / 1.008 * math.pi / 2) ** 2
    assert torch.allclose(Cosine().alpha(s) ** 2, wave / wave[0], rtol=1e-9, atol=1e-16)


@pytest.mark.parametrize("clock", CLOCKS[:4], ids=repr)
def test_log_rate_is_the_slope_of_log_kappa(clock):
    s, step = torch.linspace(0.1, 0.9, 9, dtype=torch.float64), 1e-6
    slope = torch.log(clock.kappa(s + step) / clock.kappa(s - step)) / (2 * step)
    assert torch.allclose(clock.log_rate(s), slope, rtol=1e-8)


def test_derivative_works_in_inference_mode():
    with torch.inference_mode():
        assert derivative(lambda s: s**2, torch.tensor([1.0, 3.0])).tolist() == [2.0, 6.0]


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
    with pytest.raises(ValueError, match="kappa_min"):
        LogLinear(1.0, 0.1)


def test_a_clock_per_factor_spreads_over_the_tangent():
    clock = PerFactor((LogLinear(0.01, 1.0), Linear()), (3, 2))
    kappa = clock.kappa(torch.tensor([0.5, 1.0], dtype=torch.float64))
    assert torch.allclose(kappa[0], torch.tensor([0.1, 0.1, 0.1, 0.5, 0.5], dtype=torch.float64))
    assert torch.allclose(clock.s(kappa), torch.tensor([0.5, 1.0], dtype=torch.float64))
    made = levels(clock, 5)
    assert made.kappas.shape == (6, 5) and (made.kappas[-1] == 0).all()


def test_the_exponential_clock_ends_at_1_exactly_at_every_rate():
    # math's expm1 in the denominator missed 1 by an ulp at 64 of these rates.
    for rate in torch.linspace(0.1, 30, 600).tolist():
        made = levels(PerFactor((Exponential(rate), Linear()), (3, 3)), 10).kappas
        assert (made[0] == 1).all() and (made[-1] == 0).all(), rate


def test_the_leader_of_the_clocks_reads_s_from_levels_of_other_clocks():
    trained = PerFactor((Linear(), Linear()), (3, 2), leader=1)
    early = PerFactor((Exponential(10.0), Linear()), (3, 2))
    s = torch.tensor([0.2, 0.7], dtype=torch.float64)
    assert torch.allclose(trained.s(early.kappa(s)), s)
    assert trained.for_gaussian().leader == 1
    with pytest.raises(ValueError, match="rate: expected a number above 0, got 0"):
        Exponential(0)
