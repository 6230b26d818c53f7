"""What a task is: the four of geodiff and one of another distribution keep the laws, and a task
that breaks one is caught.
"""

import argparse
import inspect
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pytest
import torch

import geodiff
from geodiff import cli, options, testing
from geodiff.paths import data_path
from geodiff.task import FILES, VERBS, WORDS, PackageTask, find, tasks
from geodiff.testing import LAWS, Trial, check_law, check_task
from tests.conformers.flow import SMALL as SMALL_CONFORMERS
from tests.grasps import small as small_grasps
from tests.images.flow import small_config
from tests.proteins.flow import SMALL as SMALL_PROTEINS

TOY = Path(__file__).parent / "toy_task"
SHIPPED = ("conformers", "grasps", "images", "proteins")
SMALL_TRAINING = ("--max_steps", "2", "--accelerator", "cpu", "--progress_bar", "false")

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:torch"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pytorch_lightning"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
]


@pytest.fixture
def circle(monkeypatch) -> PackageTask:
    """The toy task, as if its distribution were installed."""
    monkeypatch.syspath_prepend(str(TOY))
    return find("circle")


def circle_trial(package: str, folder: Path) -> Trial:
    """A trial of the toy task or of a broken copy of it."""

    def prepare(out: Path, progress, **settings) -> None:
        from importlib import import_module

        import_module(f"{package}.preparation").prepare(out, n=8, progress=progress, **settings)

    prepare(folder / "points", None)
    return Trial(
        config={"width": 8},
        numbers=lambda points: points,
        out="circle.pt",
        drawn=("circle.html",),
        train=("--data", str(folder / "points"), "--max_steps", "2"),
        other_train=("--width", "16"),
        prepare=prepare,
        other_prepare=lambda out, progress: prepare(out, progress, seed=1),
    )


def conformers_trial(tmp_path, ensembles) -> Trial:
    from geodiff.conformers.model import new_config
    from geodiff.conformers.preparation import prepare
    from geodiff.domains.molecules.ensembles import ensemble_of, save_ensembles
    from geodiff.domains.molecules.gfn2 import Recipe

    save_ensembles(tmp_path / "ensembles.npz", [ensemble_of(mol) for mol in ensembles[:12]])

    def some(out, progress, smiles=("CO", "CC")) -> None:
        recipe = Recipe(dynamics_ps=0.0)  # no two runs of xtb's dynamics are the same
        prepare(smiles, out, workers=1, chunk_size=1, recipe=recipe, progress=progress)

    return Trial(
        config=new_config(SMALL_CONFORMERS),
        numbers=lambda mol: torch.stack(
            [torch.as_tensor(c.GetPositions()) for c in mol.GetConformers()]
        ),
        arguments=("CCO",),
        line=("CCO",),
        out="out.sdf",
        train=("--data", str(tmp_path / "ensembles.npz"), "--width", "32", "--layers", "1")
        + ("--vector_width", "8", "--batch_size", "4", *SMALL_TRAINING),
        other_train=("--width", "64"),
        prepare=some if shutil.which("xtb") else None,
        other_prepare=lambda out, progress: some(out, progress, ("CO",)),
    )


def images_trial(tmp_path, ensembles) -> Trial:
    return Trial(
        config=small_config(classes=3),
        numbers=lambda images: images,
        arguments=(["0", "2"],),
        line=("0", "2"),
        out="grid.png",
        train=("--data", "digits", "--width", "8", "--batch_size", "4", *SMALL_TRAINING),
        other_train=("--width", "16"),
    )


def proteins_trial(tmp_path, ensembles) -> Trial:
    from geodiff.domains.chains.chain import load_chains, save_chains
    from geodiff.proteins import prepare
    from geodiff.proteins.model import new_config

    chains = sorted(load_chains(data_path("proteins", "backbones_val.npz")), key=len)[:12]
    save_chains(tmp_path / "chains.npz", chains)
    return Trial(
        config=new_config("flow", SMALL_PROTEINS),
        numbers=lambda chains: torch.tensor(np.stack([c.coords for c in chains])),
        arguments=(20,),
        line=("--length", "20"),
        out="backbones",
        drawn=("backbones/backbones.html", "backbones/backbones.png"),
        train=("--data", str(tmp_path / "chains.npz"), "--width", "16", "--layers", "1")
        + ("--batch_size", "4", *SMALL_TRAINING),
        other_train=("--width", "32"),
        prepare=lambda out, progress: prepare(data_path("proteins", "pdb"), out),
    )


