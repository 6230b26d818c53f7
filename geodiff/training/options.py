"""The options that every run of training has, stated once, and the command line of `train`.

Only the standard library is imported here, so that the help of `train` needs no torch.
"""

import argparse
import dataclasses
import functools
import inspect
import os
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from geodiff.console import DONE
from geodiff.options import about, meanings, options
from geodiff.task import suggest


@dataclass(frozen=True)
class Run:
    """How a model is trained; the first of its limits that is reached ends the run.

    Args:
        max_steps: steps of the optimiser, at most.
        max_minutes: minutes of training, at most; by default no limit.
        max_epochs: times through the data, at most; -1 is no limit.
        batch_size: items in a step of each device.
        learning_rate: highest of the run.
        precision: 32, or bf16 for the network alone; geometry and weights stay float32.
        accelerator: where to compute, as Lightning calls it: auto, cpu, gpu.
        devices: how many devices; -1 is all.
        strategy: how they work together: auto, ddp or ddp_find_unused_parameters_true.
        seed: the same seed makes the same model.
        resume: go on from last.ckpt in `out`.
        progress_bar: show steps, time left and losses; a line a minute where nobody watches.
        init: weights to start from, a path or a shipped name; by default new ones.
        schedule: of the learning rate, cosine to 0, or constant.
        cooldown: share of the run, at its end, in which a constant rate falls to 0.
        logger: where losses are written: csv, tensorboard, wandb or none.
    """

    max_steps: int = 20_000
    max_minutes: float | None = None
    max_epochs: int = -1
    batch_size: int = 64
    learning_rate: float = 1e-3
    precision: str = "32"
    accelerator: str = "auto"
    devices: int = 1
    strategy: str = "auto"
    seed: int = 0
    resume: bool = False
    progress_bar: bool = True
    init: str | None = None
    schedule: Literal["cosine", "constant"] = "cosine"
    cooldown: float = 0.0
    logger: Literal["csv", "tensorboard", "wandb", "none"] = "csv"

    def __post_init__(self) -> None:
        for name in ("max_steps", "max_minutes", "learning_rate"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name}: expected a number above 0, got {value}")
        if self.batch_size < 1:
            raise ValueError(
                f"batch_size: expected a whole number of at least 1, got {self.batch_size}"
            )
        if self.devices != -1 and self.devices < 1:
            raise ValueError(
                f"devices: expected a number of at least 1, or -1 for all, got {self.devices}"
            )
        if not self.strategy.startswith(("auto", "ddp")) or any(
            kind in self.strategy for kind in ("fork", "spawn", "notebook")
        ):
            raise ValueError(
                "strategy: expected 'auto', 'ddp' or 'ddp_find_unused_parameters_true', got "
                f"{self.strategy!r}; the weights are kept whole on every device, and each process "
                "runs the whole script"
            )
        loggers = typing.get_args(typing.get_type_hints(Run)["logger"])
        if self.logger not in loggers:
            raise ValueError(f"logger: expected one of {', '.join(loggers)}, got {self.logger!r}")

    def settings(self) -> dict[str, Any]:
        """The fields that `TrainingSettings` has too."""
        names = ("learning_rate", "max_minutes", "precision", "schedule", "cooldown")
        return {name: getattr(self, name) for name in names}


def with_run(*, without: Sequence[str] = (), **defaults: Any) -> Callable[[Callable], Callable]:
    """A decorator: the function takes `run`, a `Run`; its callers give the fields one by one.

    Signature, annotations and `Args:` of what it returns are those of the function, with the fields
    of `Run` in the place of `run`.

    Args:
        without: fields that the function does not offer; they keep their defaults.
        defaults: of fields, where they are not those of `Run`.
    """
    shared = [field for field in dataclasses.fields(Run) if field.name not in without]
    first = Run(**defaults)

    def decorate(function: Callable) -> Callable:
        kind = inspect.Parameter.KEYWORD_ONLY
        offered = inspect.signature(function)
        own = [p for p in offered.parameters.values() if p.name != "run"]
        more = [
            inspect.Parameter(f.name, kind, default=getattr(first, f.name), annotation=f.type)
            for f in shared
        ]
        signature = inspect.Signature([*own, *more], return_annotation=offered.return_annotation)

        @functools.wraps(function)
        def wrapper(*arguments: Any, **named: Any) -> Any:
            try:
                bound = signature.bind(*arguments, **named)
            except TypeError as error:
                raise TypeError(f"{function.__name__}: {error}{_meant(error, signature)}") from None
            bound.apply_defaults()
            given = {field.name: bound.arguments.pop(field.name) for field in shared}
            return function(*bound.args, **bound.kwargs, run=dataclasses.replace(first, **given))

        wrapper.__signature__ = signature  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
        wrapper.__annotations__["return"] = signature.return_annotation
        wrapper.__doc__ = _documented(function, [field.name for field in shared])
        return wrapper

    return decorate


