"""The scripts of examples/benchmarks as modules."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

BENCHMARKS = Path(__file__).resolve().parent.parent / "examples" / "benchmarks"


@contextmanager
def benchmarks(*names: str) -> Iterator[dict[str, ModuleType]]:
    """The modules by name, imported as the scripts import one another, and forgotten afterwards
    with what they took.
    """
    paths, modules = list(sys.path), set(sys.modules)
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield {name: importlib.import_module(name) for name in names}
    finally:
        sys.path[:] = paths
        for name in set(sys.modules) - modules:
            if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(BENCHMARKS)):
                del sys.modules[name]
