"""Convex pieces: a convex mesh is its own, others are cut so that the pieces fill them."""

import sys

import numpy as np
import pytest

from geodiff import grasps
from geodiff.domains.bodies.convex import convex_parts, is_convex, with_parts


@pytest.mark.parametrize(
    ("kind", "convex"), [("box", True), ("cylinder", True), ("bottle", False), ("bowl", False)]
)
def test_convexity_is_recognised_in_any_pose(kind, convex):
    item = grasps.make_object(kind, 2)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    moved = grasps.GraspedObject(kind, item.vertices @ turn.T + 0.3, item.faces)
    assert is_convex(item) == is_convex(moved) == convex


def test_a_convex_mesh_needs_no_cutting(monkeypatch):
    monkeypatch.setitem(sys.modules, "coacd", None)
    box = grasps.make_object("box", 0)
    bare = grasps.GraspedObject("box", box.vertices, box.faces, box.mass)
    assert (
        with_parts(box) is box
        and with_parts(bare).mass == box.mass
        and len(with_parts(bare).parts) == 1
    )
    (part,) = convex_parts(bare)
    np.testing.assert_array_equal(part, box.vertices)
    with pytest.raises(
        ModuleNotFoundError, match=r"bowl_0000 is not convex.*geodiff-manifolds\[grasp\]"
    ):
        convex_parts(grasps.make_object("bowl", 0))


def test_pieces_fill_the_mesh():
    trimesh = pytest.importorskip("trimesh")
    pytest.importorskip("coacd")
    item = grasps.make_object("bottle", 0)
    parts = convex_parts(item)
    volume = sum(trimesh.convex.convex_hull(part).volume for part in parts)
    assert len(parts) > 1 and volume == pytest.approx(
        trimesh.Trimesh(item.vertices, item.faces).volume, rel=0.05
    )


def test_a_sheet_has_no_piece():
    pytest.importorskip("coacd")
    box = grasps.make_object("box", 0)
    flat = grasps.GraspedObject("sheet", box.vertices * [1, 1, 1e-7], box.faces)
    with pytest.raises(ValueError, match="sheet"):
        convex_parts(flat)
