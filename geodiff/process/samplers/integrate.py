"""The loop over noise levels, the same for every stepper, corruption and space."""

from collections.abc import Callable

from torch import Tensor

from geodiff.process.corruption.base import PointCorruption
from geodiff.process.levels import Levels
from geodiff.process.randomness import Generator
from geodiff.process.samplers.base import (
    Displacement,
    Interval,
    Number,
    Run,
    Stepper,
    check_score,
    intervals,
    like,
)
from manifolds.base import Manifold

Callback = Callable[[int, Tensor, Tensor], None]
"""(i, x, kappa): after step i = 1, 2, ... the state, and the level reached, the one in the list."""

Crossing = Callable[[Displacement, Tensor], Tensor]
"""(u, x) -> the state at the end of one interval."""


def integrate(
    manifold: Manifold,
    u: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    levels: Levels | Tensor,
    stepper: Stepper,
    *,
    generator: Generator = None,
    callback: Callback | None = None,
    corruption: PointCorruption | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Solves dx / d(-log kappa) = u from the first level to the last.

    Nothing is detached: wrap in torch.no_grad() to sample.

    Args:
        manifold: the space of the states.
        u: callable (x, kappa) -> tangent at x; kappa comes without axes, or (*tangent_shape) with a
            clock per factor, in x's dtype and device.
        x: the state at the first level, (*batch, *shape).
        levels: a Levels, or finite kappas, (steps + 1,) or (steps + 1, *tangent_shape), strictly
            monotone either way: decreasing samples, increasing inverts. The last may be 0.
        stepper: the rule that crosses each interval.
        generator: for stochastic steppers.
        callback: called as (i, x, kappa) after step i = 1, 2, ... with the level reached, the one
            in the list.
        corruption: how x was noised; stochastic steppers add noise as it does.
        mask: for clouds, (*batch, nodes) bool.

    Returns: the state at the last level, (*batch, *shape).
    Raises: ValueError for levels that start at infinity, and for a stochastic stepper without a
        corruption that has a score.
    """
    levels = levels if isinstance(levels, Levels) else Levels.of(levels)
    run = Run(manifold, corruption, mask, generator)

    def u_at(x: Tensor, kappa: Number) -> Tensor:
        return u(x, like(kappa, x))

    for i, cross in enumerate(crossings(run, levels, stepper), 1):
        x = cross(u_at, x)
        if callback is not None:
            callback(i, x, levels[i])
    return x


def crossings(run: Run, levels: Levels, stepper: Stepper) -> list[Crossing]:
    """One function for each interval of the levels, to be called in turn, once; they hand on the
    stepper's memory.

    Args:
        run: what the stepper may know.
        levels: finite levels.
        stepper: the rule that crosses each interval.

    Returns: (u, x) -> the state at the end of the interval, for each.
    Raises: ValueError as `integrate`.
    """
    if levels.starts_infinite:
        raise ValueError(
            "levels: the first noise level is infinite (alpha = 0); geodiff.sample leaves it by "
            "one closed step, integrate starts at the level after it"
        )
    check_score(stepper, run.corruption)
    memory = None

    def crossing(interval: Interval) -> Crossing:
        def cross(u: Displacement, x: Tensor) -> Tensor:
            nonlocal memory
            x, memory = stepper.step(run, u, x, interval, memory)
            return x

        return cross

    return [crossing(interval) for interval in intervals(levels)]
