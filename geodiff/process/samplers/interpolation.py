"""The denoised point between levels: a polynomial in t = -log kappa through those that were found.

A step of length h walks the integral of exp(t - h) times that polynomial, in closed form. All
points are tangents at the state where the step begins, and t is 0 there.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from geodiff.process.samplers.base import Interval, Number, displaced, euler_step, scaled
from manifolds.base import Manifold

Points = tuple[tuple[Number, Tensor], ...]
"""(t, denoised point) of each level behind, the last one first."""


@dataclass(frozen=True)
class History:
    """What a multistep rule remembers.

    Args:
        x: the state where the last step began.
        interval: the last step.
        points: the denoised points found there and before, seen from x.
        here: the denoised point seen from the state now, where it is known without a call.
    """

    x: Tensor
    interval: Interval
    points: Points
    here: Tensor | None = None

    def seen_from(self, manifold: Manifold, x: Tensor, count: int) -> Points:
        """The last `count` points as tangents at the state now.

        Args:
            manifold: the space.
            x: the state now, (*batch, *shape).
            count: how many.
        """
        return tuple(
            (t - self.interval.h, displaced(manifold, x, self.x, point))
            for t, point in self.points[:count]
        )


def predict(
    manifold: Manifold, x: Tensor, interval: Interval, here: Tensor, behind: Points
) -> Tensor:
    """The state at the end by the points here and behind: order 1 and one more for each behind.

    Args:
        manifold: the space.
        x: the state, (*batch, *shape).
        interval: what to cross.
        here: the denoised point, (*batch, *tangent_shape).
        behind: at most 2 points; unused where they are too near.
    """
    h, fraction, times = interval.h, interval.fraction, [t for t, _ in behind]
    # One point behind as published, which takes fraction h / 2 for the integral; its order is 2.
    found = (
        [-h / (2 * times[0])]
        if len(times) == 1
        else [-weight / fraction for weight in weights(h, fraction, times)]
    )
    ahead = here
    for share, (_, point) in zip(found, behind):
        ahead = ahead + scaled(_where(_too_near(h, times), 0.0, share), here - point)
    return euler_step(manifold, ahead, x, interval)


def correct(
    manifold: Manifold,
    x: Tensor,
    interval: Interval,
    here: Tensor,
    behind: Points,
    other: tuple[Number, Tensor] | None,
) -> Tensor:
    """The state at the end by the polynomial through the points here, behind and at another level.

    Args:
        manifold: the space.
        x: the state, (*batch, *shape).
        interval: what to cross.
        here: the denoised point, (*batch, *tangent_shape).
        behind: at most 2 points; unused where they are too near.
        other: one at a level ahead, which may be the end; None is exponential Euler.
    """
    if other is None:
        return euler_step(manifold, here, x, interval)
    h, fraction, times = interval.h, interval.fraction, [t for t, _ in behind]
    near = _too_near(h, times)
    (line,) = weights(h, fraction, [other[0]])
    *found, last = weights(h, fraction, [*times, other[0]])
    walk = scaled(fraction, here) + scaled(_where(near, line, last), other[1] - here)
    for weight, (_, point) in zip(found, behind):
        walk = walk + scaled(_where(near, 0.0, weight), point - here)
    return manifold.exp(x, walk)


def weights(h: Number, fraction: Number, times: list[Number]) -> list[Number]:
    """Integrals over t from 0 to h of exp(t - h) L_i(t), where the polynomial L_i is 1 at times[i],
    0 at the other times and 0 at t = 0.

    Args:
        h: the length of the step.
        fraction: 1 - exp(-h).
        times: at most 3, different, none of them 0.
    """
    # moments[k - 1] is that integral of t^k.
    moments: list[Number] = []
    power: Number = 1.0
    last = fraction
    for k in range(1, len(times) + 1):
        power = power * h
        last = power - k * last
        moments.append(last)
    found = []
    for i, own in enumerate(times):
        polynomial: list[Number] = [1 / own]  # of t, over t, lowest power first
        for other in times[:i] + times[i + 1 :]:
            raised = [0.0, *polynomial]
            polynomial = [
                (high - other * low) / (own - other)
                for high, low in zip(raised, [*polynomial, 0.0])
            ]
        found.append(sum(factor * moment for factor, moment in zip(polynomial, moments)))
    return found


def _too_near(h: Number, times: list[Number]) -> bool | Tensor:
    """Whether the step is more than twice as long as the last one.

    A polynomial through the points behind runs away over it, while denoised points converge where
    kappa goes to 0.
    """
    if not times:
        return False
    last = times[0]
    return h * h > 4 * last * last


def _where(which: bool | Tensor, yes: Number, no: Number) -> Number:
    if isinstance(which, Tensor):
        return torch.where(which, torch.as_tensor(yes, dtype=torch.float64), no)
    return yes if which else no
