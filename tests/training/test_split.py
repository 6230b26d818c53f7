"""What is held out and what an epoch goes through."""

import pytest

from geodiff.training.epochs import repeated
from geodiff.training.split import split_groups


@pytest.mark.parametrize("seed", range(3))
def test_groups_stay_whole_and_each_is_on_one_side(seed):
    sizes = [3, 1, 8, 2, 5, 1, 1, 4, 30, 6]
    train, held = split_groups(sizes, 5, seed)
    assert sorted(train + held) == list(range(len(sizes)))
    assert 0 < sum(sizes[i] for i in held) <= 5
    assert split_groups(sizes, 5, seed) == (train, held)


def test_at_most_a_tenth_is_held_out_and_of_single_items_exactly_that():
    assert [len(split_groups([1] * 57, 100, seed)[1]) for seed in range(5)] == [5] * 5
    assert len(split_groups([1] * 57, 3, 0)[1]) == 3
    assert split_groups([1] * 9, 100, 0)[1] == [] and split_groups([], 3, 0) == ([], [])
    assert len({tuple(split_groups([1] * 57, 100, seed)[1]) for seed in range(5)}) == 5


def test_the_same_items_are_held_out_as_ever():
    """Models are judged on items that earlier versions left out of their training."""
    assert split_groups([1] * 30, 3, 0)[1] == [14, 13, 23]
    assert split_groups([2, 1, 1, 4, 1, 1, 9, 1, 1, 9], 3, 1)[1] == [5, 1, 2]


def test_a_small_set_is_gone_through_as_often_as_it_takes():
    assert repeated("abc", 0) == list("abc") == repeated("abc", 3)
    assert repeated("abc", 4) == list("abcabc") and len(repeated(range(7), 20)) == 21
