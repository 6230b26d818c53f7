"""What a task is, where tasks are found, and the words that all of them share.

A task is one package with the files of `FILES`: a folder of geodiff, or a package that an installed
distribution names under the entry point `geodiff.tasks`. Nothing outside a task knows its name.
"""

import difflib
import importlib
import importlib.util
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import nn

VERBS = ("sample", "train", "evaluate", "prepare")
# The files of a task and the names that others ask of them. A verb that a task does not have needs
# no file: images cannot be evaluated by `geodiff evaluate`.
FILES: Mapping[str, tuple[str, ...]] = {
    "model": ("build",),
    "datasets": (),
    "objective": ("objective", "module"),
    "sampling": ("sample",),
    "evaluation": ("evaluate",),
    "preparation": ("prepare",),
    "commands": (),
}
# The files that only those tasks need that have the verb.
OF_VERB = {"train": "objective", "evaluate": "evaluation", "prepare": "preparation"}
GROUP = "geodiff.tasks"
_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Word:
    """A parameter that means the same in every task, in Python and on the command line."""

    type: type  # of its value on the command line; Python functions may take more
    meaning: str  # for --help
    short: str | None = None  # on the command line, beside or instead of the long one
    others: tuple[str, ...] = ()  # what it is called elsewhere, never here
    old: tuple[str, ...] = ()  # what it was called here; taken on the command line, with a line


WORDS: Mapping[str, Word] = {
    "n": Word(
        int, "how many samples of each thing asked for", "-n", ("num", "number", "num_samples")
    ),
    "seed": Word(
        int, "the same seed makes the same samples", others=("random_seed", "random_state")
    ),
    "model": Word(str, "weights: a path or a shipped name", others=("weights", "checkpoint")),
    "steps": Word(int, "network evaluations a sample", others=("n_steps", "num_steps")),
    "batch_size": Word(int, "how many are worked on at once", others=("batch", "bs")),
    "out": Word(Path, "file or folder to write", "-o", ("output", "outdir", "out_dir")),
    "held_out": Word(
        Path, "file that names what to leave out", others=("holdout",), old=("hold_out",)
    ),
    "shard": Word(tuple, "i/n: only every n-th thing, from the i-th, i from 0"),
    "device": Word(str, "where to compute: auto, cpu, cuda or cuda:1", others=("gpu",)),
    "workers": Word(int, "processes", others=("num_workers", "processes", "n_jobs")),
}


class Task(Protocol):
    """What geodiff asks of a task."""

    @property
    def name(self) -> str:
        """The word on the command line and in the JSON of its models."""

    @property
    def summary(self) -> str:
        """One line on what it makes."""

    @property
    def commands(self) -> Mapping[str, Callable[..., int | None]]:
        """The verbs it offers, in the order of `VERBS`, each a function of typed parameters.

        Their docstrings have a line for every parameter; what they return is the exit code.
        """

    def build(self, config: dict[str, Any]) -> "nn.Module":
        """A freshly initialised field.

        Args:
            config: the table in the JSON of a model.
        """

    def file(self, name: str) -> ModuleType:
        """The module of one of `FILES`.

        Args:
            name: a key of `FILES`.
        """


