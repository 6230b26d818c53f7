"""The grasp model in the engine's nouns: units, base, coupling, and a score that is a gradient."""

import pytest
import torch

from geodiff.domains.bodies.gripper import PAD_DEPTH, flip
from geodiff.grasps.cloud import describe
from geodiff.grasps.energy import score_field
from geodiff.grasps.model import build, flow, nearest_image, new_config, to_metres, to_network
from geodiff.process.sampling import sample
from manifolds import SE3, SO3
from tests.grasps import small


def test_network_coordinates_put_the_pads_at_the_origin_and_come_back():
    poses = SE3().random_point(20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    centre = torch.tensor([0.01, 0.02, -0.03]).double()
    torch.testing.assert_close(to_metres(to_network(poses, centre), centre), poses)
    gripper = torch.eye(4).double()[None]
    gripper[0, 2, 3] = -PAD_DEPTH
    torch.testing.assert_close(
        to_network(gripper, torch.zeros(3).double()), torch.eye(4).double()[None]
    )


def test_the_coupling_never_lengthens_a_path_and_keeps_grasps():
    generator = torch.Generator().manual_seed(0)
    clean, noise = (
        SE3().random_point(500, generator=generator, dtype=torch.float64) for _ in range(2)
    )
    paired, same = nearest_image(clean, noise)
    assert same is noise
    turn = SO3().dist
    before, after = (turn(x[:, :3, :3], noise[:, :3, :3]) for x in (clean, paired))
    assert (after <= before + 1e-9).all() and (after < before - 0.1).double().mean() > 0.3
    kept = (paired == clean).all(-1).all(-1) | (paired == flip(clean)).all(-1).all(-1)
    assert kept.all()


def test_the_base_is_uniform_in_rotation_and_normal_in_place():
    noise = flow().base(4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert noise[:, :3, :3].mean(0).abs().max() < 0.03
    place = noise[:, :3, 3]
    assert place.mean(0).abs().max() < 0.05 and (place.std(0) / 0.7 - 1).abs().max() < 0.05


def test_the_score_is_the_slope_of_minus_the_energy():
    field = small.field()
    cloud = describe(small.points())
    score = score_field(field)
    x = flow().base(5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    s = torch.linspace(0, 1, 5, dtype=torch.float64)
    kappa = score.corruption.clock.kappa(s)
    u = score(x, s, cloud)
    direction = torch.randn(6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    h = 1e-5
    energy = [
        field.network.energy(SE3().exp(x, sign * h * direction.expand(5, 6)), s, cloud)
        / kappa[:, 0]
        for sign in (1, -1)
    ]
    slope = (energy[0] - energy[1]) / (2 * h)
    torch.testing.assert_close(-((u / kappa**2) * direction).sum(-1), slope, rtol=1e-6, atol=1e-7)


def test_the_score_is_no_graph_where_none_is_recorded():
    cloud = describe(small.points())
    x = flow().base(3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        assert not score_field(small.field())(x, 0.5, cloud).requires_grad
    assert score_field(small.field())(x, 0.5, cloud).requires_grad


def test_both_fields_sample_with_the_engine_as_it_is():
    field = small.field()
    cloud = describe(small.points())
    generator = torch.Generator().manual_seed(0)
    for one in (field, score_field(field)):
        poses = sample(one, 4, steps=3, condition=cloud, generator=generator)
        assert SE3().check(poses) is None


def test_a_model_of_other_units_is_refused():
    config = new_config(small.SIZES)
    with pytest.raises(ValueError, match="unit is 0.125, this geodiff makes 0.1"):
        build({**config, "unit": 0.125})
