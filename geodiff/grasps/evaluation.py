"""How good a grasp model, or a file of grasps, is: success in simulation, collisions, ranking,
symmetry and time.
"""

import copy
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geodiff.domains.bodies import gripper
from geodiff.domains.bodies.convex import with_parts
from geodiff.domains.bodies.io import GRASP_SUFFIXES, read_grasps
from geodiff.domains.bodies.objects import make_objects
from geodiff.domains.bodies.rays import partial_cloud, random_camera
from geodiff.domains.bodies.records import GraspedObject, GraspSet
from geodiff.domains.bodies.simulate import label
from geodiff.domains.bodies.surface import sample_surface
from geodiff.grasps.datasets import LabelledObject, read_training_data
from geodiff.grasps.energy import CostField, nats
from geodiff.grasps.model import DEFAULT_MODEL, Base, to_metres
from geodiff.grasps.sampling import STEPS, Source, draw, read_source, sample
from geodiff.jobs.pool import Failed, run_each
from geodiff.process.field import Field, NetworkField
from geodiff.process.randomness import Noise
from geodiff.training import models
from manifolds import SE3, SO3
from manifolds.se3 import join

HELD_SEED = 977  # of `make_objects`: none of these objects is in the shipped training data
_TOP = 10
_LONGEST = 3600.0  # seconds for the grasps of a file


@dataclass(frozen=True)
class Judged:
    """Grasps of one object after simulation."""

    name: str  # of the object
    success: float  # share of the grasps that hold
    top: float  # success of the ten of least cost
    free: float  # share without collision at open width
    auc: float  # of minus cost against success, nan where all or none hold


@dataclass(frozen=True)
class Evaluation:
    """Figures of a model or of files; `table()` prints them.

    Args:
        judged: one for each object.
        figures: of all objects; their names say the unit.
        failures: what could not be judged, with the reason.
    """

    judged: list[Judged]
    figures: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def mean(self, name: str) -> float:
        """The mean over the objects of which a figure is known; nan of none.

        Args:
            name: a field of `Judged`.
        """
        return _mean([getattr(j, name) for j in self.judged])

    def table(self) -> str:
        """The figures of each object, their means, and what failed."""
        width = max([24, *(len(j.name) for j in self.judged)])
        lines = [f"{'object':<{width}}{'success':>9}{'top 10':>9}{'free':>9}{'AUC':>9}"]
        lines += [
            f"{j.name:<{width}}" + "".join(f"{v:9.2f}" for v in (j.success, j.top, j.free, j.auc))
            for j in self.judged
        ]
        names = ("success", "top", "free", "auc")
        lines.append(
            f"{'mean of ' + str(len(self.judged)):<{width}}"
            + "".join(f"{self.mean(v):9.3f}" for v in names)
        )
        lines += [f"{name:<50}{value:10.4g}" for name, value in self.figures.items()]
        lines += [f"failed: {reason}" for reason in self.failures]
        return "\n".join(lines)


