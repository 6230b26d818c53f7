"""The command line: a thin skin over functions that a notebook can call, with the same names and
defaults.

Only the chosen command imports what it needs, so that `geodiff --help` is instant.
Exit codes: 0 done, 1 partly done (a report file says what failed), 2 bad input or usage.
"""

import argparse
import difflib
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path

from geodiff import __version__

DONE, PARTLY, BAD = 0, 1, 2

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
--debug anywhere on the line shows the traceback of an error
"""


class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line with a way out."""

    def __init__(self, **settings):
        super().__init__(
            allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings
        )

    def error(self, message: str):
        text = message
        wrong = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if wrong:
            text = f"{wrong[1]!r} is none of {wrong[2]}" + _suggest(
                wrong[1], re.findall(r"[\w-]+", wrong[2])
            )
        _complain(f"{text}; see `{self.prog} --help`")
        sys.exit(BAD)


def _suggest(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, 1)
    return f"; did you mean {close[0]}?" if close else ""


def _complain(message: object) -> None:
    print("geodiff: " + " ".join(str(message).split()), file=sys.stderr)


def _short(text: str, most: int = 100) -> str:
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit code. Errors end as one line on standard error, unless
    --debug.
    """
    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"]
    parser, leaves = _parser()
    try:
        # `train` has the arguments of its function, which only the function knows.
        known, rest = parser.parse_known_args(arguments)
        command: Callable | None = getattr(known, "command", None)
        if command is None:
            parser.print_help()
            return BAD if arguments else DONE
        if rest and not getattr(known, "passes_on", False):
            options = [o for o in leaves[command]._option_string_actions if o.startswith("--")]
            hint = _suggest(rest[0].split("=")[0], options)
            leaves[command].error(f"unknown argument {rest[0]}{hint}")
        known.rest = rest
        return command(known)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else DONE if stop.code is None else BAD
    except KeyboardInterrupt:
        if debug:
            raise
        _complain(
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
        _complain(
            str(error)
            if expected and str(error)
            else f"unexpected {type(error).__name__}: {error}; run with --debug and report what "
            "it shows"
        )
        return BAD


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text}")
    return value


_positive.__name__ = "whole number"


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not int(match[1]) < int(match[2]):
        raise argparse.ArgumentTypeError(
            f"expected i/n with i from 0 to n-1, for example 0/4, got {text}"
        )
    return int(match[1]), int(match[2])


def _parser() -> tuple[_Parser, dict[Callable, _Parser]]:
    """The parser of every command, and by command the parser that complains for it."""
    parser = _Parser(
        prog="geodiff", description="Diffusion and flow matching on manifolds.", epilog=_EPILOG
    )
    parser.add_argument("--version", action="version", version=f"geodiff {__version__}")
    verbs = parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=_Parser)
    leaves: dict[Callable, _Parser] = {}

    def add(parent, name: str, command: Callable, summary: str, **settings) -> _Parser:
        leaf = parent.add_parser(
            name, help=summary, description=inspect.cleandoc(command.__doc__), **settings
        )
        leaf.set_defaults(command=command)
        leaves[command] = leaf
        return leaf

    def tasks(name: str, summary: str):
        return verbs.add_parser(name, help=summary, description=summary).add_subparsers(
            metavar="TASK", required=True, title="tasks", parser_class=_Parser, dest="task"
        )

    leaf = add(
        verbs,
        "demo",
        demo,
        "molecules, backbones, grasps and digits on one offline page; under a minute",
    )
    leaf.add_argument(
        "-o",
        "--out",
        type=Path,
        default=Path("geodiff-demo"),
        metavar="DIR",
        help="folder for the results (default: %(default)s)",
    )
    leaf.add_argument(
        "-n", type=_positive, default=20, help="conformers of each drug (default: %(default)s)"
    )
    leaf.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    leaf.add_argument(
        "--model", help="weights: a path or a shipped name (default: the shipped ones)"
    )

    add(
        verbs,
        "doctor",
        doctor,
        "versions, devices, data, weights and what optional parts are missing",
    )

    sampled = tasks("sample", "draw samples from a trained model")
    leaf = add(sampled, "conformers", sample_conformers, "conformers of molecules")
    leaf.add_argument(
        "source", metavar="SMILES|FILE", help="one SMILES, or a .smi, .txt, .csv or .sdf file"
    )
    leaf.add_argument(
        "-n", type=_positive, default=50, help="conformers of each molecule (default: %(default)s)"
    )
    leaf.add_argument(
        "-o",
        "--out",
        type=Path,
        default=Path("conformers.sdf"),
        metavar="FILE",
        help="SDF file to write (default: %(default)s)",
    )
    leaf.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    leaf.add_argument(
        "--model", help="weights: a path or a shipped name (default: the shipped ones)"
    )
    leaf.add_argument(
        "--steps", type=_positive, help="network evaluations a sample (default: the model's)"
    )
    leaf.add_argument(
        "--batch_size", type=_positive, help="conformers made at once (default: by size)"
    )
    leaf.add_argument(
        "--shard", type=_shard, metavar="i/n", help="only every n-th molecule, from the i-th"
    )
    leaf = add(sampled, "images", sample_images, "a grid of images, a row for each class")
    leaf.add_argument(
        "labels", nargs="*", metavar="LABEL", help="classes by name (default: all of them)"
    )
    leaf.add_argument(
        "-n", type=_positive, default=10, help="images of each class (default: %(default)s)"
    )
    leaf.add_argument(
        "-o",
        "--out",
        type=Path,
        default=Path("images.png"),
        metavar="FILE",
        help="PNG file to write (default: %(default)s)",
    )
    leaf.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    leaf.add_argument(
        "--model", help="weights: a path or a shipped name (default: the shipped ones)"
    )
    leaf.add_argument(
        "--steps", type=_positive, help="network evaluations a sample (default: the model's)"
    )

    leaf = add(sampled, "proteins", sample_proteins, "new protein backbones")
    leaf.add_argument(
        "--length",
        type=_positive,
        nargs="+",
        required=True,
        metavar="N",
        help="residues of a chain",
    )
    leaf.add_argument(
        "-n", type=_positive, default=8, help="chains of each length (default: %(default)s)"
    )
    leaf.add_argument(
        "-o",
        "--out",
        type=Path,
        default=Path("backbones"),
        metavar="DIR",
        help="folder for the chains, a page and a picture of them (default: %(default)s)",
    )
    leaf.add_argument(
        "--format", choices=("pdb", "cif"), default="pdb", help="(default: %(default)s)"
    )
    leaf.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    leaf.add_argument(
        "--model", help="weights: a path or a shipped name (default: the shipped ones)"
    )
    leaf.add_argument("--steps", type=_positive, help="network evaluations a chain (default: 100)")
    leaf.add_argument("--batch_size", type=_positive, help="chains made at once (default: by size)")

    leaf = add(sampled, "grasps", sample_grasps, "grasps of an object, best first")
    leaf.add_argument(
        "source",
        type=Path,
        metavar="MESH|POINTS",
        help=".obj, .stl, .ply, or points as .npy, .npz, .ply, .xyz; metres",
    )
    leaf.add_argument("-n", type=_positive, default=200, help="grasps (default: %(default)s)")
    leaf.add_argument(
        "-o",
        "--out",
        type=Path,
        default=Path("grasps.h5"),
        metavar="FILE",
        help=".h5 or .npz file to write, a page beside it (default: %(default)s)",
    )
    leaf.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    leaf.add_argument(
        "--scale",
        type=float,
        default=1.0,
        help="metres per unit of the source (default: %(default)s)",
    )
    leaf.add_argument(
        "--model", help="weights: a path or a shipped name (default: the shipped ones)"
    )
    leaf.add_argument(
        "--steps", type=_positive, help="network evaluations a grasp (default: the model's)"
    )

    trained = tasks("train", "train a model")
    leaf = add(
        trained,
        "conformers",
        train_conformers,
        "a conformer model on ensembles made by `geodiff prepare`",
        add_help=False,
    )
    leaf.set_defaults(passes_on=True)
    leaf = add(
        trained,
        "images",
        train_images,
        "an image model on an npz, a folder, or `digits`",
        add_help=False,
    )
    leaf.set_defaults(passes_on=True)

    leaf = add(
        trained,
        "proteins",
        train_proteins,
        "a backbone model on chains, by default the shipped ones",
        add_help=False,
    )
    leaf.set_defaults(passes_on=True)

    leaf = add(
        trained,
        "grasps",
        train_grasps,
        "a grasp model on labelled objects, by default the shipped ones",
        add_help=False,
    )
    leaf.set_defaults(passes_on=True)

    evaluated = tasks("evaluate", "measure samples against references")
    leaf = add(
        evaluated,
        "conformers",
        evaluate_conformers,
        "coverage and RMSD against reference conformers",
    )
    leaf.add_argument("generated", type=Path, metavar="OUT.sdf", help="the conformers to judge")
    leaf.add_argument(
        "--reference", type=Path, required=True, metavar="REF.sdf", help="the conformers to find"
    )
    leaf.add_argument(
        "--threshold", type=float, default=0.5, help="angstrom (default: %(default)s)"
    )
    leaf.add_argument("--protocol", choices=("A", "B"), default="A", help="(default: %(default)s)")
    leaf.add_argument(
        "-o", "--out", type=Path, metavar="FILE", help="also write the figures as JSON"
    )
    leaf = add(evaluated, "proteins", evaluate_proteins, "backbones beside real chains and decoys")
    leaf.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="FILE|DIR",
        help=".pdb and .cif files, also gzipped, .npz files of chains, or folders",
    )

    leaf = add(
        evaluated,
        "grasps",
        evaluate_grasps,
        "success in simulation, of a model or of files (needs mujoco)",
    )
    leaf.add_argument(
        "source",
        nargs="?",
        type=Path,
        metavar="FILE|DIR",
        help="grasps with their mesh; without it the model is judged, on objects it has not seen",
    )
    leaf.add_argument(
        "--model", help="weights: a path or a shipped name (default: the shipped ones)"
    )
    leaf.add_argument(
        "--objects", type=_positive, default=20, help="for the model (default: %(default)s)"
    )
    leaf.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="judge the model on held-out objects of labelled grasps",
    )
    leaf.add_argument(
        "--held_out",
        "--held-out",
        type=Path,
        metavar="FILE",
        help="names of those objects, a name a line (default: the tenth that training leaves out)",
    )
    leaf.add_argument(
        "-n", type=_positive, default=50, help="grasps of each object (default: %(default)s)"
    )
    leaf.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")

    prepared = tasks("prepare", "make training data")
    leaf = add(
        prepared,
        "conformers",
        prepare_conformers,
        "GFN2-xTB ensembles of molecules (needs the xtb program)",
    )
    leaf.add_argument(
        "source", type=Path, metavar="INPUT", help="a .smi, .txt or .csv file of SMILES"
    )
    leaf.add_argument(
        "-o", "--out", type=Path, required=True, metavar="DIR", help="folder for the ensembles"
    )
    leaf.add_argument(
        "--hold_out",
        "--hold-out",
        type=Path,
        metavar="FILE",
        help="molecules to leave out of the data, stereo ignored",
    )
    leaf.add_argument(
        "--workers", type=_positive, default=2, help="processes (default: %(default)s)"
    )
    leaf.add_argument(
        "--chunk_size", type=_positive, default=20, help="molecules a file (default: %(default)s)"
    )

    leaf = add(
        prepared, "proteins", prepare_proteins, "clean backbone chains of a folder of structures"
    )
    leaf.add_argument(
        "source", type=Path, metavar="DIR", help="a folder of .pdb and .cif files, also gzipped"
    )
    leaf.add_argument(
        "-o", "--out", type=Path, required=True, metavar="DIR", help="folder for the chains"
    )
    leaf.add_argument(
        "--clusters", type=Path, metavar="FILE", help="MMseqs2 table of representative and member"
    )

    leaf = add(
        prepared,
        "grasps",
        prepare_grasps,
        "labelled grasps on meshes or made objects (needs mujoco)",
    )
    leaf.add_argument(
        "source", nargs="?", type=Path, metavar="MESH|FOLDER", help=".obj, .stl and .ply files"
    )
    leaf.add_argument(
        "--procedural", type=_positive, metavar="N", help="mugs, bowls, ... instead of meshes"
    )
    leaf.add_argument(
        "-o", "--out", type=Path, required=True, metavar="DIR", help="folder for the grasps"
    )
    leaf.add_argument(
        "-n", type=_positive, default=300, help="grasps on each object (default: %(default)s)"
    )
    leaf.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    leaf.add_argument(
        "--scale",
        type=float,
        default=1.0,
        help="metres per unit of the meshes (default: %(default)s)",
    )
    leaf.add_argument("--workers", type=_positive, help="processes (default: one for each core)")

    leaf = add(
        verbs,
        "benchmark",
        benchmark,
        "run a script of examples/benchmarks; without a name, list them",
    )
    leaf.add_argument("name", nargs="?", metavar="NAME")
    leaf.set_defaults(passes_on=True)
    return parser, leaves


@contextmanager
def _bar(what: str):
    """A function `progress(done, total)` that moves a bar on standard error; None where nobody
    watches.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def demo(known) -> int:
    """Draw molecules, backbones, grasps and digits with the shipped weights; write files and one
    web page.
    """
    from geodiff.demo import demo as make

    return (
        DONE
        if make(known.out, n=known.n, seed=known.seed, model=known.model, report=print)
        else PARTLY
    )


