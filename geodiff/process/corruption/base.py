"""Corruptions: how a clean point becomes a noisy one, and what each network output says about the
way back.

Every corruption is read through the denoising displacement u(x, kappa), a tangent at the state x.
Sampling follows dx / d(-log kappa) = u for all of them.
"""

import abc
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from geodiff.process.clocks import Clock
from geodiff.process.randomness import Generator
from manifolds.base import Manifold

Device = torch.device | str | None


@dataclass(frozen=True)
class Corrupted:
    """A noisy state and its regression target.

    Args:
        x: the state, (*batch, *shape); noisy / alpha for `Gaussian`, else the noisy point.
        s: (*batch,).
        kappa: (*batch,), or (*batch, last axis of the tangents) with a clock per factor.
        u: the target, a tangent at x.
        clean: the clean point.
        noise: what it was mixed with.
    """

    x: Tensor
    s: Tensor
    kappa: Tensor
    u: Tensor
    clean: Tensor
    noise: Tensor


class Corruption(abc.ABC):
    """A way from clean things to noise, from s = 0 to s = 1: of points on a manifold
    (`PointCorruption`), of letters (`Letters`), or of several parts under a common s (`Joint`).
    """

    readings: ClassVar[tuple[str, ...]]  # what a network may predict
    refused: ClassVar[dict[str, str]] = {}  # readings that do not exist here, and why
    discrete: ClassVar[bool] = False  # whether it is of letters, which have no way between them

    @abc.abstractmethod
    def base(
        self,
        *size: int,
        generator: Generator = None,
        dtype: torch.dtype | None = None,
        device: Device = None,
        mask: Tensor | None = None,
        condition: Any = None,
    ) -> Any:
        """A draw of the noise at s = 1.

        Args:
            size: the batch; for clouds and letters, with the number of nodes after it, (batch,
                nodes).
            generator: a `torch.Generator`, a `Noise`, or None.
            dtype: of real numbers; None is torch's default.
            device: None is the CPU.
            mask: (*batch, nodes) bool, for clouds and letters.
            condition: what a base that depends on it is told.

        Returns: (*size, *shape) for points; `start` makes the state of it. (*size,) for letters.
        """

    def check_reading(self, reading: str) -> None:
        """Raise ValueError, with the reason, unless a network may predict `reading`.

        Args:
            reading: what the network's output would be.
        """
        if reading in self.refused:
            raise ValueError(
                f"reading: {reading!r} does not exist for {type(self).__name__}: "
                f"{self.refused[reading]}. Choose one of {', '.join(self.readings)}"
            )
        if reading not in self.readings:
            raise ValueError(
                f"reading: expected one of {', '.join(self.readings)}, got {reading!r}"
            )


