"""Fields: what says, at a noisy state, which way the clean points lie."""

import abc
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from geodiff.process.corruption.base import PointCorruption

Network = Callable[[Tensor, Tensor, Any, Tensor | None], Tensor]
"""(x, s, condition, mask) -> what it predicts; s (*batch,)."""


class Field(nn.Module, abc.ABC):
    """The denoising displacement u(x, s), a tangent at the state x: E[Log_x(clean) given x] or its
    likeness for the corruption.

    A field of your own has `displacement`; what it returns is projected onto the tangents here, and
    nowhere else. Most are a `NetworkField`, or a guide around one.

    Args:
        corruption: the way to noise that the field undoes.
    """

    corruption: PointCorruption

    def __new__(cls, *args: Any, **kwargs: Any) -> "Field":
        if cls is Field and (args or kwargs):
            warnings.warn(
                "geodiff.Field(network, corruption, reading=...) is now geodiff.NetworkField; "
                "Field is what all fields have in common",
                FutureWarning,
                stacklevel=2,
            )
            return super().__new__(NetworkField)
        return super().__new__(cls)

    def __init__(self, corruption: PointCorruption):
        super().__init__()
        self.corruption = corruption

    @abc.abstractmethod
    def displacement(self, x: Tensor, s: Tensor, condition: Any, mask: Tensor | None) -> Tensor:
        """u at the states x before it is projected, (*batch, *tangent_shape).

        Args:
            x: (*batch, *shape).
            s: (*batch,).
            condition: what the field is told; None for nothing.
            mask: (*batch, nodes) bool, for clouds.
        """

    def forward(
        self, x: Tensor, s: float | Tensor, condition: Any = None, mask: Tensor | None = None
    ) -> Tensor:
        """u at the states x, (*batch, *tangent_shape).

        Args:
            x: (*batch, *shape).
            s: a number or (*batch,).
            condition: what the field is told; None for nothing.
            mask: (*batch, nodes) bool; u is 0 at masked nodes.
        """
        s = self.corruption.times(s, x)
        return self.corruption.tangent(x, self.displacement(x, s, condition, mask), mask)

    def clean_estimate(
        self, noisy: Tensor, s: float | Tensor, condition: Any = None, mask: Tensor | None = None
    ) -> Tensor:
        """E[clean given noisy] for a `Gaussian`, from noisy: what leaves a level with alpha = 0,
        where the state noisy / alpha is infinite. A field that does not offer it starts below.

        Args:
            noisy: (*batch, *shape).
            s: a number or (*batch,).
            condition: what the field is told; None for nothing.
            mask: (*batch, nodes) bool; the estimate is 0 at masked nodes.

        Raises: ValueError where there is none.
        """
        raise ValueError(
            f"field: {type(self).__name__} has no clean_estimate, so it cannot leave a level with "
            "alpha = 0; give levels with s_max=0.999"
        )


class NetworkField(Field):
    """The field that a network predicts.

    For `Gaussian` the network sees noisy divided by its standard deviation, so coordinates of size
    1; else it sees the noisy point. `autocast`, an attribute, may name a lower precision
    (torch.bfloat16) for the network alone; points, tangents and levels keep theirs. None, the
    default, leaves the network as it is.

    Args:
        network: any callable (x, s, condition, mask) -> tensor. s reaches it as (*batch,).
        corruption: the way to noise that the network was trained on.
        reading: what the output is; "u", "clean", "eps", "score", "v", "F" or "velocity", as far as
            they exist for the corruption. "clean" is always in the coordinates of the data.

    Raises: ValueError for a reading that does not exist for the corruption, with the reason.
    """

    network: Network

    def __init__(self, network: Network, corruption: PointCorruption, reading: str = "u"):
        super().__init__(corruption)
        corruption.check_reading(reading)
        self.network, self.reading = network, reading
        self.autocast: torch.dtype | None = None

    def displacement(self, x: Tensor, s: Tensor, condition: Any, mask: Tensor | None) -> Tensor:
        output = self.output(x, s, condition, mask)
        return self.corruption.displacement(self.reading, output, x, s)

    def output(
        self, x: Tensor, s: float | Tensor, condition: Any = None, mask: Tensor | None = None
    ) -> Tensor:
        """What the network says at the states x, before it is read: with the reading "clean", a
        clean point.

        Args:
            x: (*batch, *shape).
            s: a number or (*batch,).
            condition: what the network is told; None for nothing.
            mask: (*batch, nodes) bool, for clouds.
        """
        s = self.corruption.times(s, x)
        return self.ask(self.corruption.network_input(x, s), s, condition, mask)

    def read(
        self, output: Tensor, x: Tensor, s: float | Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """u at the states x, (*batch, *tangent_shape), from what `output` returned there.

        Args:
            output: what the network said.
            x: (*batch, *shape).
            s: a number or (*batch,).
            mask: (*batch, nodes) bool; u is 0 at masked nodes.
        """
        s = self.corruption.times(s, x)
        return self.corruption.read(self.reading, output, x, s, mask)

    def clean_estimate(
        self, noisy: Tensor, s: float | Tensor, condition: Any = None, mask: Tensor | None = None
    ) -> Tensor:
        corruption = self.corruption
        s = corruption.times(s, noisy)
        output = self.ask(corruption.noisy_input(noisy, s), s, condition, mask)
        clean = corruption.clean_estimate(self.reading, output, noisy, s)
        return corruption.tangent(noisy, clean, mask)

    def ask(self, seen: Tensor, s: Tensor, condition: Any, mask: Tensor | None) -> Tensor:
        """What the network says of what it sees, in the precision of `autocast`, returned in
        seen's.

        Args:
            seen: the network's own input, (*batch, *shape).
            s: (*batch,).
            condition: what the network is told; None for nothing.
            mask: (*batch, nodes) bool, for clouds.
        """
        if self.autocast is None:
            return self.network(seen, s, condition, mask)
        with torch.autocast(seen.device.type, dtype=self.autocast):
            return self.network(seen, s, condition, mask).to(seen.dtype)

    def extra_repr(self) -> str:
        return f"corruption={self.corruption!r}, reading={self.reading!r}"
