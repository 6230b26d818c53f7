"""Items in worker processes: whatever ends one (an error, a crash in compiled code, a hang) costs
that item only, and nothing is left behind.
"""

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Pipe, wait
from pathlib import Path
from typing import Any

_START = 300.0  # seconds that a process may take to find its work
_CHILD = "from geodiff.jobs.worker import serve; serve()"


@dataclass(frozen=True)
class Failed:
    """Stands for the result of an item that has none."""

    reason: str  # in words


def run_each(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    *,
    workers: int | None = None,
    limit: float,
    done: Callable[[int, Any], None],
) -> None:
    """Call `function` once for each item, in `workers` processes.

    The processes are fresh interpreters that do not run the main script. Each does one item after
    another, so that what the work loads is loaded once; whatever ends one costs the item that it
    was at. Each works on one thread in a temporary folder of its own, which holds its temporary
    files too; what it prints is dropped. However the call ends, by Ctrl-C, by SIGTERM (in the main
    thread) or by an error in `done`, it leaves no process, none that they started, and no folder.

    Args:
        function: of a module, so that another process finds it by name. An exception that it raises
            is the item's failure.
        items: anything that pickles; so must the results.
        workers: how many processes, at least 1; None takes one for each core.
        limit: seconds an item may take.
        done: called in this process as each item ends, so not in order, with its place in `items`
            and its result, or a `Failed`.

    Raises:
        ValueError: for fewer than one worker.
    """
    workers = (os.cpu_count() or 1) if workers is None else workers
    if workers < 1:
        raise ValueError(f"workers: expected at least 1, got {workers}")
    pickled = pickle.dumps(function)
    waiting = deque(enumerate(items))
    running: list[_Worker] = []
    with _exit_on_sigterm():
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    running.append(_Worker(pickled))
                    running[-1].take(*waiting.popleft(), limit)
                for worker, outcome in _ended(running):
                    done(worker.place, outcome if isinstance(outcome, Failed) else outcome[0])
                    if worker.alive and waiting:
                        worker.take(*waiting.popleft(), limit)
                    else:
                        running.remove(worker)
                        worker.close()
        finally:
            for worker in running:
                worker.close()


class _Worker:
    """A process that is at one item; it leads a process group of its own."""

    def __init__(self, function: bytes):
        self.alive = True
        self.folder = tempfile.TemporaryDirectory(prefix="geodiff-")
        self.connection, theirs = Pipe()
        self.stderr = Path(self.folder.name, "stderr")
        paths = os.pathsep.join(map(os.path.abspath, sys.path))
        environment = {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths, "TMPDIR": self.folder.name}
        with theirs, open(self.stderr, "wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _CHILD, str(theirs.fileno())],
                cwd=self.folder.name,
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,  # ends with this process, however it ends: the other watches
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for this process, which ends the group
            )
        self._send(function)
        self.until, self.limit = time.monotonic() + _START, _START
        self.ready = False

    def take(self, place: int, item: Any, limit: float) -> None:
        """Begin with an item; `until` is set when the process is known to have its work."""
        self.place, self.limit = place, limit
        self.told = self.stderr.stat().st_size
        if self.ready:
            self.until = time.monotonic() + limit
        self._send(pickle.dumps(item))

    def _send(self, message: bytes) -> None:
        with suppress(OSError):  # it has ended already; `outcome` says why
            self.connection.send_bytes(message)

    def outcome(self) -> tuple[Any] | Failed | None:
        """The item's result alone in a tuple, or a `Failed`; None while the process works."""
        if self.connection.poll():
            try:
                message = self.connection.recv()
            except (EOFError, OSError):
                return self._lost()
            if message is not None:
                return message
            self.ready, self.until = True, time.monotonic() + self.limit
        if time.monotonic() < self.until:
            return None
        self.alive = False
        limit = self.limit if self.ready else _START
        return Failed(f"no end after {limit:.0f} s; stopped")

    def _lost(self) -> Failed:
        """Why the process ended."""
        self.alive = False
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        code = self.process.returncode
        if code is None:
            return Failed("its process stopped answering")
        if code < 0:
            return Failed(f"its process crashed ({signal.Signals(-code).name})")
        text = self.stderr.read_bytes()[self.told :].decode(errors="replace")
        last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
        return Failed(f"its process ended with code {code}" + (f": {last}" if last else ""))

    def close(self) -> None:
        """End the process and all that it started, and remove its folder."""
        with suppress(ProcessLookupError, PermissionError):  # nobody of the group is left
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        self.connection.close()
        self.folder.cleanup()


def _ended(running: Sequence[_Worker]) -> list[tuple[_Worker, tuple[Any] | Failed]]:
    """Wait until something happens; the workers whose items have ended, with the outcomes."""
    patience = min(worker.until for worker in running) - time.monotonic()
    wait([worker.connection for worker in running], max(0.0, patience))
    outcomes = [(worker, worker.outcome()) for worker in running]
    return [(worker, outcome) for worker, outcome in outcomes if outcome is not None]


@contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    """Within the block SIGTERM raises SystemExit, so that what stands in `finally` is done."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
