"""An adaptive kernel density on spheres and tori: the row that every neural density has to beat.

A von Mises-Fisher kernel (a product of von Mises kernels on a torus) stands on every training
point; its width is a multiple of the distance to the point's k-th neighbour, so dense places are
drawn finely. A share of uniform law is mixed in. Source: Breiman, Meisel and Purcell 1977;
Silverman 1986, section 5.3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import i0e

ROWS = 4_000_000  # entries of a distance matrix held at once
NEIGHBOURS = (2, 3, 4, 6, 8, 12, 16, 24)
FACTORS = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4)
UNIFORM = (0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.003, 0.001, 0.0003)
MOST = 1000  # validation points that the choice looks at
SHARPEST = 1e7  # largest concentration: a width of 3e-4 rad, 2 km on the Earth


def embed(x: np.ndarray, torus: bool) -> np.ndarray:
    """Points in the flat space around: angles (n, d) as d unit vectors of the plane, (n, 2 d); unit
    vectors as is.
    """
    x = np.asarray(x, dtype=np.float64)
    return np.concatenate([np.cos(x), np.sin(x)], -1) if torus else x


def half_squared_chord(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """|a - b|^2 / 2 of every pair of embedded points, (len(a), len(b)): 1 - cos(angle), summed over
    circles.
    """
    norms = (a * a).sum(1)[:, None] / 2 + (b * b).sum(1)[None] / 2
    return np.maximum(norms - a @ b.T, 0.0)


@dataclass(frozen=True)
class KernelDensity:
    """A fitted kernel density; `log_prob` is in nats against the manifold's volume.

    points: (n, d) unit vectors of S^2, or angles with torus=True. concentration: (n,), 1 / width^2
    of each kernel.
    uniform: the share of the uniform law.
    """

    points: np.ndarray
    concentration: np.ndarray
    uniform: float
    torus: bool = False

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """Log density at x, (m, d) to (m,)."""
        smooth = mixture_log_prob(
            embed(x, self.torus), embed(self.points, self.torus), self.concentration, self.torus
        )
        return mix(smooth, self.uniform, uniform_log_prob(self.points.shape[1], self.torus))


def uniform_log_prob(size: int, torus: bool) -> float:
    return -size * math.log(2 * math.pi) if torus else -math.log(4 * math.pi)


def mix(log_prob: np.ndarray, share: float, other: np.ndarray | float) -> np.ndarray:
    """Log of (1 - share) p + share q from their logs."""
    if share <= 0:
        return log_prob
    return np.logaddexp(np.log1p(-share) + log_prob, math.log(share) + other)


def log_peak(kappa: np.ndarray, circles: int, torus: bool) -> np.ndarray:
    """Log density of a kernel at its centre."""
    if torus:
        return -circles * np.log(2 * np.pi * i0e(kappa))
    return np.log(kappa / (2 * np.pi)) - np.log1p(-np.exp(-2 * kappa))


def mixture_log_prob(
    x: np.ndarray, centres: np.ndarray, kappa: np.ndarray, torus: bool
) -> np.ndarray:
    """Log density at embedded x, (m,), of equal shares of kernels at embedded centres."""
    peak = log_peak(kappa, centres.shape[1] // 2, torus) - math.log(len(centres))
    parts = []
    for rows in np.array_split(x, max(1, math.ceil(len(x) * len(centres) / ROWS))):
        parts.append(log_sum_exp(peak - kappa * half_squared_chord(rows, centres)))
    return np.concatenate(parts)


def log_sum_exp(a: np.ndarray) -> np.ndarray:
    """Over the last axis, in the place of `a`."""
    top = a.max(1)
    a -= top[:, None]
    below = a.astype(np.float32)  # its exponentials cost a fifth, and are good to 1e-7
    return top + np.log(np.exp(below, out=below).sum(1, dtype=np.float64))


def neighbour_distances(points: np.ndarray, k: tuple[int, ...]) -> np.ndarray:
    """Chord from each embedded point to its k-th other point, (n, len(k))."""
    # the first is the point itself
    return cKDTree(points).query(points, [1 + each for each in k])[0]


def fit(train: np.ndarray, validation: np.ndarray, *, torus: bool = False) -> KernelDensity:
    """The kernel density of `train` whose neighbour, factor and uniform share serve `validation`
    best.

    train, validation: unit vectors (n, 3), or angles (n, d) with torus=True. Nothing else is looked
    at.
    """
    a, b = embed(train, torus), embed(validation, torus)
    outside = uniform_log_prob(train.shape[1], torus)
    neighbours = tuple(k for k in NEIGHBOURS if k < len(a))
    if not neighbours:
        raise ValueError(f"train: expected at least {NEIGHBOURS[0] + 1} points, got {len(a)}")
    if len(b) > MOST:
        b = b[np.random.default_rng(0).choice(len(b), MOST, replace=False)]
    chords = neighbour_distances(a, neighbours)
    best = (math.inf, None, 0.0)
    parts = np.array_split(b, max(1, math.ceil(len(b) * len(a) / ROWS)))
    candidates = [(place, factor) for place in range(len(neighbours)) for factor in FACTORS]
    values = {candidate: [] for candidate in candidates}
    for rows in parts:
        apart = half_squared_chord(rows, a)
        for place, factor in candidates:
            kappa = _concentration(chords[:, place], factor)
            peak = log_peak(kappa, a.shape[1] // 2, torus) - math.log(len(a))
            values[place, factor].append(log_sum_exp(peak - kappa * apart))
    for candidate, found in values.items():
        smooth = np.concatenate(found)
        for share in UNIFORM:
            value = -mix(smooth, share, outside).mean()
            if value < best[0]:
                best = value, candidate, share
    place, factor = best[1]
    return KernelDensity(train, _concentration(chords[:, place], factor), best[2], torus)


def _concentration(chord: np.ndarray, factor: float) -> np.ndarray:
    return 1 / np.maximum((factor * chord) ** 2, 1 / SHARPEST)