def evaluate(
    source: str | os.PathLike | None = None,
    *,
    model: Field | str | Path | None = None,
    objects: int = 20,
    n: int = 50,
    seed: int = 0,
    steps: int = STEPS,
    data: str | os.PathLike | None = None,
    held_out: os.PathLike | None = None,
    device: str | torch.device = "auto",
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Judge a model on objects that it has not seen; or, with `source`, the grasps of a file or of
    a folder of files.

    Of a model: `n` grasps of each of `objects` procedural objects in MuJoCo, nothing filtered, from
    the whole surface and from what a depth camera sees from a random side, beside random poses; the
    AUC of its log odds against the labels of held-out candidates; errors of symmetry, curl, and the
    time of 100 grasps on one thread. Of a file: success, collisions, and how well its costs rank.
    An error, a crash or a hang in the simulation costs one object or file.

    Args:
        source: grasps with their object, or a folder of such files; None judges a model.
        model: a field, a path, or a shipped name; None takes the shipped default.
        objects: how many, at most.
        n: grasps of each.
        seed: of the grasps and of the cameras.
        steps: network evaluations a grasp.
        data: labelled grasps as `train` takes them; the held-out objects are used instead of
            procedural ones. None takes the shipped labels.
        held_out: names of objects, as `train` takes them.
        device: "auto", "cpu", "cuda", "cuda:1", where the model runs.
        workers: processes that simulate; None takes one for each core.
        progress: called as progress(done, total): of a model when an object is sampled and when it
            is judged, of files when one is judged.

    Returns:
        Figures of each object and of all, and what failed.

    Raises:
        ValueError: where nothing can be judged.
        ModuleNotFoundError: without mujoco.
    """
    if source is not None:
        return _evaluate_files(Path(source), workers, progress)
    trained = models.trained(model, "grasps", DEFAULT_MODEL, device=device)
    labelled = read_training_data(data, held_out=held_out)[1]
    held = (
        make_objects(objects, HELD_SEED)
        if data is None
        else [with_parts(one.item) for one in labelled][:objects]
    )
    made = []
    for number, item in enumerate(held):
        generator = np.random.default_rng([seed, number])
        view = partial_cloud(item, random_camera(item, generator), generator=generator)
        made.append(
            Made(
                sample(item, n, seed=seed, steps=steps, model=trained),
                replace(sample(view, n, seed=seed, steps=steps, model=trained), object=item),
                random_grasps(item, n, Noise(seed, number)),
            )
        )
        if progress is not None:
            progress(number + 1, 2 * len(held))
    outcomes, failures = _in_processes(
        judge_made,
        {item.name: one for item, one in zip(held, made)},
        workers=workers,
        limit=120.0 + 15.0 * n,
        done=lambda done: progress and progress(len(held) + done, 2 * len(held)),
    )
    judged, seen, chance = map(list, zip(*outcomes))
    ranking = [ranking_auc(trained, one) for one in labelled]
    figures = {
        "success from a depth camera's view": float(np.mean(seen)),
        "success of random poses": float(np.mean(chance)),
        "AUC of labelled candidates, mean of objects": _mean(ranking),
        "AUC of labelled candidates, all together": pooled_auc(trained, labelled),
        "equivariance error, rad + dm": equivariance_error(trained, held[0], steps=steps),
        "curl of the energy's gradient": curl(trained, held[0]),
        "100 grasps with encoding, one thread, CPU s": seconds(trained, held[0], steps=steps),
    }
    return Evaluation(judged, figures, failures)


@dataclass(frozen=True)
class Made:
    """What a model made of one object, before simulation."""

    whole: GraspSet  # from points of the whole surface
    seen: GraspSet  # from what a depth camera sees
    chance: GraspSet  # random poses


def judge_made(made: Made) -> tuple[Judged, float, float]:
    """Simulate one object's grasps, in a process of its own: `Judged`, and the success of the
    others.

    Args:
        made: the grasps.
    """
    return judge(made.whole), judge(made.seen).success, label(made.chance).success.mean()


def _in_processes(
    function: Callable[[Any], Any],
    items: Mapping[str, Any],
    *,
    workers: int | None,
    limit: float,
    done: Callable[[int], None],
) -> tuple[list[Any], list[str]]:
    """Results of all that did not fail, in order, and the names of the others with the reasons.

    Raises ValueError if all failed.
    """
    found: dict[int, Any] = {}

    def ended(place: int, outcome: Any) -> None:
        found[place] = outcome
        done(len(found))

    run_each(function, list(items.values()), workers=workers, limit=limit, done=ended)
    results, failures = [], []
    for place, name in enumerate(items):
        if isinstance(found[place], Failed):
            failures.append(f"{name}: {found[place].reason}")
        else:
            results.append(found[place])
    if not results:
        raise ValueError(
            f"source: none of {len(items)} can be judged; the first: {failures[0]}"
            if len(items) > 1
            else failures[0].removeprefix(f"{name}: ")
        )
    return results, failures


def _mean(values: Sequence[float]) -> float:
    """The mean of those that are not nan; nan of none."""
    values = np.array(values)
    return float(np.nanmean(values)) if np.isfinite(values).any() else math.nan


def judge(grasps: GraspSet) -> Judged:
    """Simulate grasps of an object with convex parts and count collisions with 4000 points of its
    surface.

    Args:
        grasps: with their object.
    """
    item = grasps.object
    grasps = label(grasps)
    surface = sample_surface(item.vertices, item.faces, 4000, np.random.default_rng(0))[0]
    hit = gripper.collides(
        torch.from_numpy(grasps.poses).float(), torch.from_numpy(surface).float(), margin=-0.001
    )
    cost = np.zeros(len(grasps)) if grasps.cost is None else grasps.cost
    best = np.argsort(cost, kind="stable")[:_TOP]
    top = math.nan if grasps.cost is None else float(grasps.success[best].mean())
    return Judged(
        item.name,
        float(grasps.success.mean()),
        top,
        1 - float(hit.double().mean()),
        auc(-cost, grasps.success),
    )


def random_grasps(item: GraspedObject, n: int, generator: Any = None) -> GraspSet:
    """Poses of the model's base noise about the centre of the object's surface: what knowing
    nothing achieves.

    Args:
        item: the object.
        n: how many.
        generator: a torch.Generator, a `Noise`, or None for torch's own.
    """
    _, points = read_source(item)
    x = Base()((n,), generator, torch.float64, None, None, None)
    return GraspSet(to_metres(x, torch.from_numpy(points).mean(0)).numpy(), item)


def auc(score: np.ndarray, success: np.ndarray) -> float:
    """Chance that a success has a higher score than a failure, ties one half; nan without both.

    Args:
        score: (n,).
        success: (n,), true where the grasp holds.
    """
    success = np.asarray(success, dtype=bool)
    good, bad = np.sort(score[success]), score[~success]
    if not len(good) or not len(bad):
        return math.nan
    above = (
        len(good) - (np.searchsorted(good, bad, "left") + np.searchsorted(good, bad, "right")) / 2
    )
    return float(above.mean() / len(good))


def log_odds(trained: Field, one: LabelledObject) -> np.ndarray:
    """The model's log odds for each of an object's labelled grasps, (n,).

    Args:
        trained: a field of grasps.
        one: the object.
    """
    cost = CostField(trained)
    with torch.no_grad():
        return (
            cost.log_odds(torch.from_numpy(one.grasps.poses), cost.encode(one.cloud()))
            .cpu()
            .numpy()
        )


def ranking_auc(trained: Field, one: LabelledObject) -> float:
    """AUC of the model's log odds over the labelled grasps of one object.

    Args:
        trained: a field of grasps.
        one: the object.
    """
    return auc(log_odds(trained, one), one.grasps.success)


def pooled_auc(trained: Field, labelled: Sequence[LabelledObject]) -> float:
    """AUC over the grasps of all objects at once, so that costs must compare between objects too.

    Args:
        trained: a field of grasps.
        labelled: the objects.
    """
    if not labelled:
        return math.nan
    return auc(
        np.concatenate([log_odds(trained, one) for one in labelled]),
        np.concatenate([one.grasps.success for one in labelled]),
    )


def equivariance_error(
    trained: Field, source: Source, n: int = 50, *, steps: int = STEPS, seed: int = 0
) -> float:
    """Largest distance, radians plus units of 0.1 m, between grasps of a moved cloud and moved
    grasps; noise moved too.

    The motion is a uniform rotation and a shift of 10 cm.

    Args:
        trained: a field of grasps.
        source: of the object, as `sample` takes it.
        n: grasps to compare.
        steps: network evaluations a grasp.
        seed: of the motion and the noise.
    """
    generator = torch.Generator().manual_seed(seed)
    _, points = read_source(source)
    motion = SE3().random_point(generator=generator, dtype=torch.float64)
    rotation, shift = motion[:3, :3], 0.1 * motion[:3, 3] / motion[:3, 3].norm()
    cost, like = CostField(trained), trained.network.start
    noise = trained.corruption.base(n, generator=Noise(seed), dtype=torch.float64)
    moved_noise = join(rotation @ noise[:, :3, :3], noise[:, :3, 3] @ rotation.T)
    poses = draw(trained, cost.encode(points), noise.to(like), steps=steps).cpu()
    moved_points = points @ rotation.numpy().T + shift.numpy()
    moved = draw(trained, cost.encode(moved_points), moved_noise.to(like), steps=steps).cpu()
    wanted = join(rotation @ poses[:, :3, :3], poses[:, :3, 3] @ rotation.T + shift)
    turn = SO3().dist(moved[:, :3, :3], wanted[:, :3, :3])
    return float((turn + 10 * (moved[:, :3, 3] - wanted[:, :3, 3]).norm(dim=-1)).max())


def curl(trained: Field, source: Source, n: int = 8, *, s: float = 0.2, seed: int = 0) -> float:
    """Largest antisymmetric part of the Jacobian of the energy's gradient, over the Jacobian's
    largest entry.

    The gradient is the one that samplers use; its Jacobian is taken by central differences in
    double precision, in normal coordinates about random poses.

    Args:
        trained: a field of grasps.
        source: of the object, as `sample` takes it.
        n: poses.
        s: the level, in [0, 1].
        seed: of the poses.
    """
    network = copy.deepcopy(trained.network).cpu().double()
    known = CostField(NetworkField(network, trained.corruption, trained.reading)).encode(
        read_source(source)[1]
    )
    x = trained.corruption.base(
        n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    level = torch.full((n,), s, dtype=torch.float64)

    def gradient(step: Tensor) -> Tensor:
        step = step.clone().requires_grad_()
        energy = nats(network, SE3().exp(x, step), level, known.encoding)
        return torch.autograd.grad(energy.sum(), step)[0]

    width = 1e-5
    columns = [
        (gradient(width * unit.expand(n, 6)) - gradient(-width * unit.expand(n, 6))) / (2 * width)
        for unit in torch.eye(6, dtype=torch.float64)
    ]
    jacobian = torch.stack(columns, -1)
    return float((jacobian - jacobian.transpose(-1, -2)).abs().max() / jacobian.abs().max())


def seconds(trained: Field, source: Source, n: int = 100, *, steps: int = STEPS) -> float:
    """CPU time of `n` grasps of an object from its points, encoding and cost included, on one
    thread; second of two.

    Args:
        trained: a field of grasps.
        source: of the object, as `sample` takes it.
        n: grasps to make.
        steps: network evaluations a grasp.
    """
    _, points = read_source(source)
    with _one_thread():
        for _ in range(2):
            start = time.process_time()
            sample(points, n, steps=steps, model=trained)
            taken = time.process_time() - start
    return taken


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _evaluate_files(
    source: Path, workers: int | None, progress: Callable[[int, int], None] | None
) -> Evaluation:
    files = (
        sorted(f for f in source.iterdir() if f.suffix.lower() in GRASP_SUFFIXES)
        if source.is_dir()
        else [source]
    )
    if not files:
        raise ValueError(f"source: {source} holds no files of grasps ({', '.join(GRASP_SUFFIXES)})")
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"source: {file} does not exist")
    judged, failures = _in_processes(
        judge_file,
        {file.name: file.resolve() for file in files},
        workers=workers,
        limit=_LONGEST,
        done=lambda done: progress and progress(done, len(files)),
    )
    return Evaluation(judged, failures=failures)


def judge_file(file: Path) -> Judged:
    """Simulate the grasps of a file, in a process of its own.

    Args:
        file: grasps with their object.

    Raises:
        ValueError: if it holds no grasps, or no mesh.
    """
    grasps = read_grasps(file)
    if grasps.object is None:
        raise ValueError(
            f"source: {file} carries no mesh, so nothing can be simulated; write grasps with "
            "their object (`geodiff sample grasps MESH`)"
        )
    if not len(grasps):
        raise ValueError(f"source: {file} holds no grasps")
    return replace(judge(replace(grasps, object=with_parts(grasps.object))), name=file.stem)