def _meant(error: TypeError, signature: inspect.Signature) -> str:
    """The nearest of the names, where the complaint is of a name that is not there."""
    words = str(error).split("'")
    return suggest(words[1], signature.parameters) if "unexpected" in words[0] else ""


def _documented(function: Callable, shared: Sequence[str]) -> str:
    """The docstring of the function with the lines of the shared fields after its own."""
    lines = meanings(Run)
    text = inspect.getdoc(function) or ""
    head, found, rest = text.partition("\nArgs:\n")
    if not found:
        raise TypeError(f"{function.__module__}.{function.__name__} lacks Args: in its docstring")
    own, blank, after = rest.partition("\n\n")
    more = "\n".join(f"    {name}: {lines[name]}" for name in shared)
    return f"{head}{found}{own.rstrip()}\n{more}{blank}{after}"


def command(function: Callable, arguments: Sequence[str], program: str) -> int:
    """Call a function with the options on a command line; print what it returns; the exit code.

    --config reads a YAML file with any of the options, --print_config writes one. Raises
    ValueError, with the way out, for what the function does not take.

    Args:
        function: with an annotation and a line of docstring for every parameter.
        arguments: the words after the program.
        program: what was typed before them.
    """

    parser = _parser(function, program)
    known = {*inspect.signature(function).parameters, "config", "print_config", "help"}
    for option in (a.split("=")[0] for a in arguments if a.startswith("--")):
        if option[2:] not in known:
            near = suggest(option, [f"--{name}" for name in sorted(known)])
            raise ValueError(f"unknown argument {option}{near}; see `{program} --help`")
    try:
        settings = parser.parse_args(list(_with_yes(function, arguments)))
    except argparse.ArgumentError as error:
        raise ValueError(f"{error}; see `{program} --help`") from error
    values = settings.as_dict()
    names = inspect.signature(function).parameters
    result = function(**{name: value for name, value in values.items() if name in names})
    # once, however many devices train
    if result is not None and os.environ.get("LOCAL_RANK", "0") == "0":
        print(result)
    return DONE


def _parser(function: Callable, program: str) -> Any:
    """jsonargparse's parser of the options of a function."""
    import jsonargparse

    parser = jsonargparse.ArgumentParser(
        prog=program, exit_on_error=False, allow_abbrev=False, description=about(function)
    )
    parser.add_argument("--config", action="config", help="a YAML file with any of these options")
    hints = typing.get_type_hints(function)
    for option in options(function):
        needed = option.default is inspect.Parameter.empty
        asked = {"required": True} if needed else {"default": option.default}
        parser.add_argument(
            f"--{option.name}",
            type=hints[option.name],
            help=option.meaning.rstrip(".").replace("%", "%%"),
            **asked,
        )
    return parser


def _with_yes(function: Callable, arguments: Sequence[str]) -> Iterator[str]:
    """The arguments, with a "true" after each switch that stands alone: `--resume` means yes."""
    parameters = inspect.signature(function).parameters
    for place, argument in enumerate(arguments):
        yield argument
        following = arguments[place + 1 : place + 2]
        switch = parameters.get(argument.removeprefix("--"))
        if (
            switch is not None
            and isinstance(switch.default, bool)
            and (not following or following[0].startswith("-"))
        ):
            yield "true"
