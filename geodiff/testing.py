"""The laws of every task, as functions that raise AssertionError where one is broken.

`check_task(task, trial)` runs all of them; a test suite may instead take them one by one from
`LAWS`. Each law is a function of a task, a `Trial` of it and an empty folder, and its name is the
sentence it checks. A law about a verb that the task does not offer is met.

Args:
    task: what `geodiff.task.find` returned.
    trial: a small case of it.
    folder: an empty one.
"""

import contextlib
import inspect
import io
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from geodiff import cli
from geodiff.options import Option, options
from geodiff.process.field import Field
from geodiff.task import FILES, OF_VERB, WORDS, PackageTask, find, tasks
from geodiff.training import weights

TOLERANCE = 1e-4  # of a sample in another batch, over the largest number of all samples
# What a sample depends on has the same name in all tasks, in Python and on the command line.
SAMPLED_BY = ("n", "seed", "model", "steps", "batch_size", "device")
_PYTHON = {"sample": "sampling", "evaluate": "evaluation", "prepare": "preparation"}
# Words of files and of long runs: the Python function may return what the command writes.
_OF_FILES = ("out", "held_out", "shard")

Prepare = Callable[[Path, Callable[[int, int], None]], object]


@dataclass(frozen=True)
class Trial:
    """A small case that the laws are tried on: each takes seconds.

    Args:
        config: of a small model, which is built and left untrained.
        numbers: every number of what `sample` returned, a tensor (n, ...).
        arguments: what `sample` takes before its options.
        options: more of what `sample` takes, in a few steps.
        n: how many samples.
        line: the words after `geodiff sample NAME` that say what of.
        out: the name of what that command writes.
        drawn: names of pages and pictures that it writes as well, from the folder of `out`.
        train: the words after `geodiff train NAME` for two steps, without --out.
        other_train: words that make it a run of another model.
        prepare: prepares a little data into a folder, with its function of progress; None where
            nothing can be prepared here.
        other_prepare: the same with other settings.
    """

    config: dict
    numbers: Callable[[Any], Tensor]
    arguments: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=lambda: {"steps": 2})
    n: int = 3
    line: Sequence[str] = ()
    out: str = "out"
    drawn: Sequence[str] = ()
    train: Sequence[str] | None = None
    other_train: Sequence[str] = ()
    prepare: Prepare | None = None
    other_prepare: Prepare | None = None


def check_task(task: str | PackageTask, trial: Trial) -> None:
    """Check every law of `LAWS` on a task; AssertionError names the broken one.

    Args:
        task: its name, or what `geodiff.task.find` returned.
        trial: a small case of it.
    """
    found = find(task) if isinstance(task, str) else task
    for law in LAWS:
        check_law(law, found, trial)


def check_law(
    law: Callable[[PackageTask, Trial, Path], None], task: PackageTask, trial: Trial
) -> None:
    """Check one law in a folder of its own; any error of the task breaks it.

    Args:
        law: one of `LAWS`.
        task: what `geodiff.task.find` returned.
        trial: a small case of it.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            law(task, trial, Path(folder))
        except Exception as error:
            raise AssertionError(
                f"{task.name}: broken law: {law.__name__}: {error or type(error).__name__}"
            ) from error


def small_model(task: PackageTask, trial: Trial) -> Field:
    """The untrained field of a trial, its weights all random, so that no part of it is silent.

    Args:
        task: what builds it.
        trial: with its config.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        made = task.build(trial.config)
        assert isinstance(made, Field), "model.build makes no geodiff.Field"
        for parameter in made.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return made.eval()


def its_files_have_what_others_ask_for(task: PackageTask, trial: Trial, folder: Path) -> None:
    """Every file of a task is there with its functions; `build` makes a Field; the summary is one
    line.
    """
    task.check()
    offered = task.commands
    optional = {file for verb, file in OF_VERB.items() if verb not in offered}
    for file, name in ((file, name) for file, names in FILES.items() for name in names):
        if file not in optional:
            task.function(file, name)
    assert isinstance(task.build(trial.config), Field), "model.build makes no geodiff.Field"
    assert task.summary and "\n" not in task.summary, "the package has no docstring"
    assert json.loads(json.dumps(trial.config)), "config is no table of plain values"


def a_seed_repeats(task: PackageTask, trial: Trial, folder: Path) -> None:
    """The same seed makes the same samples, another seed makes others."""
    model = small_model(task, trial)
    first, again = (_samples(task, trial, model, seed=3) for _ in range(2))
    assert torch.equal(first, again), "two calls with one seed differ"
    assert not torch.equal(first, _samples(task, trial, model, seed=4)), "two seeds agree"


