"""Backbones from noise: frames flow from the base to chains, in batches of similar length."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import torch

from geodiff.domains.chains.chain import Chain
from geodiff.domains.chains.io import write
from geodiff.jobs.batches import by_pairs
from geodiff.process import sampling
from geodiff.process.field import Field
from geodiff.process.levels import Levels
from geodiff.process.randomness import Noise
from geodiff.process.samplers import Stepper
from geodiff.proteins.datasets import PAIR_BUDGET, ChainBatch, poses_to_chains
from geodiff.proteins.model import DEFAULT_MODEL, sampling_levels
from geodiff.training.models import precise, trained

STEPS = 100
LONGEST = 1000  # residues of a chain to sample: pairs of them are held in memory


def sample_poses(
    field: Field,
    lengths: Sequence[int],
    noise: Any,
    *,
    steps: int = STEPS,
    stepper: Stepper | None = None,
    levels: Levels | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Poses (batch, n, 4, 4) in nanometres of chains of these lengths, and the mask (batch, n) of
    their residues.

    Args:
        field: of backbones.
        lengths: residues of each chain.
        noise: a generator, or a draw of the corruption's base (batch, n, 4, 4), whose rotation
            turns the chains along.
        steps: network evaluations a chain.
        stepper: as `geodiff.process.sampling.sample` takes it.
        levels: by default those of `model.sampling_levels`.

    Raises: ValueError for noise of another shape.
    """
    like = next(field.parameters())
    sizes = torch.as_tensor(lengths, device=like.device)
    index = torch.arange(int(sizes.max()), device=like.device)
    mask = index < sizes[:, None]
    index = torch.where(mask, index, 0)
    condition = ChainBatch(index, torch.zeros_like(index), mask)
    if not isinstance(noise, torch.Tensor):
        noise = field.corruption.base(
            *mask.shape,
            generator=noise,
            dtype=like.dtype,
            device=like.device,
            mask=mask,
            condition=condition,
        )
    elif noise.shape != (*mask.shape, 4, 4):
        raise ValueError(
            f"noise: expected a generator or poses {(*mask.shape, 4, 4)}, as the lengths ask for, "
            f"got {tuple(noise.shape)}"
        )
    levels = sampling_levels(field.corruption, steps) if levels is None else levels
    poses = sampling.sample(
        field, noise, stepper=stepper, levels=levels, condition=condition, mask=mask, remember=True
    )
    return poses, mask


def sample(
    lengths: int | Sequence[int],
    n: int = 1,
    *,
    seed: int = 0,
    model: Field | str | Path | None = None,
    steps: int = STEPS,
    batch_size: int | None = None,
    device: str | torch.device = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> list[Chain]:
    """New backbones: `n` of each length, as chains of glycine with N, CA, C and O, in the order of
    `lengths`.

    A chain depends on (seed, place in `lengths`, its number) only; on a GPU, where the network
    keeps its precision, up to rounding that the batch makes.

    Args:
        lengths: residues of a chain, or a list.
        n: chains of each length.
        seed: the same seed makes the same chains.
        model: a field, a path, or a shipped name; None takes the shipped default.
        steps: network evaluations a chain.
        batch_size: chains made at once; None fills batches by residue pairs.
        device: "auto", "cpu", "cuda", "cuda:1"; "auto" leaves a field where it is.
        progress: called as progress(done, total), in chains.

    Raises: ValueError for lengths outside 1 to LONGEST and for n < 1, TypeError for what is no
        whole number.
    """
    made = dict(_sampled(lengths, n, seed, model, steps, batch_size, device, progress))
    return [made[key] for key in sorted(made)]


def sample_folder(
    lengths: int | Sequence[int],
    out: str | Path,
    n: int = 1,
    *,
    seed: int = 0,
    model: Field | str | Path | None = None,
    steps: int = STEPS,
    batch_size: int | None = None,
    device: str | torch.device = "auto",
    suffix: str = ".pdb",
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write new backbones to the folder `out`, a file each, batch by batch; returns the files, as
    `sample` orders them.

    Files that are there are written anew.

    Args:
        lengths: residues of a chain, or a list.
        out: the folder; made where it is missing.
        n: chains of each length.
        seed: the same seed makes the same chains.
        model: a field, a path, or a shipped name; None takes the shipped default.
        steps: network evaluations a chain.
        batch_size: chains made at once; None fills batches by residue pairs.
        device: "auto", "cpu", "cuda", "cuda:1"; "auto" leaves a field where it is.
        suffix: ".pdb" or ".cif".
        progress: called as progress(done, total), in chains.
    """
    if suffix not in (".pdb", ".cif"):
        raise ValueError(f"suffix: expected '.pdb' or '.cif', got {suffix!r}")
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"out: {out} is a file; give a folder")
    files = {}
    for key, chain in _sampled(lengths, n, seed, model, steps, batch_size, device, progress):
        out.mkdir(parents=True, exist_ok=True)
        files[key] = out / (chain.name + suffix)
        write(files[key], chain)
    return [files[key] for key in sorted(files)]


def _sampled(
    lengths: int | Sequence[int],
    n: int,
    seed: Any,
    model: Field | str | Path | None,
    steps: int,
    batch_size: int | None,
    device: str | torch.device,
    progress: Callable[[int, int], None] | None,
) -> Iterator[tuple[tuple[int, int], Chain]]:
    """(place, number) and chain, shortest first, batch by batch."""
    asked: list[Any] = list(lengths) if isinstance(lengths, Iterable) else [lengths]
    if not asked:
        raise ValueError("lengths: expected at least one length, got none")
    for length in asked:
        whole = isinstance(length, Integral) and not isinstance(length, bool)
        if not whole:
            raise TypeError(f"lengths: expected whole numbers of residues, got {length!r}")
        if not 1 <= length <= LONGEST:
            raise ValueError(f"lengths: expected 1 to {LONGEST} residues, got {length}")
    if not isinstance(seed, Integral):
        raise TypeError(f"seed: expected a whole number, got {seed!r}")
    counts: dict[str, Any] = {"n": n, "steps": steps} | (
        {} if batch_size is None else {"batch_size": batch_size}
    )
    for name, value in counts.items():
        if not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{name}: expected a whole number of at least 1, got {value!r}")
    field = precise(trained(model, "proteins", DEFAULT_MODEL, device=device))
    rows = sorted((int(length), place, k) for place, length in enumerate(asked) for k in range(n))
    done = 0
    # Batches of training go through memory once; those of sampling a hundred times, and are fastest
    # where they fit in the cache.
    for batch in by_pairs(rows, lambda row: row[0], budget=PAIR_BUDGET // 4, batch_size=batch_size):
        sizes, places, numbers = zip(*batch)
        poses, mask = sample_poses(
            field, sizes, Noise(int(seed)).streams(places, numbers), steps=steps
        )
        names = [f"length{size}_{place:03d}_{k:03d}" for size, place, k in batch]
        yield from zip(zip(places, numbers), poses_to_chains(poses, mask, names))
        done += len(batch)
        if progress is not None:
            progress(done, len(rows))
