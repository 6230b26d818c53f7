"""The loop over noise levels, the same for every stepper, corruption and space."""

from collections.abc import Callable

from torch import Tensor

from geodiff.process.levels import Levels
from geodiff.process.samplers.base import Displacement, Number, Stepper, intervals, like
from manifolds.base import Manifold


def integrate(
    manifold: Manifold,
    u: Displacement,
    x: Tensor,
    levels: Levels | Tensor,
    stepper: Stepper,
    *,
    generator=None,
    callback: Callable[[int, Tensor, Tensor], None] | None = None,
) -> Tensor:
    """Solves dx / d(-log kappa) = u from the first level to the last.

    u: callable (x, kappa) -> tangent at x; kappa comes without axes, or (*tangent_shape) with a
    clock per factor, in x's dtype and device. x: the state at the first level, (*batch, *shape).
    levels: a Levels, or finite kappas, (steps + 1,) or (steps + 1, *tangent_shape), strictly
    monotone either way: decreasing samples, increasing inverts. The last may be 0.
    callback: called as (i, x, kappa) after step i = 1, 2, ... with the level reached, the one in
    the list.
    generator: for stochastic steppers.
    Returns the state at the last level. Nothing is detached: wrap in torch.no_grad() to sample.
    """
    levels = levels if isinstance(levels, Levels) else Levels.of(levels)
    if levels.starts_infinite:
        raise ValueError(
            "levels: the first noise level is infinite (alpha = 0); geodiff.sample leaves it by "
            "one closed step, integrate starts at the level after it"
        )

    def u_at(x: Tensor, kappa: Number) -> Tensor:
        return u(x, like(kappa, x))

    memory = None
    for i, interval in enumerate(intervals(levels), 1):
        x, memory = stepper.step(manifold, u_at, x, interval, memory, generator)
        if callback is not None:
            callback(i, x, levels[i])
    return x
