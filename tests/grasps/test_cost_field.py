"""The cost as outside code uses it: differentiable, encoded once, without curl, the same for the
same grasp.
"""

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from geodiff.domains.bodies.gripper import flip
from geodiff.grasps.energy import CostField
from geodiff.grasps.evaluation import curl, equivariance_error
from geodiff.grasps.model import to_metres
from geodiff.process.field import NetworkField
from manifolds import SE3
from tests.grasps import small

N = 8
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cost():
    return CostField.load(small.field())


@pytest.fixture(scope="module")
def poses():
    x = small.field().corruption.base(
        N, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    return to_metres(x, small.points().mean(0))


def test_an_encoded_object_costs_what_its_points_cost(cost, poses):
    known = cost.encode(small.points())
    torch.testing.assert_close(cost(poses, known), cost(poses, small.points()))
    torch.testing.assert_close(cost(poses, small.points().numpy()), cost(poses, known))
    assert cost(poses, known).shape == (N,) and not cost(poses, known).requires_grad


def test_the_cost_keeps_the_symmetries_of_the_gripper_and_of_space(cost, poses):
    points = small.points()
    torch.testing.assert_close(cost(flip(poses), points), cost(poses, points))
    motion = SE3().random_point(generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    elsewhere = points @ motion[:3, :3].T + motion[:3, 3]
    torch.testing.assert_close(cost(motion @ poses, elsewhere), cost(poses, points))


def test_an_optimiser_of_torch_lowers_the_cost(cost, poses):
    known = cost.encode(small.points())
    step = torch.zeros(N, 6, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([step], lr=0.01)
    start = cost(poses, known)
    for _ in range(15):
        optimiser.zero_grad()
        cost(SE3().exp(poses, step), known).sum().backward()
        optimiser.step()
    end = cost(SE3().exp(poses, step.detach()), known)
    assert (end < start).all()
    assert all(p.grad is None for p in cost.parameters())


def test_the_gradient_is_the_slope(cost, poses):
    known = cost.encode(small.points())
    step = torch.zeros(3, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: cost(SE3().exp(poses[:3], v * 0.1), known, 0.3), step)


def test_the_gradient_has_no_curl():
    assert curl(small.field(), small.points()) < 1e-5


def test_the_check_of_curl_sees_one():
    """The control: a slope that is not a gradient, because the energy's graph is cut at one
    place.
    """

    class Cut(torch.nn.Module):
        def __init__(self, network):
            super().__init__()
            self.inner, self.start = network, network.start

        def encode(self, cloud):
            return self.inner.encode(cloud)

        def energy(self, x, s, condition):
            return x[:, 0, 3].detach() * x[:, 1, 3]

    whole = small.field()
    assert (
        curl(NetworkField(Cut(whole.network), whole.corruption, whole.reading), small.points())
        > 0.1
    )


def test_grasps_move_with_the_object():
    assert equivariance_error(small.field(dtype=torch.float32), small.points(), n=5, steps=4) < 1e-4


@pytest.mark.parametrize(
    "poses, message",
    [
        (torch.eye(4), "for one pose pass pose\\[None\\]"),
        (np.eye(4)[None], "expected a tensor"),
        (torch.zeros(2, 3, 4), r"got \(2, 3, 4\)"),
    ],
)
def test_poses_of_another_form_are_refused(cost, poses, message):
    with pytest.raises(ValueError, match=message):
        cost(poses, small.points())


def test_clouds_that_show_no_shape_are_refused(cost, poses):
    with pytest.raises(ValueError, match="at least 16 finite points, got 3"):
        cost(poses, small.points()[:3])
    with pytest.raises(ValueError, match="millimetres"):
        cost(poses, 1000 * small.points())


@pytest.mark.slow
def test_the_descent_example_goes_down_from_random_poses_and_listens_to_a_cost_of_the_users(
    monkeypatch, capsys
):
    """Levels and steps as the example has them, for a few poses."""
    pytest.importorskip("mujoco")
    monkeypatch.setattr(sys, "argv", ["grasp_descent.py", "-n", "4"])
    figures = runpy.run_path(str(ROOT / "examples" / "grasp_descent.py"))["main"]()
    assert figures["start"] < 0.3 and figures["cost alone"] > 0.7
    tilts = re.findall(r"tilt\s+([\d.]+)", capsys.readouterr().out)
    assert float(tilts[2]) < 15 < float(tilts[0])
