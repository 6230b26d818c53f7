"""Grasps from sources of all kinds, in order of cost, the same in any number; files; what is
refused.
"""

import numpy as np
import pytest
import torch

from geodiff.domains.bodies.io import read_grasps
from geodiff.domains.bodies.objects import make_object
from geodiff.domains.bodies.surface import sample_surface
from geodiff.grasps.energy import CostField
from geodiff.grasps.sampling import read_source, sample, sample_file
from tests.grasps import small


@pytest.fixture(scope="module")
def field():
    return small.field(dtype=torch.float32)


@pytest.fixture(scope="module")
def item():
    return make_object("mug", 3)


def test_grasps_come_best_first_with_the_cost_of_the_cost_field(field, item):
    grasps = sample(item, 7, steps=3, model=field)
    assert len(grasps) == 7 and grasps.object is item and (np.diff(grasps.cost) >= 0).all()
    cost = CostField.load(field)(torch.from_numpy(grasps.poses), read_source(item)[1])
    np.testing.assert_allclose(cost.numpy(), grasps.cost, rtol=1e-4, atol=1e-4)


def test_a_grasp_does_not_depend_on_how_many_are_asked_for(field):
    points = small.points().numpy()
    few, many = (sample(points, n, seed=4, steps=3, model=field).poses for n in (3, 300))
    assert few.shape == (3, 4, 4) and many.shape == (300, 4, 4)
    apart = np.abs(few[:, None] - many[None]).max((2, 3)).min(1)
    assert apart.max() < 1e-4  # products of matrices round differently in batches of other sizes
    other = sample(points, 3, seed=5, steps=3, model=field).poses
    assert np.abs(few[:, None] - other[None]).max((2, 3)).min() > 1e-2


@pytest.mark.parametrize(
    "name", ["mug.obj", "mug.ply", "points.ply", "points.npy", "points.npz", "mesh.npz"]
)
def test_a_mesh_is_a_mesh_and_a_cloud_a_cloud_whatever_the_file(item, tmp_path, name):
    trimesh = pytest.importorskip("trimesh")
    path, points = (
        tmp_path / name,
        sample_surface(item.vertices, item.faces, 100, np.random.default_rng(0))[0],
    )
    if name.startswith("mug"):
        trimesh.Trimesh(item.vertices, item.faces, process=False).export(path)
    elif name == "points.ply":
        trimesh.PointCloud(points).export(path)
    elif name == "points.npy":
        np.save(path, points)
    else:
        arrays = (
            {"points": points}
            if name == "points.npz"
            else {"vertices": item.vertices, "faces": item.faces}
        )
        np.savez(path, **arrays)
    found, cloud = read_source(path)
    assert (found is None) == name.startswith("points")
    assert cloud.shape == ((100, 3) if found is None else (1024, 3))


def test_a_file_holds_grasps_costs_and_mesh(field, item, tmp_path):
    source = tmp_path / "mug.npz"
    np.savez(source, vertices=item.vertices, faces=item.faces)
    grasps, thing = sample_file(source, tmp_path / "out.npz", 5, steps=2, model=field)
    again = read_grasps(tmp_path / "out.npz")
    np.testing.assert_allclose(again.poses, grasps.poses, atol=1e-6)
    np.testing.assert_allclose(again.cost, grasps.cost, rtol=1e-5)
    assert len(again.object.faces) == len(thing.faces)


def test_a_source_in_millimetres_is_read_with_its_scale(field, tmp_path):
    np.save(tmp_path / "mm.npy", 1000 * small.points().numpy())
    grasps, points = sample_file(
        tmp_path / "mm.npy", tmp_path / "out.npz", 2, steps=2, model=field, scale=0.001
    )
    np.testing.assert_allclose(points, small.points().numpy())
    with pytest.raises(ValueError, match="millimetres"):
        sample_file(tmp_path / "mm.npy", tmp_path / "out.npz", 2, steps=2, model=field)


@pytest.mark.parametrize(
    "n, points, message",
    [
        (0, None, "n: expected at least 1, got 0"),
        (5, np.zeros((3, 3)), "at least 16 finite points, got 3"),
        (5, np.full((50, 3), np.nan), "at least 16 finite points, got 0"),
        (5, np.ones((50, 3)), "."),
        (5, np.zeros((50, 2)), r"expected points \(n, 3\)"),
    ],
)
def test_what_cannot_be_grasped_is_refused(field, n, points, message):
    with pytest.raises(ValueError, match=message):
        sample(small.points() if points is None else points, n, model=field)


def test_an_output_of_another_kind_is_refused_before_the_work(tmp_path):
    with pytest.raises(ValueError, match=r"out: expected a file ending in \.h5"):
        sample_file(tmp_path / "none.obj", tmp_path / "out.txt")
    with pytest.raises(FileNotFoundError, match="folder .* does not exist"):
        sample_file(tmp_path / "none.obj", tmp_path / "nowhere" / "out.h5")
