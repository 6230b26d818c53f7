"""Clocks: the noise level at each s."""

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
from geodiff.process.levels import levels

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


def test_a_range_upside_down_is_refused():
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
