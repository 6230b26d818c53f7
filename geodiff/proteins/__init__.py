"""Protein backbones: read and write, train, sample, measure.

Coordinates are N, CA, C, O in angstrom. Names load on first use; gemmi and Bio are imported only by
the modules that need them.
"""

from geodiff.lazy import on_first_use

# The public names and the module each lives in.
_EXPORTS = {
    "Chain": "geodiff.proteins.chains",
    "atoms_to_frames": "geodiff.proteins.frames",
    "evaluate": "geodiff.proteins.evaluation",
    "frames_to_atoms": "geodiff.proteins.frames",
    "from_biopython": "geodiff.proteins.io",
    "load_chains": "geodiff.proteins.chains",
    "page": "geodiff.proteins.view",
    "picture": "geodiff.proteins.view",
    "prepare": "geodiff.proteins.preparation",
    "read": "geodiff.proteins.io",
    "sample": "geodiff.proteins.sampling",
    "sample_folder": "geodiff.proteins.sampling",
    "save_chains": "geodiff.proteins.chains",
    "to_biopython": "geodiff.proteins.io",
    "train": "geodiff.proteins.training",
    "write": "geodiff.proteins.io",
}

# Modules that may be reached as attributes without an import of their own.
_MODULES = (
    "chains",
    "data",
    "decoys",
    "evaluation",
    "frames",
    "geometry",
    "io",
    "metrics",
    "model",
    "network",
    "objective",
    "preparation",
    "sampling",
    "training",
    "view",
)

__all__ = sorted(_EXPORTS)
__getattr__, __dir__ = on_first_use(__name__, _EXPORTS, _MODULES)
