"""Couplings: which noise each clean point is paired with on a geodesic path."""

import torch
from torch import Tensor

from manifolds.registration import kabsch


def independent(clean: Tensor, noise: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Leaves the pairs as drawn."""
    return clean, noise


@torch.no_grad()
def registered(clean: Tensor, noise: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Rotates each noise cloud onto its clean cloud, which shortens the paths.

    The laws of clean and of noise are kept where both are rotation invariant.
    clean, noise: centred clouds, (*batch, nodes, 3). mask: (*batch, nodes) bool; masked nodes stay 0.
    Source: Klein et al. 2023 (equivariant flow matching).
    """
    rotation, _ = kabsch(noise, clean, mask=mask)
    return clean, noise @ rotation.transpose(-1, -2)
