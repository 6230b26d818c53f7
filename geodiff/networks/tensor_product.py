"""An e3nn tensor-product network: slow, exact at any angular order, an independent oracle for
equivariance.

e3nn is imported when a network is built, never before.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from geodiff.networks.graph import radius_graph
from geodiff.networks.mlp import LevelFeatures

if TYPE_CHECKING:
    from e3nn.o3 import Irreps


class TensorProductNetwork(nn.Module):
    """Maps a point cloud, its noise level and node features to one vector per node.

    Rotations and reflections of x act on the output in the same way; translations of x leave it as
    it is. Smooth in x: edges fade out at `cutoff`, and coincident nodes do not see each other's
    direction.

    Args:
        width: channels of order 0 and each parity; half as many of order 1, a quarter of order 2.
        layers: number of convolutions.
        lmax: highest angular order.
        cutoff: distance at which edges have faded out, in the unit of x.
        condition_width: features of a node; 0: the network takes none.
        pair_width: features of an ordered pair of nodes; 0: the network takes none.
        rbf: number of radial functions.
        neighbours: typical number, to keep sums of order one.

    Raises: ModuleNotFoundError, naming the cure, if e3nn is missing.
    Source: Thomas et al. 2018 (tensor field networks), with the gate of Weiler et al. 2018.
    """

    centres: Tensor

    def __init__(
        self,
        width: int = 32,
        layers: int = 3,
        *,
        lmax: int = 2,
        cutoff: float = 5.0,
        condition_width: int = 0,
        pair_width: int = 0,
        rbf: int = 16,
        neighbours: float = 16.0,  # typical number, to keep sums of order one
    ) -> None:
        super().__init__()
        o3 = _e3nn("o3")
        self._sizes: dict[str, Any] = {
            "width": width,
            "layers": layers,
            "lmax": lmax,
            "cutoff": cutoff,
            "condition_width": condition_width,
            "pair_width": pair_width,
            "rbf": rbf,
            "neighbours": neighbours,
        }
        self.cutoff, self.condition_width, self.neighbours = cutoff, condition_width, neighbours
        self.pair_width = pair_width
        self.harmonics = o3.Irreps.spherical_harmonics(lmax)
        self.register_buffer("centres", torch.linspace(0, cutoff, rbf))
        self.level = LevelFeatures(width)
        self.embedding = nn.Sequential(
            nn.Linear(width + condition_width, width), nn.SiLU(), nn.Linear(width, width)
        )
        # Channels of both parities, fewer at higher order, so that products lose nothing up to
        # lmax.
        hidden = o3.Irreps(
            [(max(1, width >> order), (order, p)) for order in range(lmax + 1) for p in (1, -1)]
        )
        sizes = [o3.Irreps([(width, (0, 1))]), *[hidden] * (layers - 1), o3.Irreps([(1, (1, -1))])]
        last = [False] * (layers - 1) + [True]
        self.layers = nn.ModuleList(
            _Convolution(before, self.harmonics, after, rbf + pair_width, gated=not final)
            for before, after, final in zip(sizes[:-1], sizes[1:], last, strict=True)
        )
        self.register_load_state_dict_post_hook(TensorProductNetwork._restore_tables)

    def forward(
        self,
        x: Tensor,
        s: Tensor,
        condition: Tensor | None = None,
        mask: Tensor | None = None,
        pair: Tensor | None = None,
    ) -> Tensor:
        """One polar vector per node, exactly 0 at masked nodes.

        Args:
            x: positions, (batch, nodes, 3), in the unit of `cutoff`.
            s: how noised, in [0, 1]; (batch,).
            condition: (batch, nodes, condition_width), invariant node features, given exactly when
                condition_width > 0.
            mask: (batch, nodes) bool, which nodes are real; None: all.
            pair: (batch, nodes, nodes, pair_width), invariant features that row i hears of column
                j along an edge, given exactly when pair_width > 0.

        Returns: (batch, nodes, 3).
        Raises: ValueError on shapes that do not fit.
        """
        if x.ndim != 3 or x.shape[-1] != 3:
            raise ValueError(f"x: expected (batch, nodes, 3), got {tuple(x.shape)}")
        batch, nodes, _ = x.shape
        if (0 if condition is None else condition.shape[-1]) != self.condition_width:
            got = None if condition is None else tuple(condition.shape)
            raise ValueError(
                f"condition: expected (batch, nodes, {self.condition_width}), got {got}"
            )
        if (0 if pair is None else pair.shape[-1]) != self.pair_width:
            got = None if pair is None else tuple(pair.shape)
            raise ValueError(f"pair: expected (batch, nodes, nodes, {self.pair_width}), got {got}")
        source, destination = radius_graph(x, self.cutoff, mask=mask)
        flat = x.reshape(-1, 3)
        difference = flat.index_select(0, source) - flat.index_select(0, destination)
        squared = difference.square().sum(-1)
        # Solid harmonics of a vector shorter than 1: smooth at 0, where spherical harmonics are
        # not.
        tiny = 1e-4 * self.cutoff**2
        distance = torch.sqrt(squared + tiny)
        directions = _e3nn("o3").spherical_harmonics(
            self.harmonics,
            difference / distance[:, None],
            normalize=False,
            normalization="component",
        )
        spacing = self.cutoff / (len(self.centres) - 1)
        radial = torch.exp(-(((distance[:, None] - self.centres) / spacing) ** 2))
        if pair is not None:
            # Nodes are numbered through the batch; columns of `pair` within their cloud.
            heard = pair.flatten(0, 1)[destination, source % nodes]
            radial = torch.cat((radial, heard), -1)
        envelope = 0.5 * (
            1 + torch.cos(math.pi * (squared.clamp(max=self.cutoff**2) / self.cutoff**2))
        )

        level = self.level(torch.as_tensor(s, dtype=x.dtype, device=x.device).expand(batch))
        scalars = level[:, None].expand(batch, nodes, -1)
        if condition is not None:
            scalars = torch.cat((scalars, condition), -1)
        h = self.embedding(scalars).reshape(batch * nodes, -1)
        weight = envelope[:, None] / math.sqrt(self.neighbours)
        for layer in self.layers:
            h = layer(h, source, destination, directions, radial, weight)
        out = h.reshape(batch, nodes, 3)
        return out if mask is None else out.masked_fill(~mask[..., None], 0)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        self._restore_tables()
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A copy with the same buffers in the same order, as a moving average of weights needs it.

        e3nn <= 0.6 compiles its products, and torch copies what is compiled with its constants as
        buffers more than the original has.
        """
        with torch.random.fork_rng(devices=[]):
            copied = type(self)(**self._sizes)
        copied.to(self.centres).load_state_dict(self.state_dict())
        memo[id(self)] = copied.train(self.training)
        for ours, theirs in zip(self.parameters(), copied.parameters()):
            theirs.requires_grad_(ours.requires_grad)
        return copied

    def _restore_tables(self, *_: object) -> None:
        """Make the coupling tables as precise as their dtype.

        e3nn <= 0.6 rounds them to the dtype that a network is built in; left like that after
        .double(), equivariance stops at 1e-10 where it should reach 1e-15. They stand among the
        weights too, in half precision on disk.
        """
        wigner_3j = _e3nn("o3").wigner_3j
        for module in self.modules():
            for name, table in module.named_buffers(recurse=False):
                if name.startswith("_w3j_"):
                    orders = map(int, name.split("_")[2:])
                    table.copy_(wigner_3j(*orders, dtype=table.dtype, device=table.device))


