"""Procedural objects are solids of the right size, and the same for the same seed."""

import numpy as np
import pytest

from geodiff import grasps
from geodiff.domains.bodies.objects import DENSITY, KINDS, make_objects
from geodiff.domains.bodies.rays import cast, facing

trimesh = pytest.importorskip("trimesh")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_object_is_a_closed_solid_centred_at_its_centre_of_mass(kind, seed):
    item = grasps.make_object(kind, seed)
    mesh = trimesh.Trimesh(item.vertices, item.faces, process=False)
    assert mesh.is_watertight and mesh.is_winding_consistent and mesh.volume > 0
    assert mesh.euler_number == (0 if kind == "mug" else 2)  # the handle makes one hole
    assert len(np.unique(item.faces)) == len(item.vertices) and mesh.area_faces.min() > 0
    assert np.abs(mesh.center_mass).max() < 1e-9 and np.abs(item.com).max() == 0
    assert 0.03 < item.extents.max() < 0.3 and item.mass == pytest.approx(DENSITY * mesh.volume)
    np.testing.assert_allclose(item.inertia, DENSITY * mesh.moment_inertia, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_line_enters_and_leaves_in_turn(kind):
    """So no part of the surface passes through another, and none is inside the solid."""
    item = grasps.make_object(kind, 5)
    generator = np.random.default_rng(0)
    origins = generator.normal(size=(1000, 3))
    targets = generator.uniform(item.vertices.min(0), item.vertices.max(0), (1000, 3))
    hits = cast(item.vertices, item.faces, origins, targets - origins)
    place = np.arange(len(hits.ray)) - np.searchsorted(hits.ray, hits.ray)
    assert len(hits.ray) > 800 and len(hits.ray) % 2 == 0
    np.testing.assert_array_equal(facing(item, hits, targets - origins) > 0, place % 2 == 1)


@pytest.mark.parametrize("kind", KINDS)
def test_convex_parts_fill_the_object(kind):
    item = grasps.make_object(kind, 3)
    hulls = [trimesh.convex.convex_hull(part) for part in item.parts]
    whole = trimesh.Trimesh(item.vertices, item.faces, process=False)
    assert sum(hull.volume for hull in hulls) == pytest.approx(whole.volume, rel=0.01)
    corners = np.concatenate(item.parts)
    assert (corners.min(0) >= item.vertices.min(0) - 1e-9).all()
    assert (corners.max(0) <= item.vertices.max(0) + 1e-9).all()


def test_a_seed_stands_for_one_object():
    one, again, other = (grasps.make_object("mug", seed) for seed in (4, 4, 5))
    np.testing.assert_array_equal(one.vertices, again.vertices)
    assert np.abs(one.extents - other.extents).max() > 1e-4 and one.name == "mug_0004"
    many = make_objects(7, seed=1)
    assert [item.name.split("_")[0] for item in many[:5]] == list(KINDS)
    np.testing.assert_array_equal(many[2].vertices, make_objects(3, seed=1)[2].vertices)
    with pytest.raises(ValueError, match="mug, bowl"):
        grasps.make_object("teapot")


@pytest.mark.parametrize("name", ["out.h5", "out.npz"])
def test_an_object_is_kept_by_its_file(tmp_path, name):
    item = grasps.make_object("bottle", 0)
    grasps.write_grasps(tmp_path / name, grasps.GraspSet(np.eye(4)[None], item))
    # warnings are errors: it is watertight in the file, too
    read = grasps.read_grasps(tmp_path / name).object
    np.testing.assert_allclose(read.extents, item.extents, atol=1e-7)
    np.testing.assert_allclose(read.inertia, item.inertia, rtol=1e-4, atol=1e-10)
