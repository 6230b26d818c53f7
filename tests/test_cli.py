"""The command line: instant help, one-line errors with a way out, exit codes, and the work done as
asked.
"""

import inspect
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from geodiff import cli
from geodiff.cli import BAD, DONE, PARTLY, run
from geodiff.options import options
from geodiff.training import weights

ROOT = Path(cli.__file__).resolve().parent.parent


@pytest.fixture
def reference(tmp_path) -> Path:
    """ETKDG conformers of two molecules as an SDF file."""
    from rdkit import Chem
    from rdkit.Chem import AllChem

    from geodiff.domains.molecules.io import SdfWriter

    path = tmp_path / "reference.sdf"
    with SdfWriter(path) as writer:
        for name, smiles in (("ethanol", "CCO"), ("alanine", "C[C@H](N)C(=O)O")):
            molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
            AllChem.EmbedMultipleConfs(molecule, 3, randomSeed=1)
            writer.write(molecule, name, smiles)
    return path


def one_line(capsys) -> str:
    """What standard error says; it must be one line of ours."""
    error = capsys.readouterr().err
    assert error.startswith("geodiff: ") and error.count("\n") == 1, error
    return error


def test_help_imports_neither_torch_nor_any_other_outside_library():
    code = (
        "import sys; sys.argv = ['geodiff', '--help']\n"
        "from geodiff.__main__ import main\n"
        "code = main()\n"
        "heavy = {'torch', 'numpy', 'rdkit', 'rich', 'jsonargparse', 'pytorch_lightning', "
        "'matplotlib'}\n"
        "print(code, heavy & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert "geodiff demo" in done.stdout
    assert done.stdout.splitlines()[-1] == "0 set()"


def test_python_dash_m_geodiff_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "geodiff", "--version"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == DONE and done.stdout.startswith("geodiff ")
    done = subprocess.run(
        [sys.executable, "-m", "geodiff", "demonstrate"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == BAD and done.stderr.startswith("geodiff: ")


@pytest.mark.parametrize(
    "line",
    [
        "--help",
        "demo --help",
        "doctor --help",
        "sample --help",
        "sample conformers --help",
        "train conformers --help",
        "evaluate conformers --help",
        "prepare conformers --help",
        "sample images --help",
        "sample --help",
        "evaluate --help",
        "evaluate grasps --help",
        "prepare grasps --help",
        "sample grasps --help",
        "sample proteins --help",
        "train images --help",
        "evaluate proteins --help",
        "prepare proteins --help",
        "benchmark",
        "",
    ],
)
def test_every_command_explains_itself(line, capsys):
    assert run(line.split()) == DONE
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    "line, says",
    [
        ("smaple conformers CC", "did you mean sample"),
        ("sample", "TASK"),
        ("sample conformer CC", "did you mean conformers"),
        ("sample conformers", "SMILES|FILE"),
        ("sample conformers CC -n 0", "at least 1"),
        ("sample images eleven", "does not know class 'eleven'"),
        ("prepare proteins nowhere -o out", "nowhere is no folder"),
        ("prepare proteins STRUCTURES -o FILE", "is a file; give a folder"),
        ("sample conformers CC -n many", "whole number"),
        ("sample conformers CC --sed 1", "did you mean --seed"),
        ("sample conformers CC --output x.sdf", "here it is --out"),
        ("sample conformers CC --weights=x", "here it is --model"),
        ("sample conformers CC --seed x", "argument --seed: expected a whole number, got x"),
        ("sample grasps x.obj --scale x", "argument --scale: expected a number, got x"),
        ("sample conformers CC --shard 4/4", "i/n"),
        ("sample conformers CC CC", "unknown argument CC"),
        ("sample conformers missing.smi", "missing.smi"),
        ("sample conformers CC -o out.pdb --model MODEL", ".sdf"),
        ("sample conformers CC -o no/folder/out.sdf --model MODEL", "folder"),
        ("sample conformers CC --model nowhere", "nowhere"),
        ("evaluate conformers a.sdf", "a.sdf"),
        ("evaluate conformers a.sdf --reference b.sdf", "b.sdf"),
        ("evaluate conformers a.sdf --reference b.sdf --protocol C", "'A'"),
        ("evaluate conformers a.sdf --reference b.sdf -o no/folder/x.json", "out: folder"),
        ("demo -o FILE --model MODEL", "is a file; give a folder"),
        ("prepare conformers FILE -o FILE", "is a file; give a folder"),
        ("train conformers --data FILE --out out", "data: expected an .npz"),
        ("prepare conformers missing.smi -o out", "missing.smi"),
        ("train conformers --max_epoch 3", "did you mean --max_epochs"),
        ("train conformers --max_epochs 3", "data"),
        ("train conformers --data missing --out out --seed x", "seed"),
        ("train conformers --data missing --out out", "missing"),
        ("benchmark nothing_like_it", "there are"),
    ],
)
def test_bad_usage_is_answered_in_one_line_with_exit_code_2(
    line, says, capsys, tmp_path, monkeypatch, model
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("shutil.which", lambda name: name)  # as if xtb were there
    (tmp_path / "file.smi").write_text("CO\n")
    structures = str(ROOT / "data" / "proteins" / "pdb")
    for word, value in (("MODEL", model), ("STRUCTURES", structures), ("FILE", "file.smi")):
        line = line.replace(word, value)
    assert run(line.split()) == BAD
    assert says in one_line(capsys)


@pytest.mark.parametrize("smiles", ["C1CC", "[Fe]", "not a molecule", ""])
def test_a_bad_smiles_is_answered_in_one_line_with_exit_code_2(smiles, capsys, tmp_path, model):
    assert (
        run(["sample", "conformers", smiles, "-o", str(tmp_path / "out.sdf"), "--model", model])
        == BAD
    )
    one_line(capsys)
    assert not (tmp_path / "out.sdf").exists()


def test_numbers_asked_for_are_those_of_the_python_functions():
    """One number of each thing where nothing says how many, as in Python."""
    from geodiff.task import find

    for task, n in (("conformers", 50), ("grasps", 200), ("images", 1), ("proteins", 1)):
        (option,) = [o for o in options(find(task).command("sample")) if o.name == "n"]
        assert option.default == n


def test_the_demo_has_the_defaults_of_its_function():
    from geodiff.demo import demo

    parameters = inspect.signature(demo).parameters
    asked = {option.name: option.default for option in options(cli._demo)}
    assert asked.pop("out") == Path("geodiff-demo")  # the function must be told where to write
    assert asked == {name: parameters[name].default for name in asked}


@pytest.mark.parametrize("verb", ["sample", "train", "evaluate", "prepare"])
def test_help_of_a_task_imports_no_torch(verb):
    read = () if verb == "train" else ("jsonargparse",)  # files of options, by `train` alone
    code = (
        f"import sys; from geodiff.cli import run\nread = {read}\nrun([{verb!r}, '--help'])\n"
        f"run([{verb!r}, 'proteins', '--help'])\n"
        "print({'torch', 'numpy', 'rdkit', 'gemmi', *read} & set(sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.splitlines()[-1] == "set()"


def test_debug_shows_the_traceback(tmp_path):
    with pytest.raises(FileNotFoundError):
        run(["sample", "conformers", str(tmp_path / "missing.smi"), "--debug"])


def test_an_error_of_ours_is_one_line_that_asks_for_a_report(capsys, monkeypatch):
    def broken(*arguments, **settings):
        raise KeyError("lost")

    monkeypatch.setattr("geodiff.doctor.examine", broken)
    assert run(["doctor"]) == BAD
    assert "KeyError" in (line := one_line(capsys)) and "--debug" in line


def test_sampling_a_smiles_writes_the_conformers_asked_for(tmp_path, capsys, model):
    from geodiff.domains.molecules.io import read_ensembles

    out = tmp_path / "out.sdf"
    assert (
        run(
            [
                "sample",
                "conformers",
                "C[C@H](N)C(=O)O",
                "-n",
                "3",
                "--seed",
                "1",
                "-o",
                str(out),
                "--steps",
                "2",
                "--batch_size",
                "2",
                "--model",
                model,
            ]
        )
        == DONE
    )
    (molecule,) = read_ensembles(out)
    assert molecule.GetNumConformers() == 3
    assert "3 of 3 conformers" in capsys.readouterr().out


def test_a_bad_record_is_listed_and_the_others_are_sampled(tmp_path, capsys, model):
    from geodiff.domains.molecules.io import read_ensembles

    source = tmp_path / "in.smi"
    source.write_text("CCO ethanol\nC1CC broken\nCCN amine\n")
    assert (
        run(
            [
                "sample",
                "conformers",
                str(source),
                "-n",
                "2",
                "-o",
                str(tmp_path / "out.sdf"),
                "--steps",
                "2",
                "--model",
                model,
            ]
        )
        == PARTLY
    )
    assert [m.GetProp("_Name") for m in read_ensembles(tmp_path / "out.sdf")] == [
        "ethanol",
        "amine",
    ]
    assert "broken" in (tmp_path / "failures.csv").read_text()
    assert "failures.csv" in one_line(capsys)


def test_a_reference_judged_by_itself_is_covered_without_error(reference, tmp_path, capsys):
    out = tmp_path / "figures.json"
    assert (
        run(
            [
                "evaluate",
                "conformers",
                str(reference),
                "--reference",
                str(reference),
                "--threshold",
                "0.1",
                "-o",
                str(out),
            ]
        )
        == DONE
    )
    figures = json.loads(out.read_text())
    assert figures["cov_r"]["mean"] == figures["cov_p"]["mean"] == 1.0
    assert figures["amr_r"]["mean"] < 1e-3
    assert figures["stereo_right"] == 1.0
    assert "COV-R" in capsys.readouterr().out


def test_the_demo_writes_conformers_page_and_picture_and_ends_with_numbers(
    tmp_path, capsys, model, monkeypatch
):
    import geodiff.demo
    from geodiff.domains.molecules.io import read_ensembles

    real = geodiff.demo._weights  # the other tasks are tested in test_demo.py
    monkeypatch.setattr(
        geodiff.demo,
        "_weights",
        lambda title, name, device, report: real(title, "no-such-model", device, report),
    )

    code = run(["demo", "-n", "2", "-o", str(tmp_path / "demo"), "--model", model])
    assert code in (DONE, PARTLY)  # an untrained model may fail to place a centre
    assert {p.name for p in (tmp_path / "demo").iterdir()} == {
        "conformers.sdf",
        "conformers.png",
        "demo.html",
    }
    names = [m.GetProp("_Name") for m in read_ensembles(tmp_path / "demo" / "conformers.sdf")]
    assert names == ["aspirin", "(S)-ibuprofen", "paracetamol"]
    assert capsys.readouterr().out.splitlines()[-1].startswith("conformers 6/6")


def test_prepare_says_which_program_it_needs(tmp_path, capsys, monkeypatch):
    source = tmp_path / "in.smi"
    source.write_text("CCO\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(["prepare", "conformers", str(source), "-o", str(tmp_path / "out")]) == BAD
    assert "xtb" in one_line(capsys)


def test_prepare_leaves_held_out_molecules_out(tmp_path, monkeypatch, capsys):
    seen = {}

    def prepare(smiles, out, **settings):
        seen.update(smiles=smiles, out=out, **settings)
        return {"made": len(smiles), "failed": 0, "chunks": 1}

    monkeypatch.setattr("geodiff.conformers.preparation.prepare", prepare)
    (tmp_path / "in.smi").write_text("CCO\nC[C@H](N)C(=O)O\nCCN\n")
    (tmp_path / "held.smi").write_text("C[C@@H](N)C(=O)O\n")
    assert (
        run(
            [
                "prepare",
                "conformers",
                str(tmp_path / "in.smi"),
                "-o",
                str(tmp_path / "out"),
                "--hold-out",
                str(tmp_path / "held.smi"),
                "--workers",
                "1",
            ]
        )
        == DONE
    )
    assert seen["smiles"] == ["CCO", "CCN"] and seen["workers"] == 1


@dataclass
class Options:
    """What a training function was called with."""

    called: dict


def test_train_passes_typed_options_and_a_bare_switch_means_yes(monkeypatch, capsys, tmp_path):
    kept = Options({})

    def train(
        data: Path,
        out: Path,
        *,
        max_epochs: int = -1,
        learning_rate: float = 1e-3,
        resume: bool = False,
    ) -> Path:
        """Stands in for training.

        Args:
            data: to train on.
            out: where to write.
            max_epochs: at most.
            learning_rate: highest.
            resume: go on.
        """
        kept.called = {
            "data": data,
            "out": out,
            "max_epochs": max_epochs,
            "learning_rate": learning_rate,
            "resume": resume,
        }
        return out

    monkeypatch.setattr("geodiff.conformers.commands.train", train)
    assert (
        run(
            [
                "train",
                "conformers",
                "--data",
                "d",
                "--out",
                "o",
                "--resume",
                "--max-epochs",
                "3",
                "--learning_rate=0.5",
            ]
        )
        == DONE
    )
    assert kept.called == {
        "data": Path("d"),
        "out": Path("o"),
        "max_epochs": 3,
        "learning_rate": 0.5,
        "resume": True,
    }
    assert capsys.readouterr().out.strip() == "o"


def test_doctor_lists_what_is_here_and_how_to_get_what_is_not(capsys, monkeypatch):
    from geodiff import doctor

    monkeypatch.setattr(doctor, "EXTRAS", {"viz": ("no-such-distribution",)})
    monkeypatch.setenv("PATH", "")
    assert run(["doctor"]) in (DONE, PARTLY)
    out = capsys.readouterr().out
    assert f"torch              {torch.__version__}" in out
    assert "pip install 'geodiff-manifolds[viz]'" in out and "xtb program        not found" in out
    assert str(weights.__file__).rsplit("/", 2)[0] in out
    assert "\n  proteins           sample, " in out


def test_doctor_knows_the_dependencies_of_pyproject():
    import re
    import tomllib

    from geodiff import doctor

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {re.split(r"[\[<>=]", d)[0] for d in project["dependencies"]} == set(doctor.CORE)
    extras = {
        k: [re.split(r"[\[<>=]", d)[0] for d in v]
        for k, v in project["optional-dependencies"].items()
    }
    for extra, distributions in doctor.EXTRAS.items():
        assert set(distributions) == set(extras[extra]) - {"numpy"}


def test_images_and_backbones_have_their_commands(tmp_path, capsys):
    assert (
        run(
            [
                "sample",
                "images",
                "3",
                "7",
                "-n",
                "2",
                "--steps",
                "4",
                "-o",
                str(tmp_path / "grid.png"),
            ]
        )
        == DONE
    )
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")
    structures = str(ROOT / "data" / "proteins" / "pdb")
    assert run(["prepare", "proteins", structures, "-o", str(tmp_path / "chains")]) == DONE
    assert (tmp_path / "chains" / "chains.npz").is_file()
    (tmp_path / "some").mkdir()
    shutil.copy(next(Path(structures).glob("*.pdb")), tmp_path / "some")
    (tmp_path / "some" / "empty.cif").touch()
    assert (
        run(["prepare", "proteins", str(tmp_path / "some"), "-o", str(tmp_path / "chains")])
        == PARTLY
    )
    assert run(["evaluate", "proteins", structures]) == DONE
    out = capsys.readouterr().out
    assert "4 images" in out and "kept 3" in out and "val chains" in out
