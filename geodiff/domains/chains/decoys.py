"""Backbones that are wrong in a known way: what every measure must be seen to catch, or to miss."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from geodiff.domains.chains import geometry
from geodiff.domains.chains.chain import Chain
from geodiff.paths import data_path

TITLES = ("noise 0.1", "noise 0.3", "mirror", "random phi/psi")


def decoys(chains: Sequence[Chain], seed: int = 0) -> dict[str, list[Chain]]:
    """The four kinds of TITLES, each made of all `chains`; chain i depends on (seed, i) alone.

    Args:
        chains: real ones.
        seed: of the random kinds.

    Returns: by title, as many chains as given.
    """

    def streams(kind: int) -> list[np.random.Generator]:
        return [np.random.default_rng((seed, kind, i)) for i in range(len(chains))]

    return {
        "noise 0.1": [jittered(c, 0.1, g) for c, g in zip(chains, streams(0))],
        "noise 0.3": [jittered(c, 0.3, g) for c, g in zip(chains, streams(1))],
        "mirror": [mirrored(c) for c in chains],
        "random phi/psi": [random_torsions(c, g) for c, g in zip(chains, streams(2))],
    }


def jittered(chain: Chain, scale: float, generator: np.random.Generator) -> Chain:
    """Every residue moved as a whole by normal noise; O put back into the peptide plane.

    Args:
        chain: to move.
        scale: standard deviation of each axis, angstrom.
        generator: what draws.
    """
    return _with_oxygens(
        chain, chain.coords[:, :3] + scale * generator.standard_normal((len(chain), 1, 3))
    )


def mirrored(chain: Chain) -> Chain:
    """The mirror image: every bond, contact and clash as before, every turn of the wrong hand.

    Args:
        chain: to reflect.
    """
    return replace(chain, coords=chain.coords * (-1.0, 1.0, 1.0))


def random_torsions(chain: Chain, generator: np.random.Generator) -> Chain:
    """A chain of ideal geometry with phi and psi of each residue drawn from the Ramachandran
    counts, omega 180.

    Args:
        chain: which gives length, sequence and names.
        generator: what draws.
    """
    with np.load(data_path("proteins", "rama_map.npz")) as file:
        counts = file["counts"]
    bins = generator.choice(counts.size, size=len(chain), p=counts.ravel() / counts.sum())
    phi, psi = -180 + 360 / len(counts) * (
        np.stack(np.divmod(bins, len(counts))) + generator.random((2, len(chain)))
    )
    return _with_oxygens(replace(chain, gaps=None), from_torsions(phi, psi))


def from_torsions(
    phi: np.ndarray, psi: np.ndarray, omega: np.ndarray | float = 180.0
) -> np.ndarray:
    """N, CA, C of a chain with ideal bonds and angles.

    Args:
        phi: (n,), degrees; the first has no meaning.
        psi: (n,), degrees; the last has no meaning.
        omega: (n,) or one for all, degrees; omega[i] turns the bond from residue i - 1 to i.

    Returns: (n, 3, 3), angstrom.
    """
    n = len(phi)
    omega = np.broadcast_to(omega, n)
    bend = np.radians(geometry.N_CA_C)
    start = [
        (geometry.N_CA * np.cos(bend), geometry.N_CA * np.sin(bend), 0.0),
        (0.0, 0.0, 0.0),
        (geometry.CA_C, 0.0, 0.0),
    ]
    # Bonds C-N, N-CA, CA-C of each further residue: a turn from the frame of the bond before, and a
    # length.
    torsions = np.radians(np.stack([psi[:-1], omega[1:], phi[1:]], -1))
    bends = np.radians([geometry.CA_C_N, geometry.C_N_CA, geometry.N_CA_C])
    lengths = np.tile([geometry.C_N, geometry.N_CA, geometry.CA_C], n - 1)
    cosine, sine = np.cos(torsions), np.sin(torsions)
    along = np.stack(
        [
            np.broadcast_to(-np.cos(bends), cosine.shape),
            np.sin(bends) * cosine,
            np.sin(bends) * sine,
        ],
        -1,
    )
    normal = np.stack([np.zeros_like(sine), -sine, cosine], -1)
    turns = np.stack([along, np.cross(normal, along), normal], -1).reshape(-1, 3, 3)
    frame, bonds = np.eye(3), np.empty((len(turns), 3))
    for k, turn in enumerate(turns):
        frame = frame @ turn
        bonds[k] = lengths[k] * frame[:, 0]
    return np.concatenate([start, start[2] + bonds.cumsum(0)]).reshape(-1, 3, 3)


def _with_oxygens(chain: Chain, coords: np.ndarray) -> Chain:
    return replace(
        chain, coords=np.concatenate([coords, geometry.oxygens(coords, ~chain.gaps)[:, None]], 1)
    )
