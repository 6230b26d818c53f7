"""The one transformer core: dense padded batches, additive pair bias, adaLN, QK-norm; geometry
enters as a mode.

`geometry="none"` is a DiT with pair bias. `geometry="vectors"` adds a stream of l = 1 channels that
the same attention weights mix, so that exact O(3) (or SO(3)) equivariance costs a few wider GEMMs
and no per-edge channels: pair tensors carry heads, never channels.
"""

import torch
from torch import Tensor, nn

from geodiff.networks.attention import attention, attention_weights

GEOMETRIES = ("none", "vectors")
SYMMETRIES = ("O3", "SO3")


class Transformer(nn.Module):
    """Maps tokens, pair features and (with geometry "vectors") positions to tokens and vector
    channels.

    At initialisation every block passes its tokens through unchanged (adaLN-Zero, Peebles and Xie
    2022).

    Args:
        width: channels of a token, a multiple of `heads`.
        layers: number of blocks.
        heads: of the attention.
        pair_width: features of an ordered pair.
        geometry: "none", or "vectors" for a stream of vector channels beside the tokens.
        vector_width: vector channels of a token, a multiple of `heads`; more than 0 exactly with
            geometry "vectors".
        vectors_in: equivariant input vectors of a token; 0: none.
        symmetry: with "O3" a reflected input gives the reflected output; "SO3" adds one cross
            product per block, so that mirror images may be told apart.
        mlp_ratio: hidden width of the feed-forward layers over `width`.
        attention: which kernel, see `attention.attention`; the vector mode needs the weights
            themselves and always takes the math form, which has every derivative.

    Raises: ValueError on an unknown mode or widths that heads do not divide.
    """

    def __init__(
        self,
        width: int = 128,
        layers: int = 6,
        heads: int = 8,
        *,
        pair_width: int,
        geometry: str = "none",
        vector_width: int = 0,
        vectors_in: int = 0,
        symmetry: str = "O3",
        mlp_ratio: int = 4,
        attention: str = "auto",
    ) -> None:
        super().__init__()
        if geometry not in GEOMETRIES:
            raise ValueError(f"geometry: expected one of {GEOMETRIES}, got {geometry!r}")
        if symmetry not in SYMMETRIES:
            raise ValueError(f"symmetry: expected one of {SYMMETRIES}, got {symmetry!r}")
        if width % heads or vector_width % heads:
            raise ValueError(
                f"heads: width {width} and vector_width {vector_width} must be multiples of {heads}"
            )
        if (geometry == "vectors") != (vector_width > 0):
            raise ValueError(f"vector_width: {vector_width} does not fit geometry {geometry!r}")
        self.geometry, self.heads, self.layers = geometry, heads, layers
        per_layer = 2 * heads if geometry == "vectors" else heads
        self.pair_bias = nn.Linear(pair_width, layers * per_layer)
        self.vectors_in = nn.Linear(vectors_in, vector_width, bias=False) if vectors_in else None
        self.vector_width = vector_width
        self.blocks = nn.ModuleList(
            Block(width, heads, vector_width, symmetry == "SO3", mlp_ratio, attention)
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(width, 2 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(
        self,
        tokens: Tensor,
        pair: Tensor,
        conditioning: Tensor,
        mask: Tensor,
        positions: Tensor | None = None,
        vectors: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Tokens and vectors after all blocks, zero at masked tokens.

        Args:
            tokens: (batch, n, width).
            pair: (batch, n, n, pair_width), features of ordered pairs, any kind; projected once for
                all layers.
            conditioning: (batch, width), of the whole sample (noise level, class); drives adaLN.
            mask: (batch, n) bool, True where a token is real; at least one per sample.
            positions: (batch, n, 3), needed with geometry "vectors" and read only then.
            vectors: (batch, n, vectors_in, 3), equivariant inputs, given exactly when vectors_in >
                0.

        Returns: tokens (batch, n, width), and vectors (batch, n, vector_width, 3) or None.
        Raises: ValueError if positions or vectors are missing, or vectors come where none are read.
        """
        batch, n, _ = tokens.shape
        # (batch, layers, heads or 2 heads, n, n): one GEMM for the biases of all layers.
        projected = self.pair_bias(pair).view(batch, n, n, self.layers, -1).permute(3, 0, 4, 1, 2)
        closed = torch.zeros(batch, 1, 1, n, dtype=tokens.dtype, device=tokens.device)
        closed = closed.masked_fill(~mask[:, None, None, :], float("-inf"))
        keep = mask[..., None].to(tokens.dtype)
        directions = None
        if self.geometry == "vectors":
            if positions is None:
                raise ValueError("positions: geometry 'vectors' needs (batch, n, 3), got None")
            if (vectors is None) != (self.vectors_in is None):
                raise ValueError(
                    "vectors: given exactly when the network was built with vectors_in > 0"
                )
            difference = positions[:, :, None] - positions[:, None, :]
            # Smooth at coincident points, where a unit vector has no derivative; length < 1
            # everywhere.
            directions = difference / torch.sqrt(1 + (difference**2).sum(-1, keepdim=True))
            vectors = (
                positions.new_zeros(batch, n, 3, self.vector_width)
                if vectors is None or self.vectors_in is None
                # kept as (batch, n, 3, channels)
                else self.vectors_in(vectors.transpose(-1, -2))
            )
        for block, layer in zip(self.blocks, projected):
            bias = layer[:, : self.heads] + closed
            tokens, vectors = block(
                tokens, vectors, bias, layer[:, self.heads :], directions, conditioning
            )
        shift, scale = self.modulation(conditioning)[:, None].chunk(2, -1)
        tokens = (self.norm(tokens) * (1 + scale) + shift) * keep
        return tokens, None if vectors is None else vectors.transpose(-1, -2) * keep[..., None]


class Block(nn.Module):
    """Attention and a feed-forward layer over scalars and, if there are any, vector channels.

    Args:
        width: channels of a token.
        heads: of the attention.
        vector_width: vector channels of a token; 0: none.
        cross: whether vectors are also mixed by a cross product.
        mlp_ratio: hidden width of the feed-forward layer over `width`.
        attention: which kernel, see `attention.attention`.
    """

    def __init__(
        self, width: int, heads: int, vector_width: int, cross: bool, mlp_ratio: int, attention: str
    ) -> None:
        super().__init__()
        self.heads, self.vector_width, self.cross, self.attention = (
            heads,
            vector_width,
            cross,
            attention,
        )
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        self.qkv = nn.Linear(width, 3 * width)
        self.norm_q = nn.RMSNorm(width // heads, eps=1e-6)
        self.norm_k = nn.RMSNorm(width // heads, eps=1e-6)
        self.out = nn.Linear(width, width)
        features = width + 2 * vector_width
        self.up = nn.Linear(features, mlp_ratio * width)
        self.down = nn.Linear(mlp_ratio * width, width)
        if vector_width:
            self.vector_value = nn.Linear(vector_width, vector_width, bias=False)
            self.vector_out = nn.Linear(vector_width + heads, vector_width, bias=False)
            self.vector_mix = nn.Linear(vector_width, 2 * vector_width, bias=False)
            self.vector_down = nn.Linear(
                (2 if cross else 1) * vector_width, vector_width, bias=False
            )
            self.gate = nn.Linear(mlp_ratio * width, vector_width)
            self.gate_attention = nn.Linear(width, vector_width)

    def forward(
        self,
        h: Tensor,
        vec: Tensor | None,
        bias: Tensor,
        gain: Tensor,
        directions: Tensor | None,
        conditioning: Tensor,
    ) -> tuple[Tensor, Tensor | None]:
        """Tokens and vectors after one block.

        Args:
            h: tokens, (batch, n, width).
            vec: (batch, n, 3, vector_width), or None.
            bias: (batch, heads, n, n), -inf at masked keys.
            gain: (batch, heads, n, n), how much of each direction an attention weight moves; empty
                without vectors.
            directions: (batch, n, n, 3), from the second to the first of each pair, or None.
            conditioning: (batch, width).

        Returns: `h` and `vec`.
        """
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(conditioning)[:, None].chunk(
            6, -1
        )
        normed = self.norm(h) * (1 + scale1) + shift1
        q, k, v = self.qkv(normed).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        # Under autocast q and k come in bfloat16; the norm is taken in the weights' precision.
        q, k = (
            self.norm_q(q.to(self.norm_q.weight.dtype)),
            self.norm_k(k.to(self.norm_k.weight.dtype)),
        )
        if vec is None or directions is None:
            mixed = attention(q, k, v, bias, self.attention)
            h = h + gate1 * self.out(mixed.transpose(1, 2).flatten(2))
            normed = self.norm(h) * (1 + scale2) + shift2
            return h + gate2 * self.down(nn.functional.silu(self.up(normed))), None

        batch, n, _ = h.shape
        weights = attention_weights(q, k, bias)
        values = self.vector_value(_normalised(vec))  # (batch, n, 3, channels)
        values = values.unflatten(-1, (self.heads, -1)).permute(0, 3, 1, 2, 4).flatten(3)
        mixed = weights @ torch.cat([v, values], -1)  # scalars and vectors in one GEMM
        scalars, moved = mixed.split([v.shape[-1], values.shape[-1]], -1)
        moved = moved.unflatten(-1, (3, -1)).permute(0, 2, 3, 1, 4).flatten(3)
        # sum_j a_ij g_ij r_ij: (heads, n) @ (n, 3) for every i.
        relative = torch.matmul((weights * gain).transpose(1, 2), directions).transpose(-1, -2)
        h = h + gate1 * self.out(scalars.transpose(1, 2).flatten(2))
        vec = (
            vec
            + self.vector_out(torch.cat([moved, relative], -1))
            * self.gate_attention(normed)[:, :, None]
        )

        left, right = self.vector_mix(_normalised(vec)).chunk(2, -1)
        length = torch.sqrt((right**2).sum(2) + 1e-6)
        normed = torch.cat(
            [self.norm(h) * (1 + scale2) + shift2, length, (left * right).sum(2)], -1
        )
        hidden = nn.functional.silu(self.up(normed))
        h = h + gate2 * self.down(hidden)
        update = (
            torch.cat([left, torch.linalg.cross(left, right, dim=2)], -1) if self.cross else left
        )
        return h, vec + self.vector_down(update) * self.gate(hidden)[:, :, None]


def _normalised(vec: Tensor) -> Tensor:
    """`vec` (..., 3, channels) over its root-mean-square length across channels; below length 0.1
    left small.
    """
    return vec * torch.rsqrt((vec**2).sum(-2, keepdim=True).mean(-1, keepdim=True) + 1e-2)
