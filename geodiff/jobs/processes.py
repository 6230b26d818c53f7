"""Tasks in a process each: whatever ends one (an error, a crash in compiled code, a hang) costs
that task only.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

_PAUSE = 0.05  # seconds between two looks at the processes


def run_each(
    code: str, tasks: Mapping[str, dict], *, workers: int, limit: float, done: Callable[[int], None]
) -> tuple[dict[str, dict], dict[str, str]]:
    """Run the Python `code` once for each task, `workers` at a time: results and reasons of
    failure, by name.

    code: reads its task from standard input as JSON and writes a JSON object to the file that the
      task's "result" names; an "error" in it is the reason of a failure. It runs in a working
      folder of its own, on one thread, and what it prints is dropped.
    limit: seconds a task may take. done: called with the number of tasks that have ended, after
    each.
    """
    waiting, running, results, failures = list(reversed(tasks.items())), [], {}, {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                running.append(_start(code, *waiting.pop(), limit))
            time.sleep(_PAUSE)
            for one in list(running):
                if one.process.poll() is None and time.monotonic() < one.until:
                    continue
                running.remove(one)
                result = _result(one, limit)
                if isinstance(result, str):
                    failures[one.name] = result
                else:
                    results[one.name] = result
                done(len(results) + len(failures))
    finally:
        for one in running:
            _end(one)
    return results, failures


@dataclass
class _Running:
    name: str
    process: subprocess.Popen
    folder: tempfile.TemporaryDirectory
    until: float  # of the monotonic clock


def _start(code: str, name: str, task: dict, limit: float) -> _Running:
    folder = tempfile.TemporaryDirectory(prefix="geodiff-")
    paths = os.pathsep.join(map(os.path.abspath, sys.path))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    with open(Path(folder.name, "stderr"), "wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=folder.name,
            env=environment,
            stderr=stderr,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
    try:
        with process.stdin:
            process.stdin.write(
                json.dumps({**task, "result": str(Path(folder.name, "result.json"))}).encode()
            )
    except BrokenPipeError:
        pass  # it has ended already; its exit code says why
    return _Running(name, process, folder, time.monotonic() + limit)


def _result(one: _Running, limit: float) -> dict | str:
    """What the process wrote, or why it failed."""
    code = one.process.poll()
    try:
        if code is None:
            return f"no end after {limit:.0f} s; stopped"
        file = Path(one.folder.name, "result.json")
        if code == 0 and file.exists():
            result = json.loads(file.read_text())
            return result["error"] if "error" in result else result
        if code < 0:
            return f"its process crashed ({signal.Signals(-code).name})"
        lines = Path(one.folder.name, "stderr").read_text(errors="replace").splitlines()
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"its process ended with code {code}" + (f": {last}" if last else "")
    finally:
        _end(one)


def _end(one: _Running) -> None:
    if one.process.poll() is None:
        one.process.kill()
        one.process.wait()
    one.folder.cleanup()
