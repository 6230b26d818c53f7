"""Conformers of molecules: read, featurise, sample, view and measure.

Names load on first use; rdkit and torch are imported only by the modules that need them.
"""

import importlib

# The public names and the module each lives in.
_EXPORTS = {
    "collate": "geodiff.conformers.features",
    "featurise": "geodiff.conformers.features",
    "load": "geodiff.weights",
    "read": "geodiff.conformers.io",
    "sample": "geodiff.conformers.sampling",
    "sample_file": "geodiff.conformers.sampling",
    "write_html": "geodiff.conformers.view",
    "write_png": "geodiff.conformers.view",
}

# Modules that may be reached as attributes without an import of their own.
_MODULES = (
    "data",
    "features",
    "io",
    "metrics",
    "model",
    "prepare",
    "rmsd",
    "sampling",
    "stereo",
    "training",
    "view",
)

__all__ = sorted(_EXPORTS)


def __getattr__(name: str):
    if name in _EXPORTS:
        value = getattr(importlib.import_module(_EXPORTS[name]), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(
        f"{__name__} has no attribute {name!r}; it offers {', '.join(sorted({*_EXPORTS, *_MODULES}))}"
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS, *_MODULES})
