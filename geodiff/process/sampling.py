"""Samples from a trained field."""

from collections.abc import Mapping, Sequence
from typing import Any, overload

import torch
from torch import Tensor, nn

from geodiff.process.corruption.base import PointCorruption
from geodiff.process.field import Field
from geodiff.process.flowmap import FlowMap, require_walkable, walk
from geodiff.process.joint_field import JointField
from geodiff.process.joint_sampling import JointCallback, sample_joint, sample_letters
from geodiff.process.letter_field import LetterField
from geodiff.process.levels import Levels
from geodiff.process.levels import levels as levels_of
from geodiff.process.memory import Memory
from geodiff.process.randomness import Generator
from geodiff.process.samplers import LetterStepper, Multistep, Stepper, integrate
from geodiff.process.samplers.integrate import Callback


@overload
def sample(
    field: Field | FlowMap | LetterField,
    size_or_noise: int | Sequence[int] | Tensor,
    *,
    steps: int = 50,
    stepper: Stepper | LetterStepper | None = None,
    levels: Levels | Tensor | None = None,
    condition: Any = None,
    mask: Tensor | None = None,
    generator: Generator = None,
    callback: Callback | None = None,
    remember: bool = False,
    start: Tensor | None = None,
    strength: float | None = None,
) -> Tensor: ...


@overload
def sample(
    field: JointField,
    size_or_noise: int | Sequence[int] | Mapping[str, Tensor],
    *,
    steps: int = 50,
    stepper: Mapping[str, Stepper | LetterStepper] | None = None,
    levels: Mapping[str, Levels] | None = None,
    condition: Any = None,
    mask: Tensor | Mapping[str, Tensor] | None = None,
    generator: Generator | Mapping[str, Generator] = None,
    callback: JointCallback | None = None,
) -> dict[str, Tensor]: ...


@torch.no_grad()
def sample(
    field: Any,
    size_or_noise: Any,
    *,
    steps: int = 50,
    stepper: Any = None,
    levels: Any = None,
    condition: Any = None,
    mask: Any = None,
    generator: Any = None,
    callback: Any = None,
    remember: bool = False,
    start: Tensor | None = None,
    strength: float | None = None,
) -> Any:
    """Points from the law that the field was trained on, (*size, *shape); of a `LetterField`
    letters, (*size,), and of a `JointField` a dict of its parts by name.

    Where the levels end above 0, the state there is returned (noisy / alpha for `Gaussian`).

    Args:
        field: what was trained: a field, a guide around one, or a flow map, which takes one call a
            step from level to level and needs few of them; or what was trained on letters, or on
            several parts.
        size_or_noise: how many, or a batch shape (for clouds with the number of nodes after it,
            (batch, nodes)), or a draw of the corruption's base. The size of letters ends in that of
            a word; parts share a size, or are given as draws by name.
        steps: how many, where `levels` is not given.
        stepper: `Multistep()` by default, for letters `LetterAncestral()`, none for a flow map;
            for parts a dict by name.
        levels: by default `levels(clock, steps)`, which ends at kappa = 0; for parts a dict by
            name, with a common s.
        condition: what the field is told.
        mask: for clouds and letters, (*batch, nodes) bool; for parts one, or a dict by name.
        generator: for the base and for stochastic steppers; for parts one, or a dict by name.
        callback: as in `integrate`; the closed step that leaves an infinite level calls it too. For
            parts it receives dicts of states and of levels.
        remember: whether the network hears in each step what it said in the one before
            (self-conditioning); the condition then has a method `given(previous)`.
        start: clean points to change, broadcastable to (*size, *shape): they are noised as in
            training and the field undoes that. None starts from noise alone.
        strength: the s to which they are noised, in (0, 1]: near 0 the samples are the points, at 1
            noise alone where kappa(1) is large, in between the closer the smaller. By default the
            levels run from there; with levels of your own they are noised to the first, so leave it
            out.

    Raises: ValueError, with the reason and the cure, for a draw that is no point, for a noisy
        stepper where there is no score, and for a start without strength; TypeError for what cannot
        remember.
    Source: for start, Meng et al. 2022 (SDEdit), algorithm 1.
    """
    if isinstance(field, LetterField | JointField):
        if remember:
            raise ValueError("remember: letters and parts have no memory; leave it out")
        if start is not None or strength is not None:
            raise ValueError("start, strength: only points can be half noised; leave them out")
        told: Any = sample_letters if isinstance(field, LetterField) else sample_joint
        return told(
            field,
            size_or_noise,
            steps=steps,
            stepper=stepper,
            levels=levels,
            condition=condition,
            mask=mask,
            generator=generator,
            callback=callback,
        )
    corruption = field.corruption
    levels = _levels(corruption, steps, levels, start, strength)
    noise = base_draw(field, corruption, size_or_noise, generator, mask, condition)
    if isinstance(field, FlowMap):
        _check_map(stepper, levels, remember)
        x = _first(corruption, noise, levels, start, mask, generator, condition)
        return walk(field, x, levels, condition=condition, mask=mask, callback=callback)
    stepper = Multistep() if stepper is None else stepper
    step_ended = callback
    if remember:
        memory = Memory(field, condition)
        field, step_ended = memory.field(), _after(memory, callback)

    def u(x: Tensor, kappa: Tensor) -> Tensor:
        return field(x, corruption.clock.s(kappa), condition, mask)

    if levels.starts_infinite:
        x = _leave_infinite_level(field, noise, levels, condition, mask)
        if step_ended is not None:
            step_ended(1, x, levels[1])
        if len(levels) == 2:
            return x
        levels, step_ended = levels[1:], _shifted(step_ended)
    else:
        x = _first(corruption, noise, levels, start, mask, generator, condition)
    return integrate(
        corruption.manifold,
        u,
        x,
        levels,
        stepper,
        generator=generator,
        callback=step_ended,
        corruption=corruption,
        mask=mask,
    )


