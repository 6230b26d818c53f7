"""Conformers of molecules: read, featurise, sample, view and measure.

Names load on first use; rdkit and torch are imported only by the modules that need them.
"""

from geodiff.lazy import on_first_use

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
__getattr__, __dir__ = on_first_use(__name__, _EXPORTS, _MODULES)
