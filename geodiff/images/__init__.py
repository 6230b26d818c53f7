"""Small images: the Euclidean special case of the engine; read, train, sample, view.

DDPM, DDIM and flow matching are configurations of it (`geodiff.images.model.PROCESSES` and a
stepper). Names load on first use.
"""

from geodiff.lazy import on_first_use

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
__getattr__, __dir__ = on_first_use(__name__, _EXPORTS, _MODULES)
