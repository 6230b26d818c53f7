"""How fast is geometry here beside geomstats, roma, kornia, pypose, flow_matching and FrameDiff?

Four tables, every row timed in one process and one thread, the contenders in turn (A, B, C, C, B,
A, ...), medians:

score the IGSO(3) score of 8 x 128 rotations with one noise level a sample, against FrameDiff's
        default formula (a series of 1000 terms, written by us), and the error of both against 60
        digits far out in the tails; path a flow-matching batch of 512 points on the sphere, noisy
        point and target, against flow_matching, which differentiates the geodesic by vmap and jvp;
        maps exp, log, compose and interpolate of SO(3) and SE(3), matrices in and matrices out, at
        100 to 1,000,000 rotations, forward alone and with the derivatives of all inputs; and the
        same under torch.compile, where there is a C++ compiler: once an operation and direction,
        for batches of any size. pypose computes with quaternions: it is shown with conversion from
        and to matrices and without; errors the same maps against float64 on 10,000 random inputs.
        Errors and NaN of a library are shown as they come.

A library that is not installed has a '-' in its column; how to install it is printed below.

    python examples/benchmarks/geometry.py [--fast] [--only maps] [--match "SO(3)"] [--float64]
    [--json OUT]
"""

import argparse
import json
import math
import os
import shutil
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

import geodiff
from manifolds import SO3, Sphere, heat
from manifolds.base import randn

sys.path.insert(0, str(Path(__file__).resolve().parent))
import _geometry_peers as peers  # noqa: E402

BATCHES = (100, 1000, 10_000, 100_000, 1_000_000)
# matrices in and out, as ours; pypose is shown beside them
RIVALS = ("geomstats", "roma", "kornia")
EXPECTED = {"score": 10.0, "path": 15.0}
LEAST = 2e-3  # s; a timing repeats a short call until it takes as long
TABLES = ("score", "path", "maps", "errors")


class Timer:
    """Times calls in turn by one clock."""

    def __init__(self, clock: Callable[[], float], fast: bool):
        self.clock, self.fast = clock, fast

    def repeats(self, n: int) -> int:
        return 2 if self.fast else 15 if n <= 10_000 else 7 if n <= 100_000 else 3

    def in_turn(self, calls: dict[str, Callable], repeats: int) -> dict[str, float | str]:
        """Median seconds of each call, or the name of the error it raised."""
        inner, taken = {}, {}
        for name, call in calls.items():
            try:
                call()  # the first call compiles, and fills caches
                start = self.clock()
                call()
                inner[name] = max(1, math.ceil(LEAST / max(self.clock() - start, 1e-6)))
            except Exception as error:
                taken[name] = type(error).__name__
        seconds = {name: [] for name in inner}
        for i in range(repeats):
            for name in list(inner)[:: 1 if i % 2 else -1]:
                start = self.clock()
                for _ in range(inner[name]):
                    calls[name]()
                seconds[name].append((self.clock() - start) / inner[name])
        return {
            name: taken.get(name, statistics.median(seconds.get(name) or [0.0])) for name in calls
        }


