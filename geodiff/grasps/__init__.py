"""Grasps of a parallel gripper: read, measure, make objects and candidates.

Poses are the ACRONYM gripper frame in the object frame, metres: origin at the base of the hand, +z
approach, fingers close along x. Names load on first use; trimesh and h5py are imported only by the
readers that need them.
"""

from geodiff.lazy import on_first_use

# The public names and the module each lives in.
_EXPORTS = {
    "CostField": "geodiff.grasps.energy",
    "GraspSet": "geodiff.grasps.records",
    "GraspedObject": "geodiff.grasps.records",
    "LabelledObject": "geodiff.grasps.data",
    "candidates": "geodiff.grasps.antipodal",
    "evaluate": "geodiff.grasps.evaluation",
    "label": "geodiff.grasps.simulate",
    "make_object": "geodiff.grasps.objects",
    "make_objects": "geodiff.grasps.objects",
    "page": "geodiff.grasps.view",
    "partial_cloud": "geodiff.grasps.rays",
    "picture": "geodiff.grasps.view",
    "prepare": "geodiff.grasps.preparation",
    "read_grasps": "geodiff.grasps.io",
    "read_object": "geodiff.grasps.io",
    "read_points": "geodiff.grasps.io",
    "read_training_data": "geodiff.grasps.data",
    "sample": "geodiff.grasps.sampling",
    "sample_file": "geodiff.grasps.sampling",
    "train": "geodiff.grasps.training",
    "with_parts": "geodiff.grasps.convex",
    "write_grasps": "geodiff.grasps.io",
}

# Modules that may be reached as attributes without an import of their own.
_MODULES = (
    "antipodal",
    "cloud",
    "convex",
    "data",
    "energy",
    "evaluation",
    "gripper",
    "hdf5",
    "io",
    "model",
    "network",
    "objects",
    "preparation",
    "processes",
    "rays",
    "records",
    "rendering",
    "sampling",
    "simulate",
    "surface",
    "training",
    "view",
)

__all__ = sorted(_EXPORTS)
__getattr__, __dir__ = on_first_use(__name__, _EXPORTS, _MODULES)
