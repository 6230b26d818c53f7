"""A protein backbone and the compact file that holds many."""

import os
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from geodiff.files import replacing

ATOMS = ("N", "CA", "C", "O")
LETTERS = "ACDEFGHIKLMNPQRSTVWYX"  # X: an amino acid that is none of the twenty


@dataclass(frozen=True, eq=False)
class Chain:
    """The backbone of one protein chain. Raises ValueError if the parts do not fit together."""

    coords: np.ndarray  # (n, 4, 3) float64, angstrom: N, CA, C, O; finite
    sequence: str  # n letters of LETTERS
    name: str = "chain"  # of the structure: an entry, a file or a sample
    chain_id: str = "A"  # as in the file
    numbers: np.ndarray | None = None  # (n,) int, as in the file; None for 1, 2, 3, ...
    insertions: tuple[str, ...] | None = None  # n insertion codes, "" for none; None for all ""
    # (n - 1,) bool: residues are missing between i and i + 1; None for no gap
    gaps: np.ndarray | None = None
    cluster: int = -1  # of similar sequences; -1 where unknown

    def __post_init__(self) -> None:
        coords = np.array(self.coords, dtype=np.float64)
        n = len(coords)
        if coords.ndim != 3 or coords.shape[1:] != (4, 3) or n == 0:
            raise ValueError(
                "coords: expected (n, 4, 3) of N, CA, C, O in angstrom with n > 0, got "
                f"{coords.shape}"
            )
        if not np.isfinite(coords).all():
            raise ValueError(
                f"coords: {self.name} has coordinates that are not finite; leave these residues out"
            )
        if len(self.sequence) != n or set(self.sequence) - set(LETTERS):
            raise ValueError(f"sequence: expected {n} letters of {LETTERS}, got {self.sequence!r}")
        numbers = (
            np.arange(1, n + 1) if self.numbers is None else np.array(self.numbers, dtype=np.int64)
        )
        insertions = ("",) * n if self.insertions is None else tuple(self.insertions)
        gaps = np.zeros(n - 1, dtype=bool) if self.gaps is None else np.array(self.gaps, dtype=bool)
        for field, length, wanted in (
            ("numbers", len(numbers), n),
            ("insertions", len(insertions), n),
            ("gaps", len(gaps), n - 1),
        ):
            if length != wanted:
                raise ValueError(f"{field}: expected {wanted} for {n} residues, got {length}")
        for array in (coords, numbers, gaps):
            array.flags.writeable = False
        for field, value in (
            ("coords", coords),
            ("numbers", numbers),
            ("insertions", insertions),
            ("gaps", gaps),
        ):
            object.__setattr__(self, field, value)

    def __len__(self) -> int:
        return len(self.coords)

    def label(self, i: int) -> str:
        """Residue i in words, for example G52A: letter, number, insertion code.

        Args:
            i: which residue, counted from 0.
        """
        return f"{self.sequence[i]}{self.numbers[i]}{self.insertions[i]}"

    def slice(self, start: int, stop: int) -> "Chain":
        """Residues start to stop - 1 as a chain of their own.

        Args:
            start: first residue, counted from 0; negative from the end.
            stop: one past the last residue; negative from the end.
        """
        start, stop, _ = slice(start, stop).indices(len(self))
        return replace(
            self,
            coords=self.coords[start:stop],
            sequence=self.sequence[start:stop],
            numbers=self.numbers[start:stop],
            insertions=self.insertions[start:stop],
            gaps=self.gaps[start : max(start, stop - 1)],
        )

    def pieces(self, longest_bond: float = np.inf) -> list["Chain"]:
        """The chain cut at its gaps, and where C-N is longer than `longest_bond`.

        Args:
            longest_bond: angstrom.
        """
        bonds = np.linalg.norm(self.coords[1:, 0] - self.coords[:-1, 2], axis=-1)
        cuts = [0, *(np.flatnonzero(self.gaps | (bonds > longest_bond)) + 1).tolist(), len(self)]
        return [self.slice(a, b) for a, b in pairwise(cuts)]


def load_chains(path: str | os.PathLike) -> list[Chain]:
    """Chains of an npz file as `save_chains` writes it: coords, offsets, ids, seq and cluster30 if
    there.

    Args:
        path: of the file.

    Raises: FileNotFoundError, or ValueError naming the path and the fault.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path: {path} does not exist")
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"path: {path} is no readable npz file, it may be cut; write chain files with "
            "save_chains"
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            fields = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"path: {path} is no readable npz file: {error}") from error
    missing = {"coords", "offsets", "ids", "seq"} - fields.keys()
    if missing:
        raise ValueError(
            f"path: {path} lacks {', '.join(sorted(missing))}; write chain files with save_chains"
        )
    coords, offsets = fields["coords"], fields["offsets"]
    for name, kinds, words in (
        ("offsets", "iu", "whole numbers"),
        ("ids", "U", "text"),
        ("seq", "U", "text"),
    ):
        if fields[name].dtype.kind not in kinds or fields[name].ndim != 1:
            raise ValueError(
                f"path: {path}: {name} should be a row of {words}, got {fields[name].dtype} "
                f"{fields[name].shape}; write chain files with save_chains"
            )
    ids, sequences = fields["ids"].tolist(), fields["seq"].tolist()
    if (
        not len(offsets) == len(ids) + 1 == len(sequences) + 1
        or offsets[0] != 0
        or offsets[-1] != len(coords)
    ):
        raise ValueError(
            f"path: {path} has {len(ids)} ids, {len(sequences)} sequences and offsets that do not "
            "fit"
        )
    clusters = fields.get("cluster30", np.full(len(ids), -1)).tolist()
    return [
        Chain(coords[a:b], sequence, name, cluster=cluster)
        for a, b, sequence, name, cluster in zip(
            offsets[:-1], offsets[1:], sequences, ids, clusters
        )
    ]


def save_chains(path: str | os.PathLike, chains: Sequence[Chain]) -> None:
    """Write chains without gaps as npz (float32); the file appears whole or not at all.

    Numbering and chain ids are not kept.

    Args:
        path: of the file to write.
        chains: at least one.

    Raises: ValueError for a chain with gaps: write its `pieces()`.
    """
    broken = [chain.name for chain in chains if chain.gaps.any()]
    if broken or not chains:
        raise ValueError(
            f"chains: expected chains without gaps, got {broken[:5] or 'none'}; write their "
            "pieces()"
        )
    with replacing(path) as part, open(part, "wb") as file:
        np.savez_compressed(
            file,
            coords=np.concatenate([chain.coords for chain in chains]).astype(np.float32),
            offsets=np.cumsum([0, *map(len, chains)]),
            ids=np.array([chain.name for chain in chains]),
            seq=np.array([chain.sequence for chain in chains]),
            cluster30=np.array([chain.cluster for chain in chains]),
        )
