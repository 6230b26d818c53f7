"""The frame of the command line: verbs and tasks, help, errors in one line, exit codes.

What a command does stands in `commands.py` of its task, as a function of the same words. Only the
chosen command imports what it needs, so that `geodiff --help` is instant.
Exit codes: 0 done, 1 partly done (a report file says what failed), 2 bad input or usage.
"""

import argparse
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

from geodiff import __version__
from geodiff.console import BAD as BAD
from geodiff.console import DONE as DONE
from geodiff.console import PARTLY as PARTLY
from geodiff.console import complain
from geodiff.options import Count, add_options, spelled
from geodiff.task import VERBS, PackageTask, find, rightly, suggest, tasks

_SUMMARIES = {
    "demo": "molecules, backbones, grasps and digits on one offline page; under a minute",
    "doctor": "versions, devices, data, weights and what optional parts are missing",
    "sample": "draw samples from a trained model",
    "train": "train a model",
    "evaluate": "measure samples against references",
    "prepare": "make training data",
    "benchmark": "run a script of examples/benchmarks; without a name, list them",
}
_EPILOG = """\
examples:
  geodiff demo
  geodiff sample conformers "CC(=O)Oc1ccccc1C(=O)O" -n 50 --seed 0 -o aspirin.sdf
  geodiff sample conformers molecules.smi -n 10 -o conformers.sdf
  geodiff evaluate conformers conformers.sdf --reference reference.sdf
  geodiff sample images -n 10 -o digits.png
  geodiff sample proteins --length 60 80 100 -n 4 -o backbones
  geodiff evaluate proteins structures/
  geodiff sample grasps mug.obj -n 200 -o mug.h5

exit codes: 0 done, 1 partly done (a report file says what failed), 2 bad input or usage
--debug anywhere on the line shows the traceback of an error; --batch-size is --batch_size
"""


# Where the parsed arguments keep the parser that was reached, its function, and whether that takes
# the rest of the line as it is; no parameter can be called so.
_CHOSEN = "<chosen>"


class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line with a way out."""

    def __init__(self, **settings: Any):
        super().__init__(
            allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings
        )

    def error(self, message: str) -> NoReturn:
        text = message
        wrong = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if wrong:
            text = f"{wrong[1]!r} is none of {wrong[2]}" + suggest(
                wrong[1], re.findall(r"[\w-]+", wrong[2])
            )
        complain(f"{text}; see `{self.prog} --help`")
        sys.exit(BAD)


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit code.

    Errors end as one line on standard error, unless --debug is among the arguments.

    Args:
        arguments: the words after `geodiff`.
    """
    debug = "--debug" in arguments
    try:
        return _run([a for a in arguments if a != "--debug"])
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else DONE if stop.code is None else BAD
    except KeyboardInterrupt:
        if debug:
            raise
        complain(
            "interrupted; `prepare` goes on where it stopped, `train` with --resume; others start "
            "anew"
        )
        return 130
    except BrokenPipeError:  # the reader of our output, `head` for example, has left
        sys.stdout = open(os.devnull, "w")
        return DONE
    except Exception as error:
        if debug:
            raise
        expected = isinstance(error, (ValueError, TypeError, OSError, ImportError, RuntimeError))
        complain(
            str(error)
            if expected and str(error)
            else f"unexpected {type(error).__name__}: {error}; run with --debug and report what "
            "it shows"
        )
        return BAD


def _run(arguments: Sequence[str]) -> int:
    root = parser(arguments)
    if arguments and arguments[0] in VERBS:
        spellings = [spelled(argument) for argument in arguments]
        for (today, old), typed in zip(spellings, arguments):
            if old is not None:
                complain(f"{typed.split('=')[0]} is called {today.split('=')[0]} now")
        arguments = [today for today, _ in spellings]
    # `train` has the arguments of its function, which only the function knows.
    known, rest = root.parse_known_args(arguments)
    chosen = vars(known).pop(_CHOSEN, None)
    if chosen is None:
        root.print_help()
        return BAD if arguments else DONE
    leaf, command, passes_on = chosen
    if passes_on:
        return command(known, rest)
    if rest:
        flags = [o for o in leaf._option_string_actions if o.startswith("--") or o == "-n"]
        typed = rest[0].split("=")[0]
        meant = next((o for o in flags if o.lstrip("-") == rightly(typed[2:])), None)
        hint = f"; here it is {meant}" if meant else suggest(typed, flags)
        leaf.error(f"unknown argument {rest[0]}{hint}")
    return command(**vars(known)) or DONE


def parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of all commands; only what the first argument names has its options.

    Args:
        arguments: the words after `geodiff`.
    """
    root = _Parser(
        prog="geodiff", description="Diffusion and flow matching on manifolds.", epilog=_EPILOG
    )
    root.add_argument("--version", action="version", version=f"geodiff {__version__}")
    verbs = root.add_subparsers(metavar="COMMAND", title="commands", parser_class=_Parser)
    wanted = arguments[0] if arguments else None
    for verb, summary in _SUMMARIES.items():
        child = verbs.add_parser(verb, help=summary, description=summary)
        if verb in _OWN:
            child.set_defaults(**{_CHOSEN: (child, _OWN[verb], False)})
            add_options(child, _OWN[verb])
        elif verb == "benchmark":
            child.add_argument("name", nargs="?", metavar="NAME", help="of the script")
            child.set_defaults(**{_CHOSEN: (child, _benchmark, True)})
        elif verb == wanted:
            _add_tasks(child, verb)
    return root


def _add_tasks(child: argparse.ArgumentParser, verb: str) -> None:
    listed = child.add_subparsers(
        metavar="TASK", required=True, title="tasks", parser_class=_Parser
    )
    for name, task in tasks().items():
        command, summary = _offered(task, verb)
        leaf = listed.add_parser(name, help=summary.replace("%", "%%"), add_help=verb != "train")
        chosen = (leaf, command, False)
        if command is None:
            chosen = (leaf, lambda known, rest, n=name: _refuse(n, verb), True)
        elif verb == "train":
            chosen = (leaf, lambda known, rest, t=task: _train(t, rest), True)
        else:
            add_options(leaf, command)
        leaf.set_defaults(**{_CHOSEN: chosen})


def _offered(task: PackageTask, verb: str) -> tuple[Callable | None, str]:
    """The function of a verb, None where the task has none, and what the list of tasks says."""
    if (fault := task.fault()) is not None:
        return None, fault
    command = task.commands.get(verb)
    if command is None:
        return None, f"has no `{verb}`"
    return command, " ".join((inspect.getdoc(command) or "").split("\n\n")[0].split())


def _refuse(name: str, verb: str) -> NoReturn:
    find(name).command(verb)
    raise AssertionError(f"{name} has {verb}")


def _train(task: PackageTask, arguments: Sequence[str]) -> int:
    from geodiff.training.options import command

    return command(task.command("train"), arguments, f"geodiff train {task.name}")


def _demo(
    *,
    out: Annotated[Path, "DIR"] = Path("geodiff-demo"),
    n: Count = 20,
    seed: int = 0,
    model: str | None = None,
    device: str = "auto",
) -> int:
    """Draw molecules, backbones, grasps and digits with the shipped weights; write files and one
    web page.

    Args:
        out: folder for the results.
        n: conformers of each drug.
        seed: the same seed makes the same samples.
        model: weights of the conformers, a path or a shipped name; by default the shipped ones.
        device: where to compute: auto, cpu, cuda or cuda:1.
    """
    from geodiff.demo import demo as make

    done = make(out, n=n, seed=seed, model=model, device=device, report=print)
    return DONE if done else PARTLY


def _doctor() -> int:
    """Print versions, devices, where data and weights are, and what optional parts are missing."""
    from geodiff.doctor import examine

    lines, healthy = examine()
    print("\n".join(lines))
    return DONE if healthy else PARTLY


def _benchmark(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """Run examples/benchmarks/NAME.py of the repository with the arguments that follow NAME."""
    folder = Path(__file__).resolve().parent.parent / "examples" / "benchmarks"
    scripts = {
        path.stem: path for path in sorted(folder.glob("*.py")) if not path.name.startswith("_")
    }
    if not scripts:
        raise FileNotFoundError(
            f"benchmarks stand in the repository, not in the installed package; none at {folder}: "
            "clone the repository and install it with `pip install -e .`"
        )
    if known.name is None:
        print("\n".join(scripts))
        return DONE
    if known.name not in scripts:
        raise ValueError(
            f"no benchmark is called {known.name!r}{suggest(known.name, scripts)}; "
            f"there are {', '.join(scripts)}"
        )
    code = subprocess.call([sys.executable, str(scripts[known.name]), *rest])
    return code if code in (DONE, PARTLY) else BAD


_OWN: dict[str, Callable] = {"demo": _demo, "doctor": _doctor}
