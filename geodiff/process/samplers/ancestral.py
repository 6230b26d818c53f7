"""Ancestral sampling: a step below the next level, then exact noise back up to it."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from geodiff.process.samplers.base import Displacement, Interval, Run, Stepper, like, scaled


@dataclass(frozen=True)
class Ancestral(Stepper):
    """Draws from the reverse diffusion. Weak order 1, one call a step; eta = 0 is
    `ExponentialEuler`.

    The noise added at the end of a step has level eta kappa' sqrt(1 - (kappa' / kappa)^2), which at
    eta = 1 makes the step exact where there is one clean point and the space is flat: the smaller
    variance of DDPM. For clean points of a spread it is larger; DDPM's larger one, beta, is that of
    spread 1. It is added as the corruption adds it, so the run must know one, and one with a score.

    Args:
        eta: share of the noise of the reverse diffusion, in [0, 1].
        spread: standard deviation of the normal clean points that eta = 1 is exact for, at least 0,
            in the units of the state.

    Raises: ValueError if eta is outside [0, 1] or spread below 0.
    Source: Ho et al. 2020, eq. 7 and section 3.2; Song et al. 2021 (DDIM), eq. 16.
    """

    eta: float = 1.0
    spread: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta: expected a number in [0, 1], got {self.eta}")
        if not 0 <= self.spread < float("inf"):
            raise ValueError(f"spread: expected a finite number of at least 0, got {self.spread}")

    @property
    def needs_score(self) -> bool:
        return self.eta > 0

    def step(
        self, run: Run, u: Displacement, x: Tensor, interval: Interval, memory: Any
    ) -> tuple[Tensor, Any]:
        if interval.to_noise:
            raise ValueError(
                "levels: Ancestral adds noise of its own on the way to clean points and cannot "
                "invert; use a deterministic stepper for increasing levels"
            )
        ratio = interval.end / interval.start
        up = self.eta * interval.end * (1 - ratio**2) ** 0.5
        # The step goes down to where up leads back from: down^2 + up^2 = end^2.
        down = ratio * (1 - self.eta**2 + (self.eta * ratio) ** 2) ** 0.5  # over start
        x = run.manifold.exp(x, scaled(1 - down, u(x, interval.start)))
        if self.eta == 0 or interval.ends_clean:
            return x, None
        assert run.corruption is not None  # check_score has seen to it
        at_start, at_end = self.spread / interval.start, self.spread / interval.end
        added = like(up * ((1 + at_end**2) / (1 + at_start**2)) ** 0.5, x)
        return run.corruption.diffuse(x, added, generator=run.generator, mask=run.mask), None