def doctor(known) -> int:
    """Print versions, devices, where data and weights are, and what optional parts are missing."""
    from geodiff.doctor import examine

    lines, healthy = examine()
    print("\n".join(lines))
    return DONE if healthy else PARTLY


def sample_conformers(known) -> int:
    """Make conformers of one molecule or of a file of them, and write them as SDF.

    Molecules that fail are named with the reason in failures.csv beside the output
    (failures_1of4.csv for shard 1/4); they hold up no other.
    """
    from geodiff.conformers.sampling import failures_path, sample_file

    chosen = {
        name: value
        for name in ("steps", "batch_size", "shard")
        if (value := getattr(known, name)) is not None
    }
    with _bar("molecules") as progress:
        report = sample_file(
            known.source,
            known.out,
            known.n,
            seed=known.seed,
            model=known.model,
            progress=progress,
            **chosen,
        )
    failures = report.failures
    if failures:
        listed = failures_path(known.out, known.shard)
        others = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        _complain(
            f"{_short(failures[0].smiles or failures[0].name)}: {failures[0].reason}{others}; "
            f"listed in {listed}"
        )
    where = f" in {known.out}" if report.delivered else ""
    print(
        f"{report.delivered} of {report.requested} conformers of {report.molecules} "
        f"molecules{where}; drawn again {report.resampled}, repaired {report.repaired}; failures "
        f"{len(failures)}"
    )
    if failures and not report.delivered:
        return BAD
    return PARTLY if failures else DONE


