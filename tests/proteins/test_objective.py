"""What backbones are trained for: 0 at the truth, and every term answers to its own defect."""

import pytest
import torch

from geodiff.process.randomness import Noise
from geodiff.proteins.objective import atom_terms, backbone_loss
from geodiff.training.batch import TrainingBatch
from manifolds import Poses

from .flow import real_batch, small_field


@pytest.fixture
def batch():
    return real_batch(dtype=torch.float64)


def _atoms(batch, guess):
    return atom_terms(guess, batch.clean, batch.condition.index, batch.mask)


def test_the_truth_costs_nothing_but_its_own_overlaps(batch):
    terms = _atoms(batch, batch.clean)
    assert terms["local"].abs().max() < 1e-12 and terms["closure"].abs().max() < 1e-12
    assert terms["steric"].max() < 0.01  # angstrom per residue


@pytest.mark.parametrize("process", ["flow", "diffusion"])
def test_a_network_that_knows_the_answer_has_no_matching_loss(batch, process):
    field = small_field(process, torch.float64)
    field.network = torch.nn.Module()
    field.network.forward = lambda x, s, condition, mask: batch.clean
    s = torch.tensor([0.05, 0.4, 0.9], dtype=torch.float64)
    terms = backbone_loss(field, batch, s, Noise(0))
    assert terms["rotation"] < 1e-12 and terms["translation"] < 1e-12


def test_atoms_answer_to_stretched_bonds_overlaps_and_bent_neighbourhoods(batch):
    wide, tight, turned = batch.clean.clone(), batch.clean.clone(), batch.clean.clone()
    wide[:, 10:, :3, 3] += 0.1  # one bond of each chain opened by 1.7 angstrom
    tight[..., :3, 3] *= 0.5
    turned[:, 5] = (
        turned[:, 5]
        @ Poses().random_point(1, nodes=1, generator=Noise(1), dtype=torch.float64)[0, 0]
    )
    assert (_atoms(batch, wide)["closure"] > 0.02).all()
    assert (_atoms(batch, tight)["steric"] > 1).all()
    assert (_atoms(batch, turned)["local"] > 1e-4).all()


def test_residues_across_a_gap_are_not_bonded(batch):
    index = torch.where(
        torch.arange(batch.mask.shape[1]) >= 10, batch.condition.index + 5, batch.condition.index
    )
    wide = batch.clean.clone()
    wide[:, 10:, :3, 3] += 1.0
    assert atom_terms(wide, batch.clean, index, batch.mask)["closure"].max() < 1e-12


def test_the_loss_does_not_depend_on_the_frame_or_on_padding(batch):
    field, s = small_field(dtype=torch.float64), torch.tensor([0.1, 0.3, 0.8], dtype=torch.float64)
    value = backbone_loss(field, batch, s, Noise(0), remember=1.0)["loss"]
    padded = TrainingBatch(
        torch.cat([batch.clean, torch.eye(4, dtype=torch.float64).expand(3, 5, 4, 4)], 1),
        type(batch.condition)(
            *(
                torch.nn.functional.pad(part, (0, 5))
                for part in (batch.condition.index, batch.condition.letters, batch.mask)
            )
        ),
        torch.nn.functional.pad(batch.mask, (0, 5)),
    )
    assert torch.allclose(
        backbone_loss(field, padded, s, Noise(0), remember=1.0)["loss"], value, atol=1e-9
    )


@pytest.mark.parametrize("process", ["flow", "diffusion"])
def test_gradients_are_finite_at_every_level(batch, process):
    field = small_field(process)
    batch = TrainingBatch(batch.clean.float(), batch.condition, batch.mask)
    for level in (0.01, 0.3, 1.0):
        field.zero_grad()
        backbone_loss(field, batch, torch.full((3,), level), Noise(0))["loss"].backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in field.parameters())
