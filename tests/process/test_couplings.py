"""Couplings."""

import itertools
import pickle
from dataclasses import dataclass

import pytest
import torch

from geodiff.process.corruption import Geodesic
from geodiff.process.couplings import MinibatchOT, independent, registered, squared_distances
from geodiff.process.field import NetworkField
from geodiff.process.objectives.matching import matching_loss
from geodiff.process.randomness import Noise
from manifolds import SE3, SO3, Centered, Euclidean, Hyperbolic, Product, Sphere, Torus

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


SPACES = [
    Euclidean(2),
    Torus(3),
    Sphere(2),
    SO3(),
    SE3(),
    Hyperbolic(2),
    Product((Sphere(2), Torus(1))),
]


def points(space, count: int = 24):
    return (
        space.random_point(count, generator=Noise(seed), dtype=torch.float64) for seed in (0, 1)
    )


@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_optimal_transport_exchanges_noise_and_shortens_the_ways(space):
    clean, noise = points(space)
    kept, paired = MinibatchOT(space)(clean, noise)
    assert kept is clean
    distance = squared_distances(space, noise, paired)
    assert sorted(distance.argmin(0).tolist()) == list(range(24)) and distance.amin(0).max() == 0
    before, after = (space.dist(clean, other).square().sum() for other in (noise, paired))
    assert after < 0.8 * before


def test_optimal_transport_is_the_best_of_all_assignments():
    clean, noise = points(Sphere(2), 6)
    cost = squared_distances(Sphere(2), clean, noise)
    best = min(cost[range(6), order].sum() for order in map(list, itertools.permutations(range(6))))
    _, paired = MinibatchOT(Sphere(2))(clean, noise)
    assert torch.isclose(Sphere(2).dist(clean, paired).square().sum(), best)


def test_optimal_transport_makes_the_same_pairs_in_any_order():
    clean, noise = points(SO3())
    _, paired = MinibatchOT(SO3())(clean, noise)
    order, other = torch.randperm(24), torch.randperm(24)
    _, shuffled = MinibatchOT(SO3())(clean[order], noise[other])
    assert torch.equal(shuffled, paired[order])


def test_optimal_transport_is_never_longer_than_independent_pairs():
    for seed in range(20):
        clean, noise = (Torus(2).random_point(5, generator=Noise(seed, record=i)) for i in (0, 1))
        _, paired = MinibatchOT(Torus(2))(clean, noise)
        ways = (Torus(2).dist(clean, other).square().sum() for other in (paired, noise))
        assert next(ways) <= next(ways) * (1 + 1e-6)


def test_optimal_transport_exchanges_clouds_of_one_mask_only():
    mask = torch.tensor([[True] * 4 + [False] * 2, [True] * 6]).repeat(8, 1)
    clean, noise = (
        Centered(3).random_point(16, mask=mask, generator=Noise(seed)) for seed in (0, 1)
    )
    _, paired = MinibatchOT(Centered(3))(clean, noise, mask)
    assert (paired[~mask] == 0).all() and paired.sum(1).abs().max() < 1e-5
    for real in (0, 1):
        assert sorted(paired[real::2, 0, 0].tolist()) == sorted(noise[real::2, 0, 0].tolist())


def test_optimal_transport_works_inside_the_loss():
    space = Sphere(2)
    clean, noise = points(space)
    network = lambda x, s, condition, mask: torch.zeros_like(x)  # noqa: E731, whose loss is the length of the way
    plain, paired = (
        matching_loss(
            NetworkField(network, Geodesic(space, coupling=coupling)), clean, noise=noise, s=1.0
        )
        for coupling in (None, MinibatchOT(space))
    )
    assert paired.value < 0.8 * plain.value


@dataclass(frozen=True)
class Labelled:
    """Turns the noise of every pair whose condition says so."""

    def __call__(self, clean, noise, mask, condition):
        return clean, torch.where(condition[:, None], -noise, noise)


def test_a_coupling_receives_the_condition():
    clean, noise = points(Sphere(2), 4)
    turned = torch.tensor([True, False, True, False])
    made = Geodesic(Sphere(2), coupling=Labelled()).corrupt(
        clean, 1.0, noise=noise, condition=turned
    )
    assert torch.equal(made.noise, torch.where(turned[:, None], -noise, noise))


def shortest(clean, noise, mask):
    return clean, torch.where((clean * noise).sum(-1, keepdim=True) < 0, -noise, noise)


def test_a_coupling_of_three_arguments_goes_on_with_a_warning():
    clean, noise = points(Sphere(2), 4)
    with pytest.warns(FutureWarning, match="couplings now receive the condition") as warned:
        corruption = Geodesic(Sphere(2), coupling=shortest)
    assert warned[0].filename == __file__
    made = corruption.corrupt(clean, 1.0, noise=noise, condition="anything")
    assert torch.equal(made.noise, shortest(clean, noise, None)[1])
    assert pickle.loads(pickle.dumps(corruption)) == corruption


def test_optimal_transport_names_noise_that_does_not_fit():
    with pytest.raises(ValueError, match="noise: expected one for each clean point"):
        MinibatchOT(Sphere(2))(torch.zeros(4, 3), torch.zeros(5, 3))
