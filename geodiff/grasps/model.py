"""The grasp model: poses of the pads about an object, in units of 0.1 m, and how they are
corrupted.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from geodiff.domains.bodies.gripper import PAD_DEPTH, nearest_flip
from geodiff.grasps.cloud import UNIT
from geodiff.grasps.network import GraspNetwork, NetworkConfig
from geodiff.process.clocks import LogLinear, PerFactor
from geodiff.process.corruption import Geodesic, HeatKernel
from geodiff.process.field import Field, NetworkField
from geodiff.training.configs import check_config
from manifolds import SE3
from manifolds.base import randn
from manifolds.se3 import join
from manifolds.so3 import SO3

DEFAULT_MODEL = "grasps-procedural"
SPREAD = 0.7  # standard deviation of the noise about the object's centre, network units
# Noise levels of the energy: rotations in radians, up to uniform; translations in network units.
ROTATION_LEVELS, TRANSLATION_LEVELS = (0.04, 2.5), (0.04, 0.8)
ENERGY_CLOCK = PerFactor((LogLinear(*ROTATION_LEVELS), LogLinear(*TRANSLATION_LEVELS)), (3, 3))


@dataclass(frozen=True)
class Base:
    """Uniform rotations, and the middle between the pads normal about the object's centre.

    Args:
        spread: standard deviation of the middle along each axis, network units.
    """

    spread: float = SPREAD

    def __call__(
        self,
        size: Sequence[int],
        generator: Any,
        dtype: torch.dtype | None,
        device: torch.device | str | None,
        mask: Tensor | None,
        condition: Any,
    ) -> Tensor:
        """Draws, (*size, 4, 4), in network coordinates.

        Args:
            size: how many.
            generator: a torch.Generator, a `Noise`, or None for torch's own.
            dtype: of the draws; None takes torch's default.
            device: of the draws; None takes torch's default.
            mask: not read.
            condition: not read: the law is the same for every object.
        """
        options: dict[str, Any] = {"generator": generator, "dtype": dtype, "device": device}
        return join(SO3().random_point(*size, **options), self.spread * randn(*size, 3, **options))


def nearest_image(
    clean: Tensor, noise: Tensor, mask: Tensor | None = None, condition: Any = None
) -> tuple[Tensor, Tensor]:
    """Pairs each noise with the flip of the clean pose that is rotated less from it; the law of
    grasps has both.

    Args:
        clean: (n, 4, 4).
        noise: (n, 4, 4).
        mask: not read.
        condition: not read.
    """
    return nearest_flip(clean, noise), noise


def flow() -> Geodesic:
    """The corruption that samples are drawn by."""
    return Geodesic(SE3(), base=Base(), coupling=nearest_image)


def diffusion() -> HeatKernel:
    """The corruption whose score the energy's gradient is."""
    return HeatKernel(SE3(), ENERGY_CLOCK)


def to_network(poses: Tensor, centre: Tensor) -> Tensor:
    """Poses of the gripper frame, metres, as poses of the pads from `centre`, network units;
    differentiable.

    Args:
        poses: (*batch, 4, 4).
        centre: broadcastable to (*batch, 3), metres.
    """
    middle = poses[..., :3, 3] + PAD_DEPTH * poses[..., :3, 2]
    return join(poses[..., :3, :3], (middle - centre) / UNIT)


def to_metres(x: Tensor, centre: Tensor) -> Tensor:
    """The inverse of `to_network`.

    Args:
        x: (*batch, 4, 4).
        centre: broadcastable to (*batch, 3), metres.
    """
    return join(x[..., :3, :3], x[..., :3, 3] * UNIT + centre - PAD_DEPTH * x[..., :3, 2])


def new_config(network: NetworkConfig = NetworkConfig()) -> dict:
    """What the JSON beside the weights says of a model; `build` turns it back into a field.

    Args:
        network: sizes.
    """
    return {
        "network": asdict(network),
        "unit": UNIT,
        "spread": SPREAD,
        "reading": "velocity",
        "rotation_levels": list(ROTATION_LEVELS),
        "translation_levels": list(TRANSLATION_LEVELS),
    }


def build(config: dict) -> Field:
    """The field of `config`, freshly initialised; its `network` has the energy too.

    Args:
        config: the table in the JSON of a model.

    Raises: ValueError if units or levels are not this geodiff's.
    """
    network = NetworkConfig(**config["network"])
    check_config(config, new_config(network))
    return NetworkField(GraspNetwork(network), flow(), reading="velocity")
