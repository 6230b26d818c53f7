"""What training minimises."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from geodiff.process.field import Field
from geodiff.process.randomness import Generator
from manifolds.base import Manifold, rand


@dataclass(frozen=True)
class Loss:
    """What an objective says of a batch.

    Args:
        value: the mean over the batch.
        per_sample: (*batch,).
        s: the level of each sample, (*batch,).
    """

    value: Tensor
    per_sample: Tensor
    s: Tensor


def matching_loss(
    field: Field,
    clean: Tensor,
    *,
    s: float | Tensor | None = None,
    condition: Any = None,
    mask: Tensor | None = None,
    noise: Tensor | None = None,
    generator: Generator = None,
    weight: Callable[[Tensor, Tensor], Tensor] | None = None,
    s_min: float = 0.0,
    s_max: float = 1.0,
    check: bool = True,
) -> Loss:
    """Mean squared length of (predicted u - target u), per dimension; its minimiser is the exact u.

    Lengths are those of the manifold's metric, so the loss does not depend on a frame or chart.

    Args:
        field: what is trained.
        clean: points, (*batch, *shape).
        s: a number or (*batch,); None draws it uniformly from [s_min, s_max).
        condition: what the field, the base and the coupling are told.
        mask: (*batch, nodes) bool; masked nodes do not count.
        noise: draws of the base to use; None draws them.
        generator: for levels and noise.
        weight: a callable (s, kappa) -> (*batch,); None weighs every level alike.
        s_min: the lowest level drawn.
        s_max: the highest level drawn.
        check: False looks at the form of tensors alone: for data that was checked
            (`manifold.require(clean=data)`), on a GPU, which would have to wait for the answer, and
            under vmap or a compiler, which cannot branch on it.

    Raises: ValueError, with the reason and the cure, for tensors that are no points of the space.
    """
    corruption = field.corruption
    _check(corruption.manifold, clean, s, mask, noise, check)
    if s is None:
        size = corruption.batch_shape(clean)
        drawn = rand(*size, generator=generator, dtype=clean.dtype, device=clean.device)
        s = s_min + (s_max - s_min) * drawn
    corrupted = corruption.corrupt(
        clean, s, generator=generator, noise=noise, mask=mask, condition=condition
    )
    error = field(corrupted.x, corrupted.s, condition, mask) - corrupted.u
    squared = corruption.manifold.inner(corrupted.x, error, error)
    per_sample = squared / corruption.manifold.coordinates_of(clean, mask)
    if weight is not None:
        per_sample = weight(corrupted.s, corrupted.kappa) * per_sample
    return Loss(per_sample.mean(), per_sample, corrupted.s)


def _check(
    manifold: Manifold,
    clean: Tensor,
    s: float | Tensor | None,
    mask: Tensor | None,
    noise: Tensor | None,
    numbers: bool,
) -> None:
    """Raise ValueError for what is no batch of this space; without `numbers`, from shapes and
    dtypes alone.
    """
    require = manifold.require if numbers else manifold.require_shape
    require(clean=clean, **({} if noise is None else {"noise": noise}))
    batch = clean.shape[: clean.ndim - len(manifold.shape)]
    if isinstance(s, Tensor):
        if (
            not s.is_floating_point()
            or s.ndim > len(batch)
            or any(a not in (1, b) for a, b in zip(s.shape[::-1], batch[::-1]))
        ):
            raise ValueError(
                f"s: expected a number or a floating tensor with one level for each of the batch "
                f"{tuple(batch)}, got {s.dtype} {tuple(s.shape)}"
            )
    elif s is not None and not 0 <= s <= 1:
        raise ValueError(f"s: expected a number in [0, 1], from clean to noise, got {s!r}")
    manifold.require_mask(clean, mask)
