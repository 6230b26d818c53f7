"""Small images: the Euclidean special case of the engine; read, train, sample, view.

DDPM, DDIM and flow matching are configurations of it (`geodiff.images.model.PROCESSES` and a stepper). Names load on
first use.
"""

import importlib

# The public names and the module each lives in.
_EXPORTS = {
    "Images": "geodiff.images.io",
    "load": "geodiff.weights",
    "read": "geodiff.images.io",
    "sample": "geodiff.images.sampling",
    "train": "geodiff.images.training",
    "write_grid": "geodiff.images.view",
}

# Modules that may be reached as attributes without an import of their own.
_MODULES = ("io", "model", "sampling", "training", "view")

__all__ = sorted(_EXPORTS)


def __getattr__(name: str):
    if name in _EXPORTS:
        value = getattr(importlib.import_module(_EXPORTS[name]), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"{__name__} has no attribute {name!r}; it offers {', '.join(sorted({*_EXPORTS, *_MODULES}))}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS, *_MODULES})
