"""The gripper's frames, its symmetry, and its boxes against its convex bodies."""

import numpy as np
import pytest
import torch

from geodiff.domains.bodies import gripper, surface
from manifolds import SE3


def random_poses(*size: int, dtype=torch.float64) -> torch.Tensor:
    return SE3().random_point(*size, generator=torch.Generator().manual_seed(0), dtype=dtype)


@pytest.mark.parametrize("batch", [(), (1,), (3, 1, 2)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_frames_go_there_and_back(batch, dtype):
    poses = random_poses(*batch, dtype=dtype)
    assert torch.equal(gripper.from_panda_hand(gripper.to_panda_hand(poses)), poses)
    assert torch.equal(gripper.flip(gripper.flip(poses)), poses)
    points = torch.randn(*batch, 7, 3, generator=torch.Generator().manual_seed(1), dtype=dtype)
    back = gripper.into_gripper(poses, gripper.transform(poses, points))
    torch.testing.assert_close(back, points, atol=1e-5 if dtype == torch.float32 else 1e-13, rtol=0)


def test_the_hand_opens_along_its_own_y_where_the_gripper_opens_along_x():
    """The URDF's left finger, opened by 0.04 along +y of `panda_hand`, is the gripper's finger on
    the side of -x.
    """
    finger = torch.from_numpy(gripper._read_body("finger")[0]) + torch.tensor([0, 0.04, 0.0584])
    gripper_pose = random_poses()
    in_object = gripper.transform(gripper.to_panda_hand(gripper_pose), finger)
    ours = torch.from_numpy(gripper.bodies()["right"][0])
    torch.testing.assert_close(gripper.transform(gripper_pose, ours), in_object, atol=1e-8, rtol=0)


def test_pads_stand_where_the_design_says():
    bodies = gripper.bodies()
    for name, side in (("left", 1), ("right", -1)):
        vertices, faces = bodies[name]
        normals, areas = surface.face_normals(vertices, faces)
        pad = normals[:, 0] * side < -0.999
        centre = (vertices[faces[pad]].mean(1) * areas[pad, None]).sum(0) / areas[pad].sum()
        assert side * centre[0] == pytest.approx(0.04, abs=2e-4) and centre[2] == pytest.approx(
            0.1034, abs=3e-3
        )
        assert vertices[:, 2].max() == pytest.approx(gripper.TIP_DEPTH, abs=1e-4)
    closed = gripper.bodies(0.0)
    assert abs(closed["left"][0][:, 0].min()) < 2e-4 and abs(closed["right"][0][:, 0].max()) < 2e-4
    with pytest.raises(ValueError, match="width"):
        gripper.bodies(0.09)


def test_a_flip_swaps_the_fingers_and_nothing_else():
    left, right = (torch.from_numpy(gripper.bodies()[name][0]) for name in ("left", "right"))
    pose = random_poses()
    torch.testing.assert_close(
        gripper.transform(gripper.flip(pose), left), gripper.transform(pose, right)
    )
    assert SE3().check(gripper.flip(pose)) is None
    points, turned = (
        gripper.control_points(torch.float64),
        torch.tensor([-1.0, -1.0, 1.0], dtype=torch.float64),
    )
    nearest = torch.cdist(points * turned, points).min(1).values
    assert nearest.max() < 1e-12 and torch.pdist(points).min() > 1e-3


def test_control_points_tell_a_pose_from_any_other_but_its_flip():
    points = gripper.control_points(torch.float64)
    centred = points - points.mean(0)
    assert torch.linalg.eigvalsh(centred.T @ centred).min() > 1e-3 * 1e-2
    quarter = torch.eye(4, dtype=torch.float64)
    quarter[:2, :2] = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    assert torch.cdist(gripper.transform(quarter, points), points).min(1).values.max() > 0.01


def test_the_nearer_flip_is_nearer():
    x, y = random_poses(50), random_poses(100)[50:]
    near = gripper.nearest_flip(x, y)
    angle = lambda a, b: SE3().log(a, b)[..., :3].norm(dim=-1)  # noqa: E731
    torch.testing.assert_close(
        angle(y, near), torch.minimum(angle(y, x), angle(y, gripper.flip(x)))
    )
    assert torch.equal(gripper.nearest_flip(x, x), x)


@pytest.mark.parametrize("width", [0.0, 0.03, 0.08])
def test_boxes_hold_the_convex_bodies_snugly(width):
    centres, halves = gripper.boxes(width, dtype=torch.float64)
    generator = np.random.default_rng(0)
    for name, (vertices, faces) in gripper.bodies(width).items():
        points, _ = surface.sample_surface(vertices, faces, 4000, generator)
        points = torch.from_numpy(np.concatenate([points, vertices]))
        held = ((points[:, None] - centres).abs() <= halves).all(-1).any(-1)
        assert held.all(), name
        part = {"hand": slice(0, 5), "left": slice(5, 8), "right": slice(8, 11)}[name]
        volume = surface.mass_properties(vertices, faces)[0]
        assert 8 * halves[part].prod(-1).sum() < 1.4 * volume


@pytest.mark.parametrize("batch", [(), (1,), (3, 1, 2)])
def test_a_collision_is_a_point_inside(batch):
    poses = random_poses(*batch)
    free = [[0.0, 0.0, gripper.PAD_DEPTH], [0.039, 0.0, 0.1], [0.0, 0.0, 0.0662], [0.12, 0.0, 0.0]]
    free = torch.tensor(free, dtype=torch.float64)
    assert not gripper.collides(poses, gripper.transform(poses, free)).any()
    for hit in ([0.0, 0.0, 0.03], [0.045, 0.0, 0.1], [-0.045, 0.005, 0.1], [0.06, 0.0, 0.07]):
        points = torch.cat([free, torch.tensor([hit]).double()])
        assert gripper.collides(poses, gripper.transform(poses, points)).all()
    assert gripper.collides(poses, gripper.transform(poses, free), width=0.05).all()
    widths = torch.full(batch, 0.05, dtype=torch.float64)
    assert gripper.collides(poses, gripper.transform(poses, free), width=widths).shape == batch
    assert gripper.collides(poses, gripper.transform(poses, free), margin=0.002).all()


def test_gradients_flow_through_moved_points():
    pose = random_poses(2).requires_grad_()
    gripper.transform(pose, gripper.control_points(torch.float64)).square().sum().backward()
    assert torch.isfinite(pose.grad).all() and pose.grad.abs().max() > 0


def test_lines_lie_within_the_reach_of_the_gripper():
    lines = gripper.outline(0.04)
    assert lines.shape == (9, 2, 3) and lines[..., 2].max() == pytest.approx(gripper.TIP_DEPTH)
    assert lines[..., 0].abs().max() == pytest.approx(0.02)
