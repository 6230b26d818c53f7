"""How good are the backbones that the shipped model draws, beside real chains?

60 chains of 50 to 100 residues, 100 network calls each, seeds fixed, no filter and no relaxing.
Every quantity stands beside the 90 real validation chains and the range that the model has to
reach. No sequence is designed and nothing is folded, so this says nothing about what others call
designable. With --novelty, the TM-score of each chain to its most similar training chain (needs
tmtools; minutes), beside the same for real validation chains.

    python examples/benchmarks/backbones.py [--model PATH] [--fast] [--out DIR] [--novelty]
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from geodiff import proteins
from geodiff.domains.chains.metrics import report
from geodiff.paths import data_path
from geodiff.process.randomness import Noise
from geodiff.proteins.evaluation import references
from geodiff.proteins.model import DEFAULT_MODEL
from geodiff.proteins.sampling import STEPS, sample_poses
from geodiff.training.models import precise, trained
from manifolds import SO3

# Quantity, the least and the most that is asked for, and the goal.
ASKED = [
    ("C-N in [1.23, 1.43]", 0.7, 1.0, "0.9"),
    ("CA-CA in (3.6, 4.0)", 0.9, 1.0, "0.97"),
    ("phi < 0", 0.88, 1.0, "0.9"),
    ("Ramachandran in 98 %", None, None, ""),
    ("clashes per 100 residues", 0.0, 20.0, "5"),
    ("helix", 0.2, 0.5, ""),
    ("strand", 0.01, 0.5, ""),
    ("Rg ratio", 0.9, 1.2, ""),
    ("contacts per residue", None, None, ""),
    ("chains with all checks", None, None, ""),
]


def turned(model, length: int = 60) -> float:
    """By how much chains fail to turn with their noise, nanometres and rotation entries."""
    field = precise(trained(model, "proteins", DEFAULT_MODEL))
    noise = field.corruption.base(4, length, generator=Noise(0), dtype=torch.float64)
    turn = torch.eye(4, dtype=torch.float64)
    turn[:3, :3] = SO3().random_point(1, generator=Noise(1), dtype=torch.float64)[0]
    made, _ = sample_poses(field, [length] * 4, noise)
    moved, _ = sample_poses(field, [length] * 4, turn @ noise)
    return float((moved - turn @ made).abs().max())


def novelty(chains, training) -> np.ndarray:
    """The largest TM-score of each chain to a training chain of nearly its length, by the longer of
    the two.
    """
    from tmtools import tm_align

    best = []
    for chain in chains:
        near = [t for t in training if abs(len(t) - len(chain)) <= 0.15 * len(chain)]
        scores = [
            tm_align(chain.coords[:, 1], t.coords[:, 1], chain.sequence, t.sequence) for t in near
        ]
        best.append(max((min(s.tm_norm_chain1, s.tm_norm_chain2) for s in scores), default=0.0))
    return np.array(best)


def main() -> dict[str, float]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", help="weights: a path or a shipped name (default: the shipped ones)"
    )
    parser.add_argument(
        "--steps", type=int, default=STEPS, help="network calls a chain (default %(default)s)"
    )
    parser.add_argument("-n", type=int, default=60, help="chains (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--out", type=Path, help="write the chains here as PDB files, with a page and a picture"
    )
    parser.add_argument(
        "--novelty", action="store_true", help="also TM-scores to the training chains"
    )
    parser.add_argument(
        "--fast", action="store_true", help="4 chains, 10 calls: shows that it runs"
    )
    arguments = parser.parse_args()
    n, steps = (4, 10) if arguments.fast else (arguments.n, arguments.steps)
    lengths = np.linspace(50, 100, n).round().astype(int).tolist()
    started = time.perf_counter(), time.process_time()
    chains = proteins.sample(lengths, seed=arguments.seed, model=arguments.model, steps=steps)
    wall, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
    values, real = report(chains).values(), references()["val chains"]
    print(
        f"{n} chains of {lengths[0]} to {lengths[-1]} residues, {steps} calls: {wall / n:.2f} s a "
        f"chain ({cpu / n:.2f} CPU s)\n"
    )
    print(f"{'':28}{'samples':>9}{'real':>9}   expected")
    for name, low, high, goal in ASKED:
        expected = "" if low is None else f"{low} to {high}" + (f" (goal {goal})" if goal else "")
        missed = "" if low is None or low <= values[name] <= high else "   MISSED"
        print(f"{name:28}{values[name]:9.3f}{real[name]:9.3f}   {expected}{missed}")
    print(
        f"\nnoise turned, chains turned along to {turned(arguments.model):.1e}   (expected below "
        "1e-4)"
    )
    if arguments.novelty:
        train, val = (
            proteins.load_chains(data_path("proteins", f"backbones_{part}.npz"))
            for part in ("train", "val")
        )
        for title, some in (("samples", chains), ("real validation chains", val[:n])):
            scores = novelty(some, train)
            print(
                f"largest TM-score to a training chain, {title}: mean {scores.mean():.2f}, "
                f"above 0.9 {np.mean(scores > 0.9):.2f}, below 0.5 {np.mean(scores < 0.5):.2f}"
            )
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        for chain in chains:
            proteins.write(arguments.out / f"{chain.name}.pdb", chain)
        proteins.view.page(chains, arguments.out / "backbones.html", "Backbones drawn by geodiff")
        proteins.view.picture(chains, arguments.out / "backbones.png")
        print(f"wrote {arguments.out}")
    return values


if __name__ == "__main__":
    main()
