"""From a folder of structure files to the compact file that training reads."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from geodiff.domains.chains.chain import Chain, save_chains
from geodiff.domains.chains.io import read, structure_files
from geodiff.domains.chains.metrics import FAR, Measures, measure
from geodiff.jobs.failures import write_failures
from geodiff.jobs.pool import Failed, run_each
from geodiff.jobs.resume import folder_for

logger = logging.getLogger(__name__)

LONGEST_BOND = 1.6  # angstrom; chains are cut where C-N is longer
CHAINS, REJECTED = "chains.npz", "rejected.csv"


@dataclass(frozen=True)
class Rules:
    """What a chain must satisfy to be trained on."""

    shortest: int = 40  # residues
    longest: int = 256  # residues
    rg_ratio: float = 1.25  # at most; real globular chains 0.94-1.20
    far_contacts: float = 0.3  # long-range contacts per residue, at least
    loop: float = 0.65  # share, at most; loopy chains teach broken bonds


@dataclass(frozen=True)
class Counts:
    """What `prepare` read, kept and left out."""

    files: int  # read
    unreadable: int  # of these
    pieces: int  # chains cut at gaps and bad bonds
    kept: int  # of these pieces
    residues: int  # of those kept
    rejected: Mapping[str, int]  # by reason

    def __str__(self) -> str:
        why = ", ".join(f"{count} {reason}" for reason, count in self.rejected.items())
        return (
            f"{self.files} files ({self.unreadable} unreadable), {self.pieces} pieces, kept "
            f"{self.kept} with {self.residues} residues" + (f"; left out: {why}" if why else "")
        )


class Sifted(NamedTuple):
    """A piece of a chain, and what is wrong with it."""

    name: str
    file: str  # without its suffix
    chain: Chain
    fault: str | None  # in words that many share


@dataclass(frozen=True)
class Rejected:
    """A piece, or a file, that was left out."""

    name: str  # of the piece or the file
    reason: str  # in words that many share
    detail: str  # of this one; may be empty


def prepare(
    folder: str | os.PathLike,
    out: str | os.PathLike,
    *,
    rules: Rules = Rules(),
    clusters: str | os.PathLike | None = None,
    workers: int | None = None,
    time_limit: float = 600.0,
    progress: Callable[[int, int], None] | None = None,
) -> Counts:
    """Clean chains of all structure files of `folder` as `out`/chains.npz; what was left out in
    `out`/rejected.csv.

    Chains are cut at gaps and where C-N is above 1.6 angstrom; a piece is named file_chain, with
    _1, _2, ... if there are several. Left out: pieces that break a rule, sequences that came
    before, CA-CA outside [2.7, 4.1] angstrom, 2 % or more of the bonds outside wide limits. A file
    that cannot be read, or that ends the process that reads it, counts as unreadable and holds up
    no other. The result does not depend on the number of processes.

    Args:
        folder: of structure files, .pdb, .ent, .cif, .mmcif, also .gz.
        out: another folder.
        rules: what a piece must satisfy.
        clusters: a table of two columns, representative and member, as `mmseqs easy-cluster` writes
            it, with the names of the pieces or their files; None makes every chain a cluster of its
            own.
        workers: processes; None takes one for each core.
        time_limit: seconds a file may take.
        progress: called as progress(done, files) after each.

    Returns:
        What was read, kept and left out.

    Raises:
        FileNotFoundError: for a missing folder.
        ValueError: if no chain is left.
    """
    files = structure_files(folder)
    if not files:
        raise ValueError(f"folder: {folder} holds no .pdb, .ent, .cif or .mmcif files")
    groups = _clusters(Path(clusters)) if clusters is not None else None
    out = folder_for(Path(out))
    kept: list[Chain] = []
    rejected: list[Rejected] = []
    seen: set[str] = set()
    pieces = unreadable = 0
    outcomes = _sift_each(files, rules, workers=workers, limit=time_limit, progress=progress)
    for path, outcome in zip(files, outcomes):
        if isinstance(outcome, Failed):
            unreadable += 1
            rejected.append(Rejected(path.name, "unreadable", outcome.reason))
            continue
        pieces += len(outcome)
        for name, file, piece, fault in outcome:
            reason = fault or ("sequence seen before" if piece.sequence in seen else None)
            if reason:
                rejected.append(Rejected(name, reason, ""))
                continue
            seen.add(piece.sequence)
            kept.append(replace(piece, name=name, cluster=_cluster(groups, name, file, len(kept))))
    write_failures(out / REJECTED, rejected)
    reasons = Counter(one.reason for one in rejected if one.reason != "unreadable")
    if not kept:
        raise ValueError(
            f"folder: no chain of {folder} is left ({unreadable} unreadable files"
            + "".join(f", {n} {reason}" for reason, n in reasons.items())
            + f"); see {out / REJECTED}"
        )
    save_chains(out / CHAINS, kept)
    return Counts(
        len(files), unreadable, pieces, len(kept), sum(map(len, kept)), dict(reasons.most_common())
    )


def _sift_each(
    files: Sequence[Path],
    rules: Rules,
    *,
    workers: int | None,
    limit: float,
    progress: Callable[[int, int], None] | None,
) -> list[list[Sifted] | Failed]:
    """The pieces of each file, or why there are none, in the order of the files."""
    outcomes: dict[int, Any] = {}

    def done(place: int, outcome: Any) -> None:
        outcomes[place] = outcome
        if progress is not None:
            progress(len(outcomes), len(files))

    tasks = [(path.resolve(), rules) for path in files]
    run_each(sift, tasks, workers=workers, limit=limit, done=done)
    sifted = []
    for place in range(len(files)):
        outcome = outcomes[place]
        if not isinstance(outcome, Failed):
            outcome, notes = outcome
            for note in notes:
                logger.info("%s", note)
        sifted.append(outcome)
    return sifted


def sift(task: tuple[Path, Rules]) -> tuple[list[Sifted], list[str]]:
    """The pieces of one file, as `prepare` starts it in a process of its own, and what was noted.

    Args:
        task: the file, and what a piece must satisfy.
    """
    path, rules = task
    chains, notes = read(path)
    found = []
    for chain in chains:
        cut = chain.pieces(LONGEST_BOND)
        for i, piece in enumerate(cut, 1):
            name = f"{chain.name}_{chain.chain_id}" + (f"_{i}" if len(cut) > 1 else "")
            found.append(Sifted(name, chain.name, piece, _fault(piece, rules)))
    return found, list(map(str, notes))


def _fault(chain: Chain, rules: Rules) -> str | None:
    """Why a piece is left out, in words that many share; None for a good one."""
    if len(chain) < max(5, rules.shortest):
        return "too short"
    if len(chain) > rules.longest:
        return "too long"
    m = measure(chain)
    if m.ca_ca.min() < 2.7 or m.ca_ca.max() > 4.1:
        return "CA-CA outside [2.7, 4.1] angstrom"
    wide = ((m.n_ca, 1.46), (m.ca_c, 1.525), (m.c_n, 1.33))
    if np.mean(np.concatenate([np.abs(bonds - mean) > 0.1 for bonds, mean in wide])) >= 0.02:
        return "2 % of bonds off by 0.1 angstrom"
    return next((reason for reason, broken in _GLOBULAR.items() if broken(m, rules)), None)


_GLOBULAR: dict[str, Callable[[Measures, Rules], bool]] = {
    "Rg too large": lambda m, rules: m.rg_ratio > rules.rg_ratio,
    f"too few contacts {FAR} or more residues apart": lambda m, rules: (
        m.far_contacts < rules.far_contacts * m.residues
    ),
    "too much loop": lambda m, rules: 1 - m.helix - m.strand > rules.loop,
}


def _clusters(path: Path) -> dict[str, int]:
    if not path.is_file():
        raise FileNotFoundError(f"clusters: {path} does not exist")
    numbers: dict[str, int] = {}
    members: dict[str, int] = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        words = line.split()
        if len(words) != 2:
            raise ValueError(
                f"clusters: line {number} of {path} should hold a representative and a member, "
                f"got {line!r}"
            )
        members[words[1]] = numbers.setdefault(words[0], len(numbers))
    return members


def _cluster(groups: dict[str, int] | None, name: str, file: str, fallback: int) -> int:
    if groups is None:
        return fallback
    found = groups.get(name, groups.get(file))
    if found is None:
        raise ValueError(
            f"clusters: {name} is not in the table; cluster the pieces of this folder, "
            "or leave the table out"
        )
    return found