def _levels(
    corruption: PointCorruption,
    steps: int,
    levels: Levels | Tensor | None,
    start: Tensor | None,
    strength: float | None,
) -> Levels:
    """The levels of a run, which begin where the start is noised to."""
    if start is None and strength is not None:
        raise ValueError("strength: says how far clean points are noised; give them as start=")
    if start is not None and (strength is None) == (levels is None):
        raise ValueError(
            "strength: a start is noised to one level, so give either strength, an s in (0, 1], or "
            "levels, which begin there"
        )
    if strength is not None and not 0 < strength <= 1:
        raise ValueError(f"strength: expected a number in (0, 1], got {strength}")
    if levels is None:
        return levels_of(corruption.clock, steps, s_max=1.0 if strength is None else strength)
    return levels if isinstance(levels, Levels) else Levels.of(levels)


def _first(
    corruption: PointCorruption,
    noise: Tensor,
    levels: Levels,
    start: Tensor | None,
    mask: Tensor | None,
    generator: Generator,
    condition: Any,
) -> Tensor:
    """The state at the first level, which is finite: noise alone, or the start noised."""
    if start is None:
        return corruption.start(noise, levels[0])
    start = start.to(noise)
    corruption.manifold.require(start=start)
    if torch.broadcast_shapes(start.shape, noise.shape) != noise.shape:
        raise ValueError(
            f"start: expected points that broadcast to {tuple(noise.shape)}, the size asked for, "
            f"got {tuple(start.shape)}"
        )
    s = corruption.clock.s(levels[0]) if levels.s is None else levels.s[0]
    return corruption.corrupt(
        start.expand_as(noise),
        s,
        generator=generator,
        mask=mask,
        condition=condition,
        noise=None if corruption.mixes_with_a_law else noise,
    ).x


def _check_map(stepper: Stepper | None, levels: Levels, remember: bool) -> None:
    if stepper is not None:
        raise ValueError(
            f"stepper: a FlowMap crosses each interval by itself, got {stepper}; leave it out, or "
            "sample flow_map.field"
        )
    if remember:
        raise ValueError("remember: a FlowMap has no memory; leave it out")
    require_walkable(levels)


def base_draw(
    model: nn.Module,
    corruption: PointCorruption,
    size_or_noise: int | Sequence[int] | Tensor,
    generator: Generator,
    mask: Tensor | None,
    condition: Any,
) -> Tensor:
    """The noise that a run starts from, in the dtype and device of the model's parameters.

    Args:
        model: whose parameters say dtype and device.
        corruption: the way to noise.
        size_or_noise: as in `sample`; a tensor is checked and returned.
        generator: a `torch.Generator`, a `Noise`, or None.
        mask: for clouds, (*batch, nodes) bool.
        condition: what the base is told.

    Raises: ValueError for a tensor that is no point.
    """
    if isinstance(size_or_noise, Tensor):
        corruption.manifold.require(size_or_noise=size_or_noise)
        return size_or_noise
    size = (size_or_noise,) if isinstance(size_or_noise, int) else tuple(size_or_noise)
    like = next(iter(model.parameters()), torch.empty(0))
    return corruption.base(
        *size,
        generator=generator,
        dtype=like.dtype,
        device=like.device,
        mask=mask,
        condition=condition,
    )


def _after(memory: Memory, callback: Callback | None) -> Callback:
    """The callback, behind the memory's own end of a step."""

    def step_ended(i: int, x: Tensor, kappa: Tensor) -> None:
        memory.step_ends()
        if callback is not None:
            callback(i, x, kappa)

    return step_ended


def _shifted(callback: Callback | None) -> Callback | None:
    """The callback of steps that are counted from the second."""
    return None if callback is None else lambda i, x, kappa: callback(i + 1, x, kappa)


def _leave_infinite_level(
    field: Field, noise: Tensor, levels: Levels, condition: Any, mask: Tensor | None
) -> Tensor:
    """The state at the second level from noise at the first, where alpha = 0 and noisy is noise
    alone.

    noisy' = (sigma' / sigma) noisy + alpha' E[clean given noisy], the exponential Euler step in
    coordinates that are finite at both ends; the state is noisy' / alpha'.
    """
    assert levels.s is not None  # bare levels are finite
    first = levels.s[0]
    estimate = field.clean_estimate(noise, first, condition, mask)
    scale = levels[1].to(noise) / field.corruption.clock.sigma(first).to(noise)
    return scale * noise + estimate
