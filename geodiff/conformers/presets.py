"""What becomes of the flow's draws: how many there are, how they are finished, which are kept."""

from dataclasses import dataclass, replace
from typing import Any, Literal

Finish = Literal["none", "mmff"]


@dataclass(frozen=True)
class Preset:
    """One way from draws to conformers; `PRESETS` names those with a measured row in the docs.

    Args:
        steps: network evaluations a draw.
        finish: "none", or "mmff": relaxed in MMFF94s where it has parameters for the molecule.
        oversample: draws for each conformer asked for; the best and most different are kept.
        prune_rms: angstrom, heavy atoms; closer conformers are one as long as enough others are
            there. None keeps by energy alone.
        energy_window: kcal/mol above the lowest energy, beyond which nothing is kept; fewer
            conformers than asked for may then come out, without a failure. None keeps all.
    """

    steps: int = 10
    finish: Finish = "mmff"
    oversample: int = 2
    prune_rms: float | None = 0.5
    energy_window: float | None = None

    def __post_init__(self) -> None:
        if self.finish not in ("none", "mmff"):
            raise ValueError(f"finish: expected 'none' or 'mmff', got {self.finish!r}")
        if self.oversample < 1:
            raise ValueError(f"oversample: expected at least 1, got {self.oversample}")
        for name in ("prune_rms", "energy_window"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name}: expected a number above 0, got {value}")
        if self.finish == "none" and self.oversample > 1:
            raise ValueError(
                "oversample: needs energies to choose by, and finish='none' makes none; use "
                "finish='mmff', or oversample=1"
            )


PRESETS = {
    "raw": Preset(finish="none", oversample=1, prune_rms=None),
    "fast": Preset(steps=6, oversample=1, prune_rms=None),
    "ensemble": Preset(),
    "docking": Preset(oversample=3, prune_rms=1.0),
}


def chosen(name: str, **changes: Any) -> Preset:
    """A preset by its name, with changes.

    Args:
        name: one of `PRESETS`.
        changes: fields of `Preset`; None leaves that of the preset.

    Raises: ValueError for a name that does not exist and for changes that cannot be.
    """
    if name not in PRESETS:
        raise ValueError(f"preset: expected one of {', '.join(PRESETS)}, got {name!r}")
    given = {key: value for key, value in changes.items() if value is not None}
    if given.get("finish") == "none":  # without energies there is nothing to choose by
        given = {"oversample": 1, "prune_rms": None, **given}
        return replace(PRESETS[name], energy_window=None, **given)
    return replace(PRESETS[name], **given)
