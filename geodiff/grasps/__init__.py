"""Grasps of a parallel gripper: read, measure, make objects and candidates.

Poses are the ACRONYM gripper frame in the object frame, metres: origin at the base of the hand, +z
approach, fingers close along x. Names load on first use; trimesh and h5py are imported only by the
readers that need them.
"""

from geodiff.lazy import on_first_use

# The public names and the module each lives in.
_EXPORTS = {
    "CostField": "geodiff.grasps.energy",
    "GraspSet": "geodiff.domains.bodies.records",
    "GraspedObject": "geodiff.domains.bodies.records",
    "LabelledObject": "geodiff.grasps.datasets",
    "candidates": "geodiff.domains.bodies.antipodal",
    "data": "geodiff.grasps.datasets",
    "evaluate": "geodiff.grasps.evaluation",
    "label": "geodiff.domains.bodies.simulate",
    "load": "geodiff.training.weights",
    "make_object": "geodiff.domains.bodies.objects",
    "make_objects": "geodiff.domains.bodies.objects",
    "module": "geodiff.grasps.objective",
    "page": "geodiff.domains.bodies.view",
    "partial_cloud": "geodiff.domains.bodies.rays",
    "picture": "geodiff.domains.bodies.view",
    "prepare": "geodiff.grasps.preparation",
    "read_grasps": "geodiff.domains.bodies.io",
    "read_object": "geodiff.domains.bodies.io",
    "read_points": "geodiff.domains.bodies.io",
    "read_training_data": "geodiff.grasps.datasets",
    "sample": "geodiff.grasps.sampling",
    "sample_file": "geodiff.grasps.sampling",
    "train": "geodiff.grasps.commands",
    "with_parts": "geodiff.domains.bodies.convex",
    "write_grasps": "geodiff.domains.bodies.io",
}

# Modules that may be reached as attributes, and where they stand.
_MODULES = {
    "antipodal": "geodiff.domains.bodies.antipodal",
    "cloud": "geodiff.grasps.cloud",
    "convex": "geodiff.domains.bodies.convex",
    "datasets": "geodiff.grasps.datasets",
    "energy": "geodiff.grasps.energy",
    "evaluation": "geodiff.grasps.evaluation",
    "gripper": "geodiff.domains.bodies.gripper",
    "hdf5": "geodiff.domains.bodies.hdf5",
    "io": "geodiff.domains.bodies.io",
    "model": "geodiff.grasps.model",
    "network": "geodiff.grasps.network",
    "objective": "geodiff.grasps.objective",
    "objects": "geodiff.domains.bodies.objects",
    "preparation": "geodiff.grasps.preparation",
    "rays": "geodiff.domains.bodies.rays",
    "records": "geodiff.domains.bodies.records",
    "rendering": "geodiff.domains.bodies.rendering",
    "sampling": "geodiff.grasps.sampling",
    "simulate": "geodiff.domains.bodies.simulate",
    "surface": "geodiff.domains.bodies.surface",
    "view": "geodiff.domains.bodies.view",
}

__all__ = sorted(_EXPORTS)
__getattr__, __dir__ = on_first_use(__name__, _EXPORTS, _MODULES)