def grasps_trial(tmp_path, ensembles) -> Trial:
    from geodiff.grasps import prepare
    from geodiff.grasps.model import new_config

    points = small_grasps.points(n=200).numpy()
    np.save(tmp_path / "mug.npy", points)

    def made(out, progress, n=4) -> None:
        prepare(None, out, procedural=2, n=n, workers=1, progress=progress)

    return Trial(
        config=new_config(small_grasps.SIZES),
        numbers=lambda grasps: torch.as_tensor(grasps.poses),
        arguments=(points,),
        line=(str(tmp_path / "mug.npy"),),
        out="grasps.npz",
        drawn=("grasps.html",),
        train=("--width", "32", "--rounds", "1", "--batch_size", "2", "--grasps", "4")
        + ("--anchors", "32", *SMALL_TRAINING),
        other_train=("--width", "64"),
        prepare=made,
        other_prepare=lambda out, progress: made(out, progress, n=5),
    )


TRIALS = {
    "conformers": conformers_trial,
    "grasps": grasps_trial,
    "images": images_trial,
    "proteins": proteins_trial,
}


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_tasks_keep_the_laws(name, law, tmp_path, ensembles, monkeypatch):
    # An untrained flow breaks every bond, and distance geometry would hide what it made.
    monkeypatch.setattr(
        "geodiff.conformers.draws.bonds_ok", lambda c, x: torch.ones(len(x), dtype=torch.bool)
    )
    if name == "grasps" and law.__name__.startswith("prepare"):
        pytest.importorskip("mujoco")
    check_law(law, find(name), TRIALS[name](tmp_path, ensembles))


def test_a_task_of_another_distribution_keeps_the_laws(circle, tmp_path):
    check_task(circle, circle_trial("circle_task", tmp_path))


# What breaks each law, in a copy of the toy task: file, what stands there, what takes its place.
BREAKS = {
    "its_files_have_what_others_ask_for": ("model", "def build(", "def built("),
    "a_seed_repeats": (
        "sampling",
        "Noise(seed,",
        "Noise(seed + __import__('time').perf_counter_ns() % 2**31,",
    ),
    "global_randomness_is_left_alone": (
        "sampling",
        "    made = []",
        "    made, _ = [], torch.rand(1)",
    ),
    "batches_do_not_mix": (
        "sampling",
        "Noise(seed, samples=range(first, min(n, first + at_once)))",
        "Noise(seed, samples=range(min(n, first + at_once) - first))",
    ),
    "a_model_is_loaded_by_its_path": (
        "sampling",
        "    at_once = n",
        "    if not isinstance(model, Field):\n"
        "        [parameter.data.zero_() for parameter in field.parameters()]\n"
        "    at_once = n",
    ),
    "a_model_of_another_task_is_refused": ("sampling", '"circle", DEFAULT', "None, DEFAULT"),
    "a_device_that_is_not_there_is_refused": ("sampling", "device=device)", "device='cpu')"),
    "the_command_writes_what_it_draws": ("commands", ".write_text(", ".with_name("),
    "training_refuses_another_run": (
        "commands",
        "out, run, ",
        "out, Run(**{**vars(run), 'resume': True}), ",
    ),
    "prepare_goes_on_where_it_stopped": ("preparation", "if not path.exists():", "if True:"),
    "prepare_refuses_another_run": ("preparation", "!= wanted:", "is None:"),
    "commands_and_functions_agree": ("commands", "n: Count = 100", "n: Count = 10"),
    "help_says_what_every_option_means": ("commands", "        n: points to draw.\n", ""),
}


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_a_task_that_breaks_a_law_is_caught(law, tmp_path, monkeypatch):
    """Each break is of a copy under a name of its own, registered as another distribution's."""
    file, right, wrong = BREAKS[law.__name__]
    package = f"broken_{law.__name__}"
    shutil.copytree(TOY / "circle_task", tmp_path / package)
    for path in (tmp_path / package).glob("*.py"):
        path.write_text(path.read_text().replace("circle_task", package))
    path = tmp_path / package / f"{file}.py"
    text = path.read_text()
    assert right in text, "the toy task has changed; mend the break"
    path.write_text(text.replace(right, wrong))
    folder = tmp_path / f"{package}-0.1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.1\n")
    (folder / "entry_points.txt").write_text(f"[geodiff.tasks]\ncircle = {package}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    trial = circle_trial(package, tmp_path)
    task = PackageTask("circle", package)
    with pytest.raises(AssertionError, match=f"circle: broken law: {law.__name__}"):
        check_law(law, task, trial)
    kept = [other for other in LAWS if other is not law and other not in ALSO.get(law, ())]
    for other in kept:
        check_law(other, task, trial)


# Laws that a break of another breaks with it.
ALSO: dict = {
    testing.its_files_have_what_others_ask_for: LAWS,  # nothing works without `build`
    testing.a_seed_repeats: (
        testing.global_randomness_is_left_alone,
        testing.batches_do_not_mix,
        testing.a_model_is_loaded_by_its_path,
        testing.a_device_that_is_not_there_is_refused,
    ),
    testing.help_says_what_every_option_means: LAWS,  # no command without the words
}


def test_every_verb_lists_the_outside_task_in_a_fresh_process(circle, tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (TOY, TOY.parent.parent)))}
    for verb in VERBS:
        for words in ([verb, "--help"], [verb, "circle", "--help"]):
            done = subprocess.run(
                [sys.executable, "-m", "geodiff", *words],
                capture_output=True,
                text=True,
                env=environment,
            )
            assert done.returncode == 0 and "circle" in done.stdout, done.stderr


