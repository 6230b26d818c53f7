"""A residual multilayer perceptron on points of a small fixed shape: spheres, tori, rotations, the
plane.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class MLP(nn.Module):
    """Maps a point, its noise level s and a condition to a tensor of `out_shape`.

    The input is `x / scale` beside random Fourier features at several bandwidths, so that a smooth
    field and one with details of size `scale / max(bandwidths)` are both within reach. Smooth in x
    and s, with every derivative. Exactly 0 at initialisation.

    Args:
        shape: of a point; its entries are read as one flat vector.
        out_shape: of the output; None: as `shape`.
        width: channels of the hidden layers, even.
        layers: number of residual blocks.
        condition_width: length of the condition; 0: the network takes none.
        bandwidths: standard deviations of the random frequencies, in radians per `scale`.
        features: random frequencies of each bandwidth.
        scale: typical size of an entry of x.
        periodic: entries are angles in radians; frequencies are then whole numbers, and the output
            has period 2 pi in each entry.

    Raises: ValueError if `scale` is not positive or does not fit `periodic`.
    Source: Fourier features, Tancik et al. 2020; the modulation by s, Peebles and Xie 2022.
    """

    frequencies: Tensor
    amplitudes: Tensor

    def __init__(
        self,
        shape: int | tuple[int, ...],
        *,
        out_shape: int | tuple[int, ...] | None = None,
        width: int = 256,
        layers: int = 4,
        condition_width: int = 0,
        bandwidths: tuple[float, ...] = (1.0, 3.0, 9.0, 27.0),
        features: int = 32,  # random frequencies of each bandwidth
        scale: float = 1.0,
        periodic: bool = False,
    ):
        super().__init__()
        self.shape = _as_tuple(shape)
        self.out_shape = self.shape if out_shape is None else _as_tuple(out_shape)
        if not scale > 0:
            raise ValueError(
                f"scale: expected the typical size of an entry, a positive number, got {scale!r}"
            )
        if periodic and scale != 1:
            raise ValueError("scale: angles have their own scale; leave it at 1 with periodic=True")
        self.condition_width, self.scale, self.periodic = condition_width, scale, periodic
        size = math.prod(self.shape)
        bands = torch.tensor(bandwidths, dtype=torch.get_default_dtype()).repeat_interleave(
            features
        )
        frequencies = bands[:, None] * torch.randn(len(bands), size)
        # Falls with the band, so that details cannot drown the smooth part. Validation loss of flow
        # matching on a checkerboard and on eight narrow Gaussians, 700 steps: 1.717, 1.698;
        # amplitude 1: 1.720, 1.701.
        amplitudes = bands**-0.5
        if periodic:
            frequencies = torch.cat((torch.eye(size), frequencies.round()))
            amplitudes = torch.cat((torch.ones(size), amplitudes))
        # Drawn, not learned, and part of the state: a loaded network has the frequencies it was
        # trained with.
        self.register_buffer("frequencies", frequencies)
        self.register_buffer("amplitudes", amplitudes)
        self.level = LevelFeatures(width)
        self.embedding = nn.Sequential(
            nn.Linear(width + condition_width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.inward = nn.Linear(2 * len(frequencies) + (0 if periodic else size), width)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(layers))
        last = nn.Linear(width, math.prod(self.out_shape))
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.outward = nn.Sequential(nn.LayerNorm(width), last)

    def forward(
        self, x: Tensor, s: Tensor, condition: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """The output at every point, exactly 0 at masked entries.

        Args:
            x: points, (*batch, *shape).
            s: how noised, in [0, 1]; broadcastable to (*batch,).
            condition: (*batch, condition_width), given exactly when condition_width > 0.
            mask: (*batch, *leading) bool over leading axes of the shape; masked entries are neither
                read nor written.

        Returns: (*batch, *out_shape).
        Raises: ValueError on shapes that do not fit.
        """
        batch = x.shape[: x.ndim - len(self.shape)]
        if x.shape[len(batch) :] != self.shape:
            raise ValueError(
                f"x: expected (*batch, {', '.join(map(str, self.shape))}), got {tuple(x.shape)}"
            )
        if (condition is None) != (self.condition_width == 0):
            expected = f"(*batch, {self.condition_width})" if self.condition_width else "None"
            got = "None" if condition is None else tuple(condition.shape)
            raise ValueError(f"condition: expected {expected}, got {got}")
        if mask is not None:
            x = x.masked_fill(~_align(mask, x), 0)
        flat = x.reshape(*batch, -1) / self.scale
        phase = flat @ self.frequencies.T
        waves = [self.amplitudes * torch.sin(phase), self.amplitudes * torch.cos(phase)]
        h = self.inward(torch.cat(waves if self.periodic else [flat, *waves], -1))
        level = self.level(torch.as_tensor(s, dtype=x.dtype, device=x.device)).expand(*batch, -1)
        if condition is not None:
            level = torch.cat((level, condition.expand(*batch, -1)), -1)
        level = self.embedding(level)
        for block in self.blocks:
            h = block(h, level)
        out = self.outward(h).reshape(*batch, *self.out_shape)
        return out if mask is None else out.masked_fill(~_align(mask, out), 0)


class LevelFeatures(nn.Module):
    """Fourier features of a noise level in [0, 1]; wavelengths 4 to 1/16.

    Args:
        width: number of features, even.

    Raises: ValueError if `width` is odd.
    """

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        if width < 2 or width % 2:
            raise ValueError(f"width: expected an even number, got {width}")
        frequencies = 2 * math.pi * torch.logspace(-2, 4, width // 2, base=2)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, s: Tensor) -> Tensor:
        """Sines, then cosines, scaled to a mean square of 1.

        Args:
            s: levels, (*batch,).

        Returns: (*batch, width).
        """
        phase = s[..., None] * self.frequencies
        return math.sqrt(2) * torch.cat((torch.sin(phase), torch.cos(phase)), -1)


class _Block(nn.Module):
    """h + W2 silu(W1 norm(h)), the norm scaled and shifted by the level."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(width, 2 * width)
        self.up = nn.Linear(width, width)
        self.down = nn.Linear(width, width)

    def forward(self, h: Tensor, level: Tensor) -> Tensor:
        shift, scale = self.modulation(level).chunk(2, -1)
        return h + self.down(nn.functional.silu(self.up(self.norm(h) * (1 + scale) + shift)))


def _as_tuple(shape: int | tuple[int, ...]) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


def _align(mask: Tensor, x: Tensor) -> Tensor:
    """`mask` with the trailing axes that it lacks beside x."""
    return mask.reshape(*mask.shape, *[1] * (x.ndim - mask.ndim))
