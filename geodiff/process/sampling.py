"""Samples from a trained field."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from geodiff.process.field import Field
from geodiff.process.levels import Levels
from geodiff.process.levels import levels as levels_of
from geodiff.process.samplers import Multistep, Stepper, integrate


@torch.no_grad()
def sample(
    field: Field,
    size_or_noise: int | Sequence[int] | Tensor,
    *,
    steps: int = 50,
    stepper: Stepper | None = None,
    levels: Levels | Tensor | None = None,
    condition=None,
    mask: Tensor | None = None,
    generator=None,
    callback: Callable[[int, Tensor, Tensor], None] | None = None,
) -> Tensor:
    """Points from the law that the field was trained on, (*size, *shape).

    size_or_noise: how many, or a batch shape (for clouds with the number of nodes after it, (batch,
    nodes)), or a draw of the corruption's base. levels: by default `levels(clock, steps)`, which
    ends at kappa = 0; those given replace `steps`. stepper: `Multistep()` by default. callback: as
    in `integrate`; the closed step that leaves an infinite level calls it too. Where the levels end
    above 0, the state there is returned (noisy / alpha for `Gaussian`). Raises ValueError, with the
    reason and the cure, for a draw that is no point.
    """
    corruption = field.corruption
    levels = levels_of(corruption.clock, steps) if levels is None else levels
    levels = levels if isinstance(levels, Levels) else Levels.of(levels)
    stepper = (Multistep() if stepper is None else stepper).bind(corruption, mask)
    noise = size_or_noise
    if isinstance(noise, Tensor):
        corruption.manifold.require(size_or_noise=noise)
    else:
        size = (noise,) if isinstance(noise, int) else tuple(noise)
        like = next(iter(field.parameters()), torch.empty(0))
        noise = corruption.base(
            *size,
            generator=generator,
            dtype=like.dtype,
            device=like.device,
            mask=mask,
            condition=condition,
        )

    def u(x: Tensor, kappa: Tensor) -> Tensor:
        return field(x, corruption.clock.s(kappa), condition, mask)

    if not levels.starts_infinite:
        x = corruption.start(noise, levels[0])
        return integrate(
            corruption.manifold, u, x, levels, stepper, generator=generator, callback=callback
        )
    x = _leave_infinite_level(field, noise, levels, condition, mask)
    if callback is not None:
        callback(1, x, levels[1])
    if len(levels) == 2:
        return x
    later = None if callback is None else lambda i, x, kappa: callback(i + 1, x, kappa)
    return integrate(
        corruption.manifold, u, x, levels[1:], stepper, generator=generator, callback=later
    )


def _leave_infinite_level(field: Field, noise: Tensor, levels: Levels, condition, mask) -> Tensor:
    """The state at the second level from noise at the first, where alpha = 0 and noisy is noise
    alone.

    noisy' = (sigma' / sigma) noisy + alpha' E[clean given noisy], the exponential Euler step in
    coordinates that are finite at both ends; the state is noisy' / alpha'.
    """
    estimate = field.clean_estimate(noise, levels.s[0], condition, mask)
    return (
        levels[1].to(noise) / field.corruption.clock.sigma(levels.s[0]).to(noise) * noise + estimate
    )
