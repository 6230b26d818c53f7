"""Files in, files out: what is right comes back the same, what is wrong is named."""

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from geodiff import grasps
from geodiff.domains.bodies.io import ObjectWarning
from manifolds import SE3

h5py = pytest.importorskip("h5py")
trimesh = pytest.importorskip("trimesh")


@pytest.fixture
def box() -> "trimesh.Trimesh":
    return trimesh.creation.box((0.04, 0.06, 0.10))


def poses(n: int = 5) -> np.ndarray:
    import torch

    return (
        SE3()
        .random_point(n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        .numpy()
    )


def acronym_file(path: Path, **changes) -> Path:
    """A file in ACRONYM's layout; a change replaces a dataset, or removes it if it is None."""
    content = {
        "grasps/transforms": poses(),
        "grasps/qualities/flex/object_in_gripper": np.array([1, 0, 1, 1, 0]),
        "object/file": "meshes/Box/box.obj",
        "object/scale": 0.001,
        "object/mass": 0.036,
        "object/com": np.zeros(3),
        "object/inertia": np.eye(3),
        "gripper/type": "panda",
    } | changes
    with h5py.File(path, "w") as file:
        for key, value in content.items():
            if value is not None:
                file[key] = value
    return path


@pytest.mark.parametrize("name", ["a.obj", "binary.stl", "ascii.stl", "binary.ply", "ascii.ply"])
def test_a_mesh_is_the_same_from_every_format(box, tmp_path, name):
    kind = {"ascii.stl": {"file_type": "stl_ascii"}, "ascii.ply": {"encoding": "ascii"}}.get(
        name, {}
    )
    box.export(tmp_path / name, **kind)
    item = grasps.read_object(tmp_path / name)
    assert len(item.vertices) == 8 and len(item.faces) == 12
    np.testing.assert_allclose(item.extents, [0.04, 0.06, 0.10], atol=1e-7)
    assert grasps.surface.mass_properties(item.vertices, item.faces)[0] == pytest.approx(
        0.04 * 0.06 * 0.10, rel=1e-6
    )


def test_all_bodies_of_a_file_are_one_object(box, tmp_path):
    path = tmp_path / "two.obj"
    first = "".join("v {} {} {}\n".format(*v) for v in box.vertices)
    first += "".join("f {} {} {}\n".format(*f) for f in box.faces + 1)
    second = "".join("v {} {} {}\n".format(*v) for v in box.vertices + [0.2, 0, 0])
    second += "".join("f {} {} {}\n".format(*f) for f in box.faces + 9)
    path.write_text(
        "mtllib nowhere/none.mtl\no first\nusemtl none\n" + first + "o second\n" + second
    )
    item = grasps.read_object(path)
    assert len(item.faces) == 24 and item.extents[0] == pytest.approx(0.24)


@pytest.mark.parametrize("name", ["a.obj", "binary.stl", "ascii.stl", "binary.ply", "ascii.ply"])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.55])
def test_a_mesh_that_is_cut_off_is_refused(box, tmp_path, name, share):
    kind = {"ascii.stl": {"file_type": "stl_ascii"}, "ascii.ply": {"encoding": "ascii"}}.get(
        name, {}
    )
    box.export(tmp_path / name, **kind)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=f"{name}.*(cut off|empty)"):
        grasps.read_object(tmp_path / name)


@pytest.mark.parametrize(
    "text, reason",
    [
        ("hello\n", "holds no mesh"),
        ("v nan 0 0\nv .1 0 0\nv 0 .1 0\nf 1 2 3\n", "1 of 3 vertices are not finite"),
        ("v 0 0 0\nv .1 0 0\nv 0 .1 0\nf 1 2 7\n", "cut off"),
        ("v 0 0 0\nv .1 0 0\nv .2 0 0\nf 1 2 3\n", "none of the 1 faces has an area"),
        ("v 1 1 1\nv 1 1 1\nv 1 1 1\nf 1 2 3\n", "at one place"),
        ("v 0 0 0\nv .1 0 0\nv 0 .1 0\n", "no faces"),
    ],
)
def test_a_wrong_mesh_has_one_clear_error(tmp_path, text, reason):
    path = tmp_path / "wrong.obj"
    path.write_text(text)
    with pytest.raises(ValueError, match=reason) as caught:
        grasps.read_object(path)
    assert "wrong.obj" in str(caught.value)


