"""The conformer network of tensor products: slower than the transformer, an oracle beside it."""

from dataclasses import dataclass

from torch import Tensor, nn

from geodiff.conformers.network import hops_of, stereo_pull
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
        pair_width: features of a pair of atoms, which they hear along their edge.
    """

    width: int = 32
    layers: int = 3
    lmax: int = 2
    cutoff: float = 5.0
    pair_width: int = 16


class TensorProductConformerNetwork(nn.Module):
    """Predicts the clean positions of a molecule, (batch, n, 3) angstrom, from noisy ones.

    Callable and equivariant as `geodiff.conformers.network.ConformerNetwork`. What the graph says
    enters as features of edges, the bond and the number of bonds between two atoms, and of atoms,
    how far each stereocentre is from its hand.

    Args:
        config: sizes.
        atom_features: columns of what is known of an atom.
        pair_kinds: kinds of what is known of a pair.
        hop_kinds: how many numbers of bonds between two atoms are told apart.
    """

    def __init__(
        self, config: TensorProductConfig, *, atom_features: int, pair_kinds: int, hop_kinds: int
    ) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.element = nn.Embedding(119, width)
        self.atom = nn.Linear(atom_features, width)
        self.stereo = nn.Linear(2, width, bias=False)
        self.pair_kind = nn.Embedding(pair_kinds, config.pair_width)
        self.hop_kind = nn.Embedding(hop_kinds, config.pair_width)
        self.trunk = TensorProductNetwork(
            width,
            config.layers,
            lmax=config.lmax,
            cutoff=config.cutoff,
            condition_width=width,
            pair_width=config.pair_width,
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
        atoms = self.element(condition.z) + self.atom(condition.atom) + self.stereo(agreement)
        hops = hops_of(condition, self.hop_kind.num_embeddings)
        pairs = self.pair_kind(condition.pair) + self.hop_kind(hops)
        return x + s[:, None, None] * self.trunk(x, s, atoms, mask, pairs)
