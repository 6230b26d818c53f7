"""The best of n samples."""

import pytest
import torch

from geodiff.process.best_of import best_of
from geodiff.process.condition import Labels
from geodiff.process.corruption import Geodesic
from geodiff.process.field import NetworkField
from geodiff.process.randomness import Noise
from manifolds import Euclidean, Power, Sphere


def still(space):
    """The field whose samples are its noise."""
    return NetworkField(
        lambda x, s, condition, mask: torch.zeros_like(space.log(x, x)), Geodesic(space)
    )


def test_the_greatest_of_n_uniform_heights_has_mean_n_minus_1_over_n_plus_1():
    for n in (1, 4, 16):
        best = best_of(
            n, still(Sphere(2)), 2000, lambda made: -made[:, 0], steps=1, generator=Noise(0)
        )
        assert best.shape == (2000, 3)
        assert best[:, 0].mean() == pytest.approx((n - 1) / (n + 1), abs=0.03)


def test_each_result_hears_its_own_condition_and_mask():
    def network(x, s, condition, mask):
        return condition.labels[:, None].to(x) - x

    field = NetworkField(network, Geodesic(Euclidean(1)))
    told = Labels(torch.tensor([3, 5]))
    made = best_of(4, field, 2, lambda made: made[:, 0], condition=told, steps=3)
    assert torch.allclose(made, torch.tensor([[3.0], [5.0]]))
    mask = torch.tensor([[True, False], [True, True]])
    made = best_of(
        3, still(Power(Euclidean(2))), (2, 2), lambda made: made.sum((1, 2)), mask=mask, steps=1
    )
    assert made.shape == (2, 2, 2) and (made[0, 1] == 0).all()


def test_what_is_no_number_never_wins_and_bad_input_is_refused():
    field = still(Euclidean(1))
    made = best_of(
        8,
        field,
        50,
        lambda made: torch.where(made[:, 0] < 0, torch.nan, made[:, 0]),
        steps=1,
        generator=Noise(1),
    )
    assert (made > 0).all()
    with pytest.raises(ValueError, match="n: expected at least 1"):
        best_of(0, field, 2, lambda made: made[:, 0])
    with pytest.raises(ValueError, match=r"energy: expected one number a sample, \(6,\)"):
        best_of(3, field, 2, lambda made: made, steps=1)
