"""Corruptions: how a clean point becomes a noisy one, and what each network output says about the
way back.

Every corruption is read through the denoising displacement u(x, kappa), a tangent at the state x.
Sampling follows dx / d(-log kappa) = u for all of them.
"""

import abc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from geodiff.schedules import Clock, Linear, derivative
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


@dataclass(frozen=True, init=False)
class Geodesic(Corruption):
    """Flow matching: the noisy point lies on the geodesic from clean to noise, Exp_clean(kappa
    Log_clean(noise)).

    The target is u = Log_x(clean). base: a callable (size, generator, dtype, device, mask,
    condition) -> noise, or None for the manifold's own random points. coupling: a callable (clean,
    noise, mask) -> (clean, noise), or None. The clock must run from 0 to 1. Source: Chen and Lipman
    2024.
    """

    manifold: Manifold
    clock: Clock
    prior: Callable | None
    coupling: Callable | None

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
        base: Callable | None = None,
        coupling: Callable | None = None,
    ):
        if abs(float(clock.kappa(1.0).max()) - 1) > 1e-12:
            raise ValueError(
                f"clock: a Geodesic needs kappa(1) = 1, the whole way to the noise, got {clock} "
                f"with kappa(1) = {clock.kappa(1.0)}; use Linear()"
            )
        for name, value in dict(
            manifold=manifold, clock=clock, prior=base, coupling=coupling
        ).items():
            object.__setattr__(self, name, value)

    def base(self, *size, generator=None, dtype=None, device=None, mask=None, condition=None):
        if self.prior is None:
            return self._random_point(size, generator, dtype, device, mask)
        return self.prior(size, generator, dtype, device, mask, condition)

    def start(self, noise, kappa):
        if not bool((kappa == 1).all()):
            raise ValueError(
                f"levels: a Geodesic starts from noise at kappa = 1 only, got {kappa}; to start "
                "half-way, corrupt a clean point and call integrate"
            )
        return noise

    def corrupt(self, clean, s, *, generator=None, noise=None, mask=None, condition=None):
        s, kappa = self.level(s, clean)
        noise = self._base_like(clean, generator, mask, condition) if noise is None else noise
        if self.coupling is not None:
            clean, noise = self.coupling(clean, noise, mask)
        x, u = self.manifold.geodesic_and_back(clean, noise, self.against_tangent(kappa))
        return Corrupted(x, s, kappa, u, clean, noise)

    def displacement(self, reading, output, x, s):
        if reading == "clean":
            return self.manifold.log(x, output)
        if reading == "velocity":  # d noisy / ds = -(d log kappa / ds) u
            return -output / self.against_tangent(self.clock.log_rate(s))
        return output


