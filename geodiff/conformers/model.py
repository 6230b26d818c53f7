"""The conformer flow: network, harmonic prior and registered coupling put together as one
`Field`.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from geodiff.conformers.network import ConformerNetwork, NetworkConfig
from geodiff.conformers.prior import harmonic_root
from geodiff.conformers.tensor_product import TensorProductConfig, TensorProductConformerNetwork
from geodiff.domains.molecules.features import ATOM_FEATURES, MAX_HOPS, PAIR_KINDS
from geodiff.process.corruption import Geodesic
from geodiff.process.couplings import registered
from geodiff.process.field import Field, NetworkField
from geodiff.training.configs import check_config
from manifolds import Centered
from manifolds.base import randn

DEFAULT_MODEL = "conformers-drugs"


def harmonic_base(
    size: Sequence[int],
    generator: Any = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    mask: Tensor | None = None,
    condition: Any = None,
) -> Tensor:
    """Draws from the harmonic prior of every molecule of `condition`, (batch, n, 3) angstrom,
    masked atoms 0.

    Centred where the graph is connected. A row's numbers come atom by atom, so padding behind it
    does not change it.

    Args:
        size: (batch, n); the mask says it too.
        generator: a torch.Generator, a `Noise`, or None for torch's own.
        dtype: of the draws; None takes torch's default.
        device: of the draws; None takes that of the mask.
        mask: (batch, n) bool; None takes that of `condition`.
        condition: a `MoleculeBatch`, whose bonds make the prior.
    """
    mask = condition.mask if mask is None else mask
    white = (
        randn(*mask.shape, 3, generator=generator, dtype=dtype, device=device or mask.device)
        * mask[..., None]
    )
    bonded = (condition.pair >= 1) & (condition.pair <= 4)
    return harmonic_root(bonded, mask).to(white.dtype) @ white


def corruption() -> Geodesic:
    """Straight paths from harmonic noise, turned onto the clean conformer by Kabsch, on centred
    clouds.
    """
    return Geodesic(Centered(3), base=harmonic_base, coupling=registered)


def new_config(network: NetworkConfig | TensorProductConfig = NetworkConfig()) -> dict:
    """What the JSON beside the weights says of a model; `build` turns it back into a field.

    Args:
        network: sizes, of either network.
    """
    # weights from before there was a choice have no such word: they are transformers
    kind = {} if isinstance(network, NetworkConfig) else {"architecture": "tensor_product"}
    return kind | {
        "network": asdict(network),
        "atom_features": ATOM_FEATURES,
        "pair_kinds": PAIR_KINDS,
        "hop_kinds": MAX_HOPS + 2,
        "reading": "clean",
        "corruption": "geodesic, harmonic prior, registered",
    }


def build(config: dict) -> Field:
    """The field of `config`, freshly initialised.

    Args:
        config: the table in the JSON of a model.

    Raises: ValueError if the features or the corruption that the model was trained on are no longer
        these.
    """
    check_config(config, new_config(), sizes=("network", "hop_kinds"))
    if not 3 <= config["hop_kinds"] <= MAX_HOPS + 2:
        raise ValueError(
            f"config: hop_kinds is {config['hop_kinds']}, this geodiff counts up to "
            f"{MAX_HOPS + 2}; use the version that wrote the weights, or train anew"
        )
    sizes = {name: config[name] for name in ("atom_features", "pair_kinds", "hop_kinds")}
    kind = config.get("architecture", "transformer")
    network: ConformerNetwork | TensorProductConformerNetwork
    if kind == "transformer":
        network = ConformerNetwork(NetworkConfig(**config["network"]), **sizes)
    elif kind == "tensor_product":
        network = TensorProductConformerNetwork(TensorProductConfig(**config["network"]), **sizes)
    else:
        raise ValueError(
            f"config: architecture is {kind!r}, this geodiff has transformer and tensor_product"
        )
    return NetworkField(network, corruption(), reading=config["reading"])
