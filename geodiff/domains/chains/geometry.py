"""Angles and missing atoms of protein backbones, in numpy."""

import numpy as np
from numpy.typing import ArrayLike

# Peptide geometry, angstrom and degrees: N-CA, CA-C, C-O and CA-C-O are means of 190 chains of
# 40-150 residues.
N_CA, CA_C, C_N, C_O = 1.462, 1.525, 1.329, 1.231
N_CA_C, CA_C_N, C_N_CA, CA_C_O = 111.0, 116.7, 121.5, 120.4
LAST_PSI = 140.0  # degrees; psi of a residue without a next one, which only places its oxygen


def unit(v: np.ndarray) -> np.ndarray:
    """Vectors of length 1; nan where the length is 0.

    Args:
        v: (..., 3).
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return v / np.linalg.norm(v, axis=-1, keepdims=True)


def angle(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Angle at b, degrees in [0, 180].

    Args:
        a: points, (..., 3).
        b: points, (..., 3).
        c: points, (..., 3).
    """
    u, v = a - b, c - b
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(u, v), axis=-1), (u * v).sum(-1)))


def dihedral(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Torsion about b-c, degrees in [-180, 180]; 0 for cis (IUPAC sign).

    Args:
        a: points, (..., 3).
        b: points, (..., 3).
        c: points, (..., 3).
        d: points, (..., 3).
    """
    u, v, w = b - a, c - b, d - c
    first, second = np.cross(u, v), np.cross(v, w)
    sine = np.linalg.norm(v, axis=-1) * (u * second).sum(-1)
    return np.degrees(np.arctan2(sine, (first * second).sum(-1)))


def place(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, length: float, bend: float, torsion: ArrayLike
) -> np.ndarray:
    """The point d with |cd| = length, angle bcd = bend and torsion abcd = torsion.

    Args:
        a: points, (..., 3), angstrom.
        b: points, (..., 3), angstrom.
        c: points, (..., 3), angstrom.
        length: angstrom.
        bend: degrees.
        torsion: degrees, one or (...).

    Returns: (..., 3), angstrom.
    """
    along = unit(c - b)
    normal = unit(np.cross(b - a, along))
    across = np.cross(normal, along)
    bend, torsion = np.radians(bend), np.radians(np.asarray(torsion))[..., None]
    return c + length * (
        -np.cos(bend) * along + np.sin(bend) * (np.cos(torsion) * across + np.sin(torsion) * normal)
    )


def oxygens(coords: np.ndarray, bonded: np.ndarray) -> np.ndarray:
    """Carbonyl oxygens in the peptide planes of N, CA, C: C-O 1.231 angstrom, CA-C-O 120.4 degrees.

    Args:
        coords: (n, 3 or more, 3), angstrom: N, CA, C first.
        bonded: (n - 1,) bool, whether residue i is joined to i + 1. Without a next residue psi is
            taken as 140 degrees.

    Returns: (n, 3), angstrom.
    """
    n, ca, c = coords[:, 0], coords[:, 1], coords[:, 2]
    torsion = np.full(len(coords), LAST_PSI + 180)
    torsion[:-1][bonded] = dihedral(n[:-1], ca[:-1], c[:-1], n[1:])[bonded] + 180
    return place(n, ca, c, C_O, CA_C_O, torsion)
