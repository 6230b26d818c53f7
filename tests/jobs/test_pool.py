"""Items in processes: each ends in its own way, and nothing stays behind, whoever ends it all."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from geodiff.jobs.pool import Failed, run_each

WORK = """
import os, pathlib, signal, subprocess, sys, tempfile, time

def work(item):
    kind, value = item
    if kind == "square":
        return value**2
    if kind == "nothing":
        return None
    if kind == "error":
        raise ValueError(value)
    if kind == "bug":
        return {}[value]
    if kind == "exit":
        sys.exit(value)
    if kind == "leave":
        os._exit(value)
    if kind == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if kind == "hang":
        time.sleep(60)
    if kind == "print":
        print(value, flush=True)
        print(value, file=sys.stderr, flush=True)
        return value
    if kind == "unpicklable":
        return lambda: value
    if kind == "start":  # a program of its own, as xtb is, and a temporary folder
        child = subprocess.Popen(["sleep", "60"])
        folder = tempfile.mkdtemp()
        pathlib.Path(value).write_text(f"{os.getpid()} {child.pid} {folder}")
        time.sleep(60)
    if kind == "where":
        return os.getcwd(), os.getpid()
"""


@pytest.fixture
def work(tmp_path, monkeypatch):
    (tmp_path / "work_for_pool.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    import work_for_pool

    yield work_for_pool.work
    del sys.modules["work_for_pool"]


def outcomes(work, items, **options) -> list:
    found = {}
    run_each(work, items, done=found.__setitem__, **{"workers": 1, "limit": 60.0} | options)
    return [found[place] for place in range(len(items))]


def test_results_stand_at_the_place_of_their_items_whatever_the_number_of_workers(work):
    items = [("square", k) for k in range(7)] + [("nothing", 0)]
    expected = [k**2 for k in range(7)] + [None]
    for workers in (1, 3, 20):
        assert outcomes(work, items, workers=workers) == expected
    assert outcomes(work, []) == []


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (("error", "too long"), "too long"),
        (("error", ""), "ValueError"),
        (("bug", "x"), "KeyError: 'x'"),
        (("exit", "out of luck"), "its process ended with code 1: out of luck"),
        (("leave", 3), "its process ended with code 3"),
        (("leave", 0), "its process ended with code 0"),
        (("crash", None), "its process crashed (SIGSEGV)"),
        (("unpicklable", 1), None),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_ends_badly_costs_its_item_and_names_the_reason(work, item, reason):
    before, bad, after = outcomes(work, [("square", 2), item, ("square", 3)])
    assert (before, after) == (4, 9) and isinstance(bad, Failed)
    assert bad.reason == reason or (reason is None and "pickle" in bad.reason.lower())


def test_a_hang_is_stopped_at_the_limit_with_what_it_started(work, tmp_path):
    note = tmp_path / "note"
    start = time.monotonic()
    hung, after = outcomes(work, [("start", note), ("square", 3)], limit=1.0)
    assert hung == Failed("no end after 1 s; stopped") and after == 9
    assert time.monotonic() - start < 50
    assert_gone(note)


def test_a_process_does_many_items_and_prints_into_nothing(work, capfd):
    found = outcomes(work, [("where", None), ("print", "chatter"), ("where", None)])
    assert found[0] == found[2] and found[1] == "chatter"
    assert not Path(found[0][0]).exists() and found[0][1] != os.getpid()
    assert "chatter" not in "".join(capfd.readouterr())


def test_an_error_in_what_hears_of_results_ends_the_others(work, tmp_path):
    note = tmp_path / "note"

    def done(place, outcome):
        until(note.exists)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_each(work, [("start", note), ("square", 1)], workers=2, limit=60.0, done=done)
    assert_gone(note)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whoever_ends_the_whole_leaves_no_process(work, tmp_path, number):
    """And no folder, unless the kernel's own signal ends it, which nobody hears."""
    note, folders = tmp_path / "note", tmp_path / "folders"
    folders.mkdir()
    script = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
sys.path.insert(0, {str(tmp_path)!r})
from work_for_pool import work
from geodiff.jobs.pool import run_each
run_each(work, [("start", {str(note)!r})], workers=1, limit=60.0, done=print)
"""
    environment = {**os.environ, "TMPDIR": str(folders), "PYTHONPATH": os.pathsep.join(sys.path)}
    whole = subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stderr=subprocess.DEVNULL
    )
    until(lambda: note.exists() and note.read_text().count(" ") == 2)
    whole.send_signal(number)
    assert whole.wait(30) == {signal.SIGINT: -2, signal.SIGTERM: 143, signal.SIGKILL: -9}[number]
    assert_gone(note, folder=number != signal.SIGKILL)
    assert number == signal.SIGKILL or not list(folders.iterdir())


def test_the_handler_of_sigterm_is_put_back(work):
    before = signal.getsignal(signal.SIGTERM)
    outcomes(work, [("square", 1)])
    assert signal.getsignal(signal.SIGTERM) == before


def test_fewer_than_one_worker_is_refused(work):
    with pytest.raises(ValueError, match="workers: expected at least 1, got 0"):
        outcomes(work, [("square", 1)], workers=0)


def assert_gone(note: Path, folder: bool = True) -> None:
    """The process that wrote `note`, the one it started, and its folder are no more."""
    parent, child, place = note.read_text().split()
    until(lambda: not alive(int(parent)) and not alive(int(child)))
    assert not folder or not Path(place).exists()


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def until(holds, patience: float = 30.0) -> None:
    end = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)
