"""Can a plain torch optimiser find grasps by going down the learned cost, beside a cost of its
user's own?

Random poses about an object that the model has not seen descend `grasps.CostField` with Adam, from
smooth levels of noise to none; poses move by a retraction of SE(3). Then the same with a term that
wants the hand to come from above. Prints the cost at start and end, the share that holds in MuJoCo
(where it is installed), and the tilt of the approach.

    python examples/grasp_descent.py [--fast] [-n 40] [--kind bottle] [--weight 20] [--model PATH]
"""

import argparse
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from geodiff import grasps
from geodiff.domains.bodies.objects import KINDS, make_object
from geodiff.domains.bodies.surface import sample_surface
from geodiff.grasps.evaluation import random_grasps
from geodiff.process.randomness import Noise
from manifolds import SE3

SEED = 4321  # of the object; none of the training data has it
# Shipped weights; bottle, mug, ..., 40 poses each.
EXPECTED = {
    "start": "holds 0.00 to 0.05",
    "cost alone": "holds 0.9 to 1.0",
    "and from above": "holds 0.9 to 1.0, tilt below 10",
}
METRES = torch.tensor([1.0, 1.0, 1.0, 0.1, 0.1, 0.1])  # a step of one: a radian, or 10 cm


def descend(
    cost: grasps.CostField,
    poses: Tensor,
    known,
    extra: Callable[[Tensor], Tensor] | None = None,
    *,
    levels: int = 20,
    steps: int = 8,
    rate: float = 0.08,
) -> Tensor:
    """Poses (n, 4, 4) moved by `steps` of Adam at each level of noise, from 1 to 0; extra: a term
    beside the cost.
    """
    space = SE3()
    for s in torch.linspace(1, 0, levels).tolist():
        step = torch.zeros(len(poses), 6, dtype=poses.dtype, requires_grad=True)
        optimiser = torch.optim.Adam([step], lr=rate * max(s, 0.05))
        for _ in range(steps):
            moved = space.exp(poses, step * METRES.to(poses))
            total = cost(moved, known, s).sum()
            if extra is not None:
                total = total + extra(moved).sum()
            optimiser.zero_grad()
            total.backward()
            optimiser.step()
        poses = space.exp(poses, step.detach() * METRES.to(poses))
    return poses


def tilt(poses: Tensor) -> Tensor:
    """Angle of the approach from straight down, degrees, (n,)."""
    return torch.rad2deg(torch.atan2(poses[:, :2, 2].norm(dim=-1), -poses[:, 2, 2]))


def success(poses: Tensor, item: grasps.GraspedObject) -> float:
    """The share that holds in simulation; nan without mujoco."""
    try:
        return float(
            grasps.label(grasps.GraspSet(SE3().project(poses).numpy(), item)).success.mean()
        )
    except ModuleNotFoundError:
        return float("nan")


def main() -> dict[str, float]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--fast", action="store_true", help="a few poses and steps: shows that it runs"
    )
    parser.add_argument("-n", type=int, default=40, help="poses (default %(default)s)")
    parser.add_argument(
        "--kind", choices=KINDS, default="bottle", help="of the object (default %(default)s)"
    )
    parser.add_argument(
        "--weight", type=float, default=20.0, help="of 'from above' (default %(default)s nats)"
    )
    parser.add_argument(
        "--model", help="weights: a path or a shipped name (default: the shipped ones)"
    )
    arguments = parser.parse_args()
    n, options = (4, {"levels": 3, "steps": 2}) if arguments.fast else (arguments.n, {})

    item = make_object(arguments.kind, SEED)
    points = sample_surface(item.vertices, item.faces, 1024, np.random.default_rng(0))[0]
    cost = grasps.CostField.load(arguments.model)
    known = cost.encode(points)
    start = torch.from_numpy(random_grasps(item, n, Noise(0)).poses)
    runs = {
        "start": start,
        "cost alone": descend(cost, start, known, **options),
        "and from above": descend(
            cost, start, known, lambda x: arguments.weight * (1 + x[:, 2, 2]), **options
        ),
    }
    figures = {}
    print(f"{item.name}, {n} poses")
    for name, poses in runs.items():
        with torch.no_grad():
            mean = float(cost(poses, known).mean())
        figures[name] = success(poses, item)
        print(
            f"{name:<16} cost {mean:8.1f}   holds {figures[name]:.2f}   tilt "
            f"{tilt(poses).median():5.1f} degrees   (expected {EXPECTED[name]})"
        )
    return figures


if __name__ == "__main__":
    main()
