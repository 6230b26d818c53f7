"""A flow for a small data set on a sphere, a torus or the rotations, sized for a minute to nine of
one core.

It is learned along Brownian paths (`HeatKernel`) or geodesic ones (`Geodesic`), sampled and
evaluated by its ODE. The clock is logarithmic: noise levels from kappa_min to uniform noise get
equal attention, so a place of 50 km on the Earth is learned as well as a continent. On Brownian
paths the loss is then the bound on the likelihood of Song et al. 2021. Geodesic paths end at a cut
locus, where a small data set has jumps that a network must learn; Brownian ones do not.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import geodiff
from geodiff.process.corruption import Corrupted
from geodiff.process.likelihood import log_prob
from manifolds import SO3, Sphere, Torus
from manifolds.base import Manifold, expand

Draw = Callable[[int, torch.Generator], Tensor]


@dataclass(frozen=True)
class FlowSettings:
    """What may vary between fits; none of it depends on the seed."""

    width: int = 128
    layers: int = 4
    # radians^-1: standard deviation of the frequencies
    bandwidths: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0)
    features: int = 16  # frequencies of each bandwidth
    # lowest noise: radians, or on geodesic paths a share of the way to a uniform point
    kappa_min: float = 0.006
    heat: bool = True  # Brownian paths up to kappa 2.5 instead of geodesic ones
    steps: int = 6000
    batch: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    dropout: float = 0.0
    check_every: int = 100  # steps between looks at the validation loss
    ode_steps: int = 20  # Runge-Kutta steps of the likelihood


class _Walks:
    """Brownian walks on a sphere or the rotations from a store of lengths, which cost most of a
    step to draw anew.

    The law of a walk there is its length's and a uniform direction's, and u points back along it.
    """

    def __init__(self, corruption: geodiff.HeatKernel, count: int, generator: torch.Generator):
        self.space, self.clock, self.count = corruption.manifold, corruption.clock, count
        origin = self.space.random_point(1, generator=generator).expand(count, *self.space.shape)
        self.s = _levels(count, generator)  # in order
        drawn = corruption.corrupt(origin, self.s, generator=generator)
        back = self.space.log(drawn.x, origin)
        squared = self.space.inner(drawn.x, back, back)
        self.length, self.kappa = squared.sqrt(), drawn.kappa
        self.ratio = self.space.inner(drawn.x, back, drawn.u) / squared.clamp_min(1e-12)

    def corrupt(self, clean: Tensor, generator: torch.Generator) -> Corrupted:
        """`corruption.corrupt` at one level of each of len(clean) equal parts of the store."""
        row = (_levels(len(clean), generator) * self.count).long().clamp_max(self.count - 1)
        walk = self.space.random_tangent(clean, generator=generator)
        walk = walk / expand(self.space.norm(clean, walk), walk) * expand(self.length[row], walk)
        x = self.space.exp(clean, walk)
        back = self.space.log(x, clean)
        return Corrupted(
            x, self.s[row], self.kappa[row], expand(self.ratio[row], back) * back, clean, x
        )


class FourierMLP(nn.Module):
    """A residual MLP on Fourier features, at several scales, of a point's ambient coordinates and
    of its level.

    Its output, times the noise level, is the displacement u, so that it is of size 1 at every
    level. On a torus the frequencies are whole numbers, and the first are those of single angles.
    """

    def __init__(self, corruption, settings: FlowSettings):
        super().__init__()
        space = self.space = corruption.manifold
        self.clock = corruption.clock
        self.periodic = isinstance(space, Torus)
        size, width = math.prod(space.shape), settings.width
        bands = torch.tensor(settings.bandwidths).repeat_interleave(settings.features)
        frequencies, amplitudes = bands[:, None] * torch.randn(len(bands), size), bands**-0.5
        if self.periodic:
            # A frequency of the whole band in each of many angles would be a faster wave than the
            # band says.
            frequencies = torch.cat(
                [torch.eye(size), (frequencies / max(1.0, size**0.5 / 1.5)).round()]
            )
            amplitudes = torch.cat([torch.ones(size), amplitudes])
            used = frequencies.abs().sum(1) > 0
            frequencies, amplitudes = frequencies[used], amplitudes[used]
        self.register_buffer("frequencies", frequencies)
        self.register_buffer("amplitudes", amplitudes)
        self.register_buffer("level_frequencies", math.pi * torch.arange(1, 9.0))
        level = 1 + 2 * len(self.level_frequencies)
        self.inward = nn.Linear(
            2 * len(frequencies) + (0 if self.periodic else size) + level, width
        )
        self.modulation = nn.Linear(level, 2 * width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(settings.layers - 1))
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(settings.layers - 1))
        self.dropout = nn.Dropout(settings.dropout)
        self.outward = nn.Linear(width, math.prod(space.tangent_shape))
        nn.init.zeros_(self.outward.weight)
        nn.init.zeros_(self.outward.bias)

    def forward(self, x: Tensor, s: Tensor, condition=None, mask=None) -> Tensor:
        batch = x.shape[: x.ndim - len(self.space.shape)]
        flat = x.reshape(*batch, -1)
        phase = flat @ self.frequencies.T
        waves = [self.amplitudes * phase.sin(), self.amplitudes * phase.cos()]
        turn = s[..., None] * self.level_frequencies
        level = torch.cat([s[..., None], turn.sin(), turn.cos()], -1)
        h = self.inward(torch.cat([*([] if self.periodic else [flat]), *waves, level], -1))
        shift, scale = self.modulation(level).chunk(2, -1)
        h = h * (1 + scale) + shift
        for norm, block in zip(self.norms, self.blocks):
            h = h + block(self.dropout(nn.functional.silu(norm(h))))
        out = self.outward(nn.functional.silu(h)).reshape(*batch, *self.space.tangent_shape)
        kappa = self.clock.kappa(s).to(out)
        return kappa[(...,) + (None,) * len(self.space.tangent_shape)] * out


@dataclass(frozen=True)
class Flow:
    """A fitted flow. kept_step: the step whose averaged weights it has, the best on validation."""

    field: geodiff.Field
    settings: FlowSettings
    kept_step: int
    validation_loss: float

    def log_prob(self, x: Tensor, rows: int = 1000, steps: int | None = None) -> Tensor:
        """Log density at x, (n,), nats, by the ODE with exact divergence."""
        steps = self.settings.ode_steps if steps is None else steps
        with torch.no_grad():
            parts = [
                log_prob(self.field, self.field.corruption, part, steps=steps)
                for part in x.split(rows)
            ]
        return torch.cat(parts)

    def sample(self, count: int, calls: int, seed: int = 0) -> Tensor:
        """Draws, (count, *shape), with `calls` calls of the network each."""
        return geodiff.sample(
            self.field, count, steps=calls, generator=torch.Generator().manual_seed(seed)
        )


def corruption_of(space: Manifold, settings: FlowSettings):
    if settings.heat:
        return geodiff.HeatKernel(space, geodiff.LogLinear(settings.kappa_min, 2.5))
    return geodiff.Geodesic(space, geodiff.LogLinear(settings.kappa_min, 1.0))


def fit(
    space: Manifold,
    train: Tensor | Draw,
    validation: Tensor,
    settings: FlowSettings = FlowSettings(),
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Flow:
    """A flow trained on `train`, stopped where the matching loss on `validation` was least.

    train: points, (n, *shape), or a function (count, generator) -> points for a law that never runs
    out; with it, the last weights are kept, since nothing can be recited.
    """
    generator = torch.Generator().manual_seed(seed)
    corruption = corruption_of(space, settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = FourierMLP(corruption, settings)
    field = geodiff.NetworkField(network, corruption)
    averaged = copy.deepcopy(field).eval().requires_grad_(False)
    rates = {
        "lr": settings.learning_rate,
        "betas": (0.9, 0.99),
        "weight_decay": settings.weight_decay,
    }
    optimiser = torch.optim.AdamW(network.parameters(), **rates)
    # The same noisy validation points at every look, so that looks can be compared.
    repeats = max(1, 4096 // len(validation))
    many = torch.cat([validation] * repeats)[:8192]
    seen = corruption.corrupt(
        many,
        _levels(len(many), generator)[torch.randperm(len(many), generator=generator)],
        generator=generator,
    )
    store = (
        _Walks(corruption, 1 << 16, generator)
        if settings.heat and isinstance(space, (Sphere, SO3))
        else None
    )
    best, best_step, kept = math.inf, 0, copy.deepcopy(network.state_dict())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1)  # of dropout
        for step in range(settings.steps):
            done = step / settings.steps
            warm = min(1.0, 20 * (step + 1) / settings.steps)
            optimiser.param_groups[0]["lr"] = settings.learning_rate * warm * (1 - done)
            clean = _batch(train, settings.batch, generator)
            if store is None:
                corrupted = corruption.corrupt(
                    clean, _levels(len(clean), generator), generator=generator
                )
            else:
                corrupted = store.corrupt(clean, generator)
            loss = _loss(field, corrupted)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            with torch.no_grad():
                decay = min(0.998, (step + 1) / (step + 10))
                torch._foreach_lerp_(
                    list(averaged.parameters()), list(network.parameters()), 1 - decay
                )
            if (step + 1) % settings.check_every == 0 or step + 1 == settings.steps:
                with torch.no_grad():
                    value = float(_loss(averaged, seen))
                if value < best or callable(train):
                    best, best_step, kept = (
                        value,
                        step + 1,
                        copy.deepcopy(averaged.network.state_dict()),
                    )
                if progress is not None:
                    progress(step + 1, settings.steps)
    averaged.network.load_state_dict(kept)
    return Flow(averaged, settings, best_step, best)


def _batch(train: Tensor | Draw, count: int, generator: torch.Generator) -> Tensor:
    if callable(train):
        return train(count, generator)
    return train[torch.randint(len(train), (count,), generator=generator)]


def _levels(count: int, generator: torch.Generator) -> Tensor:
    """One level in each of `count` equal parts of [0, 1]."""
    return (torch.arange(count) + torch.rand(count, generator=generator)) / count


def _loss(field: geodiff.Field, corrupted) -> Tensor:
    """Squared error of u over kappa^2, which counts every level of a logarithmic clock alike."""
    error = field(corrupted.x, corrupted.s) - corrupted.u
    squared = field.corruption.manifold.inner(corrupted.x, error, error)
    return (squared / corrupted.kappa**2).mean()