@dataclass(frozen=True)
class PackageTask:
    """A task that is a package.

    Args:
        name: as people type it.
        package: the full name of its package.
    """

    name: str
    package: str

    @property
    def summary(self) -> str:
        """The first sentence of the package's docstring."""
        text = importlib.import_module(self.package).__doc__ or ""
        return " ".join(text.strip().split("\n\n")[0].split())

    @property
    def commands(self) -> Mapping[str, Callable[..., int | None]]:
        """The verbs it offers: the functions of commands.py that are called so."""
        there = vars(self.file("commands"))
        return {verb: there[verb] for verb in VERBS if callable(there.get(verb))}

    def command(self, verb: str) -> Callable[..., int | None]:
        """The function of a verb; ValueError naming those that are there.

        Args:
            verb: one of `VERBS`.
        """
        offered = self.commands
        if verb not in offered:
            raise ValueError(
                f"{self.name} has no `{verb}`; it has {_listed(f'`{verb}`' for verb in offered)}"
            )
        return offered[verb]

    def build(self, config: dict[str, Any]) -> "nn.Module":
        """The freshly initialised field of `config`, by `build` of model.py.

        Args:
            config: the table in the JSON of a model.
        """
        return self.function("model", "build")(config)

    def file(self, name: str) -> ModuleType:
        """The module of one of `FILES`; TypeError where the package has none.

        Args:
            name: a key of `FILES`.
        """
        if not self._has(name):
            raise TypeError(f"task {self.name}: package {self.package} lacks {name}.py")
        return importlib.import_module(f"{self.package}.{name}")

    def function(self, file: str, name: str) -> Callable[..., Any]:
        """A function of one of the files; TypeError where it is missing.

        Args:
            file: a key of `FILES`.
            name: of the function.
        """
        found = getattr(self.file(file), name, None)
        if not callable(found):
            raise TypeError(f"task {self.name}: {self.package}.{file} lacks a function {name}")
        return found

    def check(self) -> None:
        """Raise TypeError naming the files that a task has and this package has not.

        Imports commands.py only; what is missing in the others is said where it is asked for.
        """
        needed = [name for name in FILES if name not in OF_VERB.values()]
        if self._has("commands"):
            offered = self.commands
            needed += [file for verb, file in OF_VERB.items() if verb in offered]
            if not offered:
                raise TypeError(
                    f"task {self.name}: {self.package}.commands has none of the functions "
                    f"{_listed(VERBS)}"
                )
        missing = [f"{name}.py" for name in FILES if name in needed and not self._has(name)]
        if missing:
            raise TypeError(f"task {self.name}: package {self.package} lacks {_listed(missing)}")

    def fault(self) -> str | None:
        """Why this package is no task, in words; None for one that is.

        Whatever an outside package does when it is imported, the others must still be listed.
        """
        try:
            self.check()
        except Exception as error:
            return f"cannot be used: {error or type(error).__name__}"
        return None

    def _has(self, name: str) -> bool:
        return importlib.util.find_spec(f"{self.package}.{name}") is not None


def tasks() -> dict[str, PackageTask]:
    """All tasks by name, sorted: the folders of geodiff, then what other distributions register.

    A folder looks like a task if it has model.py or commands.py. Nothing is imported.
    """
    here = {
        folder.name: PackageTask(folder.name, f"geodiff.{folder.name}")
        for folder in _HERE.iterdir()
        if any((folder / f"{file}.py").is_file() for file in ("model", "commands"))
    }
    outside = {entry.name: PackageTask(entry.name, entry.value) for entry in _entries()}
    return dict(sorted(here.items())) | {
        name: outside[name] for name in sorted(outside) if name not in here
    }


def _entries() -> Iterable[Any]:
    # Imported here: it takes as long as all else that `geodiff --help` needs.
    from importlib.metadata import entry_points

    return entry_points(group=GROUP)


def find(name: str) -> PackageTask:
    """The task of this name; ValueError naming those that exist, TypeError for one that is no task.

    Args:
        name: as people type it.
    """
    known = tasks()
    if name not in known:
        raise ValueError(
            f"task: {name!r} is unknown{suggest(name, known)}; known are {', '.join(known)}"
        )
    known[name].check()
    return known[name]


def suggest(word: str, known: Iterable[str]) -> str:
    """The words "; did you mean X?" for the nearest of the words known; none where none is near.

    Args:
        word: what somebody typed.
        known: what could have been meant.
    """
    close = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {close[0]}?" if close else ""


def rightly(word: str) -> str | None:
    """The word of `WORDS` that is called `word` elsewhere; None where there is none.

    Args:
        word: what somebody typed.
    """
    return next((name for name, meant in WORDS.items() if word in meant.others), None)


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
