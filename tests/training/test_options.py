"""Options of a run: stated once, the same in Python and on the command line."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from geodiff import cli
from geodiff.options import meanings, options
from geodiff.task import find
from geodiff.training.options import Run, command, with_run

TASKS = ("conformers", "grasps", "images", "proteins")


@with_run(without=["precision"], max_steps=7)
def toy(data: Path, out: Path = Path("there"), *, width: int = 3, run: Run) -> tuple:
    """Train a toy.

    Args:
        data: to train on.
        out: where to write.
        width: of the network.

    Returns: what it was given.
    """
    return data, out, width, run


def test_a_function_takes_the_fields_of_a_run_one_by_one():
    data, out, width, run = toy(Path("d"), width=5, seed=2)
    assert (data, out, width) == (Path("d"), Path("there"), 5)
    assert run == Run(max_steps=7, seed=2)
    parameters = inspect.signature(toy).parameters
    assert list(parameters)[:4] == ["data", "out", "width", "max_steps"]
    assert "run" not in parameters and "precision" not in parameters
    assert parameters["max_steps"].default == 7
    assert "    seed: the same seed makes the same model.\n" in toy.__doc__
    assert toy.__doc__.endswith("tensorboard, wandb or none.\n\nReturns: what it was given.")


def test_a_name_that_is_not_there_is_answered_with_the_nearest():
    with pytest.raises(TypeError, match="toy: .*'widht'.*did you mean width"):
        toy(Path("d"), widht=5)
    with pytest.raises(TypeError, match="toy: .*data"):
        toy()


def test_every_field_of_a_run_has_a_meaning_in_every_task():
    shared = meanings(Run)
    for task in TASKS:
        by_name = {option.name: option for option in options(find(task).command("train"))}
        missing = shared.keys() - by_name.keys()
        assert missing == ({"precision"} if task == "grasps" else set())
        assert all(by_name[n].meaning == text for n, text in shared.items() if n in by_name)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_steps": 0},
        {"max_minutes": -1.0},
        {"learning_rate": 0.0},
        {"batch_size": 0},
        {"devices": -2},
        {"strategy": "ddp_spawn"},
        {"logger": "paper"},
    ],
    ids=str,
)
def test_a_run_that_cannot_be_is_refused_by_name(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}: expected"):
        Run(**wrong)


def test_a_file_of_options_is_read_and_written(tmp_path, capsys):
    file = tmp_path / "run.yaml"
    file.write_text("data: d\nwidth: 9\nresume: true\nschedule: constant\n")
    assert command(toy, ["--config", str(file), "--width", "4"], "toy") == 0
    shown = capsys.readouterr().out
    assert "PosixPath('d')" in shown and ", 4, Run(" in shown
    assert "resume=True" in shown and "schedule='constant'" in shown
    with pytest.raises(SystemExit):
        command(toy, ["--data", "d", "--print_config"], "toy")
    written = capsys.readouterr().out
    assert "width: 3" in written and "max_steps: 7" in written and "cooldown: 0.0" in written


def test_help_of_training_needs_neither_torch_nor_lightning():
    code = (
        "import sys; from geodiff.cli import run\nrun(['train', 'conformers', '--help'])\n"
        "print({'torch', 'numpy', 'rdkit', 'pytorch_lightning'} & set(sys.modules))"
    )
    root = str(Path(cli.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    lines = done.stdout.splitlines()
    assert lines[-1] == "set()"
    text = " ".join(done.stdout.split())
    for name in (*meanings(Run), "data", "out", "width", "config", "print_config"):
        assert f"--{name}" in text
