"""What a cloud is described by, and the symmetries of the network that reads it: exact, trained or
not.
"""

import time

import pytest
import torch

from geodiff.domains.bodies.gripper import flip
from geodiff.grasps.cloud import Cloud, describe
from geodiff.grasps.network import IMAGES
from manifolds import SE3, SO3
from manifolds.se3 import join
from tests.grasps import small

N = 6


@pytest.fixture(scope="module")
def field():
    return small.field()


@pytest.fixture(scope="module")
def poses():
    return SE3().random_point(N, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture(scope="module")
def s():
    return torch.rand(N, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def motion() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return SO3().random_point(generator=generator, dtype=torch.float64), torch.tensor(
        [0.3, -0.2, 0.1]
    ).double()


def moved(
    points: torch.Tensor, poses: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rotation, shift = motion()
    turned = join(rotation @ poses[:, :3, :3], poses[:, :3, 3] @ rotation.T)
    return points @ rotation.T + shift, turned, rotation


def test_a_described_cloud_turns_with_its_object_and_has_no_place():
    rotation, shift = motion()
    one, two = describe(small.points()), describe(small.points() @ rotation.T + shift)
    torch.testing.assert_close(two.centre, one.centre @ rotation.T + shift)
    torch.testing.assert_close(two.anchors, one.anchors @ rotation.T)
    torch.testing.assert_close(two.scalars, one.scalars)
    torch.testing.assert_close(two.vectors, one.vectors @ rotation.T)
    torch.testing.assert_close(two.tensors, rotation @ one.tensors @ rotation.T)


def test_the_order_of_the_points_does_not_matter():
    points = small.points()
    shuffled = points[torch.randperm(len(points), generator=torch.Generator().manual_seed(0))]
    one, two = describe(points), describe(shuffled)
    for name in ("centre", "anchors", "scalars", "vectors", "tensors"):
        torch.testing.assert_close(getattr(two, name), getattr(one, name))


def test_a_scan_of_many_points_is_described_like_a_few_of_them():
    many, few = describe(small.points(n=200_000).float()), describe(small.points(n=4096).float())
    assert (many.centre - few.centre).norm() < 0.002
    start = time.process_time()
    describe(small.points(n=200_000).float())
    assert time.process_time() - start < 2


def test_a_plate_has_spreads_without_thickness_and_a_line_of_points_is_finite():
    plate = (
        torch.rand(300, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 0.1
    )
    plate[:, 2] = 0
    tensors = describe(plate).tensors
    assert tensors[..., 2, :].abs().max() == 0 and tensors[..., 0, 0].min() > 0
    plate[:, 1] = 0
    line = describe(plate.float())
    assert all(getattr(line, name).isfinite().all() for name in ("scalars", "vectors", "tensors"))


def test_outputs_move_with_gripper_and_object(field, poses, s):
    points = small.points()
    other, turned, rotation = moved(points, poses)
    u, v = field(poses, s, describe(points)), field(turned, s, describe(other))
    assert u.abs().max() > 0.01
    torch.testing.assert_close(v[:, :3], u[:, :3])  # rotation vectors live in the gripper's frame
    torch.testing.assert_close(v[:, 3:], u[:, 3:] @ rotation.T)
    energy = field.network.energy
    torch.testing.assert_close(
        energy(turned, s, describe(other)), energy(poses, s, describe(points))
    )


def test_the_gripper_turned_by_180_degrees_is_the_same_gripper(field, poses, s):
    cloud = describe(small.points())
    u, v = field(poses, s, cloud), field(flip(poses), s, cloud)
    half_turn = torch.tensor([-1.0, -1.0, 1.0]).double()
    torch.testing.assert_close(v[:, :3], u[:, :3] * half_turn)
    torch.testing.assert_close(v[:, 3:], u[:, 3:])
    energy = field.network.energy
    torch.testing.assert_close(energy(flip(poses), s, cloud), energy(poses, s, cloud))


@pytest.mark.parametrize("plane", [2, 3], ids=["across the fingers", "along the fingers"])
def test_a_mirrored_object_has_mirrored_grasps(field, poses, s, plane):
    """The gripper equals its mirror images, so mirroring object and gripper keeps the energy and
    mirrors u.
    """
    mirror = torch.diag(torch.tensor([1.0, 1.0, -1.0]).double())
    own = torch.diag(torch.tensor(IMAGES[plane]).double())
    points = small.points()
    other = join(mirror @ poses[:, :3, :3] @ own, poses[:, :3, 3] @ mirror)
    u, v = field(poses, s, describe(points)), field(other, s, describe(points @ mirror))
    torch.testing.assert_close(v[:, :3], -u[:, :3] @ own)
    torch.testing.assert_close(v[:, 3:], u[:, 3:] @ mirror)
    energy = field.network.energy
    torch.testing.assert_close(
        energy(other, s, describe(points @ mirror)), energy(poses, s, describe(points))
    )


def test_the_control_a_gripper_turned_by_90_degrees_is_another(field, poses, s):
    cloud = describe(small.points())
    quarter = torch.eye(4).double()
    quarter[:2, :2] = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    energy = field.network.energy
    assert (energy(poses @ quarter, s, cloud) - energy(poses, s, cloud)).abs().max() > 1e-3


def test_objects_of_a_batch_do_not_see_each_other(field, poses, s):
    clouds = [describe(small.points(kind)) for kind in ("mug", "box")]
    both = field(poses, s, Cloud.stack(clouds))
    half = N // 2
    alone = [
        field(poses[part], s[part], cloud)
        for part, cloud in zip((slice(half), slice(half, N)), clouds)
    ]
    torch.testing.assert_close(both, torch.cat(alone))


def test_an_encoded_object_gives_what_its_cloud_gives(field, poses, s):
    cloud = describe(small.points())
    torch.testing.assert_close(field(poses, s, field.network.encode(cloud)), field(poses, s, cloud))


def test_poses_that_objects_cannot_share_are_refused(field, poses, s):
    clouds = Cloud.stack(
        [describe(small.points(kind)) for kind in ("mug", "box", "bowl", "bottle")]
    )
    with pytest.raises(ValueError, match="as many poses for each of 4 objects, got 6"):
        field(poses, s, clouds)


def test_energies_have_second_derivatives(field, poses, s):
    cloud = describe(small.points())

    def energy(step):
        return field.network.energy(SE3().exp(poses[:2], step), s[:2], cloud)

    step = torch.zeros(2, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(energy, step)
    assert torch.autograd.gradgradcheck(energy, step)
