"""What a process of the pool runs: items come, results go."""

import os
import pickle
import signal
import sys
import threading
from multiprocessing.connection import Connection
from typing import Any

from geodiff.jobs.pool import Failed


def serve() -> None:
    """Do the items of the connection whose descriptor is the first argument, until it closes.

    The first message is the function, pickled; each answer is its result, or a `Failed`.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    connection = Connection(int(sys.argv[1]))
    function = pickle.loads(connection.recv_bytes())
    connection.send(None)  # from now on the time counts
    while True:
        try:
            message = connection.recv_bytes()
        except EOFError:
            return
        connection.send_bytes(_answer(function, message))


def _answer(function: Any, message: bytes) -> bytes:
    try:
        return pickle.dumps((function(pickle.loads(message)),))
    except Exception as error:  # the other process reports it, whatever it is
        return pickle.dumps(Failed(reason(error)))


def reason(error: Exception) -> str:
    """What an error says; with its kind, where that is not one of bad input.

    Args:
        error: what was raised.
    """
    text = str(error)
    if text and isinstance(error, ValueError | RuntimeError | OSError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _end_with_parent() -> None:
    """Kill this process and all that it started when the other end of standard input is gone."""
    os.read(0, 1)  # nothing is ever written; `sys.stdin` would hold a lock when this process exits
    os.killpg(os.getpgid(0), signal.SIGKILL)
