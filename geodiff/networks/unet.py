"""A small convolutional U-Net for images, with a noise level and a class."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from geodiff.networks.attention import attention
from geodiff.networks.mlp import LevelFeatures

GROUP = 8  # channels that a GroupNorm takes together; one alone would lose its mean


class UNet(nn.Module):
    """Maps an image, its noise level s and its class to an image of the same size.

    Any size from 1 x 1, odd ones too. To train one network with and without classes, replace some
    labels by `unknown`, which equals `classes`. Smooth in x and s, with every derivative. Exactly 0
    at initialisation.

    Args:
        channels: of the image.
        out_channels: of the output; None: as `channels`.
        width: channels of the finest level, a multiple of 8.
        multipliers: each entry is a level of half the size of the last (rounded up) and of width *
            entry channels; the coarsest attends over all its pixels.
        blocks: residual blocks of each level, at least 1.
        classes: number of classes; 0: the network takes none.
        heads: of the attention.

    Raises: ValueError for widths that groups or heads do not divide.
    Source: Ho et al. 2020, appendix B; the scale and shift by level and class, Dhariwal and Nichol
        2021.
    """

    def __init__(
        self,
        channels: int = 1,
        *,
        out_channels: int | None = None,
        width: int = 32,
        multipliers: tuple[int, ...] = (1, 2),
        blocks: int = 1,
        classes: int = 0,
        heads: int = 4,
    ):
        super().__init__()
        widths = [width * multiplier for multiplier in multipliers]
        if not widths or blocks < 1 or classes < 0:
            raise ValueError(
                "multipliers, blocks, classes: expected at least one level, at least one block "
                f"and no negative count, got {tuple(multipliers)}, {blocks}, {classes}"
            )
        if any(w < 1 or w % GROUP for w in widths) or widths[-1] % heads:
            raise ValueError(
                f"width: channels {widths} must be multiples of {GROUP}, "
                f"the last also of heads = {heads}"
            )
        self.channels, self.classes = channels, classes
        self.unknown = classes  # the label of an image whose class is not given
        conditioning = 4 * width
        self.level = LevelFeatures(width)
        self.embedding = nn.Sequential(
            nn.Linear(width, conditioning), nn.SiLU(), nn.Linear(conditioning, conditioning)
        )
        self.label = nn.Embedding(classes + 1, conditioning) if classes else None
        self.inward = nn.Conv2d(channels, width, 3, padding=1)
        self.down = nn.ModuleList(_Blocks([w] * (blocks + 1), conditioning) for w in widths)
        self.shrink = nn.ModuleList(
            nn.Conv2d(fine, coarse, 3, stride=2, padding=1)
            for fine, coarse in zip(widths, widths[1:])
        )
        self.attention = _Attention(widths[-1], heads)
        self.middle = _Blocks([widths[-1]] * (blocks + 1), conditioning)
        self.grow = nn.ModuleList(
            nn.Conv2d(coarse, fine, 3, padding=1) for fine, coarse in zip(widths, widths[1:])
        )
        self.up = nn.ModuleList(_Blocks([2 * w] + [w] * blocks, conditioning) for w in widths[:-1])
        self.outward = nn.Sequential(
            _norm(width),
            nn.SiLU(),
            _zeroed(nn.Conv2d(width, out_channels or channels, 3, padding=1)),
        )

    def forward(
        self, x: Tensor, s: float | Tensor, condition: Any = None, mask: Tensor | None = None
    ) -> Tensor:
        """The output at every pixel.

        Args:
            x: (*batch, channels, height, width), values of size 1.
            s: how noised, in [0, 1]; broadcastable to (*batch,).
            condition: whole numbers (*batch,), classes 0 to classes - 1, or `unknown`, or an object
                that has them as `labels`; None: all unknown.
            mask: None; images have no nodes that may be missing.

        Returns: (*batch, out_channels, height, width).
        Raises: ValueError for inputs that do not fit.
        """
        condition = getattr(condition, "labels", condition)
        self._check(x, condition, mask)
        batch = x.shape[:-3]
        conditioning = self._conditioning(x, s, condition, batch)
        h = self.inward(x.reshape(-1, *x.shape[-3:]))
        skips = []
        for blocks, shrink in zip(self.down, self.shrink):
            h = blocks(h, conditioning)
            skips.append(h)
            h = shrink(h)
        h = self.attention(self.down[-1](h, conditioning))
        h = self.middle(h, conditioning)
        for blocks, grow, skip in zip(reversed(self.up), reversed(self.grow), reversed(skips)):
            h = grow(functional.interpolate(h, size=skip.shape[-2:], mode="nearest"))
            h = blocks(torch.cat((h, skip), 1), conditioning)
        h = self.outward(h)
        return h.reshape(*batch, *h.shape[1:])

    def _conditioning(
        self, x: Tensor, s: float | Tensor, condition: Tensor | None, batch: torch.Size
    ) -> Tensor:
        """One vector per image that drives every block, (images, 4 width)."""
        s = torch.as_tensor(s, dtype=x.dtype, device=x.device)
        vector = self.embedding(self.level(s)).expand(*batch, -1)
        if self.label is not None:
            if condition is None:
                condition = torch.full((), self.unknown, device=x.device)
            vector = vector + self.label(condition)
        return functional.silu(vector.reshape(-1, vector.shape[-1]))

    def _check(self, x: Tensor, condition: Tensor | None, mask: Tensor | None) -> None:
        if x.ndim < 3 or x.shape[-3] != self.channels or 0 in x.shape[-2:]:
            raise ValueError(
                f"x: expected (*batch, {self.channels}, height, width), got {tuple(x.shape)}"
            )
        if mask is not None:
            raise ValueError(
                "mask: expected None, images have no nodes that may be missing; got "
                f"{tuple(mask.shape)}"
            )
        if condition is None:
            return
        if self.label is None:
            raise ValueError(
                f"condition: expected None, this network was built with classes=0; got "
                f"{tuple(condition.shape)}"
            )
        if condition.is_floating_point() or condition.is_complex():
            raise ValueError(
                f"condition: expected labels as whole numbers, 0 to {self.classes - 1} or unknown "
                f"= {self.unknown}, got {condition.dtype}; use labels.long()"
            )


class _Block(nn.Module):
    """Two convolutions beside a shortcut; scaled and shifted between them by the conditioning."""

    def __init__(self, fan_in: int, width: int, conditioning: int) -> None:
        super().__init__()
        self.norm1 = _norm(fan_in)
        self.conv1 = nn.Conv2d(fan_in, width, 3, padding=1)
        self.modulation = nn.Linear(conditioning, 2 * width)
        self.norm2 = _norm(width, affine=False)
        self.conv2 = _zeroed(nn.Conv2d(width, width, 3, padding=1))
        self.shortcut = nn.Identity() if fan_in == width else nn.Conv2d(fan_in, width, 1)

    def forward(self, x: Tensor, conditioning: Tensor) -> Tensor:
        h = self.conv1(functional.silu(self.norm1(x)))
        shift, scale = self.modulation(conditioning)[..., None, None].chunk(2, 1)
        return self.shortcut(x) + self.conv2(functional.silu(self.norm2(h) * (1 + scale) + shift))


class _Blocks(nn.ModuleList):
    """Blocks one after the other, from each width to the next."""

    def __init__(self, widths: list[int], conditioning: int) -> None:
        super().__init__(
            _Block(fan_in, width, conditioning) for fan_in, width in zip(widths, widths[1:])
        )

    def forward(self, h: Tensor, conditioning: Tensor) -> Tensor:
        for block in self:
            h = block(h, conditioning)
        return h


class _Attention(nn.Module):
    """Every pixel attends to every pixel; the identity at initialisation."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = _norm(width)
        self.qkv = nn.Conv2d(width, 3 * width, 1)
        self.out = _zeroed(nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            self.qkv(self.norm(x))
            .flatten(2)
            .unflatten(1, (3, self.heads, -1))
            .transpose(-1, -2)
            .unbind(1)
        )
        mixed = attention(q, k, v, q.new_zeros(1, 1, 1, 1))
        return x + self.out(mixed.transpose(-1, -2).reshape(x.shape))


def _norm(width: int, affine: bool = True) -> nn.GroupNorm:
    return nn.GroupNorm(width // GROUP, width, affine=affine)


def _zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
