"""The grasp network: points of the gripper, moved by a pose, read the shape of the object around
them.

One trunk, two heads: a tangent at the pose, for sampling, and an energy, whose gradient is a score.
Everything is seen from the gripper, so that a motion of gripper and object together changes
nothing; and from the gripper's mirror images as well, which are the same gripper, so that the
outputs keep all its symmetries exactly.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from geodiff.domains.bodies.gripper import FINGER_DEPTH, MAX_WIDTH, PAD_DEPTH, PAD_HALF
from geodiff.grasps.cloud import SCALARS, TENSORS, UNIT, VECTORS, Cloud, without_object
from geodiff.networks.mlp import LevelFeatures
from geodiff.process.condition import Rows

# The gripper's images of itself: as it is, turned by 180 degrees about the approach, and mirrored
# in its two planes.
IMAGES = ((1.0, 1.0, 1.0), (-1.0, -1.0, 1.0), (-1.0, 1.0, 1.0), (1.0, -1.0, 1.0))


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the network."""

    width: int = 128  # of the state of each image of the gripper
    rounds: int = 3  # of reading
    points: int = 8  # that each image reads with in a round; 32 together
    scalars: int = 32  # read at a point, of each kind
    vectors: int = 12  # read at a point
    tensors: int = 3  # read at a point
    keys: int = 8  # of an anchor, that points look for beside its place
    point_width: int = 32  # of what a point tells its image


@dataclass(frozen=True)
class Encoding(Rows):
    """Encoded clouds, one for each object: what may be read, and where.

    Args:
        keys: (objects, P, 4 + keys): place, squared length of the place, learned keys.
        values: (objects, P, values).
    """

    keys: Tensor
    values: Tensor

    def null(self, rows: Tensor | None = None) -> "Encoding":
        """Refused: as `without_object` says.

        Args:
            rows: (objects,) bool.

        Raises: ValueError.
        """
        raise without_object()


