"""What a step of training sees."""

from dataclasses import dataclass, replace

from torch import Tensor


@dataclass(frozen=True)
class TrainingBatch:
    """Clean points (batch, ...), what the network is conditioned on, and the mask of real nodes or
    None.
    """

    clean: Tensor
    condition: object = None
    mask: Tensor | None = None

    def to(self, device) -> "TrainingBatch":
        condition = self.condition.to(device) if hasattr(self.condition, "to") else self.condition
        mask = None if self.mask is None else self.mask.to(device)
        return replace(self, clean=self.clean.to(device), condition=condition, mask=mask)
