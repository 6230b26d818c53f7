"""Several parts of one thing, each with noise of its own, under a common s."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from geodiff.process.corruption.base import Corrupted, Corruption, Device, PointCorruption
from geodiff.process.corruption.letters import Letters, NoisyLetters

Part = PointCorruption | Letters


@dataclass(frozen=True, init=False)
class Joint(Corruption):
    """Parts by name, as `Joint(places=Gaussian(...), types=Masked(20))`: points, letters, or both.

    s is common, each part's clock says what it means to it. States, clean things and noise are
    dicts by the same names. The noise of the parts is independent; what a network says of each may
    depend on all. generator, mask and noise may be one for all parts or a dict by name; one
    generator is drawn from by the parts in their order.

    Args:
        parts: a `PointCorruption` or `Letters` for each name.

    Raises: ValueError for no part, TypeError for one of another kind.
    """

    parts: tuple[tuple[str, Part], ...]

    readings = ()  # each part has its own

    def __init__(self, **parts: Part):
        if not parts:
            raise ValueError("parts: expected at least one, as Joint(types=Masked(20)), got none")
        for name, part in parts.items():
            given: object = part  # a user may pass anything
            if not isinstance(given, Corruption) or isinstance(given, Joint):
                raise TypeError(
                    f"{name}: expected a corruption of points or of letters, got "
                    f"{type(part).__name__}"
                )
        object.__setattr__(self, "parts", tuple(parts.items()))

    def __getitem__(self, name: str) -> Part:
        return dict(self.parts)[name]

    def base(
        self,
        *size: int,
        generator: Any = None,
        dtype: torch.dtype | None = None,
        device: Device = None,
        mask: Any = None,
        condition: Any = None,
    ) -> dict[str, Tensor]:
        """A draw of the noise of every part at s = 1.

        Args:
            size: one for all parts, as `(batch, nodes)` for clouds and letters.
            generator: one for all parts, or a dict by name.
            dtype: of real numbers.
            device: None is the CPU.
            mask: (*batch, nodes) bool; one for all parts, or a dict by name.
            condition: what the bases are told.
        """
        return {
            name: part.base(
                *size,
                generator=of_part(generator, name),
                dtype=dtype,
                device=device,
                mask=of_part(mask, name),
                condition=condition,
            )
            for name, part in self.parts
        }

    def corrupt(
        self,
        clean: Mapping[str, Tensor],
        s: float | Tensor,
        *,
        generator: Any = None,
        noise: Any = None,
        mask: Any = None,
        condition: Any = None,
    ) -> dict[str, Corrupted | NoisyLetters]:
        """Every part at s, with its target.

        Args:
            clean: the clean parts by name.
            s: a number or (*batch,), common.
            generator: one for all parts, or a dict by name.
            noise: draws of the bases to use, by name; None draws them.
            mask: (*batch, nodes) bool; one for all parts, or a dict by name.
            condition: what bases and couplings are told.
        """
        return {
            name: part.corrupt(
                clean[name],
                s,
                generator=of_part(generator, name),
                noise=of_part(noise, name),
                mask=of_part(mask, name),
                condition=condition,
            )
            for name, part in self.parts
        }


def of_part(value: Any, name: str) -> Any:
    """What a part is told: its own entry of a dict, None where it has none; else what all are told.

    Args:
        value: a dict by name, or anything.
        name: of the part.
    """
    return value.get(name) if isinstance(value, Mapping) else value