class GraspNetwork(nn.Module):
    """Maps poses, levels and objects to tangents of SE(3), or to energies.

    Poses, (objects * k, 4, 4), k for each object in turn: the frame of the pads, whose origin is
    between them, in the object's frame, from its centre and in units of 0.1 m. Energies are smooth:
    all derivatives exist.

    Args:
        config: sizes.
    """

    images: Tensor

    def __init__(self, config: NetworkConfig = NetworkConfig()):
        super().__init__()
        self.config = config
        width = config.width
        self.level = LevelFeatures(width)
        self.embedding = nn.Sequential(
            nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        # Of tangent and of energy: their levels mean different amounts of noise.
        self.purpose = nn.Parameter(torch.zeros(2, width))
        self.start = nn.Parameter(torch.randn(width))
        self.encoder = _Encoder(config)
        self.rounds = nn.ModuleList(
            _Round(config, first=number == 0) for number in range(config.rounds)
        )
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.tangent = _Head(width, 6)
        self.potential = _Head(width, 1)
        # From the energy to the log odds of success: slope (its logarithm) and offset.
        self.calibration = nn.Parameter(torch.tensor([math.log(5.0), 0.0]))
        self.register_buffer("images", torch.tensor(IMAGES), persistent=False)

    def encode(self, cloud: Cloud) -> Encoding:
        """What is read of the objects; it does not depend on poses or levels.

        Args:
            cloud: the objects.
        """
        return self.encoder(cloud)

    def forward(
        self, x: Tensor, s: Tensor, condition: Cloud | Encoding, mask: None = None
    ) -> Tensor:
        """Tangents (objects * k, 6), body-frame rotation, then translation.

        Args:
            x: poses (objects * k, 4, 4).
            s: (objects * k,) in [0, 1].
            condition: the objects, a `Cloud` or its `Encoding`.
            mask: grasps have none.
        """
        state = self._state(x, s, condition, 0)
        turn, shift = self.tangent(state).split(3, -1)
        # A rotation vector changes its sign in a mirror beside turning as a vector does.
        turn = turn * (self.images * self.images.prod(-1, keepdim=True)).to(turn)
        shift = (shift * self.images.to(shift)).mean(1)
        return torch.cat([turn.mean(1), (x[..., :3, :3] @ shift[..., None]).squeeze(-1)], -1)

    def energy(self, x: Tensor, s: Tensor, condition: Cloud | Encoding) -> Tensor:
        """A number for each pose, (objects * k,), low where grasps are likely.

        Args:
            x: poses (objects * k, 4, 4).
            s: (objects * k,) in [0, 1].
            condition: the objects, a `Cloud` or its `Encoding`.
        """
        return self.potential(self._state(x, s, condition, 1)).squeeze(-1).mean(1)

    def log_odds(self, x: Tensor, condition: Cloud | Encoding) -> Tensor:
        """Log odds that the grasps hold, (objects * k,): a falling function of the energy at the
        lowest level.

        Args:
            x: poses (objects * k, 4, 4).
            condition: the objects, a `Cloud` or its `Encoding`.
        """
        energy = self.energy(x, torch.zeros(len(x), dtype=x.dtype, device=x.device), condition)
        return self.calibration[1] - torch.exp(self.calibration[0]) * energy

    def _state(self, x: Tensor, s: Tensor, condition: Cloud | Encoding, purpose: int) -> Tensor:
        """The state of each image of the gripper, (objects * k, images, width)."""
        encoding = condition if isinstance(condition, Encoding) else self.encode(condition)
        if len(x) % len(encoding):
            raise ValueError(
                f"x: expected as many poses for each of {len(encoding)} objects, got {len(x)} poses"
            )
        level = self.embedding(self.level(s) + self.purpose[purpose])[:, None]
        frames = x[:, None, :3, :3] * self.images.to(x)[:, None, :]
        state = self.start.expand(len(x), len(self.images), -1)
        for one in self.rounds:
            state = one(state, level, frames, x[:, :3, 3], encoding)
        return self.norm(state)


class _Encoder(nn.Module):
    """Mixes the channels of a described cloud, vectors and tensors linearly and with gates, anchor
    by anchor.
    """

    def __init__(self, config: NetworkConfig):
        super().__init__()
        width = 2 * config.scalars
        self.body = nn.Sequential(
            nn.Linear(SCALARS, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.scalars = nn.Linear(width, config.scalars)
        self.keys = nn.Linear(width, config.keys)
        self.vectors = nn.Linear(VECTORS, config.vectors, bias=False)
        self.tensors = nn.Linear(TENSORS, config.tensors, bias=False)
        self.gates = nn.Linear(width, config.vectors + config.tensors)

    def forward(self, cloud: Cloud) -> Encoding:
        places, hidden = cloud.anchors, self.body(cloud.scalars)
        gates = 2 * torch.sigmoid(self.gates(hidden))
        vectors = self.vectors(cloud.vectors.transpose(-1, -2)).transpose(-1, -2)
        tensors = self.tensors(cloud.tensors.flatten(-2).transpose(-1, -2)).transpose(-1, -2)
        vector_gates, tensor_gates = gates.split([vectors.shape[-2], tensors.shape[-2]], -1)
        outer = places[..., :, None] * places[..., None, :]
        values = [
            self.scalars(hidden),
            places,
            (vectors * vector_gates[..., None]).flatten(-2),
            outer.flatten(-2),
            (tensors * tensor_gates[..., None]).flatten(-2),
        ]
        keys = torch.cat([places, places.square().sum(-1, keepdim=True), self.keys(hidden)], -1)
        return Encoding(keys, torch.cat(values, -1))


class _Round(nn.Module):
    """Every image moves its points as its state says, reads the object there, and updates its
    state.

    A point reads the anchors in a Gaussian window about itself, whose size it chooses: the weighted
    mean of all values, the mean offset and spread of the anchors, and the logarithm of the total
    weight, which is a soft distance.
    """

    def __init__(self, config: NetworkConfig, first: bool):
        super().__init__()
        self.config = config
        width, points = config.width, config.points
        self.places = nn.Parameter(_places(points))
        # Windows of 5 mm to 6 cm.
        self.sizes = nn.Parameter(
            torch.linspace(math.log(0.05), math.log(0.6), points).roll(points // 3)
        )
        self.sought = nn.Parameter(torch.zeros(points, config.keys))
        self.aim = None if first else _Head(width, points * (4 + config.keys))
        read = config.scalars + 3 * (1 + config.vectors) + 9 * (1 + config.tensors) + 1
        self.reading = nn.Parameter(torch.randn(points, read, config.point_width) / math.sqrt(read))
        self.offset = nn.Parameter(torch.zeros(points, config.point_width))
        self.inward = nn.Linear(points * config.point_width, width)
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(width, 2 * width)
        self.up = nn.Linear(3 * width, 2 * width)
        self.down = nn.Linear(2 * width, width)

    def forward(
        self, state: Tensor, level: Tensor, frames: Tensor, origin: Tensor, encoding: Encoding
    ) -> Tensor:
        places, sizes, sought = self.places, self.sizes, self.sought
        if self.aim is not None:
            move, grow, look = (
                self.aim(state).unflatten(-1, (len(places), -1)).split([3, 1, sought.shape[-1]], -1)
            )
            places, sizes = places + torch.tanh(move), sizes + torch.tanh(grow.squeeze(-1))
            sought = sought + look
        shape = (*frames.shape[:2], len(self.places))
        places, sizes = places.expand(*shape, 3), sizes.expand(shape)
        points = origin[:, None, None] + places @ frames.transpose(-1, -2)
        read = self._read(points, torch.exp(-2 * sizes), sought.expand(*shape, -1), encoding)
        seen = _seen(read, points, frames, origin, self.config)
        # One small matrix for each point, the same for all images of the gripper.
        tokens = torch.einsum("...pr,prc->...pc", seen, self.reading) + self.offset
        new = self.inward(silu(tokens).flatten(-2))
        shift, scale = self.modulation(level).chunk(2, -1)
        own = self.norm(state + new) * (1 + scale) + shift
        hidden = silu(self.up(torch.cat([own, new, own.mean(-2, keepdim=True).expand_as(own)], -1)))
        return state + new + self.down(hidden)

    def _read(self, points: Tensor, sharp: Tensor, sought: Tensor, encoding: Encoding) -> Tensor:
        """Weighted means of the values and the log of the mean weight, (n, images, points, values +
        1).
        """
        shape, objects = sharp.shape, len(encoding)
        sharp = sharp[..., None]
        # -|q - p|^2 / 2 size^2 + sought . key, as one product of matrices.
        query = torch.cat([points * sharp, -0.5 * sharp, sought], -1).reshape(
            objects, -1, encoding.keys.shape[-1]
        )
        logits = query @ encoding.keys.transpose(-1, -2)
        weights = torch.softmax(logits, -1)
        # log sum exp = logit - log weight, of any one anchor; the heaviest keeps all digits.
        heaviest = weights.detach().argmax(-1, keepdim=True)
        total = logits.gather(-1, heaviest) - torch.log(weights.gather(-1, heaviest))
        near = total.reshape(*shape, 1) - 0.5 * sharp * points.square().sum(-1, keepdim=True)
        near = near - math.log(encoding.keys.shape[1])
        return torch.cat([(weights @ encoding.values).reshape(*shape, -1), near], -1)


def _seen(
    read: Tensor, points: Tensor, frames: Tensor, origin: Tensor, config: NetworkConfig
) -> Tensor:
    """What the points have read, (n, images, points, ...), in the frames of their images of the
    gripper.
    """
    vectors, tensors = 3 * (1 + config.vectors), 9 * (1 + config.tensors)
    scalars, vectors, tensors, near = read.split([config.scalars, vectors, tensors, 1], -1)
    mean, vectors = vectors.unflatten(-1, (-1, 3)).split([1, config.vectors], -2)
    square, tensors = tensors.unflatten(-1, (-1, 3, 3)).split([1, config.tensors], -3)
    spread = square - mean[..., :, None] * mean[..., None, :]
    vectors = torch.cat([mean - points[..., None, :], vectors], -2)
    tensors = torch.cat([10 * spread, tensors], -3)
    # All channels of an image at once: many matrices of 3 x 3 would be slow.
    vectors = (vectors.flatten(2, 3) @ frames).unflatten(2, (points.shape[2], -1))
    half = tensors.flatten(2, 4) @ frames
    half = half.unflatten(2, (-1, 3)).transpose(-1, -2).flatten(2, 3)
    tensors = (half @ frames).unflatten(2, (points.shape[2], -1))
    # A soft squared distance over that of the window, which is large for small windows: tamed.
    return torch.cat([scalars, vectors.flatten(-2), tensors.flatten(-2), torch.asinh(near)], -1)


class _Head(nn.Module):
    """A small network without hidden layers whose outputs begin near zero."""

    def __init__(self, width: int, outputs: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, outputs))
        nn.init.normal_(self.layers[-1].weight, std=0.02)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, state: Tensor) -> Tensor:
        return self.layers(state)


def _places(points: int) -> Tensor:
    """Where an image's points begin, (points, 3), from the origin between the pads, network units.

    Between the pads, on them, at and behind the tips, by the hand, along the fingers, and behind
    and ahead of the pads' middle. Repeated for more than eight.
    """
    half = MAX_WIDTH / 2
    known = [
        (0.3 * half, 0, 0),
        (0.7 * half, 0, 0),
        (half, PAD_HALF, 0),
        (1.2 * half, 0, 0.012),
        (1.2 * half, 0, -0.02),
        (1.2 * half, 0.01, FINGER_DEPTH - PAD_DEPTH),
        (half, 0.02, -0.06),
        (0.02, 0.02, -0.03),
    ]
    return torch.tensor([known[i % len(known)] for i in range(points)]) / UNIT
