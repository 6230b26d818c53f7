"""What is to be shown: one thing or several, with a caption each."""

from collections.abc import Sequence
from typing import Any


def several(things: Any, kind: type, argument: str, cure: str) -> list[Any]:
    """The things as a list, at least one.

    Args:
        things: one of `kind`, or several.
        kind: what each must be.
        argument: what the caller calls them.
        cure: where such things come from, for the message.

    Raises:
        ValueError: if there is none.
        TypeError: if one is of another kind.
    """
    things = [things] if isinstance(things, kind) else list(things)
    if not things:
        raise ValueError(f"{argument}: expected at least one {kind.__name__}, got none")
    for index, thing in enumerate(things):
        if not isinstance(thing, kind):
            raise TypeError(
                f"{argument}[{index}]: expected one of kind {kind.__name__}, got "
                f"{type(thing).__name__}; {cure}"
            )
    return things


def captions_of(
    captions: Sequence[str] | None, defaults: Sequence[str], argument: str
) -> list[str]:
    """A caption for each thing.

    Args:
        captions: those given; None takes the defaults.
        defaults: one for each thing.
        argument: what the caller calls the things.

    Raises:
        ValueError: if there are more or fewer captions than things.
    """
    if captions is None:
        return list(defaults)
    if isinstance(captions, str) or len(captions) != len(defaults):
        raise ValueError(
            f"captions: expected one for each of {len(defaults)} {argument}, got {captions!r}"
        )
    return list(captions)