def test_an_outside_model_is_loaded_by_geodiff_load(circle, tmp_path, capsys):
    path = str(tmp_path / "points")
    assert cli.run(["prepare", "circle", "-o", path]) == cli.DONE
    run = ["train", "circle", "--data", path, "--out", str(tmp_path / "run"), "--max_steps", "2"]
    assert cli.run(run) == cli.DONE
    field = geodiff.load(tmp_path / "run" / "model.json")
    assert field.task == "circle" and field.card["seed"] == 0
    out = str(tmp_path / "made.pt")
    words = ["sample", "circle", "-n", "5", "--model", str(tmp_path / "run" / "model"), "-o", out]
    assert cli.run(words) == cli.DONE
    assert cli.run(["evaluate", "circle", out]) == cli.DONE
    assert "mean angle" in capsys.readouterr().out


def test_the_tasks_are_the_folders_of_geodiff():
    assert tuple(tasks()) == SHIPPED
    assert {name for name in SHIPPED if "evaluate" not in find(name).commands} == {"images"}


def test_a_folder_that_looks_like_a_task_says_what_it_lacks(tmp_path, monkeypatch, capsys):
    (tmp_path / "half_task").mkdir()
    for name, text in (
        ("__init__", '"""Half a task."""'),
        ("commands", 'def sample() -> int:\n    """Nothing."""\n    return 0\n'),
        ("model", ""),
    ):
        (tmp_path / "half_task" / f"{name}.py").write_text(text)
    folder = tmp_path / "half-0.1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: half\nVersion: 0.1\n")
    (folder / "entry_points.txt").write_text("[geodiff.tasks]\nhalf = half_task\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(TypeError, match=r"task half: package half_task lacks .*sampling\.py"):
        find("half")
    with pytest.raises(TypeError, match="half_task.model lacks a function build"):
        tasks()["half"].build({})
    assert cli.run(["sample", "half"]) == cli.BAD
    assert "half_task lacks" in capsys.readouterr().err
    assert cli.run(["sample", "--help"]) == cli.DONE  # the others are listed still
    shown = capsys.readouterr().out
    assert "conformers" in shown and "cannot be used" in shown


def test_a_package_that_is_not_there_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "gone-0.1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: gone\nVersion: 0.1\n")
    (folder / "entry_points.txt").write_text("[geodiff.tasks]\ngone = gone_task\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert cli.run(["sample", "--help"]) == cli.DONE
    assert cli.run(["sample", "gone"]) == cli.BAD
    assert "gone_task" in capsys.readouterr().err
    with pytest.raises(ValueError, match="did you mean gone"):
        find("gon")


def test_a_verb_that_a_task_lacks_is_said_in_words(capsys):
    assert cli.run(["evaluate", "images", "--anything"]) == cli.BAD
    assert "images has no `evaluate`; it has" in capsys.readouterr().err


def test_hyphens_are_underscores_and_an_old_word_is_taken_with_a_line(
    tmp_path, capsys, monkeypatch
):
    seen = []
    monkeypatch.setattr(
        "geodiff.conformers.preparation.hold_out", lambda smiles, out: seen.append(out) or smiles
    )
    monkeypatch.setattr(
        "geodiff.conformers.preparation.prepare",
        lambda smiles, out, **settings: (
            seen.append(settings["chunk_size"]) or {"made": 1, "failed": 0, "chunks": 1}
        ),
    )
    (tmp_path / "in.smi").write_text("CCO\n")
    words = ["prepare", "conformers", str(tmp_path / "in.smi"), "-o", str(tmp_path / "out")]
    for spelling, line in (
        ("--held_out", ""),
        ("--held-out", ""),
        ("--hold-out", "geodiff: --hold-out is called --held_out now\n"),
        ("--hold_out", "geodiff: --hold_out is called --held_out now\n"),
    ):
        more = [spelling, str(tmp_path / "in.smi"), "--chunk-size=3"]
        assert cli.run([*words, *more]) == cli.DONE
        assert seen == [["CCO"], 3] and capsys.readouterr().err == line
        seen.clear()


@pytest.mark.parametrize("name", SHIPPED)
def test_public_functions_use_the_words_of_all_tasks(name):
    """Every public function of the verbs takes the shared words with types that the command line
    gives, and no other spelling of them.
    """
    package = __import__(f"geodiff.{name}", fromlist=["x"])
    verbs = [v for v in dir(package) if v.split("_")[0] in VERBS and v in package._EXPORTS]
    for verb in verbs:
        for parameter in inspect.signature(getattr(package, verb)).parameters.values():
            for word, meant in WORDS.items():
                foreign = meant.others + meant.old
                assert parameter.name not in foreign, f"{verb} calls {word} {parameter.name}"
            if parameter.name in WORDS and parameter.annotation is not parameter.empty:
                meant = WORDS[parameter.name].type
                assert takes(parameter.annotation, meant), f"{verb}: {parameter}"


def takes(annotation, wanted: type) -> bool:
    """Whether a parameter of this annotation takes a value of the type that is wanted."""
    if isinstance(annotation, str):
        return wanted.__name__ in annotation
    kinds = getattr(annotation, "__args__", None)
    origin = getattr(annotation, "__origin__", annotation)
    if isinstance(origin, type):
        return issubclass(wanted, origin)
    return any(takes(kind, wanted) for kind in kinds)


def test_a_parameter_without_words_or_type_is_refused():
    def silent(*, n: int = 1) -> int:
        """Does nothing."""

    def untyped(*, n=1) -> int:
        """Does nothing.

        Args:
            n: how many.
        """

    with pytest.raises(TypeError, match="parameter n lacks a line under Args"):
        list(options.options(silent))
    with pytest.raises(TypeError, match="parameter n lacks an annotation"):
        list(options.options(untyped))


def test_a_switch_a_choice_and_a_list_become_options():
    """Each kind of annotation, with its default in the help; zero is a default like any other."""

    def some(
        first: Annotated[Path, "DIR"],
        others: Sequence[Path] = (),
        *,
        seed: int = 0,
        loud: bool = False,
        kind: Literal["a", "b"] = "a",
        weight: float | None = None,
    ) -> int:
        """Does nothing. At 100 %.

        Args:
            first: a folder.
            others: and
                files.
            seed: a number.
            loud: say more.
            kind: of two.
            weight: of it.

        Returns: nothing.
        """

    parser = argparse.ArgumentParser()
    options.add_options(parser, some)
    shown = " ".join(parser.format_help().split())
    assert "Does nothing. At 100 %." in shown and "Returns" not in shown
    for text in ("DIR a folder", "FILE and files", "--seed N a number (default: 0)", "--loud say"):
        assert text in shown
    assert "{a,b} of two (default: a)" in shown and "--weight X of it" in shown
    assert vars(parser.parse_args(["x", "y", "z", "--loud", "--weight", "2"])) == {
        "first": Path("x"),
        "others": [Path("y"), Path("z")],
        "seed": 0,
        "loud": True,
        "kind": "a",
        "weight": 2.0,
    }

    def on(*, loud: bool = True) -> int:
        """Does nothing.

        Args:
            loud: say more.
        """

    with pytest.raises(TypeError, match="loud: a switch is off"):
        options.add_options(argparse.ArgumentParser(), on)


def test_every_file_of_a_task_is_in_the_toy():
    """It is the shortest example of a task, so it has all of them."""
    assert {p.stem for p in (TOY / "circle_task").glob("*.py")} == {*FILES, "__init__"}
    entries = metadata.Distribution.at(TOY / "circle_task-0.1.dist-info").entry_points
    assert [e.group for e in entries] == ["geodiff.tasks"]


@pytest.mark.parametrize("trains", [True, False])
def test_only_a_task_that_trains_needs_an_objective(trains, tmp_path, monkeypatch):
    package = f"aimless_{trains}".lower()
    shutil.copytree(TOY / "circle_task", tmp_path / package)
    (tmp_path / package / "objective.py").unlink()
    if not trains:
        path = tmp_path / package / "commands.py"
        path.write_text(path.read_text().replace("def train(", "def _train("))
    monkeypatch.syspath_prepend(str(tmp_path))
    fault = PackageTask("circle", package).fault()
    assert ("lacks objective.py" in fault) if trains else fault is None
