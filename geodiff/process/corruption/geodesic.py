"""Flow matching: paths along geodesics, from clean points to noise."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from geodiff.process.clocks import Clock, Linear
from geodiff.process.corruption.base import Corrupted, Device, PointCorruption
from geodiff.process.couplings import Coupling, taking_condition
from geodiff.process.randomness import Generator
from manifolds.base import Manifold


@dataclass(frozen=True, init=False)
class Geodesic(PointCorruption):
    """Flow matching: the noisy point lies on the geodesic from clean to noise, Exp_clean(kappa
    Log_clean(noise)).

    The target is u = Log_x(clean).

    Args:
        manifold: any space.
        clock: the share of the way to the noise at each s; must run from 0 to 1.
        base: a callable (size, generator, dtype, device, mask, condition) -> noise, or None for the
            manifold's own random points. The attribute `prior`.
        coupling: a callable (clean, noise, mask, condition) -> (clean, noise), or None.

    Raises: ValueError for a clock that does not end at 1.
    Source: Chen and Lipman 2024.
    """

    manifold: Manifold
    clock: Clock
    prior: Callable[..., Tensor] | None
    coupling: Coupling | None

    has_score = False
    readings = ("u", "clean", "velocity")
    refused = {
        "eps": "the path ends at a base point, not at Gaussian noise; predict 'clean' or "
        "'velocity'",
        "score": "u is the mean of Log_x(clean), which is not a gradient of a log density",
        "v": "v = alpha eps - sigma clean adds points, which needs a vector space and Gaussian "
        "noise",
        "F": "its preconditioning scales points, which needs an origin and Gaussian noise",
    }

    def __init__(
        self,
        manifold: Manifold,
        clock: Clock = Linear(),
        base: Callable[..., Tensor] | None = None,
        coupling: Coupling | None = None,
    ):
        if abs(float(clock.kappa(1.0).max()) - 1) > 1e-12:
            raise ValueError(
                f"clock: a Geodesic needs kappa(1) = 1, the whole way to the noise, got {clock} "
                f"with kappa(1) = {clock.kappa(1.0)}; use Linear()"
            )
        coupling = None if coupling is None else taking_condition(coupling)
        for name, value in dict(
            manifold=manifold, clock=clock, prior=base, coupling=coupling
        ).items():
            object.__setattr__(self, name, value)

    def base(
        self,
        *size: int,
        generator: Generator = None,
        dtype: torch.dtype | None = None,
        device: Device = None,
        mask: Tensor | None = None,
        condition: Any = None,
    ) -> Tensor:
        if self.prior is None:
            return self.manifold.draw(
                size, mask=mask, generator=generator, dtype=dtype, device=device
            )
        return self.prior(size, generator, dtype, device, mask, condition)

    def log_prob_of_base(
        self,
        noise: Tensor,
        *,
        scale: Tensor | float = 1.0,
        condition: Any = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        if self.prior is None:
            return self.manifold.log_prob_of_random(noise, mask)
        density = getattr(self.prior, "log_prob", None)
        if density is None:
            raise ValueError(
                f"corruption: its base, {self.prior}, has no density; give a callable object with "
                "a method log_prob(noise, condition, mask) -> (*batch,) as base="
            )
        return density(noise, condition, mask)

    def prior_tv(self, radius: float | None = None) -> Tensor:
        return torch.zeros((), dtype=torch.float64)

    def start(self, noise: Tensor, kappa: Tensor) -> Tensor:
        if not bool((kappa == 1).all()):
            raise ValueError(
                f"levels: a Geodesic starts from noise at kappa = 1 only, got {kappa}; to start "
                "half-way, corrupt a clean point and call integrate"
            )
        return noise

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
        noise = self._base_like(clean, generator, mask, condition) if noise is None else noise
        if self.coupling is not None:
            clean, noise = self.coupling(clean, noise, mask, condition)
        x, u = self.manifold.geodesic_and_back(clean, noise, self.against_tangent(kappa))
        return Corrupted(x, s, kappa, u, clean, noise)

    def displacement(self, reading: str, output: Tensor, x: Tensor, s: Tensor) -> Tensor:
        if reading == "clean":
            return self.manifold.log(x, output)
        if reading == "velocity":  # d noisy / ds = -(d log kappa / ds) u
            return -output / self.against_tangent(self.clock.log_rate(s))
        return output