def sample_images(known) -> int:
    """Make images of the classes asked for and write them as one PNG, a row for each class."""
    from geodiff import images
    from geodiff.images.model import DEFAULT_MODEL

    field = images.load(DEFAULT_MODEL if known.model is None else known.model)
    labels = known.labels or (list(range(field.network.classes)) or None)
    steps = {} if known.steps is None else {"steps": known.steps}
    made = images.sample(labels, known.n, seed=known.seed, model=field, **steps)
    images.write_grid(made, known.out, columns=known.n)
    print(f"{len(made)} images in {known.out}")
    return DONE


def sample_proteins(known) -> int:
    """Make backbones and write them to a folder, a file each, with a page and a picture of them.

    The page backbones.html needs no network; the picture backbones.png (extra `viz`) has contacts
    and torsions.
    """
    from geodiff import proteins
    from geodiff.domains.chains import view

    chosen = {
        name: value
        for name in ("steps", "batch_size")
        if (value := getattr(known, name)) is not None
    }
    with _bar("chains") as progress:
        files = proteins.sample_folder(
            known.length,
            known.out,
            known.n,
            seed=known.seed,
            model=known.model,
            suffix=f".{known.format}",
            progress=progress,
            **chosen,
        )
    chains = [chain for file in files for chain in proteins.read(file)[0]]
    view.page(chains, known.out / "backbones.html")
    try:
        view.picture(chains, known.out / "backbones.png")
    except ImportError as error:
        _complain(f"no picture: {error}")
    print(
        f"{len(files)} chains in {known.out}; look at {known.out / 'backbones.html'}, or measure "
        f"them: geodiff evaluate proteins {known.out}"
    )
    return DONE


