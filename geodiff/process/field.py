"""A field: a network, the corruption it was trained on, and how its output is read."""

import torch
from torch import Tensor, nn

from geodiff.process.corruption import Corruption, Gaussian


class Field(nn.Module):
    """The denoising displacement u(x, s) that a network predicts, a tangent at the state x.

    network: any callable (x, s, condition, mask) -> tensor. s reaches it as (*batch,). For
    `Gaussian` it sees noisy divided by its standard deviation, so coordinates of size 1; else it
    sees the noisy point.
    reading: what the output is; "u", "clean", "eps", "score", "v", "F" or "velocity", as far as
    they exist for the corruption. "clean" is always in the coordinates of the data. `autocast`, an
    attribute, may name a lower precision (torch.bfloat16) for the network alone; points, tangents
    and levels keep theirs. None, the default, leaves the network as it is.
    Raises ValueError for a reading that does not exist for the corruption, with the reason.
    """

    def __init__(self, network, corruption: Corruption, reading: str = "u"):
        super().__init__()
        corruption.check_reading(reading)
        self.network, self.corruption, self.reading = network, corruption, reading
        self.autocast: torch.dtype | None = None

    def forward(
        self, x: Tensor, s: float | Tensor, condition=None, mask: Tensor | None = None
    ) -> Tensor:
        """u at the states x, (*batch, *tangent_shape).

        x: (*batch, *shape). s: a number or (*batch,). mask: (*batch, nodes) bool; u is 0 at masked
        nodes.
        """
        s = self.corruption.times(s, x)
        return self.read(self.output(x, s, condition, mask), x, s, mask)

    def output(
        self, x: Tensor, s: float | Tensor, condition=None, mask: Tensor | None = None
    ) -> Tensor:
        """What the network says at the states x, before it is read: with the reading "clean", a
        clean point.
        """
        s = self.corruption.times(s, x)
        seen = x
        if isinstance(self.corruption, Gaussian):
            seen = x / self.corruption.state_scale(s)
        return self._output(seen, s, condition, mask)

    def read(
        self, output: Tensor, x: Tensor, s: float | Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """u at the states x, (*batch, *tangent_shape), from what `output` returned there."""
        s = self.corruption.times(s, x)
        return self._tangent(x, self.corruption.displacement(self.reading, output, x, s), mask)

    def clean_estimate(
        self, noisy: Tensor, s: float | Tensor, condition=None, mask: Tensor | None = None
    ) -> Tensor:
        """E[clean given noisy] for a `Gaussian`, from noisy: the one form that exists where alpha =
        0.
        """
        s = self.corruption.times(s, noisy)
        output = self._output(noisy / self.corruption.network_scale(s), s, condition, mask)
        clean = self.corruption.clean_estimate(self.reading, output, noisy, s)
        return self._tangent(noisy, clean, mask)

    def _output(self, seen: Tensor, s: Tensor, condition, mask: Tensor | None) -> Tensor:
        if self.autocast is None:
            return self.network(seen, s, condition, mask)
        with torch.autocast(seen.device.type, dtype=self.autocast):
            return self.network(seen, s, condition, mask).to(seen.dtype)

    def _tangent(self, x: Tensor, ambient: Tensor, mask: Tensor | None) -> Tensor:
        manifold = self.corruption.manifold
        masked = {"mask": mask} if manifold.takes_mask else {}
        return manifold.to_tangent(x, ambient, **masked)

    def extra_repr(self) -> str:
        return f"corruption={self.corruption!r}, reading={self.reading!r}"


class Remembering(Field):
    """A field whose network hears its own last output: self-conditioning, for one run of a sampler.

    The condition has a method `given(previous)`, which returns it beside the last output, None at
    first. Training hears of it by an objective that gives outputs half of the time. Source: Chen et
    al. 2023 (Analog bits), section 2.2.
    """

    def __init__(self, field: Field):
        super().__init__(field.network, field.corruption, field.reading)
        self.autocast, self.last = field.autocast, None

    def _output(self, seen: Tensor, s: Tensor, condition, mask: Tensor | None) -> Tensor:
        output = super()._output(seen, s, condition.given(self.last), mask)
        self.last = output.detach()
        return output
