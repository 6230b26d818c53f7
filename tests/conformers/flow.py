"""Small conformer flows and training data that several tests share."""

from dataclasses import replace

import torch

from geodiff.conformers.model import build, new_config
from geodiff.conformers.network import NetworkConfig
from geodiff.process.field import Field

SMALL = NetworkConfig(width=32, layers=2, heads=4, vector_width=8, pair_width=16)


def small_field(seed: int = 0, scale: float = 1.0) -> Field:
    """An untrained flow whose zero-initialised parts are perturbed, so that every path of the
    network is alive.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        field = build(new_config(SMALL))
        with torch.no_grad():
            for parameter in field.parameters():
                parameter += 0.05 * scale * torch.randn_like(parameter)
    return field.eval()


def swap_hands(batch):
    """The batch with every stereocentre's wanted hand swapped."""
    return replace(batch, chiral=batch.chiral[..., [0, 2, 1, 3, 4]])
