"""Symmetry-aware heavy-atom RMSD between all pairs of two ensembles of one molecule.

The matrix equals `rdMolAlign.GetBestRMS(RemoveHs(reference), RemoveHs(generated))` pair by pair.
Symmetries are found once per molecule, correlation matrices of all pairs come from matrix products,
and the optimal rotation is never built: its gain is the largest root of the characteristic
polynomial of the quaternion key matrix (Horn 1987, J. Opt. Soc. Am. A 4, 629; Theobald 2005, Acta
Cryst. A 61, 478).
"""

from dataclasses import dataclass

import numpy as np
from rdkit import Chem

MAX_MATCHES = 1_000_000  # the limit that GetBestRMS has by default
_BLOCK = 8_192  # alignments handled at once: the work arrays of one block stay in the cache
_NEWTON_STEPS = 3  # from 1e-2, 1e-4, 1e-8; what needs more goes to eigvalsh
_CURVATURE = 30  # Newton leaves at most this times step^2 / root
_ROUNDING = 32 * np.finfo(np.float64).eps  # of the polynomial, relative to root^4
_TINY = np.finfo(np.float64).tiny
# angstrom; where an error of the root could move the RMSD by more, eigvalsh decides
_TOLERANCE = 5e-8

# Terminal oxygens or nitrogens that share one neighbour, one of them by a double bond: nitro,
# carboxylate, phosphate, amidine. GetBestRMS takes their bond orders and charges as equal.
_CONJUGATED_TERMINAL = "[O,N;D1;$([O,N;D1]-*=[O,N;D1]),$([O,N;D1]=*-[O,N;D1])]~*"


@dataclass(frozen=True)
class Symmetry:
    """Ways to lay the heavy atoms of `reference` onto those of `generated`."""

    # (P, N) int: atom n of reference goes onto atom permutations[p, n] of generated
    permutations: np.ndarray
    truncated: bool = False  # the search stopped at its limit, so that the RMSD is an upper bound


def symmetries(
    reference: Chem.Mol,
    generated: Chem.Mol,
    *,
    symmetrize: bool = True,
    max_matches: int = MAX_MATCHES,
) -> Symmetry:
    """All graph matches of `reference` in `generated`, as GetBestRMS finds them. Stereo marks are
    ignored.

    Args:
        reference: without hydrogens.
        generated: without hydrogens.
        symmetrize: equalise the bonds and charges of conjugated terminal groups of `reference`
            first.
        max_matches: where the search stops.

    Raises: ValueError if the graphs do not match.
    """
    query = _equalise_terminal_groups(reference) if symmetrize else reference
    matches = generated.GetSubstructMatches(query, uniquify=False, maxMatches=max_matches)
    if not matches or not matches[0]:
        raise ValueError(
            "generated: expected the molecular graph of reference, "
            f"{Chem.MolToSmiles(reference)}, got {Chem.MolToSmiles(generated)}; pass conformers "
            "of one molecule, with equal bonds and charges"
        )
    return Symmetry(np.array(matches, dtype=np.int64), len(matches) >= max_matches)


def rmsd_matrix(
    reference: Chem.Mol,
    generated: Chem.Mol,
    *,
    symmetrize: bool = True,
    max_matches: int = MAX_MATCHES,
) -> np.ndarray:
    """Smallest heavy-atom RMSD of every conformer of `reference` from every conformer of
    `generated`.

    Smallest over rigid motions (no mirror images) and over graph symmetries. Equal to
    `GetBestRMS(RemoveHs(reference), RemoveHs(generated))` to 1e-6.

    Args:
        reference: molecule with L conformers; hydrogens are removed here.
        generated: the same molecule, any atom order, with K conformers; hydrogens are removed here.
        symmetrize: as in `symmetries`.
        max_matches: as in `symmetries`.

    Returns: (L, K) float64, angstrom.
    Raises: ValueError if the graphs do not match.
    """
    reference, generated = Chem.RemoveHs(reference), Chem.RemoveHs(generated)
    found = symmetries(reference, generated, symmetrize=symmetrize, max_matches=max_matches)
    return aligned_rmsd(positions(reference), positions(generated), found.permutations)