def sample_grasps(known) -> int:
    """Make grasps of the object of a mesh or of points of its surface, and write them with their
    costs, best first.

    The page beside the file (.html) shows them and needs no network.
    """
    from geodiff.domains.bodies import view
    from geodiff.grasps import sample_file

    steps = {} if known.steps is None else {"steps": known.steps}
    grasps, thing = sample_file(
        known.source,
        known.out,
        known.n,
        seed=known.seed,
        model=known.model,
        scale=known.scale,
        **steps,
    )
    page = view.page(
        thing, grasps.poses, grasps.cost, known.out.with_suffix(".html"), known.source.stem
    )
    print(
        f"{len(grasps)} grasps in {known.out}, cost {grasps.cost[0]:.3g} to "
        f"{grasps.cost[-1]:.3g}; look at {page}"
    )
    return DONE


def train_grasps(known) -> int:
    """Train a grasp model; the options are the arguments of `geodiff.grasps.train`."""
    from geodiff.grasps.training import train

    return _call(train, known.rest, "geodiff train grasps")


def train_proteins(known) -> int:
    """Train a backbone model; the options are the arguments of `geodiff.proteins.train`."""
    from geodiff.proteins.training import train

    return _call(train, known.rest, "geodiff train proteins")


def train_images(known) -> int:
    """Train an image model; the options are the arguments of `geodiff.images.train`."""
    from geodiff.images.training import train

    return _call(train, known.rest, "geodiff train images")


