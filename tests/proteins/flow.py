"""A small backbone model and real chains for the tests beside it."""

import torch

from geodiff.domains.chains.chain import load_chains
from geodiff.paths import data_path
from geodiff.proteins.datasets import ChainDataset, collate_training
from geodiff.proteins.model import build, new_config
from geodiff.proteins.network import NetworkConfig

SMALL = NetworkConfig(width=32, layers=2, heads=4, query_points=4, value_points=4, pair_width=16)


def small_field(process="flow", dtype=torch.float32, seed=0):
    """A field whose output moves every frame: the network's last layers start at zero, which would
    hide it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        field = build(new_config(process, SMALL))
        with torch.no_grad():
            for parameter in field.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
    return field.to(dtype).eval()


def real_batch(n=3, dtype=torch.float32):
    """`TrainingBatch` of the n shortest val chains, of different lengths."""
    chains = sorted(load_chains(data_path("proteins", "backbones_val.npz")), key=len)[:n]
    dataset = ChainDataset(chains, cluster=False)
    batch = collate_training([dataset[i] for i in range(n)])
    return type(batch)(batch.clean.to(dtype), batch.condition, batch.mask)
