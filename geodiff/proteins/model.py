"""The backbone model: network and corruption of residue frames put together as one `Field`."""

from collections.abc import Callable
from dataclasses import asdict

from geodiff.process.clocks import Clock, Exponential, Linear, LogLinear, PerFactor
from geodiff.process.corruption import Geodesic, HeatKernel, PointCorruption
from geodiff.process.field import Field, NetworkField
from geodiff.process.levels import Levels, levels
from geodiff.proteins.datasets import NANOMETRE
from geodiff.proteins.network import BackboneNetwork, NetworkConfig
from geodiff.training.configs import check_config
from manifolds import Poses

DEFAULT_MODEL = "proteins-pdb"
ROTATION_RATE = 2.0  # of the levels of a flow's rotations when sampling


def _per_factor(rotations: Clock, translations: Clock) -> PerFactor:
    # The network hears s as the translations tell it, also where rotations go ahead of them.
    return PerFactor((rotations, translations), (3, 3), leader=1)


# Both corruptions of the frames; the network predicts clean frames for either.
PROCESSES: dict[str, Callable[[], PointCorruption]] = {
    "flow": lambda: Geodesic(Poses(), _per_factor(Linear(), Linear())),
    "diffusion": lambda: HeatKernel(
        Poses(), _per_factor(LogLinear(0.02, 2.5), LogLinear(0.02, 5.0))
    ),
}


def sampling_levels(corruption: PointCorruption, steps: int, rate: float = ROTATION_RATE) -> Levels:
    """The levels to sample along: rotations of a flow settle early, as e^(-rate (1 - s)); those of
    a diffusion do not.

    Args:
        corruption: one of `PROCESSES`.
        steps: how many levels to go down.
        rate: of the rotations of a flow; 0 lets them go with the translations.

    Source: Yim et al. 2023 (FrameFlow), who train with linear rotations and sample with exponential
        ones.
    """
    if corruption.has_score:
        return levels(corruption.clock, steps)
    return levels(_per_factor(Exponential(rate) if rate > 0 else Linear(), Linear()), steps)


def new_config(process: str = "flow", network: NetworkConfig = NetworkConfig()) -> dict:
    """What the JSON beside the weights says of a model; `build` turns it back into a field.

    Args:
        process: of `PROCESSES`.
        network: sizes.

    Raises: ValueError for another process.
    """
    if process not in PROCESSES:
        raise ValueError(f"process: expected one of {', '.join(PROCESSES)}, got {process!r}")
    return {
        "network": asdict(network),
        "process": process,
        "reading": "clean",
        "unit_angstrom": NANOMETRE,
    }


def build(config: dict) -> Field:
    """The field of `config`, freshly initialised.

    Args:
        config: the table in the JSON of a model.

    Raises: ValueError if what the model was trained on is no longer what this geodiff makes.
    """
    network = NetworkConfig(**config["network"])
    check_config(config, new_config(config["process"], network))
    return NetworkField(
        BackboneNetwork(network), PROCESSES[config["process"]](), reading=config["reading"]
    )
