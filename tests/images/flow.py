"""Small image models that several tests share."""

import torch

from geodiff.images.model import NetworkConfig, build, new_config
from geodiff.process.field import Field

SMALL = NetworkConfig(width=8, heads=2)


def small_config(process: str = "flow", classes: int = 10, shape=(1, 8, 8)) -> dict:
    return new_config(shape, [str(i) for i in range(classes)], process, SMALL)


def small_field(
    process: str = "flow", classes: int = 10, shape=(1, 8, 8), dtype=torch.float32
) -> Field:
    """An untrained model whose zero-initialised parts are perturbed, so that every path of the
    network is alive.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        field = build(small_config(process, classes, shape)).to(dtype)
        with torch.no_grad():
            for parameter in field.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
    return field.eval()
