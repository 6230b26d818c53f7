"""Conditions: the laws that those of every task keep."""

import pytest
import torch

from geodiff.domains.molecules.features import collate, featurise
from geodiff.domains.molecules.io import read
from geodiff.grasps.cloud import describe
from geodiff.process.condition import Condition, Labels
from geodiff.process.randomness import Noise
from tests.conformers import flow as conformers
from tests.grasps import small as grasps
from tests.images import flow as images
from tests.proteins import flow as proteins


def molecules():
    records, _ = read(["CCO", "C[C@H](N)O", "C/C=C/C"])
    field = conformers.small_field(scale=0.3)
    return field, collate([featurise(record.mol) for record in records])


def clouds():
    cloud = describe(torch.stack([grasps.points(seed=seed) for seed in (1, 2, 3)]), anchors=16)
    return grasps.field(), cloud


def encodings():
    field, cloud = clouds()
    return field, field.network.encode(cloud)


CASES = {
    "molecules": molecules,
    "chains": lambda: (proteins.small_field(), proteins.real_batch(3).condition),
    "clouds": clouds,
    "encodings": encodings,
    "labels": lambda: (images.small_field(), Labels(torch.tensor([3, 1, 7]), unknown=10)),
}


@pytest.fixture(params=CASES.values(), ids=CASES, scope="module")
def case(request):
    """A small field, the condition of three things, states of them, and their mask."""
    field, condition = request.param()
    like, mask = next(field.parameters()), getattr(condition, "mask", None)
    size = (3,) if mask is None else tuple(mask.shape)
    x = field.corruption.base(
        *size, generator=Noise(0), dtype=like.dtype, mask=mask, condition=condition
    )
    return field, condition, x, mask


def test_it_is_a_condition_of_three_rows(case):
    _, condition, _, _ = case
    assert isinstance(condition, Condition) and len(condition) == 3


@torch.no_grad()
@pytest.mark.parametrize("rows", [[1], [2, 0], [0, 0, 2, 1], slice(0, 2)], ids=str)
def test_a_network_told_of_some_rows_says_what_it_said_of_them(case, rows):
    field, condition, x, mask = case
    whole = field(x, 0.5, condition, mask)
    some = field(x[rows], 0.5, condition.select(rows), None if mask is None else mask[rows])
    assert len(condition.select(rows)) == len(x[rows])
    torch.testing.assert_close(some, whole[rows], rtol=1e-4, atol=1e-5)


def test_one_row_and_a_boolean_selection(case):
    _, condition, _, _ = case
    assert len(condition.select(1)) == 1
    assert len(condition.select(torch.tensor([True, False, True]))) == 2


def test_to_moves_everything_and_changes_real_numbers_only(case):
    _, condition, _, _ = case
    tensors = {k: v for k, v in vars(condition).items() if isinstance(v, torch.Tensor)}
    for moved in (condition.to("meta"), condition.to(device="meta")):
        assert {getattr(moved, name).device.type for name in tensors} == {"meta"}
    for moved in (condition.to(torch.float16), condition.to(dtype=torch.float16)):
        for name, t in tensors.items():
            wanted = torch.float16 if t.is_floating_point() else t.dtype
            assert getattr(moved, name).dtype == wanted


def test_null_says_nothing_or_says_why_not(case):
    field, condition, x, mask = case
    if not isinstance(condition, Labels):
        with pytest.raises(ValueError, match="condition: .* no null"):
            condition.null()
        return
    some = condition.null(torch.tensor([False, True, False]))
    assert some.labels.tolist() == [3, 10, 7] and len(condition.null()) == 3
    assert torch.equal(field(x, 0.5, condition.null(), mask), field(x, 0.5, None, mask))


def test_plain_labels_go_on_working():
    field = images.small_field()
    x, labels = torch.zeros(3, 1, 8, 8), torch.tensor([3, 1, 7])
    assert torch.equal(field(x, 0.5, labels), field(x, 0.5, Labels(labels)))
