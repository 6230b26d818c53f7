"""The loop over levels for letters, and for several parts under a common s."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from geodiff.process.corruption.base import PointCorruption
from geodiff.process.corruption.joint import Joint, Part, of_part
from geodiff.process.corruption.letters import Letters
from geodiff.process.joint_field import JointField
from geodiff.process.letter_field import LetterField
from geodiff.process.levels import Levels
from geodiff.process.levels import levels as levels_of
from geodiff.process.randomness import Generator
from geodiff.process.samplers import LetterAncestral, LetterStepper, Multistep, Run, Stepper
from geodiff.process.samplers.base import Number
from geodiff.process.samplers.integrate import Callback, Crossing, crossings
from geodiff.process.samplers.letters import LetterRun, letter_crossings

States = dict[str, Tensor]
JointCallback = Callable[[int, States, States], None]
"""(i, x, kappas): after step i = 1, 2, ... the states and the levels reached, by name."""


def sample_letters(
    field: LetterField,
    size_or_noise: int | Sequence[int] | Tensor,
    *,
    steps: int,
    stepper: LetterStepper | None,
    levels: Levels | Tensor | None,
    condition: Any,
    mask: Tensor | None,
    generator: Generator,
    callback: Callback | None,
) -> Tensor:
    """Letters, (*size,): `geodiff.sample` of a `LetterField`.

    Args:
        field: what was trained.
        size_or_noise: a batch shape that ends in the length of a word, or a draw of the base.
        steps: how many, where `levels` is not given.
        stepper: `LetterAncestral()` by default.
        levels: by default `levels(clock, steps)`.
        condition: what the field is told.
        mask: (*batch, n) bool.
        generator: for the base and the steps.
        callback: as in `integrate`.
    """
    corruption = field.corruption
    levels = levels_of(corruption.clock, steps) if levels is None else levels
    levels = levels if isinstance(levels, Levels) else Levels.of(levels)
    noise = size_or_noise
    if not isinstance(noise, Tensor):
        size = (noise,) if isinstance(noise, int) else tuple(noise)
        device = next(field.parameters(), torch.empty(0)).device
        noise = corruption.base(*size, generator=generator, device=device, mask=mask)
    x = corruption.start(noise, levels[0])

    def clean(x: Tensor, kappa: Number) -> Tensor:
        return field(x, corruption.clock.s(kappa), condition, mask)

    for i, cross in enumerate(_crossings(corruption, levels, stepper, mask, generator), 1):
        x = cross(clean, x)
        if callback is not None:
            callback(i, x, levels[i])
    return x


def sample_joint(
    field: JointField,
    size_or_noise: int | Sequence[int] | Mapping[str, Tensor],
    *,
    steps: int,
    stepper: Mapping[str, Stepper | LetterStepper] | None,
    levels: Mapping[str, Levels] | None,
    condition: Any,
    mask: Any,
    generator: Any,
    callback: JointCallback | None,
) -> States:
    """Parts by name: `geodiff.sample` of a `JointField`.

    In each step all parts look at the states where it began, through one call of the network. A
    stepper that looks elsewhere too (Heun, Runge-Kutta, UniPC) calls it again with its own part
    moved and the others as they were.

    Args:
        field: what was trained.
        size_or_noise: one size for all parts, or draws of their bases by name.
        steps: how many, where `levels` is not given.
        stepper: by name; `Multistep()` and `LetterAncestral()` where none is named.
        levels: by name, with one s for all; by default uniform in s from 1 to 0, where every kappa
            is 0.
        condition: what the field is told.
        mask: (*batch, nodes) bool; one, or by name.
        generator: for bases and steps; one, drawn from by the parts in turn, or by name.
        callback: called as (i, x, kappas), dicts by name.
    """
    joint = field.corruption
    paths = common_levels(joint, steps) if levels is None else dict(levels)
    times = _common_times(joint, paths)
    noise = size_or_noise
    if not isinstance(noise, Mapping):
        size = (noise,) if isinstance(noise, int) else tuple(noise)
        like = next(field.parameters(), torch.empty(0))
        noise = joint.base(
            *size,
            generator=generator,
            dtype=like.dtype,
            device=like.device,
            mask=mask,
            condition=condition,
        )
    if stepper is not None and not isinstance(stepper, Mapping):
        raise TypeError(
            f"stepper: expected a dict by name for the parts of a Joint, got {stepper}; as "
            f"{{{joint.parts[0][0]!r}: ...}}"
        )
    x = {name: part.start(noise[name], paths[name][0]) for name, part in joint.parts}
    ways = {
        name: _crossings(
            part, paths[name], of_part(stepper, name), of_part(mask, name), of_part(generator, name)
        )
        for name, part in joint.parts
    }
    for i in range(len(times) - 1):
        step = _Step(field, x, times[i], paths, i, condition, mask)
        x = {name: ways[name][i](step.of(name), x[name]) for name in ways}
        if callback is not None:
            callback(i + 1, x, {name: path[i + 1] for name, path in paths.items()})
    return x


class _Step:
    """What the field says during one step: of the states where it began, once for all parts."""

    def __init__(
        self,
        field: JointField,
        x: States,
        s: Tensor,
        paths: Mapping[str, Levels],
        i: int,
        condition: Any,
        mask: Any,
    ):
        self.field, self.x, self.s, self.condition, self.mask = field, x, s, condition, mask
        self.starts = {name: path[i] for name, path in paths.items()}
        self.said: States | None = None

    def of(self, name: str) -> Callable[[Tensor, Number], Tensor]:
        """(y, kappa) -> what the field says of the part at y, the others as they were."""

        def ask(y: Tensor, kappa: Number) -> Tensor:
            kappa = torch.as_tensor(kappa, dtype=torch.float64)
            if y is self.x[name] and torch.equal(kappa, self.starts[name]):
                if self.said is None:
                    self.said = self.field(self.x, self.s, self.condition, self.mask)
                return self.said[name]
            s = self.field.corruption[name].clock.s(kappa)
            return self.field({**self.x, name: y}, s, self.condition, self.mask)[name]

        return ask


def common_levels(joint: Joint, steps: int) -> dict[str, Levels]:
    """Levels of every part, uniform in the common s; at s = 0 every kappa is 0.

    Args:
        joint: the parts.
        steps: how many, at least 1.
    """
    if steps < 1:
        raise ValueError(f"steps: expected a whole number of at least 1, got {steps}")
    s = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    made = {}
    for name, part in joint.parts:
        kappas = part.clock.kappa(s)
        kappas[-1] = 0
        made[name] = Levels(s, kappas, part.clock)
    return made


def _common_times(joint: Joint, paths: Mapping[str, Levels]) -> Tensor:
    """The one s of all levels; ValueError where there is none or a level cannot be left."""
    for name, _ in joint.parts:
        if name not in paths or paths[name].s is None:
            raise ValueError(
                f"levels: expected geodiff.levels(...) for each part, {name!r} has none"
            )
        if paths[name].starts_infinite:
            raise ValueError(
                f"levels: the first level of {name!r} is infinite (alpha = 0), which a Joint does "
                "not leave; give the part a clock whose kappa(1) is finite (Karras, LogLinear)"
            )
    times = [path.s for path in paths.values() if path.s is not None]
    if any(not torch.equal(s, times[0]) for s in times[1:]):
        raise ValueError(
            "levels: the parts of a Joint share s, so their levels must have the same s; got "
            + ", ".join(f"{name} {path.s}" for name, path in paths.items())
        )
    return times[0]


def _crossings(
    part: Part,
    levels: Levels,
    stepper: Stepper | LetterStepper | None,
    mask: Tensor | None,
    generator: Generator,
) -> list[Crossing]:
    """The steps of one part, by its own stepper."""
    if stepper is None:
        stepper = LetterAncestral() if part.discrete else Multistep()
    if isinstance(stepper, LetterStepper) != part.discrete:
        kind = "letters, as LetterAncestral()" if part.discrete else "points, as Multistep()"
        raise TypeError(f"stepper: expected one for {kind}, got {stepper}")
    if isinstance(stepper, LetterStepper):
        run = LetterRun(cast(Letters, part), mask, generator)
        return letter_crossings(run, levels, stepper)
    points = cast(PointCorruption, part)
    return crossings(Run(points.manifold, points, mask, generator), levels, stepper)