def train_conformers(known) -> int:
    """Train a conformer model; the options are the arguments of
    `geodiff.conformers.training.train`.
    """
    from geodiff.conformers.training import train

    return _call(train, known.rest, "geodiff train conformers")


def _call(function: Callable, arguments: Sequence[str], program: str) -> int:
    """Call `function` with options named and typed as in its signature; prints what it returns."""
    import jsonargparse

    parser = jsonargparse.ArgumentParser(
        prog=program, exit_on_error=False, allow_abbrev=False, description=inspect.getdoc(function)
    )
    parser.add_argument("--config", action="config", help="a YAML file with any of these options")
    parser.add_function_arguments(function, as_group=False, as_positional=False)
    parameters = inspect.signature(function).parameters
    unknown = [a.split("=")[0] for a in arguments if a.startswith("--")]
    known = {*parameters, "config", "print_config", "help"}
    for option in unknown:
        if option[2:].replace("-", "_") not in known:
            raise ValueError(
                f"unknown argument {option}"
                + _suggest(option, [f"--{name}" for name in sorted(known)])
                + f"; see `{program} --help`"
            )
    filled = []
    for place, argument in enumerate(arguments):
        if argument.startswith("--"):
            name, equals, value = argument[2:].partition("=")
            argument = f"--{name.replace('-', '_')}{equals}{value}"
        filled.append(argument)
        following = arguments[place + 1 : place + 2]
        switch = parameters.get(argument.removeprefix("--"))
        if (
            switch is not None
            and isinstance(switch.default, bool)
            and (not following or following[0].startswith("-"))
        ):
            filled.append("true")  # `--resume` alone means yes
    try:
        settings = parser.parse_args(filled)
    except (argparse.ArgumentError, jsonargparse.ArgumentError) as error:
        raise ValueError(f"{error}; see `{program} --help`") from error
    values = settings.as_dict()
    result = function(**{name: value for name, value in values.items() if name in parameters})
    # once, however many devices train
    if result is not None and os.environ.get("LOCAL_RANK", "0") == "0":
        print(result)
    return DONE


def evaluate_conformers(known) -> int:
    """Compare generated conformers with reference conformers, molecule by molecule.

    Prints coverage and mean minimum RMSD, as recall (R: how much of the reference was found) and as
    precision (P: how much of what was generated is in the reference).
    """
    import json

    from geodiff.domains.molecules.io import read_ensembles
    from geodiff.domains.molecules.metrics import MEASURES, coverage, stereo_correct

    if known.out is not None and not known.out.parent.is_dir():
        raise FileNotFoundError(f"out: folder {known.out.parent} does not exist; create it first")
    references: dict[str, list] = {}
    for molecule in read_ensembles(
        known.reference
    ):  # reacted references of one molecule are Mols of their own
        references.setdefault(molecule.GetProp("_Name"), []).append(molecule)
    generated: dict = {}
    for molecule in read_ensembles(known.generated):
        name = molecule.GetProp("_Name")
        if name in generated:
            raise ValueError(
                f"{known.generated}: two different molecules are called {name!r}; rename one"
            )
        generated[name] = molecule
    record = coverage(references, generated, known.threshold, known.protocol)
    stereo = stereo_correct(generated)
    print(record)
    print(stereo)
    if known.out is not None:
        figures = {
            measure: {
                "mean": (i := record.interval(measure)).mean,
                "low": i.low,
                "high": i.high,
                "median": record.summary(measure).median,
            }
            for measure in MEASURES
        }
        choices = {
            "threshold": record.threshold,
            "protocol": record.protocol,
            "cleaned": record.cleaned,
        }
        counts = {
            "molecules": len(record.molecules),
            "counted": len(record.counted),
            "failures": record.failures,
            "not_comparable": record.additional_failures,
            "skipped": record.skipped,
            "dropped": record.dropped,
        }
        document = {
            **figures,
            "stereo_right": stereo.both,
            "choices": choices,
            "counts": counts,
            "by_molecule": {measure: record.values(measure) for measure in MEASURES},
        }
        known.out.write_text(json.dumps(_without_nan(document), indent=1) + "\n", encoding="utf-8")
    return DONE


