"""Couplings: which noise each clean point is paired with on a geodesic path."""

import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from manifolds.base import Manifold
from manifolds.registration import kabsch

Pair = tuple[Tensor, Tensor]
Coupling = Callable[[Tensor, Tensor, Tensor | None, Any], Pair]
"""(clean, noise, mask, condition) -> (clean, noise), the pairs that paths are drawn between."""


@dataclass(frozen=True)
class _WithoutCondition:
    """A coupling of three arguments, which hears nothing of the condition."""

    coupling: Callable[[Tensor, Tensor, Tensor | None], Pair]

    def __call__(
        self, clean: Tensor, noise: Tensor, mask: Tensor | None = None, condition: Any = None
    ) -> Pair:
        return self.coupling(clean, noise, mask)


def taking_condition(coupling: Callable[..., Pair]) -> Coupling:
    """The coupling itself, or, with a FutureWarning, one of three arguments made to take four.

    Args:
        coupling: a callable (clean, noise, mask, condition) or, as before, (clean, noise, mask).
    """
    try:
        inspect.signature(coupling).bind(None, None, None, None)
    except TypeError:
        warnings.warn(
            f"coupling: {coupling} takes (clean, noise, mask); couplings now receive the condition "
            "as a fourth argument, which will be required",
            FutureWarning,
            stacklevel=3,  # who makes the corruption
        )
        return _WithoutCondition(coupling)
    except ValueError:  # a callable without a signature, from a compiled library
        pass
    return coupling


def independent(
    clean: Tensor, noise: Tensor, mask: Tensor | None = None, condition: Any = None
) -> Pair:
    """Leaves the pairs as drawn.

    Args:
        clean: clean points, (*batch, *shape).
        noise: as many draws of the base.
        mask: not looked at.
        condition: not looked at.
    """
    return clean, noise


@torch.no_grad()
def registered(
    clean: Tensor, noise: Tensor, mask: Tensor | None = None, condition: Any = None
) -> Pair:
    """Rotates each noise cloud onto its clean cloud, which shortens the paths.

    The laws of clean and of noise are kept where both are rotation invariant.

    Args:
        clean: centred clouds, (*batch, nodes, 3).
        noise: centred clouds, as many.
        mask: (*batch, nodes) bool; masked nodes stay 0.
        condition: not looked at.

    Source: Klein et al. 2023 (equivariant flow matching).
    """
    rotation, _ = kabsch(noise, clean, mask=mask)
    return clean, noise @ rotation.transpose(-1, -2)


@dataclass(frozen=True)
class MinibatchOT:
    """Pairs each clean point of a batch with one noise of it, so that the sum of squared distances
    is least.

    Distances are geodesic, on any manifold. Only noise changes places, so conditions stay with
    their clean points; noise must not have been drawn for a condition. Clouds exchange noise with
    clouds of the same mask. The cost grows with the square of the batch for distances and its cube
    for the exact assignment (256 points of SO(3): 0.1 s). As `coupling=` of a `Geodesic`:
    `Geodesic(space, coupling=MinibatchOT(space))`.

    Args:
        manifold: the space of the points.

    Source: Tong et al. 2024; Pooladian et al. 2023.
    """

    manifold: Manifold

    @torch.no_grad()
    def __call__(
        self, clean: Tensor, noise: Tensor, mask: Tensor | None = None, condition: Any = None
    ) -> Pair:
        """The clean points, and the noise in the order in which it belongs to them.

        Args:
            clean: (*batch, *shape).
            noise: as many.
            mask: (*batch, nodes) bool; only clouds of one mask are exchanged.
            condition: not looked at.
        """
        if clean.shape != noise.shape:
            raise ValueError(
                f"noise: expected one for each clean point, {tuple(clean.shape)}, got "
                f"{tuple(noise.shape)}"
            )
        axes = clean.ndim - len(self.manifold.shape)
        if axes == 0:
            return clean, noise
        clean_rows, noise_rows = clean.flatten(0, axes - 1), noise.flatten(0, axes - 1)
        paired = noise_rows.clone()
        for rows in _alike(mask, clean_rows):
            cost = squared_distances(self.manifold, clean_rows[rows], noise_rows[rows])
            paired[rows] = noise_rows[rows][_assign(cost)]
        return clean, paired.reshape(noise.shape)


def squared_distances(manifold: Manifold, x: Tensor, y: Tensor) -> Tensor:
    """Squared geodesic distance of every x to every y, (len(x), len(y)), one row at a time.

    Args:
        manifold: the space of the points.
        x: (rows, *shape).
        y: (columns, *shape).
    """
    rows = []
    for a in x:
        a = a.expand_as(y)
        way = manifold.log(a, y)
        rows.append(manifold.inner(a, way, way))
    return torch.stack(rows) if rows else x.new_zeros(0, len(y))


def _alike(mask: Tensor | None, rows: Tensor) -> list[Tensor]:
    """Indices of rows that may be exchanged: all, or those of each mask."""
    if mask is None or mask.ndim < 2:
        return [torch.arange(len(rows), device=rows.device)]
    flat = mask.expand(*rows.shape[:1], mask.shape[-1]) if mask.ndim == 2 else mask.flatten(0, -2)
    kinds, kind = torch.unique(flat, dim=0, return_inverse=True)
    return [torch.nonzero(kind == i).squeeze(-1) for i in range(len(kinds))]


def _assign(cost: Tensor) -> Tensor:
    """The column of each row in the assignment of least total cost."""
    # Imported here: it takes as long as the rest of the core, and other couplings do without.
    from scipy.optimize import linear_sum_assignment

    _, columns = linear_sum_assignment(cost.double().cpu().numpy())
    return torch.as_tensor(columns, device=cost.device)
