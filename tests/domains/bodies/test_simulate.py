"""Verdicts that need no reference: a firm grasp holds, a miss and a collision do not, and a flip
changes nothing.
"""

import sys

import numpy as np
import pytest
import torch

from geodiff import grasps
from geodiff.domains.bodies import gripper
from geodiff.domains.bodies.simulate import Protocol, Scene, label
from manifolds import SE3

pytest.importorskip("mujoco")


def brick() -> grasps.GraspedObject:
    item = grasps.make_object("box", 0)
    sides = np.array([0.04, 0.05, 0.06]) / item.extents
    return grasps.GraspedObject(
        "brick", item.vertices * sides, item.faces, parts=(item.vertices * sides,)
    )


def straight(depth: float = gripper.PAD_DEPTH, x: float = 0.0) -> np.ndarray:
    """Fingers along x about the brick's middle, the hand above it."""
    pose = np.diag([1.0, -1.0, -1.0, 1.0])
    pose[:3, 3] = x, 0, depth
    return pose


def test_a_firm_grasp_holds_and_a_miss_or_a_collision_does_not():
    scene = Scene(brick())
    assert scene.holds(straight())
    assert scene.holds(gripper.flip(torch.from_numpy(straight())).numpy())
    assert not scene.holds(straight(depth=0.16))  # the fingers end above it
    assert not scene.holds(straight(depth=0.05))  # the hand is in it
    assert not scene.holds(straight(x=0.03))  # so is a finger
    assert scene.holds(straight())  # whatever came before


def test_friction_decides():
    """Pads that lean 10 degrees on the faces hold with friction 0.5 and not with almost none."""
    turn = np.eye(4)
    c, s = np.cos(np.radians(10)), np.sin(np.radians(10))
    turn[0, [0, 2]], turn[2, [0, 2]] = (c, s), (-s, c)
    pose = turn @ straight(depth=gripper.PAD_DEPTH + 0.02)
    assert Scene(brick(), Protocol(friction=0.5)).holds(pose)
    assert not Scene(brick(), Protocol(friction=0.0005)).holds(pose)


def test_candidates_hold_more_often_than_random_poses():
    item = grasps.make_object("bottle", 1)
    some = grasps.candidates(item, 8, np.random.default_rng(0))
    labelled = label(some)
    assert labelled.success.mean() >= 0.6 and labelled.judge == "mujoco"
    np.testing.assert_array_equal(labelled.poses, some.poses)
    poses = (
        SE3()
        .random_point(8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        .numpy()
    )
    poses[:, :3, 3] *= 0.1
    assert label(grasps.GraspSet(poses, item)).success.mean() <= 0.2


def test_a_simulation_that_diverges_is_a_failure(monkeypatch, tmp_path):
    """MuJoCo begins again at the start when a number is not finite; a firm grasp would then hold at
    the end.
    """
    monkeypatch.chdir(tmp_path)
    scene = Scene(brick())
    plain, steps = scene._step, iter(range(10_000))

    def step():
        if next(steps) == 900:
            scene.data.qvel[5] = np.nan
        plain()

    monkeypatch.setattr(scene, "_step", step)
    assert not scene.holds(straight()) and not list(tmp_path.iterdir())
    monkeypatch.undo()
    assert scene.holds(straight())


def test_a_grasp_and_its_flip_have_one_verdict_for_most():
    """The gripper's bodies are symmetric within a millimetre, so the label is that of the same
    physical grasp.
    """
    item = grasps.make_object("cylinder", 2)
    some = grasps.candidates(item, 12, np.random.default_rng(1)).poses
    turned = gripper.flip(torch.from_numpy(some)).numpy()
    scene = Scene(item)
    assert (
        np.mean([scene.holds(one) == scene.holds(other) for one, other in zip(some, turned)]) >= 0.9
    )


def test_an_object_that_is_heavier_is_held_less():
    """Five newtons a finger at friction 0.2 carry two newtons; lifting 5 cm in a second asks for 1
    m/s^2 at most.
    """
    item = brick()
    for mass, holds in ((0.1, True), (8.0, False)):
        heavy = grasps.GraspedObject(
            "brick",
            item.vertices,
            item.faces,
            mass,
            item.vertices.mean(0),
            mass * 5e-4 * np.eye(3),
            item.parts,
        )
        assert Scene(heavy).holds(straight()) == holds


def test_an_open_mesh_weighs_what_its_parts_weigh():
    closed = brick()
    opened = grasps.GraspedObject("open", closed.vertices, closed.faces[:-1], parts=closed.parts)
    one, other = Scene(closed), Scene(opened)
    for model in (one.model, other.model):
        assert model.body("item").mass[0] == pytest.approx(150 * 0.04 * 0.05 * 0.06, rel=1e-6)
    for name in ("inertia", "ipos"):
        np.testing.assert_allclose(
            np.sort(getattr(one.model.body("item"), name)),
            np.sort(getattr(other.model.body("item"), name)),
            rtol=1e-5,
            atol=1e-9,
        )
    assert other.holds(straight())


def test_what_cannot_be_simulated_is_named(monkeypatch):
    with pytest.raises(ValueError, match="convex parts"):
        label(grasps.GraspSet(np.eye(4)[None]))
    item = brick()
    flat = grasps.GraspedObject("sheet", item.vertices, item.faces, parts=(item.vertices[:3],))
    with pytest.raises(ValueError, match="sheet: MuJoCo cannot take it"):
        Scene(flat)
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(ModuleNotFoundError, match=r"geodiff-manifolds\[grasp\]"):
        Scene(item)
