"""Diffusion and flow matching on manifolds.

Names load on first use, so that `import geodiff` costs little and pulls in no outside library.
"""

import importlib.util
import warnings
from pathlib import Path

from geodiff.lazy import on_first_use

__version__ = "0.1.0"

# The public names and the module each lives in.
_EXPORTS = {
    "AdaptiveRungeKutta": "process.samplers",
    "Ancestral": "process.samplers",
    "Autoguidance": "process.guidance",
    "Churn": "process.samplers",
    "ClassifierFree": "process.guidance",
    "Clipped": "process.guidance",
    "Condition": "process.condition",
    "Cosine": "process.clocks",
    "DDPMLinear": "process.clocks",
    "Energy": "process.guidance",
    "Exponential": "process.clocks",
    "ExponentialEuler": "process.samplers",
    "Field": "process.field",
    "FlowMap": "process.flowmap",
    "Gaussian": "process.corruption",
    "Geodesic": "process.corruption",
    "HeatKernel": "process.corruption",
    "Guide": "process.guidance",
    "Heun": "process.samplers",
    "Interval": "process.guidance",
    "Joint": "process.corruption",
    "JointField": "process.joint_field",
    "Karras": "process.clocks",
    "Known": "process.guidance",
    "Labels": "process.condition",
    "Langevin": "process.samplers",
    "LetterAncestral": "process.samplers",
    "LetterField": "process.letter_field",
    "Linear": "process.clocks",
    "LogLinear": "process.clocks",
    "Masked": "process.corruption",
    "MinibatchOT": "process.couplings",
    "Multistep": "process.samplers",
    "NetworkField": "process.field",
    "NetworkFlowMap": "process.flowmap",
    "Noise": "process.randomness",
    "Particles": "process.particles",
    "PerFactor": "process.clocks",
    "RePaint": "process.samplers",
    "Reconstruction": "process.guidance",
    "Rescaled": "process.guidance",
    "RungeKutta4": "process.samplers",
    "ScaledNull": "process.guidance",
    "Singlestep": "process.samplers",
    "UniPC": "process.samplers",
    "Uniform": "process.corruption",
    "best_of": "process.best_of",
    "implicit_loss": "process.objectives.score_matching",
    "integrate": "process.samplers",
    "levels": "process.levels",
    "load": "training.weights",
    "log_prob": "process.likelihood",
    "matching_loss": "process.objectives.matching",
    "prior_tv": "process.likelihood",
    "reflow": "process.reflow",
    "sample": "process.sampling",
    "score_of": "process.objectives.score_matching",
    "sliced_loss": "process.objectives.score_matching",
    "steer": "process.particles",
}

# Rooms that may be reached as attributes without an import of their own.
_ROOMS = (
    "conformers",
    "domains",
    "grasps",
    "images",
    "jobs",
    "networks",
    "paths",
    "pictures",
    "process",
    "proteins",
    "task",
    "testing",
    "training",
)
# Modules that stood here before they had rooms; reached as attributes still.
_MOVED = {
    "corruption": "process.corruption",
    "couplings": "process.couplings",
    "divergence": "process.divergence",
    "field": "process.field",
    "likelihood": "process.likelihood",
    "objectives": "process.objectives.matching",
    "randomness": "process.randomness",
    "samplers": "process.samplers",
    "sampling": "process.sampling",
    "schedules": "process.clocks",
    "score_matching": "process.objectives.score_matching",
    "weights": "training.weights",
}

__all__ = sorted(_EXPORTS)
__getattr__, __dir__ = on_first_use(
    __name__,
    {name: f"geodiff.{module}" for name, module in _EXPORTS.items()},
    {name: f"geodiff.{module}" for name, module in {**_MOVED, **dict(zip(_ROOMS, _ROOMS))}.items()},
)


def _check_manifolds() -> None:
    """Raise ImportError unless `import manifolds` would find the package that ships with geodiff.

    The name belongs to an older, unrelated package on the index. Ours always stands beside
    `geodiff`.
    Nothing is imported here: a look at the import path is enough.
    """
    spec = importlib.util.find_spec("manifolds")
    found = None if spec is None else next(iter(spec.submodule_search_locations or ()), spec.origin)
    beside = Path(__file__).resolve().parent.parent / "manifolds"
    if found is not None and Path(found).resolve() == beside and (beside / "base.py").is_file():
        return
    raise ImportError(
        f"geodiff needs its own package `manifolds` at {beside}, but `import manifolds` finds "
        f"{found or 'nothing'}. If another distribution of that name is installed, run "
        "`pip uninstall manifolds`; if a file manifolds.py "
        "stands in your working directory, rename it; then `pip install --force-reinstall "
        "--no-deps geodiff-manifolds`."
    )


def _check_alone() -> None:
    """Warn if another distribution has put its files into this very folder.

    A distribution called `geodiff` on the index has nothing to do with this one, which is called
    `geodiff-manifolds`. Installed into one environment they overwrite each other's files.
    """
    here = Path(__file__).resolve().parent
    strangers = sorted(here.parent.glob("geodiff-[0-9]*.dist-info"))
    if strangers:
        warnings.warn(
            f"the distribution {strangers[0].stem} has written into {here}, the folder of "
            "geodiff-manifolds; run `pip uninstall geodiff`, then `pip install --force-reinstall "
            "--no-deps geodiff-manifolds`",
            RuntimeWarning,
            stacklevel=2,
        )


_check_manifolds()
_check_alone()
