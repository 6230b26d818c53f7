"""Backbones as one rigid frame a residue: origin CA, x axis to C, N in the half plane of positive
y.

Rotations are local to global. The atoms of a frame have ideal places; the oxygen turns with psi.
Source: Jumper et al. 2021, supplement, algorithm 21 and section 1.8.1.
"""

import math

import torch
from torch import Tensor

from geodiff.domains.chains import geometry

_BEND = math.radians(geometry.N_CA_C)
# Places of N, CA, C in the frame, angstrom: means of real chains.
IDEAL = (
    (geometry.N_CA * math.cos(_BEND), geometry.N_CA * math.sin(_BEND), 0.0),
    (0.0, 0.0, 0.0),
    (geometry.CA_C, 0.0, 0.0),
)
# C to O, angstrom: along CA-C, and across it.
_OXYGEN = (
    -geometry.C_O * math.cos(math.radians(geometry.CA_C_O)),
    geometry.C_O * math.sin(math.radians(geometry.CA_C_O)),
)
_LAST_PSI = math.radians(geometry.LAST_PSI)


def atoms_to_frames(coords: Tensor) -> tuple[Tensor, Tensor]:
    """The frame of each residue. Equivariant.

    Atoms on a line or at one point, as in padding, give a right-handed frame too (the identity if
    all are at one point), and finite gradients.

    Args:
        coords: (*batch, 3 or more, 3), angstrom: N, CA, C first.

    Returns: rotations (*batch, 3, 3) and translations (*batch, 3).
    """
    n, ca, c = coords[..., 0, :], coords[..., 1, :], coords[..., 2, :]
    eye = torch.eye(3, dtype=coords.dtype, device=coords.device)
    x = _unit(c - ca, eye[0].expand_as(ca))
    # Any axis far from x will do where N is on the line of CA and C; for x itself it is y.
    spare = eye[(x.detach().abs() + eye.new_tensor([0.0, -1e-3, 0.0])).argmin(-1)]
    y = _unit(_reject(n - ca, x), _unit(_reject(spare, x), spare))
    return torch.stack([x, y, torch.linalg.cross(x, y)], -1), ca


def frames_to_atoms(
    rotations: Tensor, translations: Tensor, psi: Tensor | None = None, mask: Tensor | None = None
) -> Tensor:
    """N, CA, C, O with ideal places in each frame.

    Args:
        rotations: (*batch, n, 3, 3).
        translations: (*batch, n, 3), angstrom.
        psi: (*batch, n), radians, places O; None takes it from the next residue's N, so that O lies
            in the peptide plane (the last residue, and one before a masked residue: 140 degrees).
        mask: (*batch, n) bool; masked residues have all atoms at 0.

    Returns: (*batch, n, 4, 3), angstrom.
    """
    ideal = translations.new_tensor(IDEAL)
    atoms = torch.einsum("...ij,aj->...ai", rotations, ideal) + translations[..., None, :]
    if psi is None:
        psi = _psi(rotations, translations, atoms[..., 0, :], mask)
    along, across = _OXYGEN
    forward = torch.full_like(psi, geometry.CA_C + along)
    local = torch.stack([forward, -across * torch.cos(psi), -across * torch.sin(psi)], -1)
    oxygen = (rotations @ local[..., None]).squeeze(-1) + translations
    atoms = torch.cat([atoms, oxygen[..., None, :]], -2)
    return atoms if mask is None else torch.where(mask[..., None, None], atoms, 0.0)


def _psi(rotations: Tensor, translations: Tensor, nitrogens: Tensor, mask: Tensor | None) -> Tensor:
    """Torsion N-CA-C-N(+1), radians, (*batch, n)."""
    step = nitrogens[..., 1:, :] - translations[..., :-1, :]
    local = (rotations[..., :-1, :, :].mT @ step[..., None]).squeeze(-1)
    y, z = local[..., 1], local[..., 2]
    degenerate = (y == 0) & (z == 0)
    if mask is not None:
        degenerate = degenerate | ~mask[..., 1:]
    safe = (
        torch.where(degenerate, math.cos(_LAST_PSI), y),
        torch.where(degenerate, math.sin(_LAST_PSI), z),
    )
    last = torch.full_like(translations[..., :1, 0], _LAST_PSI)
    return torch.cat([torch.atan2(safe[1], safe[0]), last], -1)


def _reject(v: Tensor, axis: Tensor) -> Tensor:
    return v - (v * axis).sum(-1, keepdim=True) * axis


def _unit(v: Tensor, fallback: Tensor) -> Tensor:
    """v / |v|, and `fallback` with zero gradient where v is shorter than can be told from
    rounding.
    """
    square = (v * v).sum(-1, keepdim=True)
    short = square <= torch.finfo(v.dtype).eps ** 2
    return torch.where(
        short, fallback, v / torch.sqrt(torch.where(short, torch.ones_like(square), square))
    )
