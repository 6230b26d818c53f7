"""Couplings."""

import torch

from geodiff.couplings import independent, registered
from geodiff.randomness import Noise
from manifolds import SO3, Centered

MASK = torch.tensor([[True] * 5 + [False] * 3, [True] * 8])


def clouds(seed: int) -> torch.Tensor:
    return Centered(3).random_point(2, mask=MASK, generator=Noise(seed), dtype=torch.float64)


def test_independent_changes_nothing():
    clean, noise = clouds(0), clouds(1)
    assert independent(clean, noise, MASK) == (clean, noise)


def test_registered_turns_noise_onto_a_turned_copy():
    clean = clouds(0)
    turn = SO3().random_point(2, generator=Noise(2), dtype=torch.float64)
    kept, turned = registered(clean, clean @ turn.transpose(-1, -2), MASK)
    assert torch.equal(kept, clean)
    assert (turned - clean).abs().max() < 1e-12


def test_registered_only_rotates_and_never_lengthens_the_way():
    clean, noise = clouds(0), clouds(1)
    _, turned = registered(clean, noise, MASK)
    assert torch.allclose(turned @ turned.transpose(-1, -2), noise @ noise.transpose(-1, -2))
    assert ((turned - clean).pow(2).sum((1, 2)) < (noise - clean).pow(2).sum((1, 2))).all()
    assert torch.linalg.det(torch.linalg.lstsq(noise[1], turned[1]).solution) > 0


def test_registered_keeps_clouds_centred_and_padding_0():
    _, turned = registered(clouds(0), clouds(1), MASK)
    assert (turned[~MASK] == 0).all()
    assert turned.sum(1).abs().max() < 1e-13


def test_registered_does_not_depend_on_padding():
    clean, noise = clouds(0), clouds(1)
    _, padded = registered(clean, noise, MASK)
    _, tight = registered(clean[:1, :5], noise[:1, :5], MASK[:1, :5])
    assert (padded[0, :5] - tight[0]).abs().max() < 1e-12
