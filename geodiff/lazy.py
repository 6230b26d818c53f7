"""Packages whose names load on first use."""

import importlib
import sys
from collections.abc import Callable, Mapping


def on_first_use(
    package: str, exports: Mapping[str, str], modules: Mapping[str, str]
) -> tuple[Callable, Callable]:
    """The `__getattr__` and `__dir__` of a package (PEP 562).

    Args:
        package: its `__name__`.
        exports: public names and the module each lives in, by full name.
        modules: attributes that are modules, and their full names.
    """

    def __getattr__(name: str):
        if name in exports:
            value = getattr(importlib.import_module(exports[name]), name)
            setattr(sys.modules[package], name, value)
            return value
        if name in modules:
            return importlib.import_module(modules[name])
        raise AttributeError(
            f"{package} has no attribute {name!r}; it offers "
            f"{', '.join(sorted({*exports, *modules}))}"
        )

    def __dir__() -> list[str]:
        return sorted({*vars(sys.modules[package]), *exports, *modules})

    return __getattr__, __dir__
