"""Gaussian noise on flat spaces: DDPM, variance-preserving and -exploding, EDM, linear flow."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from geodiff.process.clocks import Clock, derivative
from geodiff.process.corruption.base import Corrupted, Device, PointCorruption
from geodiff.process.randomness import Generator
from manifolds.base import Manifold


@dataclass(frozen=True)
class Gaussian(PointCorruption):
    """noisy = alpha clean + sigma eps on a flat space; the state is x = noisy / alpha = clean +
    kappa eps.

    The target is u = clean - x = -kappa eps. DDPM and variance-preserving, variance-exploding, EDM
    and linear-flow processes differ in the clock only. Lengths are those of the metric: eps has
    unit variance along each vector of a frame, and the reading "score" is the Riemannian gradient.

    Args:
        manifold: a flat space.
        clock: alpha and sigma at each s.
        data_scale: standard deviation of the clean points in each direction, which the reading
            "F" needs.

    Raises: ValueError for a curved space.
    Source: Karras et al. 2022, section 2.
    """

    manifold: Manifold
    clock: Clock
    data_scale: float = 1.0

    has_score = True
    divides_by_alpha = True
    readings = ("u", "clean", "eps", "score", "v", "F", "velocity")
    refused: ClassVar[dict[str, str]] = {}

    def __post_init__(self) -> None:
        if not self.manifold.flat:
            raise ValueError(
                f"manifold: Gaussian noise needs a vector space, got {self.manifold}; use "
                "HeatKernel or Geodesic"
            )
        object.__setattr__(self, "clock", self.clock.for_gaussian())

    def base(
        self,
        *size: int,
        generator: Generator = None,
        dtype: torch.dtype | None = None,
        device: Device = None,
        mask: Tensor | None = None,
        condition: Any = None,
    ) -> Tensor:
        shape = (*size, *(axis for axis in self.manifold.shape if axis is not None))
        origin = torch.zeros(shape, dtype=dtype, device=device)
        return self.manifold.random_tangent(origin, generator=generator, mask=mask)

    def log_prob_of_base(
        self,
        noise: Tensor,
        *,
        scale: Tensor | float = 1.0,
        condition: Any = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        sigma = (self.clock.sigma(1.0) / scale).to(noise)
        if sigma.ndim:
            sigma = self.against_tangent(sigma.expand(*self.batch_shape(noise), *sigma.shape))
        return self.manifold.heat().log_prob(noise, torch.zeros_like(noise), sigma, mask)

    def prior_tv(self, radius: float | None = None) -> Tensor:
        if radius is None:
            if self.manifold.dim is None:
                raise ValueError(
                    "radius: expected a distance from the origin, since the dimension of "
                    f"{self.manifold} depends on the number of nodes; standard normal clouds have "
                    "sqrt((nodes - 1) * point_dim)"
                )
            radius = math.sqrt(self.manifold.dim)
        return torch.erf(radius / (2 * math.sqrt(2) * self.clock.kappa(1.0).double()))

    def start(self, noise: Tensor, kappa: Tensor) -> Tensor:
        return kappa.to(noise) * noise

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
        s, kappa = self.level(s, clean)
        if bool(torch.isinf(kappa).any()):
            raise ValueError(
                "s: alpha is 0 here, so the state noisy / alpha is infinite; draw s below 1"
            )
        noise = self._base_like(clean, generator, mask, condition) if noise is None else noise
        added = self.against_tangent(kappa) * noise
        return Corrupted(clean + added, s, kappa, -added, clean, noise)

    def displacement(self, reading: str, output: Tensor, x: Tensor, s: Tensor) -> Tensor:
        if reading == "u":
            return output
        if reading == "clean":
            return output - x
        kappa = self._coefficient(self.clock.kappa, s)
        if reading == "eps":
            return -kappa * output
        if reading == "score":
            return kappa**2 * output
        if reading == "F":
            # D = c_skip x + c_out F, so u = -(1 - c_skip) x + c_out F.
            total = kappa**2 + self.data_scale**2
            return -(kappa**2 / total) * x + kappa * self.data_scale / torch.sqrt(total) * output
        alpha, sigma = (
            self._coefficient(self.clock.alpha, s),
            self._coefficient(self.clock.sigma, s),
        )
        noisy = alpha * x
        if reading == "v":
            return -kappa * (sigma * noisy + alpha * output) / (alpha**2 + sigma**2)
        alpha_rate, sigma_rate = self._rates(s)
        return (
            -kappa
            * (alpha * output - alpha_rate * noisy)
            / (alpha * sigma_rate - sigma * alpha_rate)
        )

    def network_scale(self, s: Tensor) -> Tensor:
        """The standard deviation of a coordinate of `noisy`, which a network sees `noisy` divided
        by.

        Args:
            s: (*batch,).
        """
        alpha, sigma = (
            self._coefficient(self.clock.alpha, s),
            self._coefficient(self.clock.sigma, s),
        )
        return torch.sqrt((alpha * self.data_scale) ** 2 + sigma**2)

    def state_scale(self, s: Tensor) -> Tensor:
        """The standard deviation of a coordinate of the state, noisy / alpha.

        Args:
            s: (*batch,).
        """
        return torch.sqrt(self.data_scale**2 + self._coefficient(self.clock.kappa, s) ** 2)

    def network_input(self, x: Tensor, s: Tensor) -> Tensor:
        return x / self.state_scale(s)

    def noisy_input(self, noisy: Tensor, s: Tensor) -> Tensor:
        return noisy / self.network_scale(s)

    def clean_estimate(self, reading: str, output: Tensor, noisy: Tensor, s: Tensor) -> Tensor:
        alpha, sigma = (
            self._coefficient(self.clock.alpha, s),
            self._coefficient(self.clock.sigma, s),
        )
        if reading == "clean":
            return output
        if reading == "v":
            return (alpha * noisy - sigma * output) / (alpha**2 + sigma**2)
        if reading == "F":
            total = (alpha * self.data_scale) ** 2 + sigma**2
            scale = self.data_scale
            return (scale**2 * alpha * noisy + scale * sigma * torch.sqrt(total) * output) / total
        if reading == "velocity":
            alpha_rate, sigma_rate = self._rates(s)
            return (sigma_rate * noisy - sigma * output) / (alpha * sigma_rate - sigma * alpha_rate)
        if bool((alpha == 0).any()):
            raise ValueError(
                f"reading: {reading!r} cannot leave a level with alpha = 0, where noisy is "
                "noise alone; use 'clean', 'v', 'F' or 'velocity', or levels with s_max=0.999"
            )
        return noisy / alpha + self.displacement(reading, output, noisy / alpha, s)

    def diffuse(
        self, x: Tensor, kappa: Tensor, *, generator: Generator = None, mask: Tensor | None = None
    ) -> Tensor:
        return x + kappa.to(x) * self.manifold.random_tangent(x, generator=generator, mask=mask)

    def _coefficient(self, function: Callable[[Tensor], Tensor], s: Tensor) -> Tensor:
        return self.against_tangent(function(s))

    def _rates(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """d alpha / ds and d sigma / ds."""
        return (
            self.against_tangent(derivative(self.clock.alpha, s)),
            self.against_tangent(derivative(self.clock.sigma, s)),
        )
