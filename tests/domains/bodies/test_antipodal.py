"""Candidates: opposite contacts, within the cone, no collision, the same for the same seed."""

import numpy as np
import pytest
import torch

from geodiff import grasps
from geodiff.domains.bodies import gripper
from geodiff.domains.bodies.antipodal import Contacts
from geodiff.domains.bodies.objects import KINDS
from geodiff.domains.bodies.rays import cast, facing
from geodiff.domains.bodies.records import check_poses
from geodiff.domains.bodies.surface import sample_surface

N = 60


@pytest.fixture(scope="module", params=KINDS)
def found(request):
    item = grasps.make_object(request.param, 1)
    return item, grasps.candidates(item, N, np.random.default_rng(0))


def test_candidates_are_rigid_and_within_the_opening(found):
    _, some = found
    assert len(some) == N and check_poses(some.poses) is None and some.success is None
    assert some.width.min() >= Contacts().thinnest and some.width.max() <= Contacts().width


def test_each_line_of_the_fingers_meets_two_opposite_contacts(found):
    """Seen from the pads: the line through the contacts is x, its middle between the pads, the
    normals in the cone.
    """
    item, some = found
    for start in range(0, N, 20):
        part = some[start : start + 20]
        reach = np.linspace(*gripper.PAD_RANGE, 400)
        # The middle of the contacts stands somewhere along the approach, between the pads.
        centres = part.poses[:, None, :3, 3] + reach[:, None] * part.poses[:, None, :3, 2]
        from_ = centres - part.width[:, None, None] / 2 * part.poses[:, None, :3, 0]
        offset = 5e-4 * part.poses[:, None, :3, 0]
        directions = np.broadcast_to(part.poses[:, None, :3, 0], from_.shape).reshape(-1, 3)
        hits = cast(item.vertices, item.faces, (from_ - offset).reshape(-1, 3), directions)
        cosine = facing(item, hits, directions)
        cone = np.cos(Contacts().cone) - 1e-3
        enters = np.zeros(len(directions), bool)
        leaves = np.zeros(len(directions), bool)
        enters[hits.ray[(abs(hits.distance - 5e-4) < 2e-4) & (cosine < -cone)]] = True
        width = np.repeat(part.width, len(reach))[hits.ray]
        leaves[hits.ray[(abs(hits.distance - 5e-4 - width) < 2e-4) & (cosine > cone)]] = True
        assert (enters & leaves).reshape(len(part), -1).any(1).mean() > 0.9


def test_the_open_gripper_does_not_touch_the_object(found):
    item, some = found
    dense = torch.from_numpy(
        sample_surface(item.vertices, item.faces, 20000, np.random.default_rng(9))[0]
    )
    poses = torch.from_numpy(some.poses)
    deep = torch.cat([gripper.collides(part, dense, margin=-0.001) for part in poses.split(20)])
    assert deep.double().mean() <= 0.02


def test_contacts_stand_in_the_closing_region(found):
    item, some = found
    points, _ = sample_surface(item.vertices, item.faces, 20000, np.random.default_rng(3))
    local = gripper.into_gripper(torch.from_numpy(some.poses), torch.from_numpy(points))
    between = (
        (local[..., 0].abs() <= 0.04)
        & (local[..., 1].abs() <= 0.0106)
        & (local[..., 2] >= gripper.PAD_RANGE[0] - 0.01)
        & (local[..., 2] <= gripper.TIP_DEPTH)
    )
    assert between.any(-1).all()


def test_a_seed_stands_for_one_set():
    item = grasps.make_object("bottle", 2)
    one, again, other = (
        grasps.candidates(item, 20, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.poses, again.poses)
    assert np.abs(one.poses - other.poses).max() > 0.01


def test_approaches_go_all_round():
    """A box floats free: each side that can be reached is reached."""
    box = grasps.make_object("box", 1)
    approach = grasps.candidates(box, 200, np.random.default_rng(0)).poses[:, :3, 2]
    assert (approach.min(0) < -0.8).sum() + (approach.max(0) > 0.8).sum() >= 4


def test_what_cannot_be_held_is_named():
    box = grasps.make_object("box", 0)
    huge = grasps.GraspedObject("wall", box.vertices * 10, box.faces)
    with pytest.raises(ValueError, match="wall: .*no two opposite contacts"):
        grasps.candidates(huge, 20, rule=Contacts(rounds=2))
    with pytest.raises(ValueError, match="n: expected at least 1"):
        grasps.candidates(box, 0)
