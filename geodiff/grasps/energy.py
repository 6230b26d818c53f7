"""The energy head as outside code uses it: a score on SE(3), and a cost of gripper poses in
metres.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from geodiff.domains.bodies.io import read_points
from geodiff.grasps.cloud import Cloud, describe
from geodiff.grasps.model import DEFAULT_MODEL, ENERGY_CLOCK, diffusion, to_network
from geodiff.grasps.network import Encoding, GraspNetwork
from geodiff.process.field import Field, NetworkField
from geodiff.training.models import trained
from manifolds import SE3


class Score(nn.Module):
    """kappa^2 times the score of noisy grasps, by differentiating minus the energy; as the network
    of a `Field`.

    Args:
        network: whose energy it is.
    """

    def __init__(self, network: GraspNetwork):
        super().__init__()
        self.network = network

    def forward(
        self, x: Tensor, s: Tensor, condition: Cloud | Encoding, mask: None = None
    ) -> Tensor:
        """Tangents (n, 6).

        Args:
            x: as `GraspNetwork` takes it.
            s: as `GraspNetwork` takes it.
            condition: as `GraspNetwork` takes it.
            mask: grasps have none.
        """
        wanted = torch.is_grad_enabled()
        with torch.enable_grad():
            step = torch.zeros(len(x), 6, dtype=x.dtype, device=x.device, requires_grad=True)
            energy = nats(self.network, SE3().exp(x, step), s, condition)
            (slope,) = torch.autograd.grad(energy.sum(), step, create_graph=wanted)
        return -(ENERGY_CLOCK.kappa(s) ** 2) * slope


def nats(network: GraspNetwork, x: Tensor, s: Tensor, condition: Cloud | Encoding) -> Tensor:
    """Minus the log density of noisy grasps up to a constant of object and level, (n,).

    The network's number over the level of rotations: its slope is of order one at every level.

    Args:
        network: whose energy it is.
        x: (n, 4, 4), in network coordinates.
        s: (n,) in [0, 1].
        condition: the objects.
    """
    return network.energy(x, s, condition) / ENERGY_CLOCK.kappa(s)[:, 0]


def score_field(field: Field) -> Field:
    """The field of the energy's score beside a sampling field; both share one network.

    Args:
        field: of grasps.
    """
    return NetworkField(Score(field.network), diffusion(), reading="u")


@dataclass(frozen=True)
class Known:
    """An object that a `CostField` has encoded.

    Args:
        centre: (3,), metres, object frame.
        encoding: of the one object.
    """

    centre: Tensor
    encoding: Encoding


class CostField(nn.Module):
    """A cost of gripper poses on an object, low where grasps hold; differentiable in the poses as
    often as needed.

    The cost is minus the log density of grasps with noise of level s in [0, 1] added, in nats, up
    to a constant of object and level: at s = 0 it ranks, near 1 it is smooth and leads from far.
    Move poses by a retraction, as `manifolds.SE3().exp(poses, step)` with six numbers a pose that
    an optimiser owns. The same for `gripper.flip(poses)`; unchanged if poses and points move
    together.

    Args:
        field: of grasps, whose network has the energy.
    """

    def __init__(self, field: Field):
        super().__init__()
        self.network = field.network

    @classmethod
    def load(
        cls, model: Field | str | Path | None = None, *, device: str | torch.device = "auto"
    ) -> "CostField":
        """The cost of a trained model; its weights are constants, a gradient reaches poses only.

        Args:
            model: a field, a path, or a shipped name; None takes the shipped default.
            device: "auto", "cpu", "cuda", "cuda:1"; "auto" leaves a field where it is.
        """
        field = trained(model, "grasps", DEFAULT_MODEL, device=device)
        return cls(field).requires_grad_(False)

    @torch.no_grad()
    def encode(self, points: Tensor | np.ndarray) -> Known:
        """The object of these points, to be given in their place: it is encoded once for many
        calls.

        Args:
            points: of the object's surface (m, 3), metres, object frame.

        Raises: ValueError as `read_points`: fewer than 16 points, sizes that cannot be metres.
        """
        points = torch.from_numpy(
            read_points(points.detach().cpu().numpy() if isinstance(points, Tensor) else points)
        )
        like = self.network.start
        cloud = describe(points.to(like))
        return Known(points.mean(0).to(like.device), self.network.encode(cloud))

    def forward(self, poses: Tensor, points: Tensor | np.ndarray | Known, s: float = 0.0) -> Tensor:
        """Costs (n,), nats.

        Args:
            poses: (n, 4, 4), the gripper frame in the object frame, metres, tensor.
            points: of the object's surface (m, 3), metres, same frame, or what `encode` made of
                them.
            s: the level, in [0, 1].
        """
        x, known = self._place(poses, points)
        return nats(self.network, x, torch.full((len(x),), float(s)).to(x), known.encoding).to(
            poses.dtype
        )

    def log_odds(self, poses: Tensor, points: Tensor | np.ndarray | Known) -> Tensor:
        """Log odds that the grasps hold, (n,), as far as labels taught: a falling function of the
        cost at s = 0.

        Args:
            poses: as `forward` takes them.
            points: as `forward` takes them.
        """
        x, known = self._place(poses, points)
        return self.network.log_odds(x, known.encoding).to(poses.dtype)

    def _place(self, poses: Tensor, points: Any) -> tuple[Tensor, Known]:
        if not isinstance(poses, Tensor) or poses.ndim != 3 or poses.shape[1:] != (4, 4):
            got = tuple(poses.shape) if hasattr(poses, "shape") else type(poses).__name__
            raise ValueError(
                f"poses: expected a tensor (n, 4, 4) of poses in metres, got {got}; for one pose "
                "pass pose[None]"
            )
        known = points if isinstance(points, Known) else self.encode(points)
        return to_network(poses, known.centre.to(poses)).to(self.network.start), known
