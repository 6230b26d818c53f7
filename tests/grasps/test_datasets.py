"""Training data: the shipped set is what it says, splits are by object, bad files are named."""

import shutil
import warnings

import numpy as np
import pytest
import torch

from geodiff import grasps
from geodiff.domains.bodies.io import ObjectWarning
from geodiff.domains.bodies.objects import KINDS, make_objects
from geodiff.domains.bodies.records import check_poses
from geodiff.grasps.datasets import LabelledObject, read_training_data, save_procedural
from manifolds import SE3


@pytest.fixture(scope="module")
def shipped():
    return read_training_data()


def some(item: grasps.GraspedObject, n: int = 5, labels: bool = True) -> grasps.GraspSet:
    """Poses anywhere, every other one labelled a success."""
    poses = (
        SE3()
        .random_point(n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        .numpy()
    )
    return grasps.GraspSet(poses, item, np.arange(n) % 2 == 0 if labels else None, judge="mujoco")


def test_the_shipped_set_is_large_and_holds_all_kinds_on_both_sides(shipped):
    train, held = shipped
    assert len(train) + len(held) >= 80
    for objects in shipped:
        assert {o.item.name.split("_")[0] for o in objects} == set(KINDS)
    assert 0.09 <= len(held) / (len(train) + len(held)) <= 0.12
    assert not {o.item.name for o in train} & {o.item.name for o in held}


def test_shipped_grasps_are_rigid_and_both_succeed_and_fail(shipped):
    objects = [o for part in shipped for o in part]
    assert np.mean([len(o.grasps) for o in objects]) >= 290
    assert all(check_poses(o.grasps.poses) is None and o.grasps.judge == "mujoco" for o in objects)
    for kind in KINDS:
        rate = np.concatenate(
            [o.grasps.success for o in objects if o.item.name.startswith(kind)]
        ).mean()
        assert 0.4 < rate < 0.95, (kind, rate)


def test_shipped_labels_are_those_of_the_simulator(shipped):
    """Single precision moves a pose by 1e-8 m, and a grasp on the edge may turn; the others
    stay.
    """
    pytest.importorskip("mujoco")
    for kind in ("box", "cylinder"):
        chosen = next(o for o in shipped[1] if o.item.name.startswith(kind))
        again = grasps.label(chosen.grasps[:12])
        assert (again.success == chosen.grasps.success[:12]).sum() >= 10


def test_a_cloud_lies_on_the_object(shipped):
    chosen = shipped[1][0]
    one, again = (chosen.cloud(500, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one, again)
    assert one.shape == (500, 3)
    low, high = chosen.item.vertices.min(0), chosen.item.vertices.max(0)
    assert (one >= low - 1e-9).all() and (one <= high + 1e-9).all()


def test_the_compact_form_returns_what_went_in(tmp_path):
    objects = [
        LabelledObject(item, some(item, 5 + k)) for k, item in enumerate(make_objects(6, seed=2))
    ]
    save_procedural(tmp_path / "set.npz", objects)
    train, held = read_training_data(tmp_path / "set.npz")
    back = {o.item.name: o for o in train + held}
    assert len(held) == 1 and len(back) == 6
    for o in objects:
        read = back[o.item.name]
        np.testing.assert_array_equal(read.item.vertices, o.item.vertices)
        np.testing.assert_array_equal(read.grasps.success, o.grasps.success)
        np.testing.assert_allclose(read.grasps.poses, o.grasps.poses, atol=1e-6)
        assert read.grasps.object is read.item and len(read.item.parts)


def test_an_object_that_is_made_otherwise_now_is_refused(tmp_path):
    save_procedural(
        tmp_path / "set.npz", [LabelledObject(item, some(item)) for item in make_objects(3)]
    )
    with np.load(tmp_path / "set.npz") as file:
        stored = dict(file)
    for key, value, reason in (
        ("mass", stored["mass"] * 1.01, "weighs"),
        ("count", stored["count"] + 1, "announced"),
        ("success", None, "no array success"),
    ):
        changed = {**stored, key: value}
        np.savez(tmp_path / "other.npz", **{k: v for k, v in changed.items() if v is not None})
        with pytest.raises(ValueError, match=reason):
            read_training_data(tmp_path / "other.npz")
    bought = grasps.make_object("box", 0)
    bought = grasps.GraspedObject("teacup_0001", bought.vertices, bought.faces, bought.mass)
    with pytest.raises(ValueError, match="teacup"):
        save_procedural(tmp_path / "x.npz", [LabelledObject(bought, some(bought))])


def test_a_folder_is_split_by_mesh_and_kinds_take_turns(tmp_path):
    """Names as ACRONYM's: category, mesh, scale. All sizes of a mesh stay together, and so does
    every later split.
    """
    item = grasps.make_object("box", 0)
    one = tmp_path / "one.npz"
    grasps.write_grasps(one, some(item))
    for category in ("Mug", "Bowl"):
        for mesh in range(10):
            for size in ("0.01", "0.02"):
                shutil.copy(one, tmp_path / f"{category}_{mesh:02d}ab_{size}.npz")
    one.unlink()
    train, held = read_training_data(tmp_path)
    meshes = [{o.item.name.rsplit("_", 1)[0] for o in part} for part in (train, held)]
    assert (len(train), len(held)) == (36, 4) and not meshes[0] & meshes[1]
    assert {name.split("_")[0] for name in meshes[1]} == {"Mug", "Bowl"}
    again = read_training_data(tmp_path)
    assert [o.item.name for o in again[1]] == [o.item.name for o in held]
    assert len(read_training_data(tmp_path, held_out=0.5)[1]) == 20
    named = read_training_data(tmp_path, held_out=["Mug_03ab_0.02", "Mug_04ab_0.01"])
    assert [o.item.name for o in named[1]] == ["Mug_03ab_0.02", "Mug_04ab_0.01"] and len(
        named[0]
    ) == 38
    (tmp_path / "names.txt").write_text("Mug_03ab_0.02\nMug_04ab_0.01\n")
    written = read_training_data(tmp_path, held_out=tmp_path / "names.txt")
    assert [o.item.name for o in written[1]] == [o.item.name for o in named[1]]
    (tmp_path / "names.txt").write_text("\n")
    with pytest.raises(ValueError, match="held_out: expected names of objects"):
        read_training_data(tmp_path, held_out=tmp_path / "names.txt")
    with pytest.raises(ValueError, match="no Cup_1 that can be used, nor 1 others"):
        read_training_data(tmp_path, held_out=["Cup_1", "Cup_2"])


def test_acronym_files_are_read_with_their_meshes(tmp_path):
    """Half from HDF5 whose mesh stands in meshes/, the labels called flex."""
    h5py = pytest.importorskip("h5py")
    pytest.importorskip("trimesh")
    (tmp_path / "meshes" / "Box").mkdir(parents=True)
    (tmp_path / "grasps").mkdir()
    item = grasps.make_object("box", 0)
    lines = [f"v {x} {y} {z}" for x, y, z in item.vertices * 100] + [
        f"f {a} {b} {c}" for a, b, c in item.faces + 1
    ]
    (tmp_path / "meshes" / "Box" / "b.obj").write_text("\n".join(lines))
    for name in ("Box_b_0.01", "Box_c_0.01"):
        with h5py.File(tmp_path / "grasps" / f"{name}.h5", "w") as file:
            file["grasps/transforms"] = some(item).poses
            file["grasps/qualities/flex/object_in_gripper"] = [1, 0, 1, 0, 1]
            file["object/file"], file["object/scale"], file["object/mass"] = (
                "meshes/Box/b.obj",
                0.01,
                item.mass,
            )
            file["object/com"] = np.zeros(3)
    train, held = read_training_data(tmp_path)
    assert len(train) == len(held) == 1 and train[0].grasps.judge == "flex"
    np.testing.assert_allclose(train[0].item.extents, item.extents, atol=1e-6)


def test_what_cannot_be_used_is_left_out_and_named(tmp_path):
    items = make_objects(2)
    for k, item in enumerate(items):
        grasps.write_grasps(tmp_path / f"good_{k}.npz", some(item))
    grasps.write_grasps(tmp_path / "unlabelled_0.npz", some(items[0], labels=False))
    grasps.write_grasps(tmp_path / "bare_0.npz", grasps.GraspSet(np.eye(4)[None], success=[True]))
    (tmp_path / "cut_0.npz").write_bytes((tmp_path / "good_0.npz").read_bytes()[:100])
    said = "left out 3 of 5 objects: bare_0.npz .*no mesh.*cut_0.npz.*unlabelled_0.npz"
    with pytest.warns(ObjectWarning, match=said):
        train, held = read_training_data(tmp_path)
    assert len(train) == len(held) == 1
    (tmp_path / "good_0.npz").unlink()
    with (
        warnings.catch_warnings(),
        pytest.raises(ValueError, match="at least two objects.*found 1; 3 files"),
    ):
        read_training_data(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_training_data(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no grasps"):
        read_training_data(tmp_path / "empty")
    for share in (1.0, 0.0, "Mug_1"):
        with pytest.raises(ValueError, match="held_out"):
            read_training_data(tmp_path, held_out=share)
