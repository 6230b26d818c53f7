"""The conformer network of tensor products: slower than the transformer, an oracle beside it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from geodiff.conformers.network import stereo_pull
from geodiff.domains.molecules.features import MoleculeBatch
from geodiff.networks.tensor_product import TensorProductNetwork


@dataclass(frozen=True)
class TensorProductConfig:
    """Sizes of the network; stored in the JSON beside the weights.

    Args:
        width: features of an atom; those of order l have width / 2^l channels.
        layers: of tensor products.
        lmax: highest order of the harmonics.
        cutoff: angstrom, beyond which atoms do not see each other.
        rounds: of messages along bonds, before any geometry.
    """

    width: int = 32
    layers: int = 3
    lmax: int = 2
    cutoff: float = 5.0
    rounds: int = 2


class TensorProductConformerNetwork(nn.Module):
    """Predicts the clean positions of a molecule, (batch, n, 3) angstrom, from noisy ones.

    Callable and equivariant as `geodiff.conformers.network.ConformerNetwork`. What the graph says
    enters as features of atoms: messages along its bonds, and how far each stereocentre is from
    its hand.

    Args:
        config: sizes.
        atom_features: columns of what is known of an atom.
        pair_kinds: kinds of what is known of a pair.
    """

    def __init__(self, config: TensorProductConfig, *, atom_features: int, pair_kinds: int):
        super().__init__()
        self.config = config
        width = config.width
        self.element = nn.Embedding(119, width)
        self.atom = nn.Linear(atom_features, width)
        self.stereo = nn.Linear(2, width, bias=False)
        self.kind = nn.Embedding(pair_kinds, width)
        self.rounds = nn.ModuleList(nn.Linear(width, width) for _ in range(config.rounds))
        self.trunk = TensorProductNetwork(
            width, config.layers, lmax=config.lmax, cutoff=config.cutoff, condition_width=width
        )

    def forward(self, x: Tensor, s: Tensor, condition: MoleculeBatch, mask: Tensor) -> Tensor:
        """x + s * (equivariant displacement), x itself at masked atoms.

        Args:
            x: (batch, n, 3), centred.
            s: (batch,) in [0, 1].
            condition: the molecules.
            mask: (batch, n) bool.
        """
        _, agreement = stereo_pull(x, condition)
        h = self.element(condition.z) + self.atom(condition.atom)
        kind = self.kind(condition.pair)
        # 0 is no relation of two atoms
        bonded = (condition.pair > 0).to(x.dtype)
        for layer in self.rounds:
            message = torch.einsum("bij,bijw,bjw->biw", bonded, kind, h)
            h = h + nn.functional.silu(layer(message))
        displacement = self.trunk(x, s, h + self.stereo(agreement), mask)
        return x + s[:, None, None] * displacement
