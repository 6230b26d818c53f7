"""A small untrained grasp model whose outputs are not near zero, and clouds of made objects, for
the tests.
"""

import numpy as np
import torch

from geodiff.domains.bodies.objects import make_object
from geodiff.domains.bodies.surface import sample_surface
from geodiff.grasps.model import build, new_config
from geodiff.grasps.network import NetworkConfig
from geodiff.process.field import Field

SIZES = NetworkConfig(
    width=32, rounds=2, points=4, scalars=8, vectors=4, tensors=2, keys=4, point_width=8
)


def field(seed: int = 0, dtype: torch.dtype = torch.float64) -> Field:
    """A field whose weights are all random, so that no symmetry holds because a head is zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = build(new_config(SIZES))
        for parameter in made.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    return made.to(dtype).eval()


def points(kind: str = "mug", n: int = 400, seed: int = 3) -> torch.Tensor:
    """Points of a made object's surface, (n, 3) float64, metres."""
    item = make_object(kind, seed)
    return torch.from_numpy(
        sample_surface(item.vertices, item.faces, n, np.random.default_rng(0))[0]
    )
