"""The frame mode of the transformer core: tokens that carry rigid frames, read by invariant point
attention.

Each token owns a frame, a rotation and a translation. Its query, key and value points are learned
in that frame and attend in space, so that tokens do not change when all frames move together. The
squared distances of the points are folded into queries and keys: the attention is one call of the
common kernel, and no tensor of pairs is wider than the heads.
"""

import contextlib
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from geodiff.networks.attention import KINDS, attention
from manifolds import SO3


class FrameTransformer(nn.Module):
    """Maps tokens, pair features and frames to tokens and moved frames; exactly SE(3)-equivariant.

    One rigid motion of all given frames moves all returned frames along and leaves the tokens as
    they are. Every block moves each frame by a rotation vector and a shift, both in the frame's own
    axes. At initialisation every block passes tokens and frames through unchanged (adaLN-Zero,
    Peebles and Xie 2022). Under autocast points, attention and frames keep the frames' precision.

    Args:
        width: channels of a token, a multiple of `heads`.
        layers: number of blocks.
        heads: of the attention.
        pair_width: features of an ordered pair.
        query_points: points that each head asks with, at least 1.
        value_points: points that each head averages, at least 1.
        length: the network's unit of length in the units of the translations: 10 for angstrom makes
            it a nanometre. Rounding of the folded distances is that of squared coordinates in this
            unit, so they should be of order one.
        mlp_ratio: hidden width of the feed-forward layers over `width`.
        attention: which kernel, see `attention.attention`.

    Raises: ValueError on sizes that do not fit; the message names the argument.
    """

    def __init__(
        self,
        width: int = 128,
        layers: int = 6,
        heads: int = 8,
        *,
        pair_width: int,
        query_points: int = 8,
        value_points: int = 12,
        length: float = 10.0,
        mlp_ratio: int = 4,
        attention: str = "auto",
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"heads: width {width} must be a multiple of {heads}")
        if min(query_points, value_points) < 1:
            raise ValueError(
                f"query_points, value_points: expected at least 1, got {query_points}, "
                f"{value_points}"
            )
        if not 0 < length < math.inf:
            raise ValueError(f"length: expected a positive number, got {length}")
        if attention not in KINDS:
            raise ValueError(f"attention: expected one of {KINDS}, got {attention!r}")
        self.heads, self.layers, self.length = heads, layers, length
        # A constant per head would not change a softmax: no bias.
        self.pair_bias = nn.Linear(pair_width, layers * heads, bias=False)
        self.blocks = nn.ModuleList(
            FrameBlock(width, heads, query_points, value_points, mlp_ratio, attention)
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
        rotations: Tensor,
        translations: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens and frames after all blocks.

        Args:
            tokens: (batch, n, width), invariant.
            pair: (batch, n, n, pair_width), invariant features of ordered pairs; projected once for
                all layers.
            conditioning: (batch, width), of the whole sample (noise level, class); drives adaLN.
            mask: (batch, n) bool, True where a token is real; at least one per sample.
            rotations: (batch, n, 3, 3), orthonormal; local to global.
            translations: (batch, n, 3), in any place: the masked mean is subtracted before use.

        Returns: tokens (batch, n, width), rotations, translations. Masked tokens return zero, with
            the identity frame.
        Raises: ValueError if the frames are not one per token.
        """
        batch, n, _ = tokens.shape
        if rotations.shape != (batch, n, 3, 3):
            raise ValueError(
                f"rotations: expected {(batch, n, 3, 3)}, one per token, got "
                f"{tuple(rotations.shape)}"
            )
        if translations.shape != (batch, n, 3):
            raise ValueError(
                f"translations: expected {(batch, n, 3)}, one per token, got "
                f"{tuple(translations.shape)}"
            )
        keep = mask[..., None]
        # (batch, layers, heads, n, n): one GEMM for the biases of all layers, each with its keys
        # side by side.
        bias = torch.matmul(self.pair_bias.weight, pair.flatten(1, 2).transpose(1, 2))
        bias = bias.view(batch, self.layers, self.heads, n, n).masked_fill(
            ~mask[:, None, None, None], float("-inf")
        )
        translations = torch.where(keep, translations, 0.0)
        # Any centre will do, if it is one for all and near: it cancels, and far frames would lose
        # digits.
        centre = translations.sum(1, keepdim=True) / keep.sum(1, keepdim=True)
        start = torch.where(keep, translations - centre, 0.0) / self.length
        identity = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
        rotations, places = torch.where(keep[..., None], rotations, identity), start
        for block, layer in zip(self.blocks, bias.unbind(1)):
            tokens, rotations, places = block(tokens, rotations, places, layer, conditioning, keep)
        shift, scale = self.modulation(conditioning)[:, None].chunk(2, -1)
        tokens = (self.norm(tokens) * (1 + scale) + shift) * keep
        return tokens, rotations, translations + self.length * (places - start)


class FrameBlock(nn.Module):
    """Invariant point attention, a feed-forward layer and a step of every frame.

    Args:
        width: channels of a token.
        heads: of the attention.
        query_points: points that each head asks with.
        value_points: points that each head averages.
        mlp_ratio: hidden width of the feed-forward layer over `width`.
        attention: which kernel, see `attention.attention`.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        query_points: int,
        value_points: int,
        mlp_ratio: int,
        attention: str,
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(width, 8 * width)
        self.attention = InvariantPointAttention(
            width, heads, query_points, value_points, attention
        )
        self.up = nn.Linear(width, mlp_ratio * width)
        self.down = nn.Linear(mlp_ratio * width, width)
        self.step = nn.Linear(width, 6)
        for layer in (self.modulation, self.step):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        h: Tensor,
        rotations: Tensor,
        places: Tensor,
        bias: Tensor,
        conditioning: Tensor,
        keep: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens and frames after one block.

        Args:
            h: tokens, (batch, n, width).
            rotations: (batch, n, 3, 3).
            places: (batch, n, 3), centred, in the network's unit of length.
            bias: (batch, heads, n, n), -inf at masked keys.
            conditioning: (batch, width).
            keep: (batch, n, 1) bool, True where a token is real.

        Returns: `h`, `rotations` and `places`, moved.
        """
        shift1, scale1, gate1, shift2, scale2, gate2, shift3, scale3 = self.modulation(
            conditioning
        )[:, None].chunk(8, -1)
        h = h + gate1 * self.attention(
            self.norm(h) * (1 + scale1) + shift1, rotations, places, bias
        )
        h = h + gate2 * self.down(functional.silu(self.up(self.norm(h) * (1 + scale2) + shift2)))
        normed = self.norm(h) * (1 + scale3) + shift3
        with _own_precision(h.device.type):
            turn, shift = (self.step(normed.to(places.dtype)) * keep).split(3, -1)
            return (
                h,
                SO3().exp(rotations, turn),
                places + (rotations @ shift[..., None]).squeeze(-1),
            )


class InvariantPointAttention(nn.Module):
    """Attention in which a pair also counts by the distances of points that the two tokens hold in
    their frames.

    With P query points a pair scores q.k / sqrt(3 c) + bias - (w / 2) sum_p |q_p - k_p|^2, where w
    = softplus(point_weight) sqrt(2 / (27 P)) per head; q and k are normalised. Values are scalars,
    points in the frame of the query, and the lengths of these.

    Args:
        width: channels of a token, a multiple of `heads`.
        heads: of the attention.
        query_points: P, of each head.
        value_points: points that each head averages.
        attention: which kernel, see `attention.attention`.

    Source: Jumper et al. 2021, supplement, algorithm 22, without the pair values of its line 9, and
        with the factor sqrt(1/3) of its line 7 left to the bias's own weights.
    """

    def __init__(
        self, width: int, heads: int, query_points: int, value_points: int, attention: str = "auto"
    ) -> None:
        super().__init__()
        self.heads, self.counts, self.kind = (
            heads,
            (query_points, query_points, value_points),
            attention,
        )
        self.qkv = nn.Linear(width, 3 * width)
        self.points = nn.Linear(width, 3 * heads * sum(self.counts))
        self.norm_q = nn.RMSNorm(width // heads, eps=1e-6)
        self.norm_k = nn.RMSNorm(width // heads, eps=1e-6)
        # softplus gives 1
        self.point_weight = nn.Parameter(torch.full((heads,), math.log(math.e - 1)))
        self.out = nn.Linear(width + 4 * heads * value_points, width)

    def forward(self, h: Tensor, rotations: Tensor, translations: Tensor, bias: Tensor) -> Tensor:
        """What each token hears from the others, the same under any common motion of all frames.

        Args:
            h: tokens, (batch, n, width).
            rotations: (batch, n, 3, 3).
            translations: (batch, n, 3).
            bias: (batch, heads, n, n), -inf at masked keys.

        Returns: (batch, n, width).
        """
        q, k, v = self.qkv(h).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        local, dtype = self.points(h).unflatten(-1, (-1, 3)), rotations.dtype
        with _own_precision(h.device.type):
            q, k, v, bias = (x.to(dtype) for x in (q, k, v, bias))
            q, k = self.norm_q(q) / math.sqrt(3 * q.shape[-1]), self.norm_k(k)
            points = local.to(dtype) @ rotations.transpose(-1, -2) + translations[:, :, None]
            # (batch, heads, n, points, 3)
            points = points.unflatten(2, (self.heads, -1)).transpose(1, 2)
            weight = functional.softplus(self.point_weight) * math.sqrt(2 / (27 * self.counts[0]))
            q_points, k_points, v_points = points.split(self.counts, 3)
            scalars, points = point_attention(
                q, k, v, q_points, k_points, v_points, weight, bias, self.kind
            )
            points = points.transpose(1, 2).flatten(2, 3)
            points = (points - translations[:, :, None]) @ rotations
            # Smooth at a point on the origin of its frame, where a length has no derivative.
            lengths = torch.sqrt(points.square().sum(-1) + 1e-4)
        return self.out(
            torch.cat([scalars.transpose(1, 2).flatten(2), points.flatten(2), lengths], -1)
        )


def point_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    q_points: Tensor,
    k_points: Tensor,
    v_points: Tensor,
    weight: Tensor,
    bias: Tensor,
    kind: str = "auto",
) -> tuple[Tensor, Tensor]:
    """Averages of values and of points under softmax(q.k - (weight / 2) sum_p |q_p - k_p|^2 +
    bias), in one call.

    As -|a - b|^2 / 2 = a.b - |b|^2 / 2 - |a|^2 / 2, and as the last term is the same for all keys,
    the distances are inner products of [a, 1] and [b, -|b|^2 / 2]: 3 P + 1 more columns of q and k.

    Args:
        q: queries, (batch, heads, n, c).
        k: keys, (batch, heads, n, c).
        v: values, (batch, heads, n, c).
        q_points: (batch, heads, n, P, 3), all points in one frame with its origin among them.
        k_points: (batch, heads, n, P, 3), as many as of q.
        v_points: (batch, heads, n, points, 3).
        weight: (heads,), not negative.
        bias: as in `attention.attention`.
        kind: which kernel, see `attention.attention`.

    Returns: (batch, heads, n, c) and (batch, heads, n, points, 3).
    """
    counts = [v.shape[-1], 3 * v_points.shape[-2]]
    width = max(q.shape[-1] + 3 * q_points.shape[-2] + 1, sum(counts))
    width += -width % 8  # fused kernels want one width for all three, some a multiple of 8
    weight = weight[:, None, None]
    q_points, k_points = weight * q_points.flatten(3), k_points.flatten(3)
    root = math.sqrt(width)  # `attention` divides by it
    queries = root * torch.cat([q, q_points, torch.ones_like(q[..., :1])], -1)
    keys = torch.cat([k, k_points, -weight / 2 * k_points.square().sum(-1, keepdim=True)], -1)
    values = torch.cat([v, v_points.flatten(3)], -1)
    queries, keys, values = (
        functional.pad(x, (0, width - x.shape[-1])) for x in (queries, keys, values)
    )
    mixed = attention(queries, keys, values, bias, kind)
    scalars, points, _ = mixed.split([*counts, width - sum(counts)], -1)
    return scalars, points.unflatten(-1, (-1, 3))


def _own_precision(device: str) -> contextlib.AbstractContextManager[object]:
    """A region without autocast: squared coordinates of 10 units and more have no digits left in
    bfloat16.
    """
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return contextlib.nullcontext()
