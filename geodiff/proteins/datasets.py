"""Training sets of the protein task: chains as frames, one of each cluster of similar sequences an
epoch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from geodiff.domains.chains.chain import LETTERS, Chain, load_chains
from geodiff.domains.chains.frames import atoms_to_frames, frames_to_atoms
from geodiff.paths import data_path
from geodiff.process.condition import Rows
from geodiff.training.batch import TrainingBatch
from geodiff.training.datamodule import TaskData
from geodiff.training.epochs import repeated
from geodiff.training.split import split_groups

# angstrom: the unit of length of the model, in which noise and chains have one size
NANOMETRE = 10.0
# clusters in an epoch, at least: validation, once an epoch, stays below a tenth of the time
EPOCH = 5_000
PAIR_BUDGET = 400_000  # padded residue pairs in a batch: 40 chains of 100 residues


@dataclass(frozen=True)
class ChainBatch(Rows):
    """What is known of the residues of a batch of chains, padded."""

    # (batch, n) long: place in the chain, from 0; increased across gaps; 0 where masked
    index: Tensor
    letters: Tensor  # (batch, n) long: place in `chains.LETTERS`; 0 where masked
    mask: Tensor  # (batch, n) bool
    # (batch, n, 4, 4): the last estimate of the clean frames, nanometres
    previous: Tensor | None = None

    def null(self, rows: Tensor | None = None) -> "ChainBatch":
        """Refused: the network is told of places in the chain alone, and always.

        Args:
            rows: (batch,) bool.

        Raises: ValueError.
        """
        raise ValueError(
            "condition: backbones are drawn from their length alone, without which the network was "
            "never trained, so a ChainBatch has no null; there is nothing to guide by yet"
        )

    def given(self, previous: Tensor | None) -> "ChainBatch":
        """The same chains beside the last estimate of their clean frames.

        Args:
            previous: (batch, n, 4, 4), nanometres, or None.
        """
        return replace(self, previous=previous)


class ChainDataset(Dataset):
    """Chains as training items: item i is a cluster, and a chain of it is drawn at every visit.

    Chains without a cluster (-1) are clusters of their own. `sizes` are the largest lengths, so
    that `TaskData` can bucket items and keep a budget of pairs.
    Items: (coords (n, 4, 3) float32 angstrom, index (n,) long, letters (n,) long).

    Args:
        chains: at least one.
        cluster: False makes every chain an item.
        longest: residues; longer chains are cropped to a contiguous piece, drawn anew at each
            visit.
        least: a set of fewer clusters is gone through several times an epoch.
    """

    def __init__(
        self, chains: Sequence[Chain], *, cluster: bool = True, longest: int = 256, least: int = 0
    ):
        if not chains:
            raise ValueError("chains: expected at least one, got none")
        if longest < 1:
            raise ValueError(f"longest: expected a positive number of residues, got {longest}")
        self.longest = longest
        self.coords = [torch.tensor(chain.coords, dtype=torch.float32) for chain in chains]
        self.letters = [
            torch.tensor([LETTERS.index(letter) for letter in chain.sequence]) for chain in chains
        ]
        self.index = [_places(chain) for chain in chains]
        members: dict[object, list[int]] = {}
        for i, chain in enumerate(chains):
            alone = not cluster or chain.cluster < 0
            members.setdefault(("chain", i) if alone else ("cluster", chain.cluster), []).append(i)
        self.items = repeated(list(members.values()), least)
        self.sizes = [min(longest, max(len(chains[i]) for i in item)) for item in self.items]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, item: int) -> tuple[Tensor, Tensor, Tensor]:
        members = self.items[item]
        i = members[int(torch.randint(len(members), ()))]
        start = int(torch.randint(max(0, len(self.coords[i]) - self.longest) + 1, ()))
        piece = slice(start, start + self.longest)
        return (
            self.coords[i][piece],
            self.index[i][piece] - self.index[i][start],
            self.letters[i][piece],
        )


def collate_training(items: Sequence[tuple[Tensor, Tensor, Tensor]]) -> TrainingBatch:
    """`TrainingBatch` of padded frames: clean (batch, n, 4, 4) poses, nanometres, with translations
    of masked mean 0.

    Masked residues have the identity rotation and translation 0. The condition is a `ChainBatch`.

    Args:
        items: of a `ChainDataset`.
    """
    longest = max(len(coords) for coords, _, _ in items)
    poses = torch.eye(4).repeat(len(items), longest, 1, 1)
    index = torch.zeros(len(items), longest, dtype=torch.long)
    letters, mask = torch.zeros_like(index), torch.zeros_like(index, dtype=torch.bool)
    for row, (coords, places, kinds) in enumerate(items):
        n = len(coords)
        rotations, translations = atoms_to_frames(coords)
        poses[row, :n, :3, :3] = rotations
        poses[row, :n, :3, 3] = (translations - translations.mean(0)) / NANOMETRE
        index[row, :n], letters[row, :n], mask[row, :n] = places, kinds, True
    return TrainingBatch(poses, ChainBatch(index, letters, mask), mask)


def poses_to_chains(
    poses: Tensor, mask: Tensor | None = None, names: Sequence[str] | None = None, letter: str = "G"
) -> list[Chain]:
    """Chains with the backbone atoms of poses, angstrom.

    Args:
        poses: (batch, n, 4, 4), nanometres as in a `TrainingBatch`.
        mask: (batch, n) bool, the residues that are there; None for all.
        names: of the chains; None numbers them.
        letter: the name of every residue.
    """
    if poses.ndim != 4 or poses.shape[2:] != (4, 4):
        raise ValueError(f"poses: expected (batch, n, 4, 4), got {tuple(poses.shape)}")
    poses = poses.detach().cpu().double()
    mask = torch.ones(poses.shape[:2], dtype=torch.bool) if mask is None else mask.cpu()
    names = [f"sample_{i:04d}" for i in range(len(poses))] if names is None else list(names)
    chains = []
    for pose, keep, name in zip(poses, mask, names, strict=True):
        atoms = frames_to_atoms(pose[keep, :3, :3], NANOMETRE * pose[keep, :3, 3]).numpy()
        chains.append(Chain(atoms, letter * len(atoms), name))
    return chains


def _places(chain: Chain) -> Tensor:
    """0, 1, 2, ... and over a gap the jump of the numbers, at least 2 and at most 32."""
    steps = torch.ones(len(chain), dtype=torch.long)
    steps[0] = 0
    # A chain fills them in where nobody gives them.
    assert chain.numbers is not None and chain.gaps is not None
    for i in chain.gaps.nonzero()[0].tolist():
        steps[i + 1] = min(32, max(2, int(chain.numbers[i + 1] - chain.numbers[i])))
    return steps.cumsum(0)


def read_training_data(
    path: str | Path | None = None, *, validation: int = 90, seed: int = 0
) -> tuple[list[Chain], list[Chain]]:
    """Training and validation chains: the shipped ones, or those of `path`, no cluster in both.

    Args:
        path: None, an npz of `prepare` or `save_chains`, or a folder with such files.
        validation: whole clusters make up the validation set: at most so many chains, and at most a
            tenth of all.
        seed: of the drawing of these clusters.

    Raises: FileNotFoundError or ValueError naming the path.
    """
    if path is None:
        train, held = (
            load_chains(data_path("proteins", f"backbones_{split}.npz"))
            for split in ("train", "val")
        )
        return train, held
    path = Path(path)
    files = sorted(path.glob("*.npz")) if path.is_dir() else [path]
    if not files or not files[0].exists():
        raise FileNotFoundError(
            f"data: no chains at {path}; make them with: geodiff prepare proteins FOLDER -o DIR"
        )
    clusters: dict[object, list[Chain]] = {}
    for file in files:
        for i, chain in enumerate(load_chains(file)):
            # Clusters of different files have nothing to do with each other.
            clusters.setdefault((file, chain.cluster if chain.cluster >= 0 else (i,)), []).append(
                chain
            )
    groups = list(clusters.values())
    first, second = split_groups([len(group) for group in groups], validation, seed)
    return [c for i in first for c in groups[i]], [c for i in second for c in groups[i]]


def data(
    source: str | Path | None = None,
    *,
    batch_size: int = 24,
    pair_budget: int = 100_000,
    longest: int = 128,
    seed: int = 0,
    workers: int = 0,
) -> TaskData:
    """The chains at `source` as a data module, for any `pytorch_lightning.Trainer`.

    Args:
        source: as `read_training_data` takes it; None is the shipped chains.
        batch_size: chains in a batch, at most.
        pair_budget: pairs of residues in a batch, at most.
        longest: residues of a chain; longer ones are cropped.
        seed: of their order.
        workers: processes that load; 0 loads in this one.
    """
    training, validation = read_training_data(source)
    return TaskData(
        ChainDataset(training, longest=longest, least=EPOCH),
        ChainDataset(validation, cluster=False, longest=longest) if validation else None,
        collate_training,
        batch_size=batch_size,
        seed=seed,
        pair_budget=pair_budget,
        workers=workers,
        facts={
            "pair_budget": pair_budget,
            "longest": longest,
            "chains": len(training),
            "residues": sum(map(len, training)),
            "validation_chains": len(validation),
        },
    )
