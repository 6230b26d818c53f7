"""Grasps of a parallel gripper: read, measure, make objects and candidates.

Poses are the ACRONYM gripper frame in the object frame, metres: origin at the base of the hand, +z approach,
fingers close along x. Names load on first use; trimesh and h5py are imported only by the readers that need them.
"""

import importlib

# The public names and the module each lives in.
_EXPORTS = {
    "GraspSet": "geodiff.grasps.records",
    "GraspedObject": "geodiff.grasps.records",
    "read_grasps": "geodiff.grasps.io",
    "read_object": "geodiff.grasps.io",
    "read_points": "geodiff.grasps.io",
    "write_grasps": "geodiff.grasps.io",
}

# Modules that may be reached as attributes without an import of their own.
_MODULES = ("gripper", "hdf5", "io", "records", "surface")

__all__ = sorted(_EXPORTS)


def __getattr__(name: str):
    if name in _EXPORTS:
        value = getattr(importlib.import_module(_EXPORTS[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has: {', '.join(__all__)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
