"""The backbone network: its symmetries, its padding, its memory."""

import dataclasses

import pytest
import torch

from geodiff.process.randomness import Noise
from geodiff.proteins.datasets import ChainBatch
from manifolds import SE3, Poses

from .flow import real_batch, small_field


def _motion():
    motion = SE3().random_point(1, generator=Noise(5), dtype=torch.float64)
    motion[..., :3, 3] *= 3
    return motion


@pytest.fixture
def batch():
    return real_batch(dtype=torch.float64)


def test_a_rigid_motion_of_frames_and_memory_moves_the_clean_frames_along(batch):
    network, s, motion = (
        small_field(dtype=torch.float64).network,
        torch.rand(3, dtype=torch.float64),
        _motion(),
    )
    noisy = Poses().random_point(3, mask=batch.mask, generator=Noise(0), dtype=torch.float64)
    memory = batch.condition.given(batch.clean)
    made = network(noisy, s, memory, batch.mask)
    moved = network(motion @ noisy, s, batch.condition.given(motion @ batch.clean), batch.mask)
    assert (made - noisy)[batch.mask].abs().max() > 0.1
    assert (moved - motion @ made)[batch.mask].abs().max() < 1e-10


def test_the_mirror_image_is_no_symmetry(batch):
    """Proteins have one hand: a network that cannot tell mirror images cannot learn it."""
    network, s = (
        small_field(dtype=torch.float64).network,
        torch.full((3,), 0.5, dtype=torch.float64),
    )
    mirror = torch.diag(torch.tensor([1.0, 1.0, -1.0, 1.0], dtype=torch.float64))
    made = network(batch.clean, s, batch.condition, batch.mask)
    mirrored = (
        mirror @ network(mirror @ batch.clean @ mirror, s, batch.condition, batch.mask) @ mirror
    )
    assert (made - mirrored)[batch.mask].abs().max() > 1e-3


def test_padding_changes_nothing(batch):
    network, s = small_field(dtype=torch.float64).network, torch.rand(3, dtype=torch.float64)
    together = network(batch.clean, s, batch.condition, batch.mask)
    n = int(batch.mask[0].sum())
    assert n < batch.mask.shape[1]
    index = batch.condition.index[:1, :n]
    mask = torch.ones(1, n, dtype=torch.bool)
    alone = network(batch.clean[:1, :n], s[:1], ChainBatch(index, index, mask), mask)
    assert torch.allclose(together[0, :n], alone[0], atol=1e-12)


def test_places_in_the_chain_and_the_memory_are_heard(batch):
    network, s = (
        small_field(dtype=torch.float64).network,
        torch.full((3,), 0.5, dtype=torch.float64),
    )
    made = network(batch.clean, s, batch.condition, batch.mask)
    with_memory = network(batch.clean, s, batch.condition.given(batch.clean), batch.mask)
    gap = torch.where(
        torch.arange(batch.mask.shape[1]) > 20, batch.condition.index + 10, batch.condition.index
    )
    with_gap = network(batch.clean, s, dataclasses.replace(batch.condition, index=gap), batch.mask)
    for other in (with_memory, with_gap):
        assert (other - made)[batch.mask].abs().max() > 1e-3


def test_gradients_are_finite_where_all_residues_coincide():
    field = small_field()
    index = torch.arange(6)[None]
    mask = torch.ones(1, 6, dtype=torch.bool)
    noisy = torch.eye(4).repeat(1, 6, 1, 1).requires_grad_()
    field.network(
        noisy, torch.tensor([0.5]), ChainBatch(index, index, mask), mask
    ).square().sum().backward()
    assert noisy.grad.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in field.parameters())
