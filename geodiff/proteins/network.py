"""The backbone network: noisy residue frames in, clean residue frames out."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from geodiff.networks.frames import FrameTransformer
from geodiff.proteins.datasets import ChainBatch

NEIGHBOURS = 32  # places along the chain that are told apart; further ones count as this far


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the backbone network; stored in the JSON beside the weights."""

    width: int = 128  # of the tokens
    layers: int = 4  # of the transformer
    heads: int = 8  # of the attention
    query_points: int = 8  # that each head compares
    value_points: int = 12  # that each head reads
    pair_width: int = 32  # features of a pair of residues
    distance_features: int = 16  # radial, of a pair
    distance_max: float = 2.0  # nanometres; centre of the last radial feature


class BackboneNetwork(nn.Module):
    """Predicts the clean frames of a chain, (batch, n, 4, 4) with translations in nanometres, from
    noisy ones.

    Of the condition it reads the places in the chain and, where given, the last estimate of the
    clean frames (self-conditioning, Chen et al. 2023). A rigid motion of x and of that estimate
    moves the output along. The output's translations are not centred.

    Args:
        config: sizes.
    """

    frequencies: Tensor
    periods: Tensor
    centres: Tensor

    def __init__(self, config: NetworkConfig):
        super().__init__()
        self.config = config
        width, pair_width = config.width, config.pair_width
        self.register_buffer("frequencies", torch.logspace(0, 1.8, 16), persistent=False)
        self.register_buffer(
            "periods", 2 * torch.pi / torch.logspace(0.5, 2.5, 16), persistent=False
        )
        self.register_buffer(
            "centres",
            torch.linspace(0, config.distance_max, config.distance_features),
            persistent=False,
        )
        self.time = nn.Sequential(nn.Linear(32, width), nn.SiLU(), nn.Linear(width, width))
        self.token = nn.Sequential(
            nn.Linear(32 + 32 + 2, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.apart = nn.Embedding(2 * NEIGHBOURS + 1, pair_width)
        self.seen = nn.Linear(config.distance_features + 3, pair_width)
        self.guessed = nn.Linear(config.distance_features + 3 + 1, pair_width, bias=False)
        self.pair_time = nn.Linear(width, pair_width)
        self.pair_hidden = nn.Linear(pair_width, pair_width)
        self.trunk = FrameTransformer(
            width,
            config.layers,
            config.heads,
            pair_width=pair_width,
            length=1.0,
            query_points=config.query_points,
            value_points=config.value_points,
        )

    def forward(self, x: Tensor, s: Tensor, condition: ChainBatch, mask: Tensor | None) -> Tensor:
        """Clean frames, (batch, n, 4, 4), translations in nanometres.

        Args:
            x: (batch, n, 4, 4).
            s: (batch,) in [0, 1].
            condition: the chains.
            mask: (batch, n) bool; None for all residues.
        """
        mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device) if mask is None else mask
        waves = s[:, None] * self.frequencies
        time = torch.cat([torch.sin(waves), torch.cos(waves)], -1)
        conditioning = self.time(time)
        tokens, rotations, translations = self.trunk(
            self._tokens(time, condition.index, mask),
            self._pair(x, conditioning, condition),
            conditioning,
            mask,
            x[..., :3, :3],
            x[..., :3, 3],
        )
        bottom = x[..., 3:, :]
        return torch.cat(
            [torch.cat([rotations, translations[..., None]], -1).to(x.dtype), bottom], -2
        )

    def _tokens(self, time: Tensor, index: Tensor, mask: Tensor) -> Tensor:
        """Of each residue: the level, the place in the chain, and the distances to both its
        ends.
        """
        waves = index[..., None] * self.periods
        last = torch.where(mask, index, 0).amax(1, keepdim=True)
        ends = torch.stack([index, last - index], -1)
        ends = 1 / (1 + ends.clamp(min=0).to(self.periods.dtype))
        level = time[:, None].expand(-1, index.shape[1], -1)
        return self.token(torch.cat([level, torch.sin(waves), torch.cos(waves), ends], -1))

    def _pair(self, x: Tensor, conditioning: Tensor, condition: ChainBatch) -> Tensor:
        """Features of ordered residue pairs, (batch, n, n, pair_width)."""
        step = (condition.index[:, None, :] - condition.index[:, :, None]).clamp(
            -NEIGHBOURS, NEIGHBOURS
        )
        features = (
            self.apart(step + NEIGHBOURS)
            + self.seen(self._places(x))
            + self.pair_time(conditioning)[:, None, None]
        )
        if condition.previous is not None:
            places = self._places(condition.previous)
            features = features + self.guessed(
                torch.cat([places, torch.ones_like(places[..., :1])], -1)
            )
        return nn.functional.silu(features + self.pair_hidden(nn.functional.silu(features)))

    def _places(self, poses: Tensor) -> Tensor:
        """Distances of all pairs, as radial features, and the direction of the second in the frame
        of the first.
        """
        rotations, translations = poses[..., :3, :3], poses[..., :3, 3]
        away = translations[:, None] - translations[:, :, None]
        away = away @ rotations  # row vectors: the coordinates in the first one's axes
        # smooth at coincident residues
        distance = torch.sqrt(away.square().sum(-1, keepdim=True) + 1e-4)
        radial = torch.exp(-(((distance - self.centres) / self.centres[1]) ** 2))
        return torch.cat([radial, away / distance], -1)
