"""The harmonic prior of a molecule: bonded atoms start near each other (Jing et al. 2023, eq. 5;
Volk et al. 2023).
"""

import torch
from torch import Tensor

# Standard deviation, angstrom and axis, of the difference of two atoms joined by one bond and
# nothing else: the mean distance is then 1.6, a bond length.
BOND_STD = 1.0


def harmonic_root(bonded: Tensor, mask: Tensor) -> Tensor:
    """Symmetric root A of the prior covariance, (batch, n, n): A @ standard normal (n, 3) is a
    draw.

    The density is exp(-sum over bonds |x_i - x_j|^2 / (2 BOND_STD^2)) on centred clouds, so A =
    BOND_STD L^(-1/2) with L the graph Laplacian and the inverse on its range. The symmetric root,
    unlike eigenvectors, is unique: permuting the atoms permutes it. A molecule of several fragments
    has every fragment centred on the origin.

    Args:
        bonded: (batch, n, n) bool.
        mask: (batch, n) bool; rows and columns of masked atoms are 0.
    """
    pairs = mask[:, :, None] & mask[:, None, :]
    adjacency = (bonded & pairs).to(torch.float64)
    laplacian = torch.diag_embed(adjacency.sum(-1)) - adjacency
    values, vectors = torch.linalg.eigh(laplacian)
    # Eigenvalues of a connected graph of n <= 1,000 atoms are 0 or above 4 sin^2(pi / 2n) > 9e-6.
    safe = torch.where(values > 1e-6, values, torch.ones_like(values))
    inverse = torch.where(values > 1e-6, safe.rsqrt(), torch.zeros_like(values))
    return BOND_STD * (vectors * inverse[:, None, :]) @ vectors.transpose(-1, -2)
