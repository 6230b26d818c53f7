"""How good are the grasps of the shipped model on objects that it has not seen?

Mugs, bowls, bottles, boxes and cylinders of seeds outside the training data; grasps in MuJoCo after
protocol MJ-B, nothing filtered; random poses beside them. Prints each figure beside what is asked
of it.

    python examples/benchmarks/grasps.py [--model PATH] [--objects 20] [-n 50] [--fast] python
    examples/benchmarks/grasps.py --data FOLDER [--model PATH] # on the user's own labelled objects
    instead
"""

import argparse
import sys
from pathlib import Path

from geodiff.grasps.evaluation import Evaluation, evaluate

# name, figure of an evaluation, least or most that is asked, and which of the two.
ASKED = (
    ("MJ-B success, held-out objects", lambda e: e.mean("success"), 0.6, "at least"),
    ("the ten of least cost", lambda e: e.mean("top"), 0.6, "at least"),
    ("free of collision", lambda e: e.mean("free"), 0.9, "at least"),
    ("random poses", lambda e: e.figures["success of random poses"], 0.05, "at most"),
    (
        "AUC of -E, mean of objects",
        lambda e: e.figures["AUC of labelled candidates, mean of objects"],
        0.75,
        "at least",
    ),
    (
        "AUC of -E, all together",
        lambda e: e.figures["AUC of labelled candidates, all together"],
        0.75,
        "at least",
    ),
    ("curl", lambda e: e.figures["curl of the energy's gradient"], 1e-5, "at most"),
    (
        "equivariance error, rad + dm",
        lambda e: e.figures["equivariance error, rad + dm"],
        1e-4,
        "at most",
    ),
    (
        "100 grasps, one thread, s",
        lambda e: e.figures["100 grasps with encoding, one thread, CPU s"],
        4.0,
        "at most",
    ),
)


def report(evaluation: Evaluation) -> bool:
    """Print the figures beside what is asked; whether all are met."""
    met = True
    for name, figure, bound, side in ASKED:
        value = figure(evaluation)
        good = value >= bound if side == "at least" else value <= bound
        met &= good
        print(f"{name:<34}{value:10.3g}   {side} {bound:g}{'' if good else '   NOT MET'}")
    return met


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", help="weights: a path or a shipped name (default: the shipped ones)"
    )
    parser.add_argument("--objects", type=int, default=20, help="(default %(default)s)")
    parser.add_argument(
        "-n", type=int, default=50, help="grasps of each object (default %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="(default %(default)s)")
    parser.add_argument(
        "--steps", type=int, help="network evaluations a grasp (default: the model's)"
    )
    parser.add_argument(
        "--data",
        type=Path,
        help="a folder of labelled grasps with meshes; its held-out part is used",
    )
    parser.add_argument("--fast", action="store_true", help="five objects, five grasps each")
    arguments = parser.parse_args()
    objects, n = (5, 5) if arguments.fast else (arguments.objects, arguments.n)
    steps = {} if arguments.steps is None else {"steps": arguments.steps}
    evaluation = evaluate(
        model=arguments.model,
        objects=objects,
        n=n,
        seed=arguments.seed,
        data=arguments.data,
        **steps,
    )
    print(evaluation.table())
    print()
    return 0 if report(evaluation) else 1


if __name__ == "__main__":
    sys.exit(main())
