"""The shipped backbone weights: chains that hold together, of the right hand, turning with their
noise.
"""

import pytest
import torch

from geodiff import proteins
from geodiff.domains.chains.metrics import report
from geodiff.process.randomness import Noise
from geodiff.proteins.sampling import sample_poses
from geodiff.training.weights import load
from manifolds import SO3


@pytest.fixture(scope="module")
def field():
    return load("proteins-pdb").double()


def test_chains_hold_together_and_have_the_right_hand(field):
    values = report(proteins.sample([50, 55, 60, 65], seed=1, steps=50, model=field)).values()
    assert values["C-N in [1.23, 1.43]"] > 0.7
    assert values["CA-CA in (3.6, 4.0)"] > 0.9
    assert values["phi < 0"] > 0.88
    assert 0.85 < values["Rg ratio"] < 1.3


def test_turning_the_noise_turns_the_chains(field):
    noise = field.corruption.base(2, 40, generator=Noise(0), dtype=torch.float64)
    turn = torch.eye(4, dtype=torch.float64)
    turn[:3, :3] = SO3().random_point(1, generator=Noise(1), dtype=torch.float64)[0]
    made, _ = sample_poses(field, [40, 40], noise, steps=20)
    turned, _ = sample_poses(field, [40, 40], turn @ noise, steps=20)
    assert (turned - turn @ made).abs().max() < 1e-4  # 1e-13 measured


def test_the_card_says_where_the_weights_come_from(field):
    assert field.card["chains"] == 770 and field.card["validation_chains"] == 90
    assert field.config["process"] == "flow" and "/" not in field.card["command"]
