"""The conformer network: atoms, bonds, stereo labels and noisy positions in, clean positions
out.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from geodiff.domains.molecules.features import MAX_HOPS, MoleculeBatch
from geodiff.networks.transformer import Transformer


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the conformer network; stored in the JSON beside the weights."""

    width: int = 128  # features of an atom
    layers: int = 6  # of the transformer
    heads: int = 8  # of the attention
    vector_width: int = 48  # vectors of each atom
    # stereo enters as signed vectors, so reflection with swapped labels is a symmetry
    symmetry: str = "O3"
    distance_features: int = 40  # radial, of a pair
    distance_max: float = 24.0  # angstrom; centre of the last radial feature
    pair_width: int = 64  # features of a pair of atoms


class ConformerNetwork(nn.Module):
    """Predicts the clean positions of a molecule, (batch, n, 3) angstrom, from noisy ones.

    The output is x + s * (equivariant displacement), so at s = 0 it is x itself. Rotating x rotates
    the output, permuting atoms permutes it. Reflecting x reflects it only if the stereo labels are
    swapped too: a specified centre enters as the gradient of its signed volume, pointing to the
    wanted hand.

    Args:
        config: sizes.
        atom_features: numbers that describe an atom beside its element.
        pair_kinds: kinds of pairs that are told apart.
        hop_kinds: numbers of bonds between atoms that are told apart, as `hops_of` takes them.
    """

    frequencies: Tensor
    centres: Tensor

    def __init__(
        self, config: NetworkConfig, *, atom_features: int, pair_kinds: int, hop_kinds: int
    ):
        super().__init__()
        self.config = config
        width, pair_width = config.width, config.pair_width
        self.element = nn.Embedding(119, width)
        self.atom = nn.Linear(atom_features, width)
        self.stereo = nn.Linear(2, width, bias=False)
        self.time = nn.Sequential(nn.Linear(32, width), nn.SiLU(), nn.Linear(width, width))
        self.register_buffer("frequencies", torch.logspace(0, 1.8, 16), persistent=False)
        self.pair_kind = nn.Embedding(pair_kinds, pair_width)
        self.hop_kind = nn.Embedding(hop_kinds, pair_width)
        self.register_buffer(
            "centres",
            torch.linspace(
                0, torch.log1p(torch.tensor(config.distance_max)).item(), config.distance_features
            ),
            persistent=False,
        )
        self.distance = nn.Linear(config.distance_features + 1, pair_width)
        self.pair_time = nn.Linear(width, pair_width)
        self.pair_hidden = nn.Linear(pair_width, pair_width)
        self.trunk = Transformer(
            width,
            config.layers,
            config.heads,
            pair_width=pair_width,
            geometry="vectors",
            vector_width=config.vector_width,
            vectors_in=2,
            symmetry=config.symmetry,
        )
        self.vector_gate = nn.Linear(width, config.vector_width)
        self.vector_out = nn.Parameter(torch.randn(config.vector_width) / config.vector_width**0.5)

    def forward(self, x: Tensor, s: Tensor, condition: MoleculeBatch, mask: Tensor) -> Tensor:
        """Clean positions, (batch, n, 3), angstrom.

        Args:
            x: (batch, n, 3) centred.
            s: (batch,) in [0, 1].
            condition: the molecules.
            mask: (batch, n) bool.
        """
        conditioning = self.time(
            torch.cat(
                [
                    torch.sin(s[:, None] * self.frequencies),
                    torch.cos(s[:, None] * self.frequencies),
                ],
                -1,
            )
        )
        pull, agreement = stereo_pull(x, condition)
        tokens = self.element(condition.z) + self.atom(condition.atom) + self.stereo(agreement)
        trunk, vectors = self.trunk(
            tokens,
            self._pair(x, conditioning, condition),
            conditioning,
            mask,
            x,
            torch.stack([x, pull], 2),
        )
        displacement = ((self.vector_out + self.vector_gate(trunk))[..., None] * vectors).sum(2)
        return x + s[:, None, None] * displacement * mask[..., None]

    def _pair(self, x: Tensor, conditioning: Tensor, condition: MoleculeBatch) -> Tensor:
        """Features of ordered atom pairs, (batch, n, n, pair_width)."""
        square = ((x[:, :, None] - x[:, None, :]) ** 2).sum(-1)
        scaled = torch.log1p(torch.sqrt(square + 1e-4))[..., None]  # smooth at coincident atoms
        spacing = self.centres[1]
        radial = torch.exp(-(((scaled - self.centres) / spacing) ** 2))
        features = (
            self.distance(torch.cat([radial, scaled], -1))
            + self.pair_kind(condition.pair)
            + self.hop_kind(hops_of(condition, self.hop_kind.num_embeddings))
            + self.pair_time(conditioning)[:, None, None]
        )
        return nn.functional.silu(features + self.pair_hidden(nn.functional.silu(features)))


def hops_of(condition: MoleculeBatch, kinds: int) -> Tensor:
    """Numbers of bonds between atoms as a network of `kinds` tells them apart, (batch, n, n) long.

    Weights of before count fewer: farther pairs are as far as theirs go. The last kind is that of
    atoms of different fragments, and of padding.

    Args:
        condition: the molecules.
        kinds: at most MAX_HOPS + 2.
    """
    hops = condition.hops
    return torch.where(hops > MAX_HOPS, kinds - 1, hops.clamp(max=kinds - 2))


def stereo_pull(x: Tensor, condition: MoleculeBatch) -> tuple[Tensor, Tensor]:
    """How specified tetrahedral centres pull their neighbours towards the wanted hand.

    Args:
        x: (batch, n, 3).
        condition: the molecules, with their specified centres.

    Returns:
        The gradient of the signed volumes, (batch, n, 3), scaled to lengths below 1, and per atom
        (batch, n, 2) the squashed signed volume at centres (positive: right hand) and a flag that
        says the atom is a centre.
    """
    batch, n, _ = x.shape
    vectors, scalars = torch.zeros_like(x), x.new_zeros(batch, n, 2)
    if condition.chiral.shape[1] == 0:
        return vectors, scalars
    index = condition.chiral  # (batch, c, 5): centre, a, b, c, d
    real = condition.chiral_mask[..., None].to(x.dtype)
    corners = torch.gather(
        x[:, None].expand(-1, index.shape[1], -1, -1), 2, index[..., 1:, None].expand(-1, -1, -1, 3)
    )
    a, b, c = (corners[..., :3, :] - corners[..., 3:, :]).unbind(-2)
    pulls = torch.stack(
        [torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)], -2
    )
    volume = (a * pulls[..., 0, :]).sum(-1, keepdim=True)
    pulls = torch.cat([pulls, -pulls.sum(-2, keepdim=True)], -2)
    pulls = pulls / torch.sqrt(1 + (pulls**2).sum(-1, keepdim=True)) * real[..., None]
    vectors = vectors.scatter_add(
        1, index[..., 1:].flatten(1)[..., None].expand(-1, -1, 3), pulls.flatten(1, 2)
    )
    labels = torch.cat([volume / torch.sqrt(1 + volume**2), torch.ones_like(volume)], -1) * real
    return vectors, scalars.scatter_add(1, index[..., :1].expand(-1, -1, 2), labels)
