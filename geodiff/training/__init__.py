"""Training by Lightning, and trained models on disk; names load on first use."""

from geodiff.lazy import on_first_use

_EXPORTS = {
    "AtomicCheckpointIO": "geodiff.training.checkpoints",
    "BucketSampler": "geodiff.training.sampler",
    "MatchingModule": "geodiff.training.module",
    "MovingAverage": "geodiff.training.average",
    "TaskData": "geodiff.training.datamodule",
    "TrainingBatch": "geodiff.training.batch",
    "TrainingSettings": "geodiff.training.settings",
    "fit": "geodiff.training.run",
    "write_model": "geodiff.training.run",
}
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
