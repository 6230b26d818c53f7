"""A table of densities: kernel estimate, flow and both mixed, by data set and seed; goes on where
it stopped.

Every finished (set, seed) is kept in OUT/results.json, with what it takes to draw the picture in
OUT/SET.npz, and is not computed again while its settings stay the same.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import _flow
import _kernel_density as kernel_density
import numpy as np
import torch
from _samples import copied, floor, memorised, mmd, width_of
from torch import Tensor

from geodiff.jobs.progress import bars
from manifolds import SO3, Sphere, Torus
from manifolds.base import Manifold

CALLS = (1, 2, 4, 8, 16)
SAMPLES = 1000
SHARES = np.concatenate(
    [[0.0], np.geomspace(0.003, 0.5, 24), 1 - np.geomspace(0.5, 0.003, 24)[1:], [1.0]]
)


@dataclass(frozen=True)
class Split:
    """train: rows, or a function that draws them. tests: rows by name. exact: the true log density,
    where known.
    """

    train: Tensor | _flow.Draw
    validation: Tensor
    tests: dict[str, Tensor]
    exact: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class DataSet:
    """One row of the table, or one for each test part.

    split: seed -> Split. published: the best of the papers by test part, nats, and whose. grid:
    points at which the densities are kept for the picture, (n, *shape).
    """

    name: str
    space: Manifold
    split: Callable[[int], Split]
    settings: _flow.FlowSettings = _flow.FlowSettings()
    published: dict[str, str] = field(default_factory=dict)
    grid: Tensor | None = None


def embedded(space: Manifold, x: Tensor) -> np.ndarray:
    if isinstance(space, SO3):
        return x.double().flatten(1).numpy() / math.sqrt(2)  # then a short chord is an angle
    return kernel_density.embed(x.numpy(), isinstance(space, Torus))


def measure(
    data: DataSet, seed: int, settings: _flow.FlowSettings | None, progress=None
) -> tuple[dict, dict]:
    """The record of one (set, seed), plain values, and arrays for the picture. Without settings, no
    flow is fitted.
    """
    split = data.split(seed)
    record = {"settings": None if settings is None else asdict(settings), "tests": {}}
    kernel = None
    start = time.process_time()
    if isinstance(data.space, (Sphere, Torus)):
        kernel = kernel_density.fit(
            split.train.numpy(), split.validation.numpy(), torus=isinstance(data.space, Torus)
        )
        record["kernel_seconds"] = time.process_time() - start
    flow, share = None, 0.0
    if settings is not None:
        start = time.process_time()
        flow = _flow.fit(
            data.space, split.train, split.validation, settings, seed=seed, progress=progress
        )
        record |= {"fit_seconds": time.process_time() - start, "kept_step": flow.kept_step}
        if kernel is not None:
            share = _kernel_share(flow, kernel, split.validation[:1000])
            record["kernel_share"] = share
    for name, test in split.tests.items():
        record["tests"][name] = _tested(data.space, split, test, flow, kernel, share)
    if flow is None:
        return record, {}
    record["samples"] = _judge(data, split, flow)
    if seed != 0:
        return record, {}
    arrays = {}
    if data.grid is not None:
        arrays = _densities(flow, kernel, share, data.grid, max(3, settings.ode_steps // 2))
    arrays["samples"] = flow.sample(2000, 16, seed=1).numpy()
    arrays["test"] = next(iter(split.tests.values())).numpy()
    return record, arrays


def _tested(
    space: Manifold,
    split: Split,
    test: Tensor,
    flow: _flow.Flow | None,
    kernel: kernel_density.KernelDensity | None,
    share: float,
) -> dict:
    """Mean negative log densities of test rows, nats, of all that there is."""
    values = {"rows": len(test), "uniform": -space.uniform_log_prob()}
    if isinstance(split.train, Tensor):
        values["copied"] = copied(split.train.double().numpy(), test.double().numpy())
    if split.exact is not None:
        values["exact"] = -float(split.exact(test).mean())
    if kernel is not None:
        of_kernel = kernel.log_prob(test.numpy())
        values["kernel"] = -float(of_kernel.mean())
    if flow is not None:
        of_flow = flow.log_prob(test).double().numpy()
        values["flow"] = -float(of_flow.mean())
        if kernel is not None:
            values["mixed"] = -float(_mixed(of_flow, of_kernel, share).mean())
    return values


def _densities(
    flow: _flow.Flow,
    kernel: kernel_density.KernelDensity | None,
    share: float,
    grid: Tensor,
    steps: int,
) -> dict[str, np.ndarray]:
    """Log densities at the points of a map."""
    of_flow = flow.log_prob(grid, steps=steps).double().numpy()
    if kernel is None:
        return {"flow": of_flow}
    of_kernel = kernel.log_prob(grid.numpy())
    return {"flow": of_flow, "kernel": of_kernel, "mixed": _mixed(of_flow, of_kernel, share)}


def _mixed(of_flow: np.ndarray, of_kernel: np.ndarray, share: float) -> np.ndarray:
    if share in (0.0, 1.0):
        return of_kernel if share else of_flow
    return kernel_density.mix(of_flow, share, of_kernel)


def _kernel_share(
    flow: _flow.Flow, kernel: kernel_density.KernelDensity, validation: Tensor
) -> float:
    """The share of the kernel estimate, mixed with the flow, that serves the validation rows
    best.
    """
    of_flow, of_kernel = (
        flow.log_prob(validation).double().numpy(),
        kernel.log_prob(validation.numpy()),
    )
    return float(max(SHARES, key=lambda share: _mixed(of_flow, of_kernel, share).mean()))


def _judge(data: DataSet, split: Split, flow: _flow.Flow) -> dict:
    """MMD^2 of the flow's samples to test rows by calls of the network, its floor, and the
    memorised share.
    """
    test = embedded(data.space, next(iter(split.tests.values())))
    held = np.concatenate([test, embedded(data.space, split.validation)])
    order = np.random.default_rng(0).permutation(len(held))
    real = held[order[: 2 * SAMPLES]]
    width = width_of(real)
    judged = {"width": width, "floor": floor(real, width, repeats=10), "calls": {}}
    reference = real[:SAMPLES]
    for calls in CALLS:
        drawn = embedded(data.space, flow.sample(len(reference), calls, seed=calls))
        found = mmd(drawn, reference, width)
        judged["calls"][str(calls)] = {"mmd2": found.value, "p": found.p}
    if isinstance(split.train, Tensor):
        drawn = embedded(data.space, flow.sample(SAMPLES, 16, seed=100))
        judged["memorised"] = memorised(embedded(data.space, split.train), real, drawn)
    return judged


def arguments_of(description: str, name: str, sets: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs") / name,
        help="results and picture (default %(default)s)",
    )
    parser.add_argument(
        "--sets",
        nargs="+",
        choices=sets,
        metavar="SET",
        help=f"some of {', '.join(sets)} (default all)",
    )
    parser.add_argument(
        "--seeds", type=int, default=3, help="splits and fits of each set (default %(default)s)"
    )
    parser.add_argument(
        "--steps", type=int, help="training steps of each fit (default: as tuned for each set)"
    )
    parser.add_argument("--no-flow", action="store_true", help="kernel rows only")
    parser.add_argument(
        "--fast", action="store_true", help="few steps, one seed: shows that it runs, not how well"
    )
    parser.add_argument(
        "--show", action="store_true", help="only print what OUT holds, and draw it"
    )
    arguments = parser.parse_args()
    if arguments.fast:
        arguments.seeds = 1
    if arguments.seeds < 1:
        parser.error(f"--seeds: expected at least 1, got {arguments.seeds}")
    return arguments


def run(sets: list[DataSet], arguments: argparse.Namespace) -> dict:
    """Measure what is missing; returns {set: {seed: record}} of everything asked for."""
    torch.set_num_threads(1)
    out: Path = arguments.out
    chosen = [data for data in sets if arguments.sets is None or data.name in arguments.sets]
    jobs = [(data, seed) for seed in range(arguments.seeds) for data in chosen]
    if not arguments.show:
        with bars(width=26, transient=False) as progress:
            bar = _Bars(len(jobs), progress)
            for data, seed in jobs:
                settings = None if arguments.no_flow else _asked(data.settings, arguments)
                if not _is_known(read(out).get(data.name, {}).get(str(seed)), settings):
                    with bar(f"{data.name}, seed {seed}") as progress:
                        record, arrays = measure(data, seed, settings, progress)
                    # Another process may have added others meanwhile.
                    results = read(out)
                    results.setdefault(data.name, {})[str(seed)] = record
                    _write(out, results)
                    if arrays:
                        single = {key: values.astype(np.float32) for key, values in arrays.items()}
                        np.savez_compressed(out / f"{data.name}.npz", **single)
                else:
                    bar.skip()
    seeds = {str(seed) for seed in range(arguments.seeds)}
    results = read(out)
    return {
        data.name: {
            seed: record for seed, record in results.get(data.name, {}).items() if seed in seeds
        }
        for data in chosen
    }


def _asked(settings: _flow.FlowSettings, arguments: argparse.Namespace) -> _flow.FlowSettings:
    if arguments.fast:
        settings = replace(settings, steps=20, width=32, layers=2, features=4, ode_steps=3)
    return settings if arguments.steps is None else replace(settings, steps=arguments.steps)


def _is_known(record: dict | None, settings: _flow.FlowSettings | None) -> bool:
    if record is None or settings is None:
        return record is not None
    return record["settings"] == json.loads(json.dumps(asdict(settings)))


def read(out: Path) -> dict:
    """{set: {seed: record}} of a folder of results; empty if there is none."""
    path = out / "results.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def _write(out: Path, results: dict) -> None:
    out.mkdir(parents=True, exist_ok=True)
    part = out / f"results.{os.getpid()}.part"
    part.write_text(json.dumps(results, indent=1) + "\n")
    os.replace(part, out / "results.json")


def table(sets: list[DataSet], results: dict, reference: str = "kernel") -> list[str]:
    """The lines of the table: negative log-likelihood of test rows, nats, mean and standard
    deviation over seeds.
    """
    columns = ("exact",) if reference == "exact" else ("kernel",)
    columns += ("flow",) if reference == "exact" else ("flow", "mixed")
    title = {"exact": "exact mixture", "kernel": "kernel", "flow": "flow", "mixed": "flow + kernel"}
    head = f"{'test NLL, nats':26} {'rows':>6} {'copied':>7} {'uniform':>8} "
    lines = [
        head + " ".join(f"{title[column]:>15}" for column in columns) + f" {'seeds':>5}  published"
    ]
    for data in sets:
        records = list(results.get(data.name, {}).values())
        if not records:
            continue
        for test in records[0]["tests"]:
            values = [record["tests"][test] for record in records]
            name = data.name if test == "test" else f"{data.name}: {test}"
            copies = [value["copied"] for value in values if "copied" in value]
            share = f"{100 * np.mean(copies):5.1f} %" if copies else "-"
            cells = " ".join(
                f"{_spread([value[c] for value in values if c in value]):>15}" for c in columns
            )
            lines.append(
                f"{name:26} {values[0]['rows']:6} {share:>7} {values[0]['uniform']:8.3f} {cells} "
                f"{len(values):5}  {data.published.get(test, '-')}"
            )
    return lines


def few_steps(sets: list[DataSet], results: dict) -> list[str]:
    """The lines of the table of samples: MMD^2 in thousandths, with p in brackets, mean over
    seeds.
    """
    lines = [
        f"{'1000 MMD^2 (p), calls':26} "
        + " ".join(f"{calls:>14}" for calls in CALLS)
        + f" {'floor':>7} {'near a training row':>20}"
    ]
    for data in sets:
        judged = [
            record["samples"]
            for record in results.get(data.name, {}).values()
            if "samples" in record
        ]
        if not judged:
            continue
        cells = []
        for calls in CALLS:
            found = [each["calls"][str(calls)] for each in judged]
            value, p = (np.mean([one[key] for one in found]) for key in ("mmd2", "p"))
            cells.append(f"{1000 * value:7.2f} ({p:.2f})")
        near = [each["memorised"] for each in judged if "memorised" in each]
        share = f"{100 * np.mean(near):.1f} % (5 % is new)" if near else "-"
        lines.append(
            f"{data.name:26} "
            + " ".join(f"{cell:>14}" for cell in cells)
            + f" {1000 * np.mean([each['floor'] for each in judged]):7.2f} {share:>20}"
        )
    return lines


def won(sets: list[DataSet], results: dict, column: str) -> tuple[int, int]:
    """On how many test parts the mean of `column` is below the kernel estimate's, and of how
    many.
    """
    better = total = 0
    for data in sets:
        records = list(results.get(data.name, {}).values())
        for test in records[0]["tests"] if records else ():
            values = [record["tests"][test] for record in records]
            if all(column in value for value in values):
                total += 1
                better += np.mean([value[column] - value["kernel"] for value in values]) < 0
    return int(better), total


def report(sets: list[DataSet], results: dict, reference: str = "kernel") -> None:
    """Print both tables and what they come to."""
    print("\n".join(table(sets, results, reference)))
    if reference == "kernel":
        for column, title in (("flow", "flow"), ("mixed", "flow + kernel")):
            better, total = won(sets, results, column)
            if total:
                print(f"{title} below kernel on {better} of {total} rows")
    lines = few_steps(sets, results)
    if len(lines) > 1:
        print("\n" + "\n".join(lines))


def drawn(picture: Callable[[Path, Path], bool], out: Path, name: str) -> None:
    """Draw a picture of OUT into OUT/name, if matplotlib is there, and say so."""
    try:
        if picture(out, out / name):
            print(f"picture: {out / name}")
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        print("no picture: it needs matplotlib; pip install 'geodiff-manifolds[viz]'")


def _spread(values: list[float]) -> str:
    if not values:
        return "-"
    return (
        f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"
        if len(values) > 1
        else f"{values[0]:.3f}"
    )


class _Bars:
    """Calls give a bar for one fit; on a terminal it moves, elsewhere a line is printed when the
    fit is done.
    """

    def __init__(self, total: int, progress):
        self.total, self.done, self.progress = total, 0, progress
        self.overall = progress.add_task("fits", total=total) if progress else None

    @contextmanager
    def __call__(self, what: str):
        start = time.perf_counter()
        if self.progress is None:
            yield None
            print(f"{what}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
        else:
            task = self.progress.add_task(what, total=None)
            yield lambda done, total: self.progress.update(task, completed=done, total=total)
            self.progress.remove_task(task)
        self.skip()

    def skip(self) -> None:
        self.done += 1
        if self.progress:
            self.progress.update(self.overall, completed=self.done)


def main(
    description: str,
    name: str,
    sets: list[DataSet],
    picture: Callable[[Path, Path], bool],
    reference: str = "kernel",
) -> dict:
    """The script of one table: reads the command line, measures, prints, draws NAME.png; returns
    what `run` does.
    """
    arguments = arguments_of(description, name, [data.name for data in sets])
    results = run(sets, arguments)
    report(sets, results, reference)
    drawn(picture, arguments.out, f"{name}.png")
    return results
