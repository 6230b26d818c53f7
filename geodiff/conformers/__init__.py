"""Conformers of molecules: read, featurise, sample, view and measure.

Names load on first use; rdkit and torch are imported only by the modules that need them.
"""

from geodiff.lazy import on_first_use

# The public names and the module each lives in.
_EXPORTS = {
    "collate": "geodiff.domains.molecules.features",
    "coverage": "geodiff.domains.molecules.metrics",
    "data": "geodiff.conformers.datasets",
    "evaluate": "geodiff.conformers.evaluation",
    "featurise": "geodiff.domains.molecules.features",
    "load": "geodiff.training.weights",
    "module": "geodiff.conformers.objective",
    "prepare": "geodiff.conformers.preparation",
    "read": "geodiff.domains.molecules.io",
    "sample": "geodiff.conformers.sampling",
    "sample_file": "geodiff.conformers.sampling",
    "train": "geodiff.conformers.commands",
    "write_html": "geodiff.domains.molecules.view",
    "write_png": "geodiff.domains.molecules.view",
}

# Modules that may be reached as attributes, and where they stand.
_MODULES = {
    "baselines": "geodiff.domains.molecules.baselines",
    "datasets": "geodiff.conformers.datasets",
    "evaluation": "geodiff.conformers.evaluation",
    "features": "geodiff.domains.molecules.features",
    "geometry": "geodiff.domains.molecules.geometry",
    "io": "geodiff.domains.molecules.io",
    "metrics": "geodiff.domains.molecules.metrics",
    "model": "geodiff.conformers.model",
    "objective": "geodiff.conformers.objective",
    "preparation": "geodiff.conformers.preparation",
    "rmsd": "geodiff.domains.molecules.rmsd",
    "sampling": "geodiff.conformers.sampling",
    "stereo": "geodiff.domains.molecules.stereo",
    "view": "geodiff.domains.molecules.view",
}

__all__ = sorted(_EXPORTS)
__getattr__, __dir__ = on_first_use(__name__, _EXPORTS, _MODULES)
