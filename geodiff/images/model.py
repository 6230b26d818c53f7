"""Image models: a U-Net and one of the engine's corruptions on R^(channels x height x width)."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import cast

from torch import Tensor

from geodiff.networks.unet import UNet
from geodiff.process.clocks import DDPMLinear
from geodiff.process.corruption import Gaussian, Geodesic, PointCorruption
from geodiff.process.field import Field, NetworkField
from geodiff.process.objectives.level_weights import v_weight, velocity_weight
from geodiff.training.configs import check_config
from manifolds import Euclidean

DEFAULT_MODEL = "images-digits"


@dataclass(frozen=True)
class Process:
    """A corruption of images, and how a network is trained for it.

    Args:
        corruption: of a space of images.
        reading: what the network predicts.
        weight: how errors count, at (s, kappa).
        s_min: the lowest level it is trained at.
    """

    corruption: Callable[[Euclidean], PointCorruption]
    reading: str
    weight: Callable[[Tensor, Tensor], Tensor]
    s_min: float


# DDPM and DDIM are one model, sampled by `Ancestral` and by `ExponentialEuler`. It predicts v: an
# error of eps near s = 1 is one of kappa = 157 times its size in the clean image. After 540 steps
# of 64 digits, 0.43 (eps) and 0.82 (v) of 200 DDIM samples were read as the digit asked for, 0.55
# and 0.84 of ancestral ones (examples/digits.py).
PROCESSES = {
    # the first step
    "ddpm": Process(lambda space: Gaussian(space, DDPMLinear()), "v", v_weight, 1e-3),
    "flow": Process(Geodesic, "velocity", velocity_weight, 1e-2),
}


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the U-Net; these take 30 ms of CPU per training step of 64 digits on one thread."""

    width: int = 32  # channels at full size
    multipliers: tuple[int, ...] = (1, 2)  # channels of each level over width
    blocks: int = 1  # of each level
    heads: int = 4  # of the attention


def new_config(
    shape: Sequence[int],
    names: Sequence[str] = (),
    process: str = "flow",
    network: NetworkConfig = NetworkConfig(),
) -> dict:
    """What the JSON beside the weights says of a model; `build` turns it back into a field.

    Args:
        shape: (channels, height, width).
        names: of the classes, by label; empty for none.
        process: of `PROCESSES`.
        network: sizes.
    """
    if process not in PROCESSES:
        raise ValueError(
            f"process: expected one of {', '.join(PROCESSES)}, got {process!r}; DDIM is 'ddpm' "
            "sampled by ExponentialEuler"
        )
    return {
        "network": asdict(network),
        "shape": list(shape),
        "names": list(names),
        "process": process,
        "reading": PROCESSES[process].reading,
    }


def build(config: dict) -> Field:
    """The field of `config`, freshly initialised.

    Args:
        config: the table in the JSON of a model.

    Raises: ValueError if the process it was trained for is not this geodiff's.
    """
    network = NetworkConfig(**config["network"])
    shape, names, process = config["shape"], config["names"], config["process"]
    check_config(config, new_config(shape, names, process, network))
    unet = UNet(shape[0], classes=len(names), **asdict(network))
    corruption = PROCESSES[process].corruption(Euclidean(tuple(shape)))
    return NetworkField(unet, corruption, reading=config["reading"])


def network_of(field: Field) -> UNet:
    """The U-Net of a field that `build` made, which says what classes it knows.

    Args:
        field: of images.
    """
    return cast(UNet, field.network)
