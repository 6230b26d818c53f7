"""Two processes on one computer, over gloo, train every task: one model, each item once, the same
end, no hanging.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from geodiff.training import weights

SCRIPT = Path(__file__).with_name("two_processes.py")
ROOT = SCRIPT.parents[2]
TASKS = ("conformers", "grasps", "images", "proteins")
SECONDS = 300  # of a busy machine; a quiet one takes a tenth


def conformers(path):
    from rdkit import Chem
    from rdkit.Chem import AllChem

    from geodiff.domains.molecules.ensembles import ensemble_of, save_ensembles

    ensembles = []
    for smiles in (
        "CCO",
        "CCN",
        "CC=O",
        "CCCl",
        "OCCO",
        "CCCC",
        "C1CC1",
        "c1ccccc1",
        "CC#N",
        "NCC=O",
        "CSC",
    ):
        mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
        AllChem.EmbedMultipleConfs(mol, 3, randomSeed=1)
        ensembles.append(ensemble_of(mol))
    save_ensembles(path, ensembles)


def images(path):
    generator = np.random.default_rng(0)
    np.savez(path, images=generator.random((65, 8, 8)), labels=generator.integers(0, 3, 65))


def proteins(path):
    from geodiff.domains.chains.chain import load_chains, save_chains
    from geodiff.paths import data_path

    save_chains(path, sorted(load_chains(data_path("proteins", "backbones_val.npz")), key=len)[:20])


def grasps(path):
    from geodiff.domains.bodies.objects import make_object
    from geodiff.domains.bodies.records import GraspSet
    from geodiff.grasps.datasets import LabelledObject, save_procedural

    objects = []
    for seed in range(20):
        item = make_object("box", seed)
        poses = np.tile(np.eye(4), (8, 1, 1))
        poses[:, :3, 3] = np.random.default_rng(seed).normal(size=(8, 3)) / 20
        objects.append(
            LabelledObject(item, GraspSet(poses, item, np.arange(8) % 2 == 0, judge="none"))
        )
    save_procedural(path, objects)


MAKERS = {"conformers": conformers, "grasps": grasps, "images": images, "proteins": proteins}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What two processes left that trained each task for an epoch, one for a time, one until they
    were interrupted.
    """
    folder = tmp_path_factory.mktemp("two")
    for name in TASKS:
        MAKERS[name](folder / f"{name}.npz")
    names = [*TASKS, "images-minutes", "images-interrupt"]
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("LOCAL_RANK", "WORLD_SIZE")
    }
    environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    with open(folder / "output.txt", "w") as output:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(folder), *names],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            kill(process.pid)
            process.wait()
    return folder


def kill(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass


def results(folder, name):
    paths = [folder / f"{name}-{rank}.pt" for rank in range(2)]
    assert all(path.exists() for path in paths), (folder / "output.txt").read_text()[-3000:]
    return [torch.load(path, weights_only=True) for path in paths]


@pytest.mark.parametrize("task", TASKS)
def test_two_processes_see_each_item_once_and_end_with_one_model(folder, task):
    one, other = results(folder, task)
    items = sorted(one["items"] + other["items"])
    assert items == list(range(len(items))) and len(items) > 8
    assert one["rows"] + other["rows"] >= len(items) and one["steps"] == other["steps"] == len(
        one["losses"]
    )
    assert one["weights"].keys() == other["weights"].keys()
    assert all(
        torch.equal(weight, other["weights"][name]) for name, weight in one["weights"].items()
    )
    assert one["validation_loss"] == other["validation_loss"] != {}


@pytest.mark.parametrize("task", TASKS)
def test_two_processes_draw_their_own_noise(folder, task):
    one, other = results(folder, task)
    assert one["seed"] != other["seed"] and not set(one["losses"]) & set(other["losses"])


@pytest.mark.parametrize("task", TASKS)
def test_the_first_of_two_processes_writes_the_model_that_both_end_with(folder, task):
    one, other = results(folder, task)
    assert one["document"] and other["document"]
    field = weights.load(folder / task / "model.json")
    assert field.card["devices"] == 2 and field.card["steps"] == one["steps"]
    for name, weight in field.state_dict().items():
        # half precision
        torch.testing.assert_close(weight, one["weights"][name], rtol=1e-3, atol=1e-6)
    assert sorted(path.name for path in (folder / task).iterdir() if path.is_file()) == [
        "card.json",
        "last.ckpt",
        "model.json",
        "model.safetensors",
    ]


def test_a_limit_of_time_ends_both_processes_at_one_step(folder):
    one, other = results(folder, "images-minutes")
    assert one["steps"] == other["steps"] > 1
    assert all(
        torch.equal(weight, other["weights"][name]) for name, weight in one["weights"].items()
    )


def test_an_interrupt_saves_once_and_ends_both_processes(folder):
    results(folder, "images-minutes")  # came so far
    saved = torch.load(folder / "images-interrupt" / "last.ckpt", weights_only=True)
    assert saved["global_step"] >= 3
    output = (folder / "output.txt").read_text()
    assert output.count("stopped after") == 1 and "KeyboardInterrupt" in output, output[-3000:]
    assert not list(folder.glob("images-interrupt-*.pt")) and not list(folder.rglob("*.part"))


def test_the_processes_say_nothing_but_what_they_must(folder):
    lines = (folder / "output.txt").read_text().partition("stopped after")[0].splitlines()
    unexpected = [
        line for line in lines[:-1] if line.strip() and "find_unused_parameters=True" not in line
    ]
    assert not unexpected
