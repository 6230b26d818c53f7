"""Training by Lightning, and trained models on disk; names load on first use."""

from geodiff.lazy import on_first_use

# The public names and the module each lives in.
_EXPORTS = {
    "AtomicCheckpointIO": "geodiff.training.checkpoints",
    "BucketSampler": "geodiff.training.sampler",
    "LevelLaw": "geodiff.training.objective",
    "Matching": "geodiff.training.objective",
    "MatchingModule": "geodiff.training.module",
    "MovingAverage": "geodiff.training.average",
    "Objective": "geodiff.training.objective",
    "Run": "geodiff.training.options",
    "TaskData": "geodiff.training.datamodule",
    "TrainingBatch": "geodiff.training.batch",
    "TrainingModule": "geodiff.training.module",
    "TrainingSettings": "geodiff.training.settings",
    "fit": "geodiff.training.run",
    "with_run": "geodiff.training.options",
    "write_model": "geodiff.training.run",
}
# Modules that may be reached as attributes, and where they stand.
_MODULES = {
    name: f"geodiff.training.{name}"
    for name in (
        "average",
        "batch",
        "checkpoints",
        "datamodule",
        "models",
        "module",
        "objective",
        "options",
        "progress",
        "run",
        "sampler",
        "settings",
        "weights",
    )
}

__all__ = sorted(_EXPORTS)
__getattr__, __dir__ = on_first_use(__name__, _EXPORTS, _MODULES)
