"""Batches of an epoch: every item once, of similar sizes, shared out evenly, the same again after a
resume.
"""

import pytest
import torch

from geodiff.training.sampler import BucketSampler

SIZES = torch.randint(5, 60, (103,), generator=torch.Generator().manual_seed(0)).tolist()


def batches(epoch=0, step=None, ranks=1, count=len(SIZES), **settings):
    """What each rank sees of an epoch, as lists of batches."""
    seen = []
    for rank in range(ranks):
        sampler = BucketSampler(SIZES[:count], 8, rank=rank, ranks=ranks, **settings)
        length = len(sampler)
        sampler.go_to(epoch * length if step is None else step)
        seen.append(list(sampler))
        assert step is not None or len(seen[-1]) == length
    return seen


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("settings", [{}, {"shuffle": False}, {"pair_budget": 8000}], ids=str)
def test_the_ranks_together_see_each_item_once_in_as_many_batches_each(ranks, settings):
    seen = batches(ranks=ranks, **settings)
    assert len({len(of_rank) for of_rank in seen}) == 1
    assert sorted(i for of_rank in seen for batch in of_rank for i in batch) == list(
        range(len(SIZES))
    )
    assert all(1 <= len(batch) <= 8 for of_rank in seen for batch in of_rank)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_fewer_items_than_ranks_are_repeated_so_that_nobody_waits(count):
    seen = batches(ranks=4, count=count)
    assert [len(of_rank) for of_rank in seen] == [len(seen[0])] * 4 and seen[0]
    assert {i for of_rank in seen for batch in of_rank for i in batch} == set(range(count))


def test_no_batch_is_over_its_budget_of_padded_pairs():
    for of_rank in batches(ranks=3, pair_budget=8000):
        assert all(len(batch) * max(SIZES[i] for i in batch) ** 2 <= 8000 for batch in of_rank)


def test_one_process_and_several_walk_through_the_same_batches():
    (alone,), shared = batches(pair_budget=8000), batches(ranks=2, pair_budget=8000)
    whole = {tuple(batch) for batch in alone}
    # one halved, to be even
    assert len(whole - {tuple(batch) for of_rank in shared for batch in of_rank}) <= 1


def test_the_batches_of_a_step_are_of_similar_sizes():
    seen = batches(ranks=4)
    largest = torch.tensor(
        [[max(SIZES[i] for i in batch) for batch in of_rank] for of_rank in seen]
    )
    assert (largest.amax(0) - largest.amin(0)).float().mean() < 0.35 * (max(SIZES) - min(SIZES))


def test_the_order_depends_on_seed_and_epoch_alone():
    assert batches(epoch=3, ranks=2) == batches(epoch=3, ranks=2)
    assert len({str(batches(epoch=e, seed=s)) for e in range(3) for s in range(3)}) == 9


@pytest.mark.parametrize("ranks", [1, 3])
def test_a_resumed_epoch_goes_on_with_the_steps_that_are_left(ranks):
    length = len(batches(epoch=2, ranks=ranks)[0])
    whole, rest = batches(epoch=2, ranks=ranks), batches(step=2 * length + 2, ranks=ranks)
    assert rest == [of_rank[2:] for of_rank in whole]


def test_a_single_process_takes_the_batches_that_it_always_took():
    """The orders of earlier versions, so that their checkpoints are gone on with."""
    sampler = BucketSampler(SIZES[:20], 4, seed=5, pair_budget=6000)
    sampler.go_to(len(sampler))
    assert list(sampler) == [
        [19, 17],
        [5, 16, 8, 2],
        [7, 6],
        [0],
        [3, 11, 1, 10],
        [18],
        [15, 14, 4, 9],
        [12, 13],
    ]
