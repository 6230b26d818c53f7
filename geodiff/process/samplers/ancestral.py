"""Ancestral sampling: a step below the next level, then exact noise back up to it."""

from dataclasses import dataclass, field, replace

from torch import Tensor

from geodiff.process.samplers.base import Stepper, like, scaled


@dataclass(frozen=True)
class Ancestral(Stepper):
    """Draws from the reverse diffusion. Weak order 1, one call a step; eta = 0 is
    `ExponentialEuler`.

    The noise added at the end of a step has level eta kappa' sqrt(1 - (kappa' / kappa)^2), which at
    eta = 1 makes the step exact where there is one clean point and the space is flat. Source: Ho et
    al. 2020, eq. 7; Song et al. 2021 (DDIM), eq. 16.
    corruption: says how noise is added, and refuses if u is no score; `geodiff.sample` fills it in.
    Without it the noise is a normal tangent, walked by exp. mask: for clouds, (*batch, nodes) bool.
    """

    eta: float = 1.0
    corruption: object = None
    mask: Tensor | None = field(default=None, repr=False, compare=False)

    def __post_init__(self):
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta: expected a number in [0, 1], got {self.eta}")
        if self.corruption is not None and self.eta > 0 and not self.corruption.has_score:
            raise ValueError(
                f"corruption: {type(self.corruption).__name__} has no score, so noisy steps "
                "do not keep its law; use a deterministic stepper (Multistep, UniPC) or eta=0"
            )

    def bind(self, corruption, mask=None):
        return replace(self, corruption=corruption, mask=mask)

    def step(self, manifold, u, x, interval, memory, generator):
        if interval.to_noise:
            raise ValueError(
                "levels: Ancestral adds noise of its own on the way to clean points and cannot "
                "invert; use a deterministic stepper for increasing levels"
            )
        ratio = interval.end / interval.start
        up = self.eta * interval.end * (1 - ratio**2) ** 0.5
        # The step goes down to where up leads back from: down^2 + up^2 = end^2.
        down = ratio * (1 - self.eta**2 + (self.eta * ratio) ** 2) ** 0.5  # over start
        x = manifold.exp(x, scaled(1 - down, u(x, interval.start)))
        if self.eta == 0 or interval.ends_clean:
            return x, None
        if self.corruption is not None:
            return self.corruption.diffuse(
                x, like(up, x), generator=generator, mask=self.mask
            ), None
        return manifold.exp(x, scaled(up, manifold.random_tangent(x, generator=generator))), None