def global_randomness_is_left_alone(task: PackageTask, trial: Trial, folder: Path) -> None:
    """Sampling neither reads nor moves torch's global generator."""
    model = small_model(task, trial)
    before = torch.random.get_rng_state()
    first = _samples(task, trial, model, seed=3)
    assert torch.equal(before, torch.random.get_rng_state()), "the global generator has moved"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(12345)
        assert torch.equal(first, _samples(task, trial, model, seed=3)), "it was read"


def batches_do_not_mix(task: PackageTask, trial: Trial, folder: Path) -> None:
    """Samples made one at a time are those made all at once."""
    model = small_model(task, trial)
    whole = _samples(task, trial, model, batch_size=max(64, trial.n))
    alone = _samples(task, trial, model, batch_size=1)
    assert whole.shape == alone.shape, f"{tuple(alone.shape)} beside {tuple(whole.shape)}"
    off = float((whole - alone).abs().max() / whole.abs().max())
    assert off < TOLERANCE, f"a sample is {off:.2g} off in a batch of one"


def a_model_is_loaded_by_its_path(task: PackageTask, trial: Trial, folder: Path) -> None:
    """A saved model comes back as the field it was, and samples the same."""
    model = small_model(task, trial)
    path = weights.save(folder / "model", model, task.name, trial.config, {})
    loaded = weights.load(path)
    assert loaded.task == task.name and loaded.config == json.loads(json.dumps(trial.config))
    assert torch.equal(_samples(task, trial, model), _samples(task, trial, path)), "samples differ"


def a_model_of_another_task_is_refused(task: PackageTask, trial: Trial, folder: Path) -> None:
    """A path to one raises ValueError naming both tasks."""
    other = next(name for name in tasks() if name != task.name)
    path = weights.save(folder / "model", small_model(task, trial), other, trial.config, {})
    try:
        _samples(task, trial, path)
    except ValueError as error:
        says = str(error)
        assert f"for {task.name}" in says and f"for {other}" in says, f"it says {says!r}"
    else:
        raise AssertionError(f"a model of {other} was taken")


def a_device_that_is_not_there_is_refused(task: PackageTask, trial: Trial, folder: Path) -> None:
    """ValueError names the devices that are there; the CPU always is."""
    model = small_model(task, trial)
    here = _samples(task, trial, model, device="cpu")
    assert torch.equal(here, _samples(task, trial, model)) or torch.cuda.is_available()
    for wanted in ("cuda:97", "nowhere"):
        try:
            _samples(task, trial, model, device=wanted)
        except ValueError as error:
            assert wanted in str(error) and "cpu" in str(error), f"it says {error!s}"
        else:
            raise AssertionError(f"{wanted} was taken")


def the_command_writes_what_it_draws(task: PackageTask, trial: Trial, folder: Path) -> None:
    """`geodiff sample` writes its output, and the pages and pictures of the task beside it."""
    path = weights.save(
        folder / "model", small_model(task, trial), task.name, trial.config, {}
    ).with_suffix("")
    words = ["sample", task.name, *trial.line, "-n", "2", "--steps", "2", "--model", str(path)]
    code, _, says = _run([*words, "-o", str(folder / trial.out)])
    assert code == cli.DONE, f"exit code {code}: {says}"
    for name in (trial.out, *trial.drawn):
        there = folder / name
        assert there.is_dir() or (there.is_file() and there.stat().st_size), f"no {name}"


def training_refuses_another_run(task: PackageTask, trial: Trial, folder: Path) -> None:
    """A folder with a run is taken with --resume only, and only by a run of the same model."""
    if trial.train is None:
        return
    words = ["train", task.name, *trial.train, "--out", str(folder / "run")]
    for more, expected, what in (
        ((), cli.DONE, "training"),
        ((), cli.BAD, "training into a folder with a run"),
        (("--resume", *trial.other_train), cli.BAD, "going on with another model"),
        (("--resume",), cli.DONE, "going on"),
    ):
        code, _, says = _run([*words, *more])
        assert code == expected, f"{what} ends with {code}, expected {expected}: {says}"
        assert code == cli.DONE or "out" in says, f"the refusal does not name out: {says}"
    (document,) = (
        path
        for path in (folder / "run").glob("*.json")
        if path.with_suffix(".safetensors").exists()
    )
    assert weights.load(document).task == task.name


def prepare_goes_on_where_it_stopped(task: PackageTask, trial: Trial, folder: Path) -> None:
    """A call that was stopped and called again makes the files of one that was not, and keeps those
    that it had.
    """
    if trial.prepare is None:
        return
    trial.prepare(folder / "whole", lambda done, total: None)
    stopped, kept = folder / "stopped", {}
    try:
        trial.prepare(stopped, _stop)
    except KeyboardInterrupt:
        kept = {path: path.stat().st_mtime_ns for path in _data(stopped)}
    trial.prepare(stopped, lambda done, total: None)
    assert _contents(folder / "whole") == _contents(stopped), "the files are not those of one call"
    again = [path.name for path, when in kept.items() if path.stat().st_mtime_ns != when]
    assert not again, f"made again: {', '.join(again)}"