@pytest.mark.parametrize(
    "factor, hint", [(1000, "scale=0.001 if they are millimetres"), (1e-4, "scale=1.0e+04")]
)
def test_millimetres_and_microscopic_meshes_are_refused_with_the_factor(
    box, tmp_path, factor, hint
):
    box.apply_scale(factor)
    box.export(tmp_path / "odd.obj")
    with pytest.raises(ValueError, match="metres cannot be meant") as caught:
        grasps.read_object(tmp_path / "odd.obj")
    assert hint in str(caught.value)
    assert grasps.read_object(tmp_path / "odd.obj", scale=1 / factor).extents[2] == pytest.approx(
        0.1
    )


def test_an_odd_size_is_warned_about(box, tmp_path):
    box.apply_scale(20)
    box.export(tmp_path / "large.obj")
    with pytest.warns(ObjectWarning, match="2 m large.*scale=0.01 if they are centimetres"):
        grasps.read_object(tmp_path / "large.obj")


def test_a_hole_and_an_inside_out_mesh_are_warned_about(box, tmp_path):
    trimesh.Trimesh(box.vertices, box.faces[:-1], process=False).export(tmp_path / "hole.obj")
    with pytest.warns(ObjectWarning, match="not watertight"):
        grasps.read_object(tmp_path / "hole.obj")
    trimesh.Trimesh(box.vertices, box.faces[:, ::-1], process=False).export(tmp_path / "inside.obj")
    with pytest.warns(ObjectWarning, match="look inwards"):
        item = grasps.read_object(tmp_path / "inside.obj")
    assert grasps.surface.mass_properties(item.vertices, item.faces)[0] > 0


def test_a_cloud_is_the_same_from_every_format(tmp_path):
    points = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32) * 0.03
    np.save(tmp_path / "a.npy", points)
    np.savez(tmp_path / "b.npz", points=points, colours=points)
    np.savez(tmp_path / "c.npz", whatever=points)
    np.savetxt(tmp_path / "d.xyz", points)
    trimesh.PointCloud(points).export(tmp_path / "e.ply")
    for name in ("a.npy", "b.npz", "c.npz", "d.xyz", "e.ply"):
        np.testing.assert_allclose(grasps.read_points(tmp_path / name), points, atol=1e-7)
    np.testing.assert_allclose(grasps.read_points(points), points)


@pytest.mark.parametrize(
    "points, reason",
    [
        (np.zeros((3, 3)), "at least 16 finite points, got 3"),
        (np.full((40, 3), np.nan), "got 0 of 40"),
        (np.zeros((40, 3)), "at one place"),
        (np.random.default_rng(0).normal(size=(40, 6)), r"pass \[:, :3\]"),
        (np.random.default_rng(0).normal(size=(40, 3)) * 100, "scale=0.001"),
        (np.array(["a"] * 40), "expected points"),
    ],
)
def test_a_wrong_cloud_has_one_clear_error(points, reason):
    with pytest.raises(ValueError, match=reason):
        grasps.read_points(points)


