"""What a network says of several parts at once."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from geodiff.process.corruption.joint import Joint, of_part

JointNetwork = Callable[[dict[str, Tensor], Tensor, Any, Any], Mapping[str, Tensor]]
"""(x, s, condition, mask) -> what it predicts of each part, by name; s (*batch,)."""


class JointField(nn.Module):
    """For each part of a `Joint`, u or the probabilities of clean letters, given all of them.

    Args:
        network: any callable (x, s, condition, mask) -> outputs by name. x: the parts by name,
            points as the network of a `NetworkField` sees them. s reaches it as (*batch,).
        corruption: the parts.
        readings: what the output of a part is, by name; "u" for points and "logits" for letters
            where none is named.

    Raises: ValueError for a reading that does not exist for its part, or of no such part.
    """

    network: JointNetwork

    def __init__(
        self, network: JointNetwork, corruption: Joint, readings: Mapping[str, str] | None = None
    ):
        super().__init__()
        self.network, self.corruption = network, corruption
        parts = dict(corruption.parts)
        self.readings = {name: part.readings[0] for name, part in parts.items()}
        for name, reading in (readings or {}).items():
            if name not in parts:
                raise ValueError(f"readings: expected parts {', '.join(parts)}, got {name!r}")
            parts[name].check_reading(reading)
            self.readings[name] = reading

    def forward(
        self, x: Mapping[str, Tensor], s: float | Tensor, condition: Any = None, mask: Any = None
    ) -> dict[str, Tensor]:
        """u, (*batch, *tangent_shape), or probabilities, (*batch, n, classes), by name.

        Args:
            x: the states by name.
            s: a number or (*batch,), common to the parts.
            condition: what the network is told; None for nothing.
            mask: (*batch, nodes) bool; one for all parts, or a dict by name.
        """
        s = self._times(x, s)
        parts = self.corruption.parts
        seen = {name: part.network_input(x[name], s) for name, part in parts}
        said = self.network(seen, s, condition, mask)
        return {
            name: part.read(self.readings[name], said[name], x[name], s, of_part(mask, name))
            for name, part in parts
        }

    def _times(self, x: Mapping[str, Tensor], s: float | Tensor) -> Tensor:
        """s for every thing of the batch, in the dtype of the points; without any, of the
        network.
        """
        first, part = self.corruption.parts[0]
        like = next(self.parameters(), torch.empty(0)).dtype
        dtype = next((a.dtype for a in x.values() if a.is_floating_point()), like)
        return torch.as_tensor(s, dtype=dtype, device=x[first].device).expand(
            part.batch_shape(x[first])
        )
