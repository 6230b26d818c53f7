"""Preparing grasps: every object in a process of its own, a second call goes on, what fails is
named.
"""

import csv
import importlib
import operator
import warnings

import numpy as np
import pytest

from geodiff import grasps
from geodiff.cli import run
from geodiff.domains.bodies.io import ObjectWarning
from geodiff.domains.bodies.simulate import Protocol
from geodiff.grasps import preparation
from geodiff.grasps.preparation import disturb, grasps_on, prepare

pytest.importorskip("mujoco")

BOX = """v 0 0 0
v 0.04 0 0
v 0.04 0.05 0
v 0 0.05 0
v 0 0 0.06
v 0.04 0 0.06
v 0.04 0.05 0.06
v 0 0.05 0.06
f 1 3 2
f 1 4 3
f 5 6 7
f 5 7 8
f 1 2 6
f 1 6 5
f 3 4 8
f 3 8 7
f 2 3 7
f 2 7 6
f 4 1 5
f 4 5 8
"""


def failures(out) -> dict[str, str]:
    with open(out / "failures.csv", newline="") as file:
        return {row["name"]: row["reason"] for row in csv.DictReader(file)}


def scaled(text: str, factor: float) -> str:
    return "\n".join(
        " ".join(["v", *(str(factor * float(x)) for x in line.split()[1:])])
        if line[0] == "v"
        else line
        for line in text.splitlines()
    )


def test_meshes_are_labelled_and_each_bad_one_is_named(tmp_path):
    """What else may be wrong with a mesh is tested where meshes are read."""
    meshes, out = tmp_path / "meshes", tmp_path / "out"
    (meshes / "more").mkdir(parents=True)
    contents = {
        "box.obj": BOX,
        "more/box.obj": scaled(BOX, 0.9),
        "empty.obj": "",
        "huge.obj": scaled(BOX, 15.0),
        "millimetres.obj": scaled(BOX, 1000.0),
    }
    for name, text in contents.items():
        (meshes / name).write_text(text)
    seen = []
    counts = prepare(
        meshes, out, n=4, workers=2, progress=lambda done, total: seen.append((done, total))
    )
    assert (counts.made, counts.failed, counts.grasps) == (2, 3, 8) and seen == [
        (k, 5) for k in range(1, 6)
    ]
    reasons = failures(out)
    for name, reason in (
        ("empty", "is empty"),
        ("millimetres", "scale=0.001"),
        ("huge", "no two opposite contacts"),
    ):
        assert reason in reasons[name]
    made = grasps.read_grasps(out / "objects" / "box.npz")
    assert len(made) == 4 and made.success is not None and made.judge == "mujoco"
    assert len(made.object.parts) == 1 and (out / "objects" / "more_box.npz").exists()


@pytest.mark.slow
def test_a_mesh_with_a_hole_is_closed_and_said_to_have_one(tmp_path):
    pytest.importorskip("coacd")
    (tmp_path / "open.obj").write_text("\n".join(BOX.splitlines()[:-2]))
    with pytest.warns(ObjectWarning, match="open.obj: the mesh is not watertight"):
        counts = prepare(tmp_path / "open.obj", tmp_path / "out", n=2)
    with pytest.warns(ObjectWarning, match="not watertight"):
        made = grasps.read_grasps(tmp_path / "out" / "objects" / "open.npz")
    assert counts.made == 1 and len(made.object.parts) > 1


def test_a_second_call_goes_on_and_other_settings_are_refused(tmp_path, monkeypatch):
    first = prepare(None, tmp_path, procedural=2, n=2, workers=2)
    assert (first.made, first.kept, first.failed) == (2, 0, 0)
    kept = (tmp_path / "objects" / "mug_0000.npz").stat().st_mtime_ns
    (tmp_path / "objects" / "bowl_0001.npz").unlink()
    again = prepare(None, tmp_path, procedural=2, n=2, workers=1)
    assert (again.made, again.kept) == (1, 1) and (
        tmp_path / "objects" / "mug_0000.npz"
    ).stat().st_mtime_ns == kept
    monkeypatch.setattr(preparation, "work", None)  # not to be called
    assert prepare(None, tmp_path, procedural=2, n=2) == preparation.Counts(
        2, 0, 2, 0, 4, again.successes
    )
    with pytest.raises(ValueError, match="other n, scale .*settings.json"):
        prepare(None, tmp_path, procedural=2, n=3, scale=2.0)
    train, held = grasps.read_training_data(tmp_path)
    assert len(train) == len(held) == 1 and {o.item.name for o in train + held} == {
        "mug_0000",
        "bowl_0001",
    }


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        ("import os; os._exit(3)", "ended with code 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "crashed (SIGSEGV)"),
        ("import time; time.sleep(60)", "no end after"),
        ("import sys; sys.exit('out of luck')", "out of luck"),
    ],
)
def test_a_worker_that_ends_costs_its_object_only(tmp_path, monkeypatch, ending, reason):
    """A short stand-in does the work of a process: it ends badly for the bowl and writes the
    mug.
    """
    item = grasps.make_object("mug", 0)
    done = grasps.GraspSet(np.eye(4)[None], item, np.array([True]), judge="mujoco")
    grasps.write_grasps(tmp_path / "mug.npz", done)
    module = f"stand_in_{tmp_path.name}"
    (tmp_path / f"{module}.py").write_text(
        f"""
import shutil
import geodiff.grasps.preparation  # as with the true work, before the time of an item counts

def work(task):
    if task.name.startswith("bowl"):
        open(f"{{task.out}}.1.part", "w").close()
        {ending}
    shutil.copy({str(tmp_path / "mug.npz")!r}, task.out)
    return []
"""
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(preparation, "work", importlib.import_module(module).work)
    out = tmp_path / "out"
    counts = prepare(None, out, procedural=2, n=1, workers=1, time_limit=3.0)
    assert (counts.made, counts.failed) == (1, 1) and reason in failures(out)["bowl_0001"]
    assert [path.name for path in (out / "objects").iterdir()] == ["mug_0000.npz"]


def test_an_error_in_the_work_is_its_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "work", operator.methodcaller("absent"))
    counts = prepare(None, tmp_path, procedural=1, n=1)
    assert counts.failed == 1 and "no attribute 'absent'" in failures(tmp_path)["mug_0000"]


