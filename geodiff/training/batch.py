"""What a step of training sees."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class TrainingBatch:
    """Clean points and what is known of them.

    Args:
        clean: (batch, ...).
        condition: what the network is conditioned on, of any kind.
        mask: (batch, nodes) bool, True at real nodes, or None.
    """

    clean: Tensor
    condition: Any = None
    mask: Tensor | None = None

    def to(self, device: torch.device | str) -> "TrainingBatch":
        """The batch on a device.

        Args:
            device: any that torch knows.
        """
        condition = self.condition.to(device) if hasattr(self.condition, "to") else self.condition
        mask = None if self.mask is None else self.mask.to(device)
        return replace(self, clean=self.clean.to(device), condition=condition, mask=mask)
