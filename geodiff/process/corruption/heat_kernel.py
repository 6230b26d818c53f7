"""Brownian motion: the noise that every space with a heat kernel has."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from geodiff.process.clocks import Clock
from geodiff.process.corruption.base import Corrupted, Device, PointCorruption
from geodiff.process.randomness import Generator
from manifolds import heat
from manifolds.base import Manifold


@dataclass(frozen=True)
class HeatKernel(PointCorruption):
    """Brownian motion from the clean point, of variance kappa^2 in each direction; exact draws and
    scores.

    The target is u = kappa^2 grad_x log p_kappa(x given clean). On compact spaces the noise is
    uniform: give the clock a kappa_max of 2.5 or more (SO(3): total variation to uniform .0024 at
    2.5, .13 at 1.5; a torus of two angles takes 3.5 to stay below .005):
    `geodiff.prior_tv(corruption)` says how far it is.

    Args:
        manifold: a space with a heat kernel.
        clock: the standard deviation in each direction at each s.

    Source: De Bortoli et al. 2022.
    """

    manifold: Manifold
    clock: Clock
    kernel: heat.Kernel = field(init=False, repr=False, compare=False)

    has_score = True
    mixes_with_a_law = True
    readings = ("u", "clean", "score")
    refused = {
        "eps": "no one Gaussian variable makes Brownian motion on a curved space; predict 'score' "
        "or 'u'",
        "v": "v = alpha eps - sigma clean adds points, which needs a vector space",
        "F": "its preconditioning scales points, which needs an origin",
        "velocity": "Brownian paths have no velocity; predict 'score' or 'u'",
    }

    def __post_init__(self) -> None:
        object.__setattr__(self, "kernel", self.manifold.heat())

    def base(
        self,
        *size: int,
        generator: Generator = None,
        dtype: torch.dtype | None = None,
        device: Device = None,
        mask: Tensor | None = None,
        condition: Any = None,
    ) -> Tensor:
        # Uniform stays uniform on compact factors; standard normal becomes N(0, 1 + kappa^2) on
        # flat ones.
        point = self.manifold.draw(size, mask=mask, generator=generator, dtype=dtype, device=device)
        return self.diffuse(point, self.clock.kappa(1.0).to(point), generator=generator, mask=mask)

    def start(self, noise: Tensor, kappa: Tensor) -> Tensor:
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
        if noise is not None:
            raise ValueError(
                "noise: a HeatKernel draws from a law that depends on the level, so it is not "
                "taken; pass generator= for repeatable draws"
            )
        s, kappa = self.level(s, clean)
        x = self.kernel.sample(clean, kappa, generator=generator, mask=mask)
        return Corrupted(x, s, kappa, self.kernel.displacement(x, clean, kappa, mask), clean, x)

    def displacement(self, reading: str, output: Tensor, x: Tensor, s: Tensor) -> Tensor:
        if reading == "clean":
            return self.kernel.displacement(x, output, self.clock.kappa(s))
        if reading == "score":
            return self.against_tangent(self.clock.kappa(s)) ** 2 * output
        return output

    def diffuse(
        self, x: Tensor, kappa: Tensor, *, generator: Generator = None, mask: Tensor | None = None
    ) -> Tensor:
        kappa = kappa.expand((*self.batch_shape(x), *kappa.shape))
        return self.kernel.sample(x, kappa, generator=generator, mask=mask)

    def log_prob_of_base(
        self,
        noise: Tensor,
        *,
        scale: Tensor | float = 1.0,
        condition: Any = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        kappa = self.clock.kappa(1.0).to(noise)
        kappa = kappa.expand((*self.batch_shape(noise), *kappa.shape))
        return self.kernel.log_prob_of_diffused(noise, kappa, mask)

    def prior_tv(self, radius: float | None = None) -> Tensor:
        kappa = self.clock.kappa(1.0).double()
        return heat.prior_tv(self.kernel, kappa, radius, per_entry=self.clock.per_factor)
