"""The equivariant transformer of TorchMD-NET, written from the paper in plain torch; a peer for
benchmarks.

Source: Tholke and De Fabritiis 2022, section 3 (equations in the comments). Edges are sparse,
sorted by destination, and summed with `index_add`, the fastest form we know on a CPU, so that the
comparison is with a good implementation.
"""

import math

import torch
from torch import Tensor, nn

from geodiff.networks.graph import radius_graph


class EquivariantTransformer(nn.Module):
    """Maps atoms, positions and a noise level to one vector per atom; equivariant under O(3) and
    shifts.

    forward(kinds, positions, level, mask): (batch, n) long, (batch, n, 3) angstrom, (batch,),
    (batch, n) bool; returns (batch, n, 3). The defaults are the size that ETFlow (2024) trains for
    drug-like molecules.
    """

    def __init__(
        self,
        kinds: int = 100,
        width: int = 160,
        layers: int = 20,
        heads: int = 8,
        rbf: int = 32,
        cutoff: float = 10.0,
    ):
        super().__init__()
        self.cutoff = cutoff
        self.radial = ExpNormal(rbf, cutoff)
        self.embedding = nn.Embedding(kinds, width)
        self.neighbour = nn.Embedding(kinds, width)
        self.neighbour_filter = nn.Linear(rbf, width)
        self.combine = nn.Linear(2 * width, width)
        self.level = nn.Sequential(nn.Linear(1, width), nn.SiLU(), nn.Linear(width, width))
        self.layers = nn.ModuleList(AttentionLayer(width, heads, rbf) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = GatedHead(width)

    def forward(self, kinds: Tensor, positions: Tensor, level: Tensor, mask: Tensor) -> Tensor:
        batch, n = kinds.shape
        source, destination = radius_graph(positions, self.cutoff, mask=mask)
        flat, kinds = positions.reshape(-1, 3), kinds.reshape(-1)
        difference = flat.index_select(0, source) - flat.index_select(0, destination)
        distance = difference.square().sum(-1).sqrt()
        direction = difference / distance[:, None]
        radial, envelope = self.radial(distance)

        # Equations 4 and 5: an embedding of the neighbourhood beside that of the atom.
        message = self.neighbour(kinds).index_select(0, source) * (
            self.neighbour_filter(radial) * envelope[:, None]
        )
        around = torch.zeros_like(self.neighbour(kinds)).index_add(0, destination, message)
        x = self.combine(torch.cat((self.embedding(kinds), around), -1))
        x = x + self.level(level[:, None]).repeat_interleave(n, 0)
        vec = x.new_zeros(len(x), 3, x.shape[-1])
        for layer in self.layers:
            dx, dvec = layer(x, vec, source, destination, radial, envelope, direction)
            x, vec = x + dx, vec + dvec
        return self.head(self.norm(x), vec).reshape(batch, n, 3) * mask[..., None]


class AttentionLayer(nn.Module):
    """Modified multi-head attention and the update of scalars and vectors (section 3.2)."""

    def __init__(self, width: int, heads: int, rbf: int):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.q, self.k, self.v = (
            nn.Linear(width, width),
            nn.Linear(width, width),
            nn.Linear(width, 3 * width),
        )
        self.distance_k, self.distance_v = nn.Linear(rbf, width), nn.Linear(rbf, 3 * width)
        self.out = nn.Linear(width, 3 * width)
        self.u = nn.Linear(width, 3 * width, bias=False)

    def forward(self, x, vec, source, destination, radial, envelope, direction):
        silu = nn.functional.silu
        normed = self.norm(x)
        u1, u2, u3 = self.u(vec).chunk(3, -1)
        dk, dv = silu(self.distance_k(radial)), silu(self.distance_v(radial))
        # Equation 7: A = SiLU(sum over a head's channels of Q_i K_j D^K_ij) times the cosine
        # cutoff; no softmax.
        product = (
            self.q(normed).index_select(0, destination)
            * self.k(normed).index_select(0, source)
            * dk
        )
        weight = silu(product.unflatten(-1, (self.heads, -1)).sum(-1)) * envelope[:, None]
        # Equation 8: values filtered by distance, in three parts: vectors, directions, scalars.
        value = self.v(normed).index_select(0, source) * dv
        s1, s2, s3 = value.unflatten(-1, (3, -1)).unbind(1)
        scalar = (s3.unflatten(-1, (self.heads, -1)) * weight[..., None]).flatten(1)
        moved = vec.index_select(0, source) * s1[:, None] + s2[:, None] * direction[..., None]
        scalar = torch.zeros_like(x).index_add(0, destination, scalar)
        moved = torch.zeros_like(vec).index_add(0, destination, moved)
        # Equations 9 to 11.
        q1, q2, q3 = self.out(scalar).chunk(3, -1)
        return q1 + q2 * (u1 * u2).sum(1), moved + u3 * q3[:, None]


class GatedHead(nn.Module):
    """Two gated equivariant blocks (equation 12; Schutt et al. 2021) down to one vector per
    atom.
    """

    def __init__(self, width: int):
        super().__init__()
        self.first = GatedBlock(width, width // 2)
        self.second = GatedBlock(width // 2, 1)

    def forward(self, x: Tensor, vec: Tensor) -> Tensor:
        x, vec = self.first(x, vec)
        return self.second(nn.functional.silu(x), vec)[1].squeeze(-1)


class GatedBlock(nn.Module):
    def __init__(self, width: int, out: int):
        super().__init__()
        self.norms, self.vectors = (
            nn.Linear(width, width, bias=False),
            nn.Linear(width, out, bias=False),
        )
        self.mix = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, 2 * out))

    def forward(self, x: Tensor, vec: Tensor) -> tuple[Tensor, Tensor]:
        length = torch.sqrt(self.norms(vec).square().sum(1) + 1e-12)
        x, gate = self.mix(torch.cat((x, length), -1)).chunk(2, -1)
        return x, self.vectors(vec) * gate[:, None]


class ExpNormal(nn.Module):
    """Radial basis exp(-beta_k (exp(-alpha d) - mu_k)^2), (edges, rbf), and cosine cutoff, (edges,)
    (equations 2 and 3)."""

    def __init__(self, rbf: int, cutoff: float):
        super().__init__()
        self.cutoff, self.alpha = cutoff, 5 / cutoff
        start = math.exp(-cutoff * self.alpha)
        self.means = nn.Parameter(torch.linspace(start, 1, rbf))
        self.betas = nn.Parameter(torch.full((rbf,), (2 / rbf * (1 - start)) ** -2))

    def forward(self, distance: Tensor) -> tuple[Tensor, Tensor]:
        envelope = 0.5 * (torch.cos(math.pi * distance / self.cutoff) + 1)
        radial = torch.exp(
            -self.betas * (torch.exp(-self.alpha * distance)[:, None] - self.means) ** 2
        )
        return radial * envelope[:, None], envelope
