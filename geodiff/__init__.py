"""Diffusion and flow matching on manifolds.

Names load on first use, so that `import geodiff` costs little and pulls in no outside library.
"""

import importlib.util
from pathlib import Path

from geodiff.lazy import on_first_use

__version__ = "0.1.0"

# The public names and the module each lives in.
_EXPORTS = {
    "Ancestral": "samplers",
    "Cosine": "schedules",
    "DDPMLinear": "schedules",
    "Exponential": "schedules",
    "ExponentialEuler": "samplers",
    "Field": "field",
    "Gaussian": "corruption",
    "Geodesic": "corruption",
    "HeatKernel": "corruption",
    "Heun": "samplers",
    "Karras": "schedules",
    "Linear": "schedules",
    "LogLinear": "schedules",
    "MinibatchOT": "couplings",
    "Multistep": "samplers",
    "Noise": "randomness",
    "PerFactor": "schedules",
    "RungeKutta4": "samplers",
    "UniPC": "samplers",
    "implicit_loss": "score_matching",
    "integrate": "samplers",
    "levels": "schedules",
    "load": "weights",
    "log_prob": "likelihood",
    "matching_loss": "objectives",
    "prior_tv": "likelihood",
    "reflow": "couplings",
    "sample": "sampling",
    "score_of": "score_matching",
    "sliced_loss": "score_matching",
}

# Rooms that may be reached as attributes without an import of their own.
_ROOMS = (
    "conformers",
    "corruption",
    "couplings",
    "divergence",
    "field",
    "grasps",
    "images",
    "likelihood",
    "networks",
    "objectives",
    "paths",
    "proteins",
    "ragged",
    "randomness",
    "samplers",
    "sampling",
    "schedules",
    "score_matching",
    "training",
    "weights",
)

__all__ = sorted(_EXPORTS)
__getattr__, __dir__ = on_first_use(
    __name__, {name: f"geodiff.{module}" for name, module in _EXPORTS.items()}, _ROOMS
)


def _check_manifolds() -> None:
    """Raise ImportError unless `import manifolds` would find the package that ships with geodiff.

    The name belongs to an older, unrelated package on the index. Ours always stands beside
    `geodiff`.
    Nothing is imported here: a look at the import path is enough.
    """
    spec = importlib.util.find_spec("manifolds")
    folders = [] if spec is None else spec.submodule_search_locations or [spec.origin]
    found = next(iter(folders), None)
    beside = Path(__file__).resolve().parent.parent / "manifolds"
    if found is not None and Path(found).resolve() == beside and (beside / "base.py").is_file():
        return
    raise ImportError(
        f"geodiff needs its own package `manifolds` at {beside}, but `import manifolds` finds "
        f"{found or 'nothing'}. If another distribution of that name is installed, run "
        "`pip uninstall manifolds`; if a file manifolds.py "
        "stands in your working directory, rename it; then `pip install --force-reinstall "
        "--no-deps geodiff`."
    )


_check_manifolds()