def test_wrong_arguments_are_named(tmp_path):
    for arguments, reason in (
        ({"source": None}, "give one of them, got none"),
        ({"source": tmp_path, "procedural": 3}, "got both"),
        ({"source": tmp_path}, "holds no meshes"),
        ({"source": None, "procedural": 0}, "procedural: expected at least 1"),
        ({"source": None, "procedural": 1, "n": 0}, "n: expected at least 1"),
        ({"source": None, "procedural": 1, "disturbed": 1.0}, "disturbed: expected"),
    ):
        with pytest.raises(ValueError, match=reason):
            prepare(out=tmp_path / "out", **arguments)
    with pytest.raises(FileNotFoundError, match="nothing.obj"):
        prepare(tmp_path / "nothing.obj", tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file"):
        prepare(None, tmp_path / "file", procedural=1)
    (tmp_path / "a").mkdir()
    for name in ("a/b.obj", "a_b.obj"):
        (tmp_path / name).write_text(BOX)
    with pytest.raises(ValueError, match="both be called a_b"):
        prepare(tmp_path, tmp_path / "out")


def test_the_command_says_what_failed_and_how_it_ended(tmp_path, monkeypatch, capsys):
    asked = {}

    def stand_in(source, out, **arguments):
        asked.update(arguments, source=source)
        warnings.warn("mug.obj: the mesh is not watertight", ObjectWarning, stacklevel=1)
        return preparation.Counts(3, 3 - failed, 0, failed, 40, 30)

    monkeypatch.setattr(preparation, "prepare", stand_in)
    for failed, code in ((0, 0), (1, 1), (3, 2)):
        assert (
            run(["prepare", "grasps", "meshes", "-o", str(tmp_path), "-n", "20", "--scale", "0.01"])
            == code
        )
        said = capsys.readouterr()
        assert (
            "geodiff: mug.obj: the mesh is not watertight" in said.err
            and "75 % of them succeed" in said.out
        )
        assert ("failures.csv" in said.err) == (failed > 0)
    assert (asked["n"], asked["scale"], asked["procedural"], str(asked["source"])) == (
        20,
        0.01,
        None,
        "meshes",
    )
    monkeypatch.undo()
    assert run(["prepare", "grasps", "-o", str(tmp_path)]) == 2
    assert "source: expected a mesh file" in capsys.readouterr().err


def test_grasps_depend_on_seed_and_name_alone(tmp_path):
    settings = preparation.Settings(3, 5, 1.0, 0.4, Protocol())
    poses = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        out = tmp_path / folder / "g.npz"
        assert preparation.work(preparation.Task("box_0003", None, out, settings)) == []
        poses.append(grasps.read_grasps(out).poses)
    np.testing.assert_array_equal(*poses)


def test_disturbed_grasps_turn_about_the_pads():
    poses = grasps.candidates(grasps.make_object("box", 0), 200, np.random.default_rng(0)).poses
    generator = np.random.default_rng(1)
    pads = lambda some: some[:, :3, 3] + 0.1034 * some[:, :3, 2]  # noqa: E731
    turned = disturb(poses, generator, move=0.0)
    np.testing.assert_allclose(pads(turned), pads(poses), atol=1e-12)
    cosine = (np.einsum("nij,nij->n", turned[:, :3, :3], poses[:, :3, :3]) - 1) / 2
    angle = np.arccos(np.clip(cosine, -1, 1))
    assert np.sqrt((angle**2).mean() / 3) == pytest.approx(preparation.TURN, rel=0.1)
    moved = disturb(poses, generator, turn=0.0)
    assert np.sqrt(((moved - poses)[:, :3, 3] ** 2).mean()) == pytest.approx(
        preparation.MOVE, rel=0.1
    )


def test_a_share_of_the_grasps_is_disturbed():
    item = grasps.make_object("cylinder", 0)
    plain = grasps_on(item, 20, np.random.default_rng(0), disturbed=0.0)
    mixed = grasps_on(item, 20, np.random.default_rng(0), disturbed=0.5)
    assert len(plain) == len(mixed) == 20 and plain.object is item
