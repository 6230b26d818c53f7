"""Corruptions: how a clean point becomes a noisy one, and what each network output says about the
way back.

Every corruption is read through the denoising displacement u(x, kappa), a tangent at the state x.
Sampling follows dx / d(-log kappa) = u for all of them.
"""

import abc
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from geodiff.process.clocks import Clock
from manifolds.base import Manifold


@dataclass(frozen=True)
class Corrupted:
    """A noisy state and its regression target.

    x: the state, (*batch, *shape); noisy / alpha for `Gaussian`, else the noisy point. s, kappa:
    (*batch,).
    u: the target, a tangent at x. clean: the clean point. noise: what it was mixed with.
    """

    x: Tensor
    s: Tensor
    kappa: Tensor
    u: Tensor
    clean: Tensor
    noise: Tensor


class Corruption(abc.ABC):
    """A way from clean points to noise on a manifold, timed by a clock."""

    manifold: Manifold
    clock: Clock
    # whether u = kappa^2 grad log p_kappa(x), which stochastic steppers need
    has_score: ClassVar[bool]
    readings: ClassVar[tuple[str, ...]]  # what a network may predict
    refused: ClassVar[dict[str, str]]  # readings that do not exist here, and why

    @abc.abstractmethod
    def base(
        self,
        *size: int,
        generator=None,
        dtype: torch.dtype | None = None,
        device=None,
        mask: Tensor | None = None,
        condition=None,
    ) -> Tensor:
        """A draw of the noise at s = 1, (*size, *shape); `start` makes the state of it.

        size: the batch; for clouds, with the number of nodes after it, (batch, nodes).
        """

    @abc.abstractmethod
    def start(self, noise: Tensor, kappa: Tensor) -> Tensor:
        """The state at a large noise level kappa that the noise makes of an unknown clean point."""

    @abc.abstractmethod
    def corrupt(
        self,
        clean: Tensor,
        s: float | Tensor,
        *,
        generator=None,
        noise: Tensor | None = None,
        mask: Tensor | None = None,
        condition=None,
    ) -> Corrupted:
        """Noisy states at s of clean points, with their targets.

        clean: (*batch, *shape). s: a number or (*batch,). mask: (*batch, nodes) bool, for clouds.
        noise: the base draw to use; None draws it.
        """

    @abc.abstractmethod
    def displacement(self, reading: str, output: Tensor, x: Tensor, s: Tensor) -> Tensor:
        """u at state x from a network's output, read as `reading`. s: (*batch,)."""

    def diffuse(
        self, x: Tensor, kappa: Tensor, *, generator=None, mask: Tensor | None = None
    ) -> Tensor:
        """The state after noise of level kappa more: levels add in squares. Only where a score
        exists.
        """
        raise ValueError(
            f"{type(self).__name__} has no diffusion: u on its paths is not a score, so noise "
            "cannot be added on the way; use a deterministic stepper, or HeatKernel or Gaussian"
        )

    def check_reading(self, reading: str) -> None:
        """Raise ValueError, with the reason, unless a network may predict `reading`."""
        if reading in self.refused:
            raise ValueError(
                f"reading: {reading!r} does not exist for {type(self).__name__}: "
                f"{self.refused[reading]}. Choose one of {', '.join(self.readings)}"
            )
        if reading not in self.readings:
            raise ValueError(
                f"reading: expected one of {', '.join(self.readings)}, got {reading!r}"
            )

    def against_tangent(self, kappa: Tensor) -> Tensor:
        """A level with the axes that it lacks, so that it multiplies tangents (*batch,
        *tangent_shape).

        kappa: (*batch,), or (*batch, last axis of the tangents) of a clock per factor.
        """
        axes = (None,) * len(self.manifold.tangent_shape)
        return (
            kappa[(..., *axes[1:], slice(None))] if self.clock.per_factor else kappa[(..., *axes)]
        )

    def batch_shape(self, x: Tensor) -> tuple[int, ...]:
        """The axes of x in front of a point's."""
        return x.shape[: x.ndim - len(self.manifold.shape)]

    def times(self, s: float | Tensor, like: Tensor) -> Tensor:
        """s for every point of `like`, (*batch,), in its dtype and device."""
        return torch.as_tensor(s, dtype=like.dtype, device=like.device).expand(
            self.batch_shape(like)
        )

    def level(self, s: float | Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """s for every point of `like`, (*batch,), and its kappa, both in `like`'s dtype and
        device.
        """
        s = (
            s.to(like.device)
            if isinstance(s, Tensor)
            else torch.tensor(s, dtype=torch.float64, device=like.device)
        )
        batch, kappa = self.batch_shape(like), self.clock.kappa(s).to(like.dtype)
        if s.shape != batch:
            kappa = kappa.expand((*batch, *kappa.shape[s.ndim :]))
            s = s.expand(batch)
        return s.to(like.dtype), kappa

    def _random_point(self, size, generator, dtype, device, mask) -> Tensor:
        options = {"generator": generator, "dtype": dtype, "device": device}
        if not self.manifold.takes_mask:
            return self.manifold.random_point(*size, **options)
        *batch, nodes = size
        return self.manifold.random_point(*batch, nodes=nodes, mask=mask, **options)

    def _size(self, x: Tensor) -> tuple[int, ...]:
        """The size that asks `base` for points like x: the batch, and for clouds the number of
        nodes.
        """
        batch = self.batch_shape(x)
        return batch + (
            tuple(x.shape[len(batch) : len(batch) + 1]) if self.manifold.takes_mask else ()
        )

    def _base_like(self, clean: Tensor, generator, mask, condition) -> Tensor:
        return self.base(
            *self._size(clean),
            generator=generator,
            dtype=clean.dtype,
            device=clean.device,
            mask=mask,
            condition=condition,
        )