def prepare_refuses_another_run(task: PackageTask, trial: Trial, folder: Path) -> None:
    """ValueError names `out` where it holds a run with other settings."""
    if trial.prepare is None or trial.other_prepare is None:
        return
    trial.prepare(folder / "run", lambda done, total: None)
    before = _contents(folder / "run")
    try:
        trial.other_prepare(folder / "run", lambda done, total: None)
    except ValueError as error:
        assert str(error).startswith("out: "), f"it says {error!s}"
    else:
        raise AssertionError("other settings were taken")
    assert before == _contents(folder / "run"), "the refused call has changed files"


def commands_and_functions_agree(task: PackageTask, trial: Trial, folder: Path) -> None:
    """An option has the default and the type of the Python parameter of its name, and words of
    `WORDS` mean what they mean everywhere.
    """
    for verb, command in task.commands.items():
        by_name = {option.name: option for option in options(command)}
        _check_words(f"`{verb}`", by_name)
        if verb not in _PYTHON:
            continue
        parameters = inspect.signature(task.function(_PYTHON[verb], verb)).parameters
        for name, option in by_name.items():
            if name not in parameters:
                assert name not in WORDS or name in _OF_FILES, f"{verb}() does not take {name}"
                continue
            python = parameters[name].default
            # what is written without being asked for has a name on the command line only
            if option.default != python and name != "out" and not option.bare:
                raise AssertionError(
                    f"{name} is {option.default!r} in `{verb}` and {python!r} in Python"
                )
        foreign = [n for n in parameters if any(n in w.others + w.old for w in WORDS.values())]
        assert not foreign, f"{verb}() has {foreign}, which WORDS calls otherwise"
        if verb == "sample":
            missing = [n for n in SAMPLED_BY if n not in parameters or n not in by_name]
            assert not missing, f"sample lacks {', '.join(missing)}"


def help_says_what_every_option_means(task: PackageTask, trial: Trial, folder: Path) -> None:
    """`--help` of every verb names every option, with words beside it."""
    for verb, command in task.commands.items():
        code, shown, says = _run([verb, task.name, "--help"])
        assert code == cli.DONE, f"`{verb} --help` ends with {code}: {says}"
        text = " ".join(shown.split())
        for option in options(command):
            # `train` reads files of options too, so that each of its own has its name
            bare = option.bare and verb != "train"
            flag = (
                option.shown
                if bare
                else option.flags[-1]
                if not option.bare
                else f"--{option.name}"
            )
            assert flag is not None and flag in text, f"`{verb} --help` does not show {flag}"
            assert option.meaning, f"{flag} of `{verb}` has no meaning"
            first = option.meaning.split()[0].rstrip(".,;:")
            assert first in text, f"`{verb} --help` does not say what {flag} means"


LAWS = (
    its_files_have_what_others_ask_for,
    a_seed_repeats,
    global_randomness_is_left_alone,
    batches_do_not_mix,
    a_model_is_loaded_by_its_path,
    a_model_of_another_task_is_refused,
    a_device_that_is_not_there_is_refused,
    the_command_writes_what_it_draws,
    training_refuses_another_run,
    prepare_goes_on_where_it_stopped,
    prepare_refuses_another_run,
    commands_and_functions_agree,
    help_says_what_every_option_means,
)


def _check_words(what: str, by_name: Mapping[str, Option]) -> None:
    for name, option in by_name.items():
        for word, meant in WORDS.items():
            assert name not in meant.others + meant.old, (
                f"{what} has {name}, which is called {word}"
            )
        if name in WORDS:
            expected = WORDS[name].type
            assert (
                option.type == expected or getattr(option.type, "__origin__", None) is expected
            ), f"{name} of {what} is of type {option.type}, expected {expected.__name__}"


def _samples(task: PackageTask, trial: Trial, model: Field | Path, **chosen: Any) -> Tensor:
    sample = task.function("sampling", "sample")
    settings = {"n": trial.n, "seed": 0, "model": model, **trial.options, **chosen}
    return torch.as_tensor(trial.numbers(sample(*trial.arguments, **settings)))


def _run(words: Sequence[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    with (
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as error,
    ):
        code = cli.run(words)
    return code, out.getvalue(), error.getvalue()


def _stop(done: int, total: int) -> None:
    raise KeyboardInterrupt


def _data(folder: Path) -> list[Path]:
    """The files of data in a folder; tables and settings may be written anew."""
    return sorted(p for p in folder.rglob("*") if p.suffix not in ("", ".csv", ".json", ".part"))


def _contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(files)}