class _Convolution(nn.Module):
    """Sum over neighbours of h_j times harmonics, weighted by distance, plus a skip; then a
    gate.
    """

    def __init__(
        self, before: Irreps, harmonics: Irreps, after: Irreps, edge_width: int, gated: bool
    ) -> None:
        super().__init__()
        o3, gate_module = _e3nn("o3"), _e3nn("nn")
        self.gate = None
        if gated:
            scalars = after.filter(keep="0e + 0o")
            gated_part = after.filter(drop="0e + 0o")
            gates = o3.Irreps([(gated_part.num_irreps, (0, 1))])
            acts = [torch.nn.functional.silu if ir.p == 1 else torch.tanh for _, ir in scalars]
            self.gate = gate_module.Gate(scalars, acts, gates, [torch.sigmoid], gated_part)
            after = self.gate.irreps_in
        self.product = o3.FullyConnectedTensorProduct(
            before, harmonics, after, shared_weights=False, internal_weights=False
        )
        self.radial = nn.Sequential(
            nn.Linear(edge_width, 32), nn.SiLU(), nn.Linear(32, self.product.weight_numel)
        )
        self.skip = o3.Linear(before, after)

    def forward(
        self,
        h: Tensor,
        source: Tensor,
        destination: Tensor,
        directions: Tensor,
        radial: Tensor,
        weight: Tensor,
    ) -> Tensor:
        message = self.product(h.index_select(0, source), directions, self.radial(radial)) * weight
        skip = self.skip(h)
        h = skip.index_add(0, destination, message)
        return h if self.gate is None else self.gate(h)


def _e3nn(name: str) -> Any:
    """The submodule `name` of e3nn, or an error that names the cure."""
    import importlib

    try:
        return importlib.import_module(f"e3nn.{name}")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("e3nn"):
            raise
        raise ModuleNotFoundError(
            "TensorProductNetwork needs e3nn: pip install 'e3nn>=0.5.6'"
        ) from error
