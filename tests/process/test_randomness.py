"""Noise: numbers that belong to the sample."""

import pickle

import pytest
import torch

from geodiff.process.randomness import Noise
from manifolds import SO3, Centered, Euclidean, Sphere, Torus


def test_a_row_is_the_same_in_any_batch():
    noise = Noise(7).streams([3, 3, 5], [0, 1, 9])
    rows = noise.randn(3, 4, 2), noise.rand(3, 5)
    alone = Noise(7).streams([5], [9])
    assert torch.equal(alone.randn(1, 4, 2)[0], rows[0][2])
    assert torch.equal(alone.rand(1, 5)[0], rows[1][2])


def test_rows_are_numbered_from_0_by_default():
    assert torch.equal(Noise(7).randn(5, 3)[2:3], Noise(7, samples=[2]).randn(1, 3))


@pytest.mark.parametrize("manifold", [Euclidean(3), Sphere(2), Torus(2), SO3()], ids=repr)
def test_a_random_point_is_the_same_in_any_batch(manifold):
    batch = manifold.random_point(6, generator=Noise(1).streams(0, range(6)))
    alone = manifold.random_point(1, generator=Noise(1).streams(0, [4]))
    assert torch.equal(batch[4], alone[0])


@pytest.mark.parametrize("count", [0, 1, 2, 3, 15, 16, 17, 100])
def test_padding_behind_a_row_does_not_change_it(count):
    assert torch.equal(Noise(1).randn(2, 133)[:, :count], Noise(1).randn(2, count))
    assert torch.equal(Noise(1).rand(2, 133)[:, :count], Noise(1).rand(2, count))


def test_draws_do_not_depend_on_the_neighbours_or_their_length():
    batch = Noise(2).streams(0, [0, 1]).randn(2, 8, 3)
    alone = Noise(2).streams(0, [0]).randn(1, 3, 3)
    assert torch.equal(batch[0, :3], alone[0])


def test_centred_clouds_do_not_depend_on_padding():
    mask = torch.tensor([[True] * 4 + [False] * 3, [True] * 7])
    batch = Centered(3).random_point(2, mask=mask, generator=Noise(2))
    alone = Centered(3).random_point(1, mask=mask[:1, :4], generator=Noise(2))
    assert torch.equal(batch[0, :4], alone[0])


def test_streams_seeds_records_samples_and_draws_all_differ():
    draws = [
        noise.randn(1, 4)
        for noise in (Noise(0), Noise(1), Noise(0, 1), Noise(0, 0, [1]), Noise(-1))
    ]
    repeated = Noise(0)
    draws += [repeated.randn(1, 4), repeated.randn(1, 4)]
    assert torch.equal(draws[0], draws[5])
    distinct = torch.cat(draws[:5] + draws[6:])
    assert len(distinct.flatten().unique()) == distinct.numel()


def test_noise_pickles_with_its_place():
    noise = Noise(3, [1, 2])
    noise.randn(2, 3)
    copy = pickle.loads(pickle.dumps(noise))
    assert torch.equal(copy.randn(2, 3), noise.randn(2, 3))


def test_the_numbers_of_a_seed_never_change():
    # Written down once: a seed must give the same samples in later versions.
    noise = Noise(0, 12, [34])
    noise.rand(1, 1)
    normal = noise.randn(1, 3, dtype=torch.float64)[0]
    assert normal.tolist() == pytest.approx(PINNED, abs=1e-14)


PINNED = [1.3486903531460137, 0.1524717266222613, -1.716613598315167]


def test_dtypes_agree_to_rounding():
    single, double = (
        Noise(5).randn(4, 9, dtype=torch.float32),
        Noise(5).randn(4, 9, dtype=torch.float64),
    )
    assert single.dtype == torch.float32 and double.dtype == torch.float64
    assert torch.equal(single, double.float())


def test_normal_numbers_are_normal_and_uniform_ones_uniform():
    normal = Noise(11).randn(400, 500, dtype=torch.float64).flatten()
    count = len(normal)
    for power, moment, variance in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)]:
        assert abs((normal**power).mean() - moment) < 4 * (variance / count) ** 0.5
    uniform = Noise(11).rand(400, 500, dtype=torch.float64).flatten().sort().values
    grid = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    assert (uniform - grid).abs().max() < 1.95 / count**0.5  # Kolmogorov-Smirnov, p > .001


def test_rows_and_neighbours_are_uncorrelated():
    normal = Noise(13).randn(300, 300, dtype=torch.float64)
    next_draw = Noise(13)
    next_draw.randn(300, 1)
    other = next_draw.randn(300, 300, dtype=torch.float64)
    for a, b in [(normal[1:], normal[:-1]), (normal[:, 1:], normal[:, :-1]), (normal, other)]:
        assert abs((a * b).mean()) < 4 / a.numel() ** 0.5


def test_single_precision_uniform_numbers_stay_below_1():
    assert Noise(0).rand(1000, 1000, dtype=torch.float32).max() < 1


def test_a_batch_of_the_wrong_size_is_refused():
    with pytest.raises(ValueError, match="2 rows"):
        Noise(0, samples=[0, 1]).randn(3, 2)
    with pytest.raises(ValueError, match="one of each per row"):
        Noise(0, [0, 1, 2], [0, 1])
    with pytest.raises(ValueError, match="no axis"):
        Noise(0).randn()
