"""Runge-Kutta steps by a tolerance."""

import math

import pytest
import torch

from geodiff.process.samplers import AdaptiveRungeKutta, RungeKutta4, integrate
from manifolds import Euclidean
from tests.process.exact import LAWS

ENDS = torch.tensor([3.0, 0.05], dtype=torch.float64)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("rtol, calls", [(1e-2, 80), (1e-3, 140)])
def test_errors_are_of_the_size_of_the_tolerance_in_one_interval(law, rtol, calls):
    """The field's calls are bounded too; measured 37 to 67, and 64 to 121."""
    mixture, asked = law(), []
    fine = torch.logspace(math.log10(3), math.log10(0.05), 101, dtype=torch.float64)
    wanted = integrate(law.manifold, mixture.u, mixture.start(24), fine, RungeKutta4())
    end = integrate(
        law.manifold,
        lambda x, kappa: asked.append(kappa) or mixture.u(x, kappa),
        mixture.start(24),
        ENDS,
        AdaptiveRungeKutta(rtol, rtol / 100),
    )
    assert law.manifold.dist(end, wanted).max() < 3 * rtol
    assert len(asked) < calls


def test_a_step_is_refused_where_the_field_turns_fast():
    """Levels only fall within a try, so one that rises is a second try."""
    asked = []

    def u(x, kappa):
        asked.append(kappa.item())
        return -x * (1 + 20 * torch.exp(-50 * torch.log(kappa / 0.5) ** 2))

    integrate(Euclidean(1), u, torch.ones(1, 1).double(), ENDS, AdaptiveRungeKutta())
    assert any(later > earlier for earlier, later in zip(asked, asked[1:]))  # tried again


def test_to_0_it_is_exponential_euler_and_bad_numbers_are_refused():
    x = torch.ones(1, 2, dtype=torch.float64)
    end = integrate(
        Euclidean(2), lambda x, kappa: -x, x, torch.tensor([1.0, 0.0]), AdaptiveRungeKutta()
    )
    assert end.abs().max() == 0
    with pytest.raises(ValueError, match="rtol, atol"):
        AdaptiveRungeKutta(rtol=0.0)
    with pytest.raises(RuntimeError, match="allow a larger"):
        integrate(Euclidean(2), lambda x, kappa: -x, x, ENDS, AdaptiveRungeKutta(1e-9, 1e-9, 5))
