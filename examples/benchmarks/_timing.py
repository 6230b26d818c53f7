"""Times of several calls, taken in turn."""

import statistics
import time
from collections.abc import Callable, Mapping


def in_turn(calls: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, dict[str, float]]:
    """Median CPU and wall seconds of each call, as {name: {"cpu": ..., "wall": ...}}; who goes
    first alternates, after one warm-up each.
    """
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for i in range(repeats + 1):
        for name in list(calls) if i % 2 else reversed(calls):
            cpu, wall = time.process_time(), time.perf_counter()
            calls[name]()
            if i:
                times[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    return {
        name: dict(zip(("cpu", "wall"), map(statistics.median, zip(*taken))))
        for name, taken in times.items()
    }
