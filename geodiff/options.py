"""From the signature and the `Args:` lines of a function to its options on the command line.

Positional parameters of no word in `geodiff.task.WORDS` stand bare on the line, all others are
options of the same name. `Annotated` adds a converter, or the word that help shows for the value.
"""

import argparse
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from geodiff.task import WORDS


def at_least_one(text: str) -> int:
    """A whole number from 1.

    Args:
        text: as typed.
    """
    if not re.fullmatch(r"\s*\+?\d+\s*", text) or int(text) < 1:
        raise ValueError(f"expected a whole number of at least 1, got {text}")
    return int(text)


def whole(text: str) -> int:
    """A whole number of any sign.

    Args:
        text: as typed.
    """
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"expected a whole number, got {text}") from None


def number(text: str) -> float:
    """A number.

    Args:
        text: as typed.
    """
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"expected a number, got {text}") from None


def shard(text: str) -> tuple[int, int]:
    """(i, n) of "i/n", i from 0 to n - 1.

    Args:
        text: as typed.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not int(match[1]) < int(match[2]):
        raise ValueError(f"expected i/n with i from 0 to n-1, for example 0/4, got {text}")
    return int(match[1]), int(match[2])


Count = Annotated[int, at_least_one, "N"]
Shard = Annotated[tuple[int, int], shard, "i/n"]
_CONVERTERS: dict[Any, Callable[[str], Any]] = {int: whole, float: number, str: str, Path: Path}
_SHOWN = {int: "N", float: "X", Path: "FILE"}


@dataclass(frozen=True)
class Option:
    """One parameter of a command.

    Args:
        name: of the parameter.
        type: of its value, or of each where it takes several.
        default: `inspect.Parameter.empty` where there is none.
        meaning: its line of the docstring.
        bare: whether it stands on the line without its name.
        several: whether it takes more than one value.
        convert: from what was typed to the value; None for a switch.
        choices: what may be typed; None for anything that converts.
        shown: the word for its value in the help; None for argparse's own.
    """

    name: str
    type: Any
    default: Any
    meaning: str
    bare: bool
    several: bool
    convert: Callable[[str], Any] | None
    choices: tuple[Any, ...] | None
    shown: str | None

    @property
    def flags(self) -> list[str]:
        """How it is typed, the short one first; one letter has one dash."""
        if self.bare:
            return [self.name]
        long = [f"--{self.name}"] if len(self.name) > 1 else []
        short = WORDS[self.name].short if self.name in WORDS else None
        return ([short] if short else []) + long

    def settings(self) -> dict[str, Any]:
        """What `ArgumentParser.add_argument` takes beside the flags."""
        required = self.default is inspect.Parameter.empty
        text = self.meaning.rstrip(".")
        if isinstance(self.default, int | float | str | Path) and self.convert is not None:
            text += f" (default: {self.default})"
        settings: dict[str, Any] = {"help": text.replace("%", "%%")}
        if self.convert is None:
            return settings | {"action": "store_true"}
        settings |= {"type": self._converted, "choices": self.choices, "metavar": self.shown}
        if self.bare:
            several = {True: "+", False: "*"} if self.several else {True: None, False: "?"}
            settings["nargs"] = several[required]
        else:
            settings |= {"dest": self.name, "required": required}
            settings["nargs"] = "+" if self.several else None
        return settings | ({} if required else {"default": self.default})

    def _converted(self, text: str) -> Any:
        """The value of what was typed; argparse shows the words of an ArgumentTypeError alone."""
        assert self.convert is not None
        try:
            return self.convert(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error


def options(function: Callable) -> Iterator[Option]:
    """The options of a command, in the order of its parameters.

    Args:
        function: with an annotation and a line of docstring for every parameter.
    """
    lines = meanings(function)
    types_ = typing.get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in lines or name not in types_:
            raise TypeError(
                f"{function.__module__}.{function.__name__}: parameter {name} lacks "
                + ("a line under Args: in the docstring" if name in types_ else "an annotation")
            )
        bare = parameter.kind is parameter.POSITIONAL_OR_KEYWORD and name not in WORDS
        yield _option(name, types_[name], parameter.default, lines[name], bare)


def add_options(parser: argparse.ArgumentParser, function: Callable) -> None:
    """Give a parser the options of a function, and the text before `Args:` as its description.

    Args:
        parser: of one command.
        function: what the command calls.
    """
    parser.description = about(function)
    for option in options(function):
        if option.type is bool and option.default is not False:
            raise TypeError(
                f"{option.name}: a switch is off where it is not typed, got default "
                f"{option.default!r}"
            )
        parser.add_argument(*option.flags, **option.settings())


def about(function: Callable) -> str:
    """The text of a docstring before `Args:`.

    Args:
        function: whose docstring is read.
    """
    text = inspect.getdoc(function) or ""
    return re.split(r"\n(?:Args|Returns|Raises):", text)[0].strip()


def meanings(function: Callable) -> dict[str, str]:
    """The text of every entry under `Args:` in a docstring, by parameter.

    Args:
        function: whose docstring is read.
    """
    found = re.search(
        r"^Args:\n((?:(?: +.*)?\n)*(?: +.*)?)", inspect.getdoc(function) or "", re.MULTILINE
    )
    entries: dict[str, str] = {}
    name = ""
    for line in found[1].splitlines() if found else ():
        start = re.match(r"    (\w+): (.*)", line)
        if start:
            name, entries[start[1]] = start[1], start[2].strip()
        elif name and line.strip():
            entries[name] += " " + line.strip()
    return entries


def spelled(argument: str) -> tuple[str, str | None]:
    """An argument in today's spelling, and the word that was another; hyphens are underscores.

    Args:
        argument: as typed; those without two dashes stay as they are.
    """
    if not argument.startswith("--"):
        return argument, None
    name, equals, value = argument[2:].partition("=")
    name = name.replace("-", "_")
    for word, meant in WORDS.items():
        if name in meant.old:
            return f"--{word}{equals}{value}", name
    return f"--{name}{equals}{value}", None


def _option(name: str, annotation: Any, default: Any, meaning: str, bare: bool) -> Option:
    several = False
    extra: list[Any] = []
    kind = annotation
    while True:  # from Annotated[...], X | None, Sequence[X] to X
        inner, extras = typing.get_args(kind), getattr(kind, "__metadata__", ())
        origin = typing.get_origin(kind)
        if extras:
            extra, kind = [*extra, *extras], kind.__origin__
        elif origin in (types.UnionType, typing.Union):
            (kind,) = [one for one in inner if one is not types.NoneType]
        elif origin in (Sequence, list):
            several, kind = True, inner[0]
        else:
            break
    choices = typing.get_args(kind) if typing.get_origin(kind) is Literal else None
    convert = next((e for e in extra if callable(e)), None)
    if convert is None and kind is not bool:
        convert = str if choices else _CONVERTERS[kind]
    shown = next((e for e in extra if isinstance(e, str)), None)
    if shown is None and not choices:
        shown = _SHOWN.get(kind, name.upper())
    return Option(name, kind, default, meaning, bare, several, convert, choices, shown)
