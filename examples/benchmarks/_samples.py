"""Are samples those of the data, and are they new? Unbiased MMD^2, its permutation test, and
nearest training rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from _kernel_density import half_squared_chord
from scipy.spatial import cKDTree


@dataclass(frozen=True)
class Discrepancy:
    """value: unbiased MMD^2; may be below 0. p: how often shuffled labels give as much, in (0,
    1].
    """

    value: float
    p: float


def width_of(points: np.ndarray, most: int = 1000) -> float:
    """The median chord between embedded points, (n, d): the width of the kernel of `mmd`."""
    some = points[:most]
    return float(
        np.sqrt(2 * np.median(half_squared_chord(some, some)[np.triu_indices(len(some), 1)]))
    )


def mmd(
    a: np.ndarray, b: np.ndarray, width: float, permutations: int = 200, seed: int = 0
) -> Discrepancy:
    """Unbiased squared maximum mean discrepancy of embedded points a, (n, d), and b, (m, d),
    Gaussian kernel.

    width: its standard deviation, a chord. Its mean over draws is exactly 0 for equal laws. p is of
    the permutation test with `permutations` shuffles. Source: Gretton et al. 2012, lemma 6 and
    section 4.
    """
    both = np.concatenate([a, b])
    kernel = np.exp(-half_squared_chord(both, both) / width**2)
    np.fill_diagonal(kernel, 0.0)
    n, m = len(a), len(b)
    generator = np.random.default_rng(seed)
    labels = np.zeros((len(both), permutations + 1))
    labels[:n] = 1.0
    for column in range(1, permutations + 1):
        labels[:, column] = labels[generator.permutation(len(both)), 0]
    towards = kernel @ labels
    within_a = (labels * towards).sum(0)
    across = ((1 - labels) * towards).sum(0)
    within_b = kernel.sum() - within_a - 2 * across
    values = within_a / (n * (n - 1)) + within_b / (m * (m - 1)) - 2 * across / (n * m)
    return Discrepancy(float(values[0]), float((values >= values[0] - 1e-15).mean()))


def floor(real: np.ndarray, width: float, repeats: int = 20, seed: int = 0) -> float:
    """Root mean square of MMD^2 between disjoint random halves of real points: what equal laws give
    at this size.
    """
    generator = np.random.default_rng(seed)
    values = []
    for _ in range(repeats):
        order = generator.permutation(len(real))
        half = len(real) // 2
        values.append(
            mmd(real[order[:half]], real[order[half : 2 * half]], width, permutations=0).value
        )
    return float(np.sqrt(np.mean(np.square(values))))


def copied(train: np.ndarray, other: np.ndarray, decimals: int = 6) -> float:
    """The share of rows of `other` that are equal to a row of `train`, to `decimals`."""
    known = {row.tobytes() for row in np.round(train, decimals) + 0.0}
    return float(np.mean([row.tobytes() in known for row in np.round(other, decimals) + 0.0]))


def memorised(
    train: np.ndarray, held: np.ndarray, samples: np.ndarray, share: float = 0.05
) -> float:
    """How many samples are as near to a training row as the nearest `share` of held-out rows;
    `share` if all is well.

    train, held, samples: embedded points. A model that recites its training rows gives 1.
    """
    tree = cKDTree(train)
    near = np.quantile(tree.query(held)[0], share)
    return float((tree.query(samples)[0] <= near).mean())
