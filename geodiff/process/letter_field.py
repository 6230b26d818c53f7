"""What a network says of letters: how probable each clean one is."""

from typing import Any

import torch
from torch import Tensor, nn

from geodiff.process.corruption.letters import Letters
from geodiff.process.field import Network


class LetterField(nn.Module):
    """The probabilities of the clean letters, given noisy ones, that a network predicts: to letters
    what u is to points.

    Args:
        network: any callable (x, s, condition, mask) -> logits, (*batch, n, classes). s reaches it
            as (*batch,).
        corruption: `Masked` or `Uniform`.
    """

    network: Network

    def __init__(self, network: Network, corruption: Letters):
        super().__init__()
        self.network, self.corruption = network, corruption

    def forward(
        self, x: Tensor, s: float | Tensor, condition: Any = None, mask: Tensor | None = None
    ) -> Tensor:
        """Probabilities, (*batch, n, classes).

        Args:
            x: letters, (*batch, n).
            s: a number or (*batch,).
            condition: what the network is told; None for nothing.
            mask: (*batch, n) bool, where there are letters.
        """
        dtype = next(self.parameters(), torch.empty(0)).dtype
        s = torch.as_tensor(s, dtype=dtype, device=x.device).expand(self.corruption.batch_shape(x))
        return self.corruption.read("logits", self.network(x, s, condition, mask), x, s, mask)
