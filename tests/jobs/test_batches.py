"""Batches hold every item once, in order, and never more pairs than the budget."""

import pytest

from geodiff.jobs.batches import by_pairs


@pytest.mark.parametrize("budget", [1, 50, 1000])
def test_padded_pairs_stay_within_the_budget(budget):
    sizes = [1, 2, 2, 3, 5, 5, 5, 8, 13]
    batches = list(by_pairs(sizes, int, budget=budget, batch_size=None))
    assert sum(batches, []) == sizes
    for batch, after in zip(batches, [*batches[1:], [budget]]):
        assert len(batch) == 1 or len(batch) * max(batch) ** 2 <= budget
        assert (len(batch) + 1) * after[0] ** 2 > budget  # and the next would be too much


def test_a_number_of_items_is_kept_whatever_their_size():
    assert list(by_pairs([9, 9, 9], int, budget=1, batch_size=2)) == [[9, 9], [9]]
    assert list(by_pairs([], int, budget=1, batch_size=2)) == []
