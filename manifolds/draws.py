"""Where random numbers come from."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import torch
from torch import Tensor


class Randomness(Protocol):
    """Whatever gives random numbers where a torch.Generator is asked for, such as a stream a
    sample.
    """

    def randn(self, *size: int, dtype: torch.dtype | None = None, device: Device = None) -> Tensor:
        """Standard normal numbers.

        Args:
            size: their shape.
            dtype: of the numbers; None is torch's default.
            device: of the numbers; None is torch's default.
        """
        ...

    def rand(self, *size: int, dtype: torch.dtype | None = None, device: Device = None) -> Tensor:
        """Numbers uniform on [0, 1).

        Args:
            size: their shape.
            dtype: of the numbers; None is torch's default.
            device: of the numbers; None is torch's default.
        """
        ...


Device: TypeAlias = torch.device | str | None
Generator: TypeAlias = torch.Generator | Randomness | None


def randn(
    *size: int, generator: Generator = None, dtype: torch.dtype | None = None, device: Device = None
) -> Tensor:
    """Standard normal numbers from a torch.Generator, an object with a `randn`, or (None) torch
    itself.

    Args:
        size: their shape.
        generator: where they come from.
        dtype: of the numbers; None is torch's default.
        device: of the numbers; None is that of the generator, or torch's default.
    """
    if generator is None:
        return torch.randn(size, dtype=dtype, device=device)
    if not isinstance(generator, torch.Generator):
        return generator.randn(*size, dtype=dtype, device=device)
    drawn = torch.randn(size, generator=generator, dtype=dtype, device=generator.device)
    return drawn if device is None else drawn.to(device)


def rand(
    *size: int, generator: Generator = None, dtype: torch.dtype | None = None, device: Device = None
) -> Tensor:
    """Numbers uniform on [0, 1), from the same sources as `randn`.

    Args:
        size: their shape.
        generator: where they come from.
        dtype: of the numbers; None is torch's default.
        device: of the numbers; None is that of the generator, or torch's default.
    """
    if generator is None:
        return torch.rand(size, dtype=dtype, device=device)
    if not isinstance(generator, torch.Generator):
        return generator.rand(*size, dtype=dtype, device=device)
    drawn = torch.rand(size, generator=generator, dtype=dtype, device=generator.device)
    return drawn if device is None else drawn.to(device)