def positions(mol: Chem.Mol) -> np.ndarray:
    """Coordinates of all conformers in their order.

    Args:
        mol: any number of conformers.

    Returns: (conformers, atoms, 3) float64, angstrom.
    """
    if not mol.GetNumConformers():
        return np.zeros((0, mol.GetNumAtoms(), 3))
    return np.stack([conformer.GetPositions() for conformer in mol.GetConformers()])


def aligned_rmsd(
    x: np.ndarray, y: np.ndarray, permutations: np.ndarray | None = None
) -> np.ndarray:
    """Smallest RMSD between each cloud of `x` and each of `y` over rotations, translations and
    `permutations`.

    Mirror images are not superposed.

    Args:
        x: (L, N, 3).
        y: (K, M, 3).
        permutations: (P, N), point n of x is compared with point permutations[p, n] of y; None: the
            identity.

    Returns: (L, K) float64 in the unit of the input.
    Raises: ValueError on shapes that do not fit and on coordinates that are not finite.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if permutations is None:
        permutations = np.arange(x.shape[1])[None]
    permutations = np.asarray(permutations)
    if x.ndim != 3 or y.ndim != 3 or x.shape[2] != 3 or y.shape[2] != 3:
        raise ValueError(
            f"x, y: expected (L, N, 3) and (K, M, 3), got {x.shape} and {y.shape}; "
            "give one cloud a leading axis of length 1"
        )
    if permutations.ndim != 2 or permutations.shape[1] != x.shape[1] or not permutations.size:
        raise ValueError(
            f"permutations: expected (P, {x.shape[1]}) with P >= 1, got {permutations.shape}"
        )
    if permutations.min() < 0 or permutations.max() >= y.shape[1]:
        raise ValueError(
            f"permutations: expected indices below {y.shape[1]}, the points of a cloud of y"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError(
            "x, y: expected finite coordinates, got NaN or infinity; drop those conformers"
        )

    smallest = np.full((len(x), len(y)), np.inf)
    if not smallest.size:
        return smallest
    points = x.shape[1]
    x = x - x.mean(1, keepdims=True)
    spread_x = np.einsum("lni,lni->l", x, x)
    x = np.ascontiguousarray(x.transpose(2, 0, 1))  # (3, L, N)
    y = np.ascontiguousarray(y.transpose(2, 1, 0))  # (3, M, K)
    rows = min(len(smallest), _BLOCK)
    columns = max(1, _BLOCK // rows)  # (permutation, cloud of y) pairs in one block
    width = max(1, columns // len(permutations))
    for k in range(0, smallest.shape[1], width):
        here = slice(k, k + width)
        for p in range(0, len(permutations), columns):
            some = permutations[p : p + columns]
            moved = y[:, some.T, here]  # (3, N, p, k)
            moved = moved - moved.mean(1, keepdims=True)
            spread_y = np.einsum("inpk,inpk->pk", moved, moved).ravel()
            moved = moved.reshape(3, points, -1)
            for first in range(0, len(smallest), rows):
                part = slice(first, first + rows)
                correlation = np.matmul(x[:, None, part], moved[None])  # (3, 3, l, pk)
                square = _mean_square(correlation, spread_x[part, None] + spread_y, points)
                square = square.reshape(len(square), len(some), -1).min(1)
                smallest[part, here] = np.minimum(smallest[part, here], square)
    return np.sqrt(smallest)


def _mean_square(correlation: np.ndarray, spread: np.ndarray, points: int) -> np.ndarray:
    """Mean squared deviation after the best rotation, from correlation matrices (3, 3, ...).

    spread: sum of squared norms of both centred clouds, (...). With singular values s of the
      correlation C, s3 signed as det C, the best rotation gains z = s1 + s2 + s3, the largest
      eigenvalue of the key matrix. Its characteristic polynomial is (z^2 - |C|^2)^2 = 4 h^2 with h
      = s1 s2 + s1 s3 + s2 s3 = sqrt(|cofactors|^2 + 2 det(C) z), so that the largest root solves
      z^2 - |C|^2 - 2 h(z) = 0 wherever h > 0: a convex function, nearly a straight line.
    """
    c = correlation
    cofactor_square, determinant = np.zeros_like(spread), np.zeros_like(spread)
    cofactor, other = np.empty_like(spread), np.empty_like(spread)
    for i in range(3):
        for j in range(3):
            a, b, d, e = (i + 1) % 3, (i + 2) % 3, (j + 1) % 3, (j + 2) % 3
            np.multiply(c[a, d], c[b, e], out=cofactor)
            np.multiply(c[a, e], c[b, d], out=other)
            cofactor -= other
            if i == 0:
                np.multiply(c[0, j], cofactor, out=other)
                determinant += other
            cofactor *= cofactor
            cofactor_square += cofactor
    half_square = np.einsum("ij...,ij...->...", c, c)
    half_square *= 0.5

    twice = 2 * determinant
    root = np.sqrt(np.where(determinant > 0, 6, 2) * half_square)  # |C| and sqrt(3) |C| enclose z
    hardest = np.full_like(spread, np.inf)  # smallest h^2 on the way
    for iteration in range(1 + _NEWTON_STEPS):
        h = np.multiply(twice, root, out=other)
        h += cofactor_square
        np.minimum(hardest, h, out=hardest)
        np.maximum(h, _TINY, out=h)
        np.sqrt(h, out=h)
        if iteration == 0:
            root = np.sqrt(2 * (half_square + h))
            continue
        step = root * root
        step *= 0.5
        step -= half_square
        step -= h
        slope = root - np.divide(determinant, h, out=cofactor)
        step /= slope
        root -= step

    # A root is only as good as the slope there, which vanishes where two largest roots meet (points
    # on a line, some mirror images); and the square root of a small mean square magnifies its
    # error.
    mean_square = np.maximum(spread - 2 * root, 0) / points
    slope *= h
    error = root * root
    error *= error
    error *= _ROUNDING
    error += _CURVATURE * slope * step * step / root
    allowed = points * _TOLERANCE * (np.sqrt(mean_square) + _TOLERANCE) * slope
    doubtful = ~((hardest > 0) & (error <= allowed))
    if np.any(doubtful):
        largest = np.linalg.eigvalsh(_key_matrix(c[:, :, doubtful]))[:, -1]
        mean_square[doubtful] = np.maximum(spread[doubtful] - 2 * largest, 0) / points
    return mean_square


def _key_matrix(c: np.ndarray) -> np.ndarray:
    """Horn's 4 x 4 quaternion matrix of correlations (3, 3, n); (n, 4, 4). Horn 1987, section
    4.A.
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = c
    rows = [
        [xx + yy + zz, yz - zy, zx - xz, xy - yx],
        [yz - zy, xx - yy - zz, xy + yx, zx + xz],
        [zx - xz, xy + yx, yy - xx - zz, yz + zy],
        [xy - yx, zx + xz, yz + zy, zz - xx - yy],
    ]
    return np.array(rows).transpose(2, 0, 1)


def _equalise_terminal_groups(mol: Chem.Mol) -> Chem.Mol:
    """`mol` as a query in which the bonds and charges of conjugated terminal groups are not told
    apart.
    """
    matches = mol.GetSubstructMatches(Chem.MolFromSmarts(_CONJUGATED_TERMINAL))
    if not matches:
        return mol
    query = Chem.RWMol(mol)
    either = Chem.BondFromSmarts("-,=")
    for terminal, neighbour in matches:
        query.GetAtomWithIdx(terminal).SetFormalCharge(0)
        query.ReplaceBond(query.GetBondBetweenAtoms(terminal, neighbour).GetIdx(), either)
    return query