def test_points_that_are_not_finite_are_dropped_with_a_warning(tmp_path):
    points = np.random.default_rng(0).normal(size=(40, 3)) * 0.03
    points[7] = np.nan
    with pytest.warns(ObjectWarning, match="dropped 1 of 40 points"):
        assert len(grasps.read_points(points)) == 39


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_a_cloud_that_is_cut_off_or_pickled_is_refused(tmp_path, name):
    points = np.random.default_rng(0).normal(size=(40, 3)) * 0.03
    (np.save if name.endswith("y") else np.savez)(tmp_path / name, points)
    whole = (tmp_path / name).read_bytes()
    for share in (0.0, 0.3, 0.8):
        (tmp_path / name).write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ValueError, match=name):
            grasps.read_points(tmp_path / name)
    np.save(tmp_path / "pickle.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(ValueError, match="pickle"):
        grasps.read_points(tmp_path / "pickle.npy")


def test_missing_files_folders_and_other_kinds_are_named(tmp_path):
    for read in (grasps.read_object, grasps.read_points, grasps.read_grasps):
        with pytest.raises(FileNotFoundError, match="nothing.ply"):
            read(tmp_path / "nothing.ply")
        with pytest.raises(IsADirectoryError):
            read(tmp_path)
        (tmp_path / "page.html").write_text("x")
        with pytest.raises(ValueError, match="page.html"):
            read(tmp_path / "page.html")


def test_an_acronym_file_gives_poses_labels_and_the_scaled_object(box, tmp_path):
    (tmp_path / "root" / "Box").mkdir(parents=True)
    box.apply_scale(1000)
    box.export(tmp_path / "root" / "Box" / "box.obj")
    path = acronym_file(tmp_path / "a.h5")
    read = grasps.read_grasps(path, meshes=tmp_path / "root")
    np.testing.assert_array_equal(read.poses, poses())
    assert read.success.tolist() == [True, False, True, True, False] and read.judge == "flex"
    np.testing.assert_allclose(read.object.extents, [0.04, 0.06, 0.10])
    expected = 0.036 / 12 * np.diag([0.06**2 + 0.1**2, 0.04**2 + 0.1**2, 0.04**2 + 0.06**2])
    np.testing.assert_allclose(read.object.inertia, expected, atol=1e-12)
    assert grasps.read_grasps(path).object is None
    with pytest.raises(FileNotFoundError, match="meshes/Box/box.obj"):
        grasps.read_grasps(path, meshes=tmp_path)


def test_an_object_file_that_leads_outside_is_not_found(box, tmp_path):
    box.export(tmp_path / "box.obj")
    (tmp_path / "root").mkdir()
    for name in ("../box.obj", str(tmp_path / "box.obj")):
        path = acronym_file(tmp_path / "a.h5", **{"object/file": name, "object/scale": 1.0})
        with pytest.raises(FileNotFoundError):
            grasps.read_grasps(path, meshes=tmp_path / "root")


def broken_pose(change) -> np.ndarray:
    value = poses()
    change(value)
    return value


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"grasps/transforms": None}, "no grasps/transforms"),
        (
            {
                "grasps/qualities/flex/object_in_gripper": None,
                "grasps/qualities/flex/other": np.ones(5),
            },
            "object_in_gripper",
        ),
        ({"grasps/qualities/flex/object_in_gripper": np.ones(4)}, r"should hold numbers \(5\)"),
        ({"grasps/transforms": np.zeros((5, 3, 4))}, r"numbers \(n, 4, 4\)"),
        (
            {"grasps/transforms": broken_pose(lambda p: p[3].__imul__(1.1))},
            "1 of 5 are no rotations.*number 3",
        ),
        ({"grasps/transforms": broken_pose(lambda p: p[2, :3, 0].__imul__(-1))}, "reflections"),
        ({"grasps/transforms": broken_pose(lambda p: p[1, 0, 3:].fill(np.nan))}, "not finite"),
        ({"grasps/transforms": poses().swapaxes(1, 2)}, "last row"),
        ({"object/scale": None}, "no object/scale"),
        ({"object/scale": -1.0}, "positive"),
        ({"object/scale": "big"}, "object/scale"),
        ({"object/file": None}, "no object/file"),
        ({"object/file": 3.0}, "should hold text"),
        ({"object/com": np.zeros(2)}, "object/com"),
        (
            {"grasps/transforms": h5py.ExternalLink("other.h5", "/x")},
            "grasps/transforms .* is a link to other.h5",
        ),
        ({"object/scale": h5py.SoftLink("/object/mass")}, "object/scale .* is a link"),
        (
            {
                "object": h5py.ExternalLink("/etc/passwd", "/"),
                "object/file": None,
                "object/scale": None,
                "object/mass": None,
                "object/com": None,
                "object/inertia": None,
            },
            "object .* is a link to /etc/passwd",
        ),
    ],
)
def test_a_wrong_hdf5_file_is_refused_by_name(tmp_path, changes, reason):
    path = acronym_file(tmp_path / "wrong.h5", **changes)
    with pytest.raises(ValueError, match=reason) as caught:
        grasps.read_grasps(path)
    assert "wrong.h5" in str(caught.value)


