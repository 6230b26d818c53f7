"""Training batches of chains: of similar length, within a budget, one chain a cluster."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from geodiff.domains.chains.chain import Chain, load_chains, save_chains
from geodiff.paths import data_path
from geodiff.proteins.datasets import (
    PAIR_BUDGET,
    ChainDataset,
    collate_training,
    poses_to_chains,
    read_training_data,
)
from geodiff.training.datamodule import TaskData
from geodiff.training.sampler import BucketSampler
from manifolds import SO3


@pytest.fixture(scope="module")
def chains():
    return load_chains(data_path("proteins", "backbones_train.npz"))


def test_an_epoch_visits_every_cluster_once(chains):
    data = ChainDataset(chains)
    assert len(data) == len({c.cluster for c in chains}) == 589
    visits = Counter(
        i for batch in BucketSampler(data.sizes, 10_000, pair_budget=PAIR_BUDGET) for i in batch
    )
    assert set(visits) == set(range(len(data))) and set(visits.values()) == {1}
    assert all(len({chains[i].cluster for i in item}) == 1 for item in data.items)
    assert len(ChainDataset(chains, cluster=False)) == len(chains)


def test_every_chain_of_a_cluster_is_drawn(chains):
    data = ChainDataset(chains)
    item = max(range(len(data)), key=lambda i: len(data.items[i]))
    torch.manual_seed(0)
    seen = Counter(float(data[item][0].sum()) for _ in range(200))
    assert len(seen) == len(data.items[item]) == 4 and min(seen.values()) > 20


def test_batches_keep_the_budget_and_hardly_pad(chains):
    data = ChainDataset(chains)
    padded = real = 0
    for batch in BucketSampler(data.sizes, 10_000, pair_budget=PAIR_BUDGET):
        mask = collate_training([data[i] for i in batch]).mask
        padded, real = padded + mask.numel(), real + int(mask.sum())
        assert len(batch) * mask.shape[1] ** 2 <= PAIR_BUDGET
    assert 1 - real / padded < 0.06


def test_clean_poses_are_centred_frames_and_padding_is_the_identity(chains):
    data = ChainDataset(chains[:40], cluster=False)
    batch = collate_training([data[i] for i in range(40)])
    assert SO3().check(batch.clean[..., :3, :3]) is None
    assert batch.clean[..., :3, 3].sum(1).abs().max() < 0.02
    assert torch.equal(
        batch.clean[~batch.mask], torch.eye(4).expand(int((~batch.mask).sum()), 4, 4)
    )
    again = poses_to_chains(batch.clean, batch.mask)
    for chain, found in zip(chains, again):
        shift = chain.coords[:, 1] - found.coords[:, 1]
        assert abs(shift - shift.mean(0)).max() < 1e-4 and len(found) == len(chain)


def test_gaps_move_the_index_and_crops_start_at_zero(chains):
    whole = chains[0]
    numbers = [*range(10), *range(15, 15 + len(whole) - 10)]
    gaps = [i == 9 for i in range(len(whole) - 1)]
    data = ChainDataset(
        [Chain(whole.coords, whole.sequence, numbers=numbers, gaps=gaps)], longest=30
    )
    assert data.sizes == [30]
    for _ in range(20):
        coords, index, letters = data[0]
        assert len(coords) == len(letters) == 30 and index[0] == 0 and index[-1] in (29, 34)


def test_task_data_takes_the_sets(chains):
    data = TaskData(
        ChainDataset(chains),
        ChainDataset(chains[:20]),
        collate_training,
        batch_size=64,
        pair_budget=PAIR_BUDGET,
    )
    batch = next(iter(data.train_dataloader()))
    assert batch.clean.shape[2:] == (4, 4) and batch.condition.index.shape == batch.mask.shape
    assert batch.to("cpu").condition.mask.dtype == torch.bool


def test_validation_shares_no_cluster_with_training(tmp_path, chains):
    train, held = read_training_data()
    assert (len(train), len(held)) == (770, 90)
    save_chains(tmp_path / "x.npz", chains)
    for source in (tmp_path, tmp_path / "x.npz"):
        train, held = read_training_data(source, validation=50, seed=1)
        assert not {c.cluster for c in train} & {c.cluster for c in held}
        assert len(train) + len(held) == len(chains) and 50 <= len(held) <= 53
    assert [c.name for c in held] == [
        c.name for c in read_training_data(tmp_path, validation=50, seed=1)[1]
    ]
    with pytest.raises(FileNotFoundError, match="geodiff prepare proteins"):
        read_training_data(tmp_path / "absent")


def test_a_cluster_larger_than_the_validation_set_is_trained_on(tmp_path, chains):
    save_chains(tmp_path / "one.npz", [replace(chain, cluster=0) for chain in chains[:20]])
    train, held = read_training_data(tmp_path / "one.npz")
    assert (len(train), len(held)) == (20, 0)


def test_bad_input_is_refused(chains):
    with pytest.raises(ValueError, match="at least one"):
        ChainDataset([])
    with pytest.raises(ValueError, match="longest"):
        ChainDataset(chains[:1], longest=0)
    with pytest.raises(ValueError, match="poses"):
        poses_to_chains(torch.zeros(3, 4, 4))