@dataclass(frozen=True)
class Gaussian(Corruption):
    """noisy = alpha clean + sigma eps on a flat space; the state is x = noisy / alpha = clean +
    kappa eps.

    The target is u = clean - x = -kappa eps. DDPM and variance-preserving, variance-exploding, EDM
    and linear-flow processes differ in the clock only. data_scale: standard deviation of a
    coordinate of the clean points, which the reading "F" needs. Source: Karras et al. 2022, section
    2.
    """

    manifold: Manifold
    clock: Clock
    data_scale: float = 1.0

    has_score = True
    readings = ("u", "clean", "eps", "score", "v", "F", "velocity")
    refused: ClassVar[dict[str, str]] = {}

    def __post_init__(self):
        if type(self.manifold).__name__ not in ("Euclidean", "Centered"):
            raise ValueError(
                f"manifold: Gaussian noise needs a vector space, got {self.manifold}; use "
                "HeatKernel or Geodesic"
            )
        object.__setattr__(self, "clock", self.clock.for_gaussian())

    def base(self, *size, generator=None, dtype=None, device=None, mask=None, condition=None):
        return self._random_point(size, generator, dtype, device, mask)

    def start(self, noise, kappa):
        return kappa.to(noise) * noise

    def corrupt(self, clean, s, *, generator=None, noise=None, mask=None, condition=None):
        s, kappa = self.level(s, clean)
        if bool(torch.isinf(kappa).any()):
            raise ValueError(
                "s: alpha is 0 here, so the state noisy / alpha is infinite; draw s below 1"
            )
        noise = self._base_like(clean, generator, mask, condition) if noise is None else noise
        added = self.against_tangent(kappa) * noise
        return Corrupted(clean + added, s, kappa, -added, clean, noise)

    def displacement(self, reading, output, x, s):
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
        """
        alpha, sigma = (
            self._coefficient(self.clock.alpha, s),
            self._coefficient(self.clock.sigma, s),
        )
        return torch.sqrt((alpha * self.data_scale) ** 2 + sigma**2)

    def state_scale(self, s: Tensor) -> Tensor:
        """The standard deviation of a coordinate of the state, noisy / alpha."""
        return torch.sqrt(self.data_scale**2 + self._coefficient(self.clock.kappa, s) ** 2)

    def clean_estimate(self, reading: str, output: Tensor, noisy: Tensor, s: Tensor) -> Tensor:
        """E[clean given noisy] from a network's output; finite also where alpha = 0.

        Raises ValueError for readings that say nothing about the clean point there.
        """
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

    def diffuse(self, x, kappa, *, generator=None, mask=None):
        return x + kappa.to(x) * self._random_point(
            self._size(x), generator, x.dtype, x.device, mask
        )

    def _coefficient(self, function: Callable, s: Tensor) -> Tensor:
        return self.against_tangent(function(s))

    def _rates(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """d alpha / ds and d sigma / ds."""
        return (
            self.against_tangent(derivative(self.clock.alpha, s)),
            self.against_tangent(derivative(self.clock.sigma, s)),
        )


@dataclass(frozen=True)
class HeatKernel(Corruption):
    """Brownian motion from the clean point, of variance kappa^2 in each direction; exact draws and
    scores.

    The target is u = kappa^2 grad_x log p_kappa(x given clean). On compact spaces the noise is
    uniform: give the clock a kappa_max of 2.5 or more (SO(3): total variation to uniform .0024 at
    2.5, .13 at 1.5; a torus of two angles takes 3.5 to stay below .005):
    `geodiff.prior_tv(corruption)` says how far it is.
    Source: De Bortoli et al. 2022.
    """

    manifold: Manifold
    clock: Clock
    kernel: object = field(init=False, repr=False, compare=False)

    has_score = True
    readings = ("u", "clean", "score")
    refused = {
        "eps": "no one Gaussian variable makes Brownian motion on a curved space; predict 'score' "
        "or 'u'",
        "v": "v = alpha eps - sigma clean adds points, which needs a vector space",
        "F": "its preconditioning scales points, which needs an origin",
        "velocity": "Brownian paths have no velocity; predict 'score' or 'u'",
    }

    def __post_init__(self):
        from manifolds import heat

        object.__setattr__(self, "kernel", heat.kernel(self.manifold))

    def base(self, *size, generator=None, dtype=None, device=None, mask=None, condition=None):
        # Uniform stays uniform on compact factors; standard normal becomes N(0, 1 + kappa^2) on
        # flat ones.
        point = self._random_point(size, generator, dtype, device, mask)
        return self.diffuse(point, self.clock.kappa(1.0).to(point), generator=generator, mask=mask)

    def start(self, noise, kappa):
        return noise

    def corrupt(self, clean, s, *, generator=None, noise=None, mask=None, condition=None):
        if noise is not None:
            raise ValueError(
                "noise: a HeatKernel draws from a law that depends on the level, so it is not "
                "taken; pass generator= for repeatable draws"
            )
        s, kappa = self.level(s, clean)
        masked = self._masked(mask)
        x = self.kernel.sample(clean, kappa, generator=generator, **masked)
        return Corrupted(x, s, kappa, self.kernel.displacement(x, clean, kappa, **masked), clean, x)

    def displacement(self, reading, output, x, s):
        if reading == "clean":
            return self.kernel.displacement(x, output, self.clock.kappa(s))
        if reading == "score":
            return self.against_tangent(self.clock.kappa(s)) ** 2 * output
        return output

    def diffuse(self, x, kappa, *, generator=None, mask=None):
        kappa = kappa.expand((*self.batch_shape(x), *kappa.shape))
        return self.kernel.sample(x, kappa, generator=generator, **self._masked(mask))

    def _masked(self, mask: Tensor | None) -> dict:
        return {"mask": mask} if self.manifold.takes_mask else {}
