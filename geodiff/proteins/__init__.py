"""Protein backbones: read and write, train, sample, measure.

Coordinates are N, CA, C, O in angstrom. Names load on first use; gemmi and Bio are imported only by
the modules that need them.
"""

from geodiff.lazy import on_first_use

# The public names and the module each lives in.
_EXPORTS = {
    "Chain": "geodiff.domains.chains.chain",
    "atoms_to_frames": "geodiff.domains.chains.frames",
    "data": "geodiff.proteins.datasets",
    "evaluate": "geodiff.proteins.evaluation",
    "frames_to_atoms": "geodiff.domains.chains.frames",
    "from_biopython": "geodiff.domains.chains.io",
    "load": "geodiff.training.weights",
    "load_chains": "geodiff.domains.chains.chain",
    "module": "geodiff.proteins.objective",
    "page": "geodiff.domains.chains.view",
    "picture": "geodiff.domains.chains.view",
    "prepare": "geodiff.proteins.preparation",
    "read": "geodiff.domains.chains.io",
    "sample": "geodiff.proteins.sampling",
    "sample_folder": "geodiff.proteins.sampling",
    "save_chains": "geodiff.domains.chains.chain",
    "to_biopython": "geodiff.domains.chains.io",
    "train": "geodiff.proteins.commands",
    "write": "geodiff.domains.chains.io",
}

# Modules that may be reached as attributes, and where they stand.
_MODULES = {
    "chains": "geodiff.domains.chains.chain",
    "datasets": "geodiff.proteins.datasets",
    "decoys": "geodiff.domains.chains.decoys",
    "evaluation": "geodiff.proteins.evaluation",
    "frames": "geodiff.domains.chains.frames",
    "geometry": "geodiff.domains.chains.geometry",
    "io": "geodiff.domains.chains.io",
    "metrics": "geodiff.domains.chains.metrics",
    "model": "geodiff.proteins.model",
    "network": "geodiff.proteins.network",
    "objective": "geodiff.proteins.objective",
    "preparation": "geodiff.proteins.preparation",
    "sampling": "geodiff.proteins.sampling",
    "view": "geodiff.domains.chains.view",
}

__all__ = sorted(_EXPORTS)
__getattr__, __dir__ = on_first_use(__name__, _EXPORTS, _MODULES)
