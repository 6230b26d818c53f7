"""Ragged and dense forms."""

import pytest
import torch

from geodiff.ragged import to_dense, to_ragged


def test_to_ragged_undoes_to_dense():
    values = torch.arange(18.0).reshape(6, 3)
    batch = torch.tensor([0, 0, 1, 1, 1, 3])
    dense, mask = to_dense(values, batch)
    assert dense.shape == (4, 3, 3)
    assert mask.sum(1).tolist() == [2, 3, 0, 1]
    assert (dense[~mask] == 0).all()
    back, owner = to_ragged(dense, mask)
    assert torch.equal(back, values) and torch.equal(owner, batch)


def test_count_adds_empty_records_and_keeps_the_dtype():
    dense, mask = to_dense(torch.tensor([4, 5]), torch.tensor([0, 0]), count=3)
    assert dense.tolist() == [[4, 5], [0, 0], [0, 0]] and dense.dtype == torch.int64
    assert mask.sum() == 2


def test_no_nodes_at_all_is_a_batch_of_none():
    dense, mask = to_dense(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))
    assert dense.shape == (0, 0, 3) and mask.shape == (0, 0)


def test_bad_indices_are_refused():
    with pytest.raises(ValueError, match="ascending"):
        to_dense(torch.zeros(2, 3), torch.tensor([1, 0]))
    with pytest.raises(ValueError, match="one record number per node"):
        to_dense(torch.zeros(2, 3), torch.tensor([0]))
    with pytest.raises(ValueError, match="names record 5"):
        to_dense(torch.zeros(1, 3), torch.tensor([5]), count=2)