def test_data_in_another_file_and_absurd_sizes_are_refused(tmp_path):
    path = acronym_file(tmp_path / "a.h5", **{"grasps/transforms": None})
    with h5py.File(path, "a") as file:
        file.create_dataset(
            "grasps/transforms", (5, 4, 4), "f8", external=[(str(tmp_path / "raw"), 0, 640)]
        )
    with pytest.raises(ValueError, match="another file"):
        grasps.read_grasps(path)
    path = acronym_file(tmp_path / "b.h5", **{"grasps/transforms": None})
    with h5py.File(path, "a") as file:
        file.create_dataset("grasps/transforms", (10**9, 4, 4), "f8", chunks=(1, 4, 4))
    with pytest.raises(ValueError, match="more than can be meant"):
        grasps.read_grasps(path)


def test_an_hdf5_file_that_is_cut_off_is_refused(tmp_path):
    path = acronym_file(tmp_path / "a.h5")
    whole = path.read_bytes()
    for share in (0.0, 0.1, 0.5, 0.9):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ValueError, match="cut off"):
            grasps.read_grasps(path)


def example(box) -> grasps.GraspSet:
    item = grasps.GraspedObject("box", box.vertices, box.faces, mass=0.036, com=np.zeros(3))
    return grasps.GraspSet(
        poses(), item, np.arange(5) % 2 == 0, np.linspace(-1, 1, 5), np.full(5, 0.04), "mujoco"
    )


@pytest.mark.parametrize("name", ["out.h5", "out.npz"])
def test_what_is_written_is_read_back(box, tmp_path, name):
    written = example(box)
    grasps.write_grasps(tmp_path / name, written)
    read = grasps.read_grasps(tmp_path / name)
    np.testing.assert_allclose(read.poses, written.poses, atol=1e-6 if name.endswith("npz") else 0)
    np.testing.assert_allclose(read.cost, written.cost, rtol=1e-6)
    np.testing.assert_allclose(read.width, written.width, rtol=1e-6)
    np.testing.assert_array_equal(read.success, written.success)
    np.testing.assert_allclose(read.object.extents, written.object.extents, rtol=1e-6)
    assert read.judge == "mujoco" and read.object.mass == 0.036 and len(read.object.faces) == 12
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["out.h5", "out.npz"])
def test_convex_parts_are_kept_and_must_fit(tmp_path, name):
    item = grasps.make_object("bottle", 0)
    path = grasps.write_grasps(tmp_path / name, grasps.GraspSet(poses(), item))
    read = grasps.read_grasps(path).object
    assert [len(part) for part in read.parts] == [len(part) for part in item.parts]
    np.testing.assert_allclose(np.concatenate(read.parts), np.concatenate(item.parts), atol=1e-8)
    if name.endswith("npz"):
        with np.load(path) as file:
            np.savez(tmp_path / "wrong.npz", **{**file, "part_sizes": file["part_sizes"] + 1})
    else:
        (tmp_path / "wrong.h5").write_bytes(path.read_bytes())
        with h5py.File(tmp_path / "wrong.h5", "a") as file:
            file["object/part_sizes"][...] = 4
    with pytest.raises(ValueError, match=r"wrong\.\w+ should hold finite vertices"):
        grasps.read_grasps(tmp_path / f"wrong.{name[4:]}")


