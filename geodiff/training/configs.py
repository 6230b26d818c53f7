"""What the JSON of a model says of its making, against what this geodiff would make."""

from collections.abc import Collection, Mapping
from typing import Any


def check_config(
    config: Mapping[str, Any], expected: Mapping[str, Any], *, sizes: Collection[str] = ("network",)
) -> None:
    """Raise ValueError where a model was made by other units, levels or features than ours.

    Args:
        config: the table in the JSON of a model.
        expected: what `new_config` of its task makes today.
        sizes: entries that each model chooses for itself.
    """
    for name, value in expected.items():
        if name not in sizes and config.get(name) != value:
            raise ValueError(
                f"config: {name} is {config.get(name)!r}, this geodiff makes {value!r}; use the "
                "version that wrote the weights, or train anew"
            )