# Score and path
def score_inputs(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Noisy and clean rotations (8, 128) and one noise level a sample, log-uniform in [0.1, 1.5] as
    FrameDiff's.
    """
    generator = torch.Generator().manual_seed(0)
    kappa = torch.logspace(math.log10(0.1), math.log10(1.5), 8, dtype=dtype)[:, None]
    clean = SO3().random_point(8, 128, generator=generator, dtype=dtype)
    return heat.kernel(SO3()).sample(clean, kappa, generator=generator), clean, kappa


def score(timer: Timer, dtype: torch.dtype) -> dict:
    noisy, clean, kappa = score_inputs(dtype)
    kernel = heat.kernel(SO3())
    w = SO3().log(clean, noisy)
    calls = {
        "ours": lambda: kernel.score(noisy, clean, kappa),
        "FrameDiff": lambda: peers.series_score(w, kappa),
        "its formula, sample by sample": lambda: [
            peers.series_score(*pair) for pair in zip(w, kappa)
        ],
    }
    with torch.no_grad():
        taken = timer.in_turn(calls, timer.repeats(0))
    # which takes the batch at once; smaller pieces suit the cache better
    ratio = taken["FrameDiff"] / taken["ours"]
    print(
        f"IGSO(3) score, 8 x 128 rotations, one level a sample, {dtype}; ours starts from "
        "matrices, theirs from"
    )
    print(
        "rotation vectors:   "
        + ",  ".join(f"{name} {1e3 * value:.2f} ms" for name, value in taken.items())
    )
    print(f"  times faster: {ratio:.1f}   (expected >= {EXPECTED['score']:.0f})")
    return {"seconds": taken, "ratio": ratio, "errors": score_errors(dtype)}


def score_errors(dtype: torch.dtype) -> list[dict]:
    """Relative error of both scores at some standard deviations out, by kappa."""
    if peers.missing("mpmath"):
        print(f"  errors of the score: - (needs mpmath: {peers.INSTALL['mpmath']})")
        return []
    print(
        f"  relative error against 60 digits, {dtype}, ours | FrameDiff's formula; kappa down, "
        "angle across"
    )
    reaches = (0.5, 1.0, 2.0, 4.0, 6.0)
    print("    kappa  " + "".join(f"{f'{reach:g} kappa':>19}" for reach in reaches))
    rows = []
    for kappa in (0.05, 0.1, 0.2, 0.5, 1.0, 1.5):
        cells = []
        for reach in reaches:
            w = torch.tensor([[reach * kappa, 0.0, 0.0]], dtype=dtype)
            if float(w[0, 0]) >= 3.14:
                continue
            level = torch.tensor([kappa], dtype=dtype)
            exact = exact_score(float(w[0, 0]), float(level))
            values = our_score(w, level), peers.series_score(w, level)
            ours, theirs = (abs(float(value[0, 0]) / exact - 1) for value in values)
            rows.append({"kappa": kappa, "reach": reach, "ours": ours, "FrameDiff": theirs})
            cells.append(f"{ours:9.0e} | {theirs:7.0e}")
        print(f"    {kappa:<5g}  " + "".join(f"{cell:>19}" for cell in cells))
    return rows


def our_score(w: Tensor, kappa: Tensor) -> Tensor:
    """Our score at rotation vectors from the identity, so that the error is that of the formula
    alone.
    """
    return (
        heat.so3.angle.slope(w.square().sum(-1, keepdim=True), kappa[..., None].square())
        * w
        / kappa[..., None] ** 2
    )


def exact_score(angle: float, kappa: float) -> float:
    """d log f / d angle of IGSO(3) by its series, with 60 digits."""
    import mpmath

    with mpmath.workdps(60):
        a, t = mpmath.mpf(angle), mpmath.mpf(kappa) ** 2
        low, low_slope = mpmath.sin(a / 2), mpmath.cos(a / 2) / 2
        density = slope = mpmath.mpf(0)
        for l in range(int(20 / kappa) + 12):
            weight, half = (2 * l + 1) * mpmath.exp(-l * (l + 1) * t / 2), mpmath.mpf(2 * l + 1) / 2
            density += weight * mpmath.sin(half * a) / low
            slope += (
                weight
                * (half * mpmath.cos(half * a) * low - mpmath.sin(half * a) * low_slope)
                / low**2
            )
        return float(slope / density)


def path(timer: Timer, dtype: torch.dtype) -> dict:
    generator = torch.Generator().manual_seed(0)
    space = Sphere(2)
    clean, noise = (space.random_point(512, generator=generator, dtype=dtype) for _ in range(2))
    s = torch.rand(512, generator=generator, dtype=dtype)
    corruption = geodiff.Geodesic(space)
    calls = {"ours": lambda: corruption.corrupt(clean, s, noise=noise)}
    if not peers.missing("flow_matching"):
        from flow_matching.path import GeodesicProbPath
        from flow_matching.path.scheduler import CondOTScheduler
        from flow_matching.utils.manifolds import Sphere as TheirSphere

        theirs = GeodesicProbPath(CondOTScheduler(), TheirSphere())
        calls["flow_matching"] = lambda: theirs.sample(noise, clean, 1 - s)
    else:
        print(
            f"flow_matching is not installed ({peers.INSTALL['flow_matching']}); its formula, "
            "written by us, stands in"
        )
    calls["vmap of jvp, written by us"] = lambda: peers.path_by_differentiation(noise, clean, s)
    with torch.no_grad():
        taken = timer.in_turn(calls, timer.repeats(0))
    rival = "flow_matching" if "flow_matching" in calls else "vmap of jvp, written by us"
    ratio = taken[rival] / taken["ours"]
    print(f"flow-matching path on the sphere, batch 512, noisy point and target, {dtype}:")
    print("  " + ",  ".join(f"{name} {1e3 * value:.3f} ms" for name, value in taken.items()))
    print(f"  times faster: {ratio:.1f}   (expected >= {EXPECTED['path']:.0f})")
    return {"seconds": taken, "ratio": ratio}


# Maps
def contenders(compiled: bool) -> dict[str, dict[str, peers.Contender] | None]:
    """The operations of every column; None for a library that is not installed."""
    operations = peers.ours()
    columns = {"ours": {name: peers.Contender(call) for name, call in operations.items()}}
    if compiled:
        columns["ours, compiled"] = {
            name: peers.Contender(torch.compile(call, fullgraph=True, dynamic=True))
            for name, call in operations.items()
        }
    for name, (package, build) in peers.LIBRARIES.items():
        columns[name] = None if peers.missing(package) else build()
    return columns


def forward(call: Callable, given: tuple[Tensor, ...]) -> Callable:
    def run():
        with torch.no_grad():
            return call(*given)

    return run


def backward(call: Callable, given: tuple[Tensor, ...]) -> Callable:
    with torch.no_grad():
        shape = call(*given).shape  # as `forward` calls it, which is compiled already
    given = tuple(x.detach().clone().requires_grad_() for x in given)
    weights = randn(*shape, generator=torch.Generator().manual_seed(1), dtype=given[0].dtype)

    def run():
        return torch.autograd.grad(call(*given), given, weights)

    return run


def maps(
    timer: Timer, columns: dict, names: list[str], batches: tuple[int, ...], dtype: torch.dtype
) -> list[dict]:
    """Seconds of every operation, batch and column, forward and with backward; prints while it
    goes.
    """
    rows = []
    width = 2 + max(len(name) for name in names)
    print(
        f"milliseconds, forward / with backward, {dtype}; the last columns say how many times the "
        "fastest of"
    )
    print(f"{', '.join(RIVALS)} takes as long as ours")
    print(
        f"{'':{width}}{'batch':>8}"
        + "".join(f"{name:>20}" for name in columns)
        + f"{'forward':>9}{'backward':>9}"
    )
    for name in names:
        for n in batches:
            given = peers.inputs(name, n, dtype)
            found = {}
            for column, operations in columns.items():
                if operations and name in operations:
                    found[column] = operations[name].call, operations[name].prepare(*given)
            row = {"operation": name, "batch": n}
            for way, build in (("forward", forward), ("backward", backward)):
                calls = {column: _deferred(build, *pair) for column, pair in found.items()}
                row[way] = timer.in_turn(calls, timer.repeats(n))
            for way in ("forward", "backward"):
                rivals = [
                    row[way][rival] for rival in RIVALS if isinstance(row[way].get(rival), float)
                ]
                row[f"{way}_ratio"] = min(rivals) / row[way]["ours"] if rivals else None
            rows.append(row)
            cells = (
                f"{_shown(row['forward'].get(column))} / {_shown(row['backward'].get(column))}"
                for column in columns
            )
            ratios = (_shown(row[f"{way}_ratio"], 1.0, 9) for way in ("forward", "backward"))
            print(
                f"{name:{width}}{n:>8}"
                + "".join(f"{cell:>20}" for cell in cells)
                + "".join(ratios),
                flush=True,
            )
    return rows


def _deferred(build: Callable, call: Callable, given: tuple[Tensor, ...]) -> Callable:
    """Builds the timed call at its first use, so that an error of a library is met where errors are
    caught.
    """
    made = []

    def run():
        if not made:
            made.append(build(call, given))
        return made[0]()

    return run


def _shown(value: float | str | None, scale: float = 1e3, width: int = 0, digits: int = 3) -> str:
    if value is None:
        return f"{'-':>{width}}"
    if isinstance(value, str):
        return f"{value.removesuffix('Error')[:8]:>{width}}"
    return f"{float(f'{scale * value:.{digits}g}'):>{width}g}"


def errors(columns: dict, names: list[str], dtype: torch.dtype, n: int = 10_000) -> list[dict]:
    """Largest error of every column on random inputs, against ours in float64 (whose own error is
    2e-15).
    """
    print(f"largest error of {n} random inputs in {dtype}, against float64")
    width = 2 + max(len(name) for name in names)
    print(f"{'':{width}}" + "".join(f"{name:>20}" for name in columns))
    exact, rows = peers.ours(), []
    for name in names:
        given = peers.inputs(name, n, dtype)
        wanted = exact[name](*(x.double() for x in given))
        row = {"operation": name}
        for column, operations in columns.items():
            if operations and name in operations:
                call, prepare, finish = operations[name]
                try:
                    with torch.no_grad():
                        got = finish(call(*prepare(*given))).double()
                    row[column] = float((got - wanted).abs().max())
                except Exception as error:
                    row[column] = type(error).__name__
        rows.append(row)
        cells = (row.get(column) for column in columns)
        shown = (f"{cell:.1e}" if isinstance(cell, float) else _shown(cell) for cell in cells)
        print(f"{name:{width}}" + "".join(f"{cell:>20}" for cell in shown), flush=True)
    return rows


def summary(rows: list[dict], columns: dict, batch: int) -> None:
    """Lines of a Markdown table at one batch, to two digits, and where ours is not ahead."""
    shown = [column for column in columns if columns[column]]
    print(f"\nFor the README (batch {batch}, ms forward / with backward):\n")
    print("| | " + " | ".join(shown) + " |\n|---|" + "---|" * len(shown))
    for row in rows:
        if row["batch"] == batch:
            cells = (
                f"{_shown(row['forward'].get(column), digits=2)} / "
                f"{_shown(row['backward'].get(column), digits=2)}"
                for column in shown
            )
            print(f"| {row['operation']} | " + " | ".join(cells) + " |")
    ratios = [
        (row[f"{way}_ratio"], row["operation"], row["batch"], way)
        for row in rows
        for way in ("forward", "backward")
        if row[f"{way}_ratio"]
    ]
    if not ratios:
        return
    behind = sorted(ratio for ratio in ratios if ratio[0] < 1)
    print(
        f"\nfastest of {', '.join(RIVALS)} over ours: median "
        f"{statistics.median(r[0] for r in ratios):.2f}, least {min(ratios)[0]:.2f}; ahead in "
        f"{len(ratios) - len(behind)} of {len(ratios)} timings"
    )
    for ratio, name, n, way in behind:
        print(f"  behind: {name}, {n}, {way}: {ratio:.2f}")


def arguments_of() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--fast", action="store_true", help="two repetitions, batches 100 and 10,000, not compiled"
    )
    parser.add_argument(
        "--only", choices=TABLES, action="append", help="this table only; may be given again"
    )
    parser.add_argument(
        "--match", default="", help="operations whose name contains this, e.g. 'SE(3)'"
    )
    parser.add_argument("--float64", action="store_true", help="instead of float32")
    parser.add_argument("--largest", type=int, default=BATCHES[-1], help="leave out larger batches")
    parser.add_argument("--no-compile", action="store_true", help="leave out the compiled column")
    parser.add_argument(
        "--cpu-time", action="store_true", help="CPU time instead of wall time, for a busy machine"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all numbers there")
    arguments = parser.parse_args()
    arguments.names = [name for name in peers.ours() if arguments.match in name]
    if not arguments.names:
        parser.error(
            f"--match: no operation contains {arguments.match!r}; there are "
            f"{', '.join(peers.ours())}"
        )
    return arguments


def compared(
    arguments: argparse.Namespace, timer: Timer, wanted: Sequence[str], dtype: torch.dtype
) -> dict:
    """The tables of maps and of errors, and what is missing on this machine."""
    compiler = shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")
    columns = contenders(bool(compiler) and not arguments.fast and not arguments.no_compile)
    torch.set_default_dtype(dtype)  # in which geomstats makes its constants
    batches = (100, 10_000) if arguments.fast else BATCHES
    batches = tuple(n for n in batches if n <= arguments.largest)
    result = {}
    if "errors" in wanted:
        result["errors"] = errors(columns, arguments.names, dtype)
    if "maps" in wanted:
        result["maps"] = maps(timer, columns, arguments.names, batches, dtype)
        summary(result["maps"], columns, min(batches, key=lambda n: abs(n - 10_000)))
    for name in dict.fromkeys(package for package, _ in peers.LIBRARIES.values()):
        if peers.missing(name):
            print(f"-: {name} is not installed: {peers.INSTALL[name]}")
    if not compiler:
        print("-: no C++ compiler, so nothing is compiled: install g++ or set CXX")
    return result


def main() -> dict:
    arguments = arguments_of()
    torch.set_num_threads(arguments.threads)
    warnings.filterwarnings("ignore")  # those of the libraries at import and use
    dtype = torch.float64 if arguments.float64 else torch.float32
    timer = Timer(time.process_time if arguments.cpu_time else time.perf_counter, arguments.fast)
    wanted, result = arguments.only or TABLES, {"dtype": str(dtype), "torch": torch.__version__}
    if "score" in wanted:
        result["score"] = score(timer, dtype)
    if "path" in wanted:
        result["path"] = path(timer, dtype)
    if "maps" in wanted or "errors" in wanted:
        result |= compared(arguments, timer, wanted, dtype)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1))
    return result


if __name__ == "__main__":
    main()
