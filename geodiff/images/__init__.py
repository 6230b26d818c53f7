"""Small images: the Euclidean special case of the engine; read, train, sample, view.

DDPM, DDIM and flow matching are configurations of it (`geodiff.images.model.PROCESSES` and a
stepper). Names load on first use.
"""

from geodiff.lazy import on_first_use

# The public names and the module each lives in.
_EXPORTS = {
    "Images": "geodiff.images.datasets",
    "data": "geodiff.images.datasets",
    "load": "geodiff.training.weights",
    "module": "geodiff.images.objective",
    "read": "geodiff.images.datasets",
    "sample": "geodiff.images.sampling",
    "train": "geodiff.images.commands",
    "write_grid": "geodiff.pictures.grid",
}

# Modules that may be reached as attributes, and where they stand.
_MODULES = {
    "datasets": "geodiff.images.datasets",
    "model": "geodiff.images.model",
    "objective": "geodiff.images.objective",
    "sampling": "geodiff.images.sampling",
}

__all__ = sorted(_EXPORTS)
__getattr__, __dir__ = on_first_use(__name__, _EXPORTS, _MODULES)