@pytest.mark.parametrize("name", ["out.h5", "out.npz"])
def test_a_set_without_object_or_labels_and_an_empty_one_are_kept(tmp_path, name):
    for n in (0, 5):
        grasps.write_grasps(tmp_path / name, grasps.GraspSet(poses()[:n]))
        read = grasps.read_grasps(tmp_path / name)
        assert len(read) == n and read.object is None and read.success is None and read.judge == ""


def test_a_write_that_fails_leaves_the_old_file(box, tmp_path, monkeypatch):
    path = grasps.write_grasps(tmp_path / "out.h5", example(box))
    before = path.read_bytes()

    def fail(file, item):
        raise RuntimeError("disk full")

    monkeypatch.setattr("geodiff.domains.bodies.hdf5._write_object", fail)
    with pytest.raises(RuntimeError):
        grasps.write_grasps(path, example(box))
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["out.h5"]
    with pytest.raises(FileNotFoundError, match="create it first"):
        grasps.write_grasps(tmp_path / "none" / "out.h5", example(box))


def test_the_npz_form_refuses_what_does_not_fit(tmp_path):
    good = {"quat_wxyz": np.tile([1.0, 0, 0, 0], (3, 1)), "trans": np.zeros((3, 3))}
    for change, reason in (
        ({"trans": np.zeros((2, 3))}, "should hold quat_wxyz"),
        ({"quat_wxyz": 2 * good["quat_wxyz"]}, "3 of 3 quaternions"),
        ({"success": np.ones(2)}, "one for each of 3 poses"),
        ({"vertices": np.zeros((4, 3))}, "no array 'faces'"),
    ):
        np.savez(tmp_path / "a.npz", **(good | change))
        with pytest.raises(ValueError, match=reason):
            grasps.read_grasps(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", trans=np.zeros((3, 3)))
    with pytest.raises(ValueError, match="no array 'quat_wxyz'"):
        grasps.read_grasps(tmp_path / "a.npz")


def test_a_grasp_set_is_indexed_like_an_array(box):
    whole = example(box)
    part = whole[whole.success]
    assert len(part) == 3 and part.success.all() and part.object is whole.object
    np.testing.assert_array_equal(whole[np.argsort(whole.cost)[:2]].cost, whole.cost[:2])


@pytest.mark.parametrize(
    "package, read, name",
    [("trimesh", grasps.read_object, "a.stl"), ("h5py", grasps.read_grasps, "a.h5")],
)
def test_a_missing_package_names_its_cure(tmp_path, monkeypatch, package, read, name):
    (tmp_path / name).write_bytes(b"x")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'geodiff-manifolds\[grasp\]'"):
        read(tmp_path / name)


def test_mass_of_a_box_and_a_moved_mesh_is_known(box):
    volume, com, inertia = grasps.surface.mass_properties(
        box.vertices + [0.3, -0.2, 5.0], box.faces
    )
    assert volume == pytest.approx(2.4e-4) and np.allclose(com, [0.3, -0.2, 5.0])
    np.testing.assert_allclose(inertia, volume / 12 * np.diag([0.0136, 0.0116, 0.0052]), atol=1e-15)
    ring = trimesh.creation.annulus(0.02, 0.03, 0.05)
    ours = grasps.surface.mass_properties(ring.vertices, ring.faces)
    np.testing.assert_allclose(ours[2], ring.moment_inertia, atol=1e-15)


def test_surface_points_lie_on_their_faces_in_proportion_to_area(box):
    points, face = grasps.surface.sample_surface(
        box.vertices, box.faces, 20000, np.random.default_rng(0)
    )
    normals, areas = grasps.surface.face_normals(box.vertices, box.faces)
    height = ((points - box.vertices[box.faces[face, 0]]) * normals[face]).sum(1)
    assert np.abs(height).max() < 1e-12
    share = np.bincount(face, minlength=12) / 20000
    assert np.abs(share - areas / areas.sum()).max() < 0.012
    with warnings.catch_warnings(), pytest.raises(ValueError, match="has an area"):
        grasps.surface.sample_surface(
            np.zeros((3, 3)), np.array([[0, 1, 2]]), 5, np.random.default_rng(0)
        )
