"""Protein backbones: read and write, frames, training batches, measures.

Coordinates are N, CA, C, O in angstrom. Names load on first use; gemmi and Bio are imported only by the modules that
need them.
"""

import importlib

# The public names and the module each lives in.
_EXPORTS = {
    "Chain": "geodiff.proteins.chains",
    "atoms_to_frames": "geodiff.proteins.frames",
    "evaluate": "geodiff.proteins.evaluation",
    "frames_to_atoms": "geodiff.proteins.frames",
    "from_biopython": "geodiff.proteins.io",
    "load_chains": "geodiff.proteins.chains",
    "prepare": "geodiff.proteins.preparation",
    "read": "geodiff.proteins.io",
    "save_chains": "geodiff.proteins.chains",
    "to_biopython": "geodiff.proteins.io",
    "write": "geodiff.proteins.io",
}

# Modules that may be reached as attributes without an import of their own.
_MODULES = ("chains", "data", "decoys", "evaluation", "frames", "geometry", "io", "metrics", "preparation")

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