def evaluate_proteins(known) -> int:
    """Measure backbones beside real chains and the decoys that the measures catch."""
    from geodiff.proteins import evaluate

    evaluation = evaluate(known.paths)
    print(evaluation.table())
    return PARTLY if evaluation.failures else DONE


def evaluate_grasps(known) -> int:
    """Judge grasps in MuJoCo: those of FILE, or those that a model makes on objects it has not
    seen.

    Success is to hold the object while the hand lifts, lowers and swings it. `free`: no collision
    at open width.
    """
    from geodiff.grasps import evaluate

    with _bar("objects") as progress:
        evaluation = evaluate(
            known.source,
            model=known.model,
            objects=known.objects,
            n=known.n,
            seed=known.seed,
            data=known.data,
            held_out=known.held_out,
            progress=progress,
        )
    print(evaluation.table())
    return PARTLY if evaluation.failures else DONE


def prepare_proteins(known) -> int:
    """Clean the chains of all structure files of DIR into chains.npz; rejected.csv says what was
    left out.
    """
    from geodiff.proteins import prepare

    counts = prepare(known.source, known.out, clusters=known.clusters)
    print(f"{counts}; in {known.out}")
    return PARTLY if counts.unreadable else DONE


def prepare_grasps(known) -> int:
    """Find and label grasps on the meshes of FOLDER or on made objects; a second call goes on from
    the first.

    Objects that fail are named with the reason in failures.csv; they hold up no other.
    """
    import warnings

    from geodiff.grasps.preparation import FAILURES, prepare

    chosen = {
        name: getattr(known, name) for name in ("n", "procedural", "seed", "scale", "workers")
    }
    with warnings.catch_warnings(record=True) as said, _bar("objects") as progress:
        warnings.simplefilter("always")
        counts = prepare(known.source, known.out, progress=progress, **chosen)
    for warning in said:
        _complain(warning.message)
    if counts.failed:
        _complain(
            f"{counts.failed} of {counts.objects} objects failed; listed in {known.out / FAILURES}"
        )
    print(f"{counts}; in {known.out}")
    if counts.failed == counts.objects:
        return BAD
    return PARTLY if counts.failed else DONE


def _without_nan(value):
    """`value` with null for every nan, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    return None if isinstance(value, float) and value != value else value


def prepare_conformers(known) -> int:
    """Make GFN2-xTB conformer ensembles of the molecules of INPUT; a second call goes on from the
    first.
    """
    from geodiff.conformers.preparation import hold_out, prepare
    from geodiff.domains.molecules import io

    records, unread = io.read(known.source)
    smiles = [record.smiles for record in records]
    if known.hold_out is not None:
        smiles = hold_out(smiles, [record.smiles for record in io.read(known.hold_out)[0]])
    if not smiles:
        raise ValueError(f"{known.source}: no molecules are left to prepare")
    print(f"{len(smiles)} molecules, {known.workers} processes, into {known.out}")
    with _bar("chunks") as progress:
        counts = prepare(
            smiles, known.out, workers=known.workers, chunk_size=known.chunk_size, progress=progress
        )
    if unread:
        io.write_failures(known.out / "unread.csv", unread)
    print(
        f"{counts['made']} ensembles made, {counts['failed']} failed, {len(unread)} unreadable; "
        f"{counts['chunks']} files in {known.out}"
    )
    return PARTLY if counts["failed"] or unread else DONE


def benchmark(known) -> int:
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
            f"no benchmark is called {known.name!r}{_suggest(known.name, list(scripts))}; "
            f"there are {', '.join(scripts)}"
        )
    code = subprocess.call([sys.executable, str(scripts[known.name]), *known.rest])
    return code if code in (DONE, PARTLY) else BAD