class PointCorruption(Corruption):
    """A way from clean points to noise on a manifold, timed by a clock."""

    manifold: Manifold
    clock: Clock
    # whether u = kappa^2 grad log p_kappa(x), which stochastic steppers need
    has_score: ClassVar[bool]
    # whether the state is noisy / alpha, as only a flat space allows, and not noisy itself
    divides_by_alpha: ClassVar[bool] = False
    # whether the noise of a clean point is a law and not one point, so that there are no pairs
    mixes_with_a_law: ClassVar[bool] = False

    @abc.abstractmethod
    def start(self, noise: Tensor, kappa: Tensor) -> Tensor:
        """The state at a large noise level kappa that the noise makes of an unknown clean point.

        Args:
            noise: a draw of `base`, (*batch, *shape).
            kappa: the level, () or (*tangent_shape).
        """

    @abc.abstractmethod
    def corrupt(
        self,
        clean: Tensor,
        s: float | Tensor,
        *,
        generator: Generator = None,
        noise: Tensor | None = None,
        mask: Tensor | None = None,
        condition: Any = None,
    ) -> Corrupted:
        """Noisy states at s of clean points, with their targets.

        Args:
            clean: (*batch, *shape).
            s: a number or (*batch,).
            generator: a `torch.Generator`, a `Noise`, or None.
            noise: the base draw to use; None draws it.
            mask: (*batch, nodes) bool, for clouds.
            condition: what the base and the coupling are told.
        """

    @abc.abstractmethod
    def displacement(self, reading: str, output: Tensor, x: Tensor, s: Tensor) -> Tensor:
        """u at state x from a network's output.

        Args:
            reading: what the output is.
            output: what the network said.
            x: the state, (*batch, *shape).
            s: (*batch,).
        """

    def read(
        self, reading: str, output: Tensor, x: Tensor, s: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """u at state x from a network's output, a tangent.

        Args:
            reading: what the output is.
            output: what the network said.
            x: the state, (*batch, *shape).
            s: (*batch,).
            mask: (*batch, nodes) bool, for clouds.
        """
        return self.tangent(x, self.displacement(reading, output, x, s), mask)

    def tangent(self, x: Tensor, ambient: Tensor, mask: Tensor | None = None) -> Tensor:
        """The tangent at x that is closest to ambient numbers; 0 at masked nodes.

        Args:
            x: the state, (*batch, *shape).
            ambient: (*batch, *tangent_shape).
            mask: (*batch, nodes) bool, for clouds.
        """
        return self.manifold.to_tangent(x, ambient, mask)

    def network_input(self, x: Tensor, s: Tensor) -> Tensor:
        """What a network sees of the state x: the point itself, or coordinates of size 1.

        Args:
            x: the state, (*batch, *shape).
            s: (*batch,).
        """
        return x

    def noisy_input(self, noisy: Tensor, s: Tensor) -> Tensor:
        """What a network sees of the noisy point, which is finite also where the state is not.

        Args:
            noisy: (*batch, *shape).
            s: (*batch,).
        """
        return noisy

    def clean_estimate(self, reading: str, output: Tensor, noisy: Tensor, s: Tensor) -> Tensor:
        """E[clean given noisy] from a network's output; finite also where alpha = 0.

        Args:
            reading: what the output is.
            output: what the network said.
            noisy: (*batch, *shape).
            s: (*batch,).

        Raises: ValueError for readings that say nothing about the clean point there, and where no
            clean mean exists.
        """
        raise ValueError(
            f"{type(self).__name__} has no clean mean in coordinates of its own: it is a point's "
            "only on flat spaces, with Gaussian"
        )

    def log_prob_of_base(
        self,
        noise: Tensor,
        *,
        scale: Tensor | float = 1.0,
        condition: Any = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Log density of `base`, (*batch,), nats.

        Where the state is noisy / alpha, of noisy = sigma(1) noise, in coordinates divided by
        `scale`.

        Args:
            noise: (*batch, *shape).
            scale: of the coordinates.
            condition: what a base that depends on it is told.
            mask: (*batch, nodes) bool, for clouds.

        Raises: ValueError for a base whose density is not known.
        """
        raise ValueError(
            f"corruption: the density of the base of {self} is not known; give it a method "
            "log_prob_of_base"
        )

    def prior_tv(self, radius: float | None = None) -> Tensor:
        """Total variation between the noisiest law of one clean point and `base`, as in
        `geodiff.prior_tv`.

        Args:
            radius: how far the clean point is from the origin of flat factors; None is sqrt(dim).

        Raises: ValueError where it is not known.
        """
        raise ValueError(
            f"corruption: how far the noisiest law of {self} is from its base is not known; give "
            "it a method prior_tv"
        )

    def diffuse(
        self, x: Tensor, kappa: Tensor, *, generator: Generator = None, mask: Tensor | None = None
    ) -> Tensor:
        """The state after noise of level kappa more: levels add in squares. Only where a score
        exists.

        Args:
            x: the state, (*batch, *shape).
            kappa: the level to add, () or (*tangent_shape).
            generator: a `torch.Generator`, a `Noise`, or None.
            mask: (*batch, nodes) bool, for clouds.

        Raises: ValueError, with the reason, where u is no score.
        """
        raise ValueError(
            f"{type(self).__name__} has no diffusion: u on its paths is not a score, so noise "
            "cannot be added on the way; use a deterministic stepper, or HeatKernel or Gaussian"
        )

    def against_tangent(self, kappa: Tensor) -> Tensor:
        """A level with the axes that it lacks, so that it multiplies tangents (*batch,
        *tangent_shape).

        Args:
            kappa: (*batch,), or (*batch, last axis of the tangents) of a clock per factor.
        """
        axes = (None,) * len(self.manifold.tangent_shape)
        return (
            kappa[(..., *axes[1:], slice(None))] if self.clock.per_factor else kappa[(..., *axes)]
        )

    def batch_shape(self, x: Tensor) -> tuple[int, ...]:
        """The axes of x in front of a point's.

        Args:
            x: (*batch, *shape).
        """
        return x.shape[: x.ndim - len(self.manifold.shape)]

    def times(self, s: float | Tensor, like: Tensor) -> Tensor:
        """s for every point of `like`, (*batch,), in its dtype and device.

        Args:
            s: a number, or broadcastable to (*batch,).
            like: (*batch, *shape).
        """
        return torch.as_tensor(s, dtype=like.dtype, device=like.device).expand(
            self.batch_shape(like)
        )

    def level(self, s: float | Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """s for every point of `like`, (*batch,), and its kappa, both in `like`'s dtype and
        device.

        Args:
            s: a number, or broadcastable to (*batch,).
            like: (*batch, *shape).
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

    def _base_like(
        self, clean: Tensor, generator: Generator, mask: Tensor | None, condition: Any
    ) -> Tensor:
        return self.base(
            *self.manifold.size_of(clean),
            generator=generator,
            dtype=clean.dtype,
            device=clean.device,
            mask=mask,
            condition=condition,
        )
