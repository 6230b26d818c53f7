"""Guides against too much guidance, where the law that they leave has a closed form."""

import math

import pytest
import torch

from geodiff.process.condition import Labels
from geodiff.process.corruption import Geodesic
from geodiff.process.field import NetworkField
from geodiff.process.guidance import Autoguidance, ClassifierFree, Clipped, Rescaled, ScaledNull
from geodiff.process.randomness import Noise
from manifolds import SO3, Euclidean, Power, Product, Sphere
from tests.process.guidance.normal import DOUBLE, mean_and_variance, normal_field
from tests.process.guidance.test_guides import field_on

FIELD = normal_field([0.0, 0.0], [0.25, 1.0])  # condition and null


def test_guidance_leaves_the_variance_of_the_closed_form():
    """a^scale b^(1 - scale), far below the sharpened 1 / (scale / a + (1 - scale) / b) = 0.1."""
    _, variance = mean_and_variance(ClassifierFree(FIELD, 3.0))
    assert variance == pytest.approx(0.25**3, rel=5e-3)


@pytest.mark.parametrize(
    "guide",
    [Rescaled(ClassifierFree(FIELD, 3.0)), ScaledNull(FIELD, 3.0)],
    ids=lambda g: repr(g)[:8],
)
def test_the_conditions_own_variance_is_kept(guide):
    _, variance = mean_and_variance(guide)
    assert variance == pytest.approx(0.25, rel=5e-3)


def test_rescaled_in_part_lies_between():
    plain, whole = (mean_and_variance(Rescaled(ClassifierFree(FIELD, 3.0), w))[1] for w in (0, 1))
    assert plain < mean_and_variance(Rescaled(ClassifierFree(FIELD, 3.0), 0.5))[1] < whole


def test_autoguidance_leaves_the_variance_of_the_closed_form():
    strong, weak = normal_field([0.0], [1.0]), normal_field([0.0], [2.0])
    _, variance = mean_and_variance(Autoguidance(strong, weak, 2.0), None)
    assert variance == pytest.approx(0.5, rel=5e-3)


def test_scale_1_is_the_field_itself():
    field, told = field_on(SO3()), Labels(torch.tensor([0, 1]), unknown=3)
    x = SO3().random_point(2, generator=Noise(0), dtype=DOUBLE)
    plain = field(x, 0.4, told)
    for guide in (ScaledNull(field, 1.0), Autoguidance(field, Clipped(field, 0.1), 1.0)):
        assert torch.equal(guide(x, 0.4, told), plain)


def test_a_null_of_length_0_is_left_out():
    field = NetworkField(
        lambda x, s, condition, mask: condition.labels[:, None] * x.flip(-1), Geodesic(Sphere(2))
    )
    x = Sphere(2).random_point(2, generator=Noise(0), dtype=DOUBLE)
    told = Labels(torch.tensor([1, 2]), unknown=0)
    assert torch.allclose(ScaledNull(field, 2.0)(x, 0.5, told), 2 * field(x, 0.5, told))


def test_rescaled_has_the_length_of_the_field_and_the_direction_of_the_guide():
    field, told = field_on(SO3()), Labels(torch.arange(5) % 3, unknown=3)
    guide = ClassifierFree(field, 4.0)
    x = SO3().random_point(5, generator=Noise(0), dtype=DOUBLE)
    u, bent = Rescaled(guide)(x, 0.4, told), guide(x, 0.4, told)
    assert torch.allclose(SO3().norm(x, u), SO3().norm(x, field(x, 0.4, told)))
    assert torch.allclose(
        torch.nn.functional.cosine_similarity(u, bent), torch.ones(5, dtype=DOUBLE)
    )


def test_at_scale_8_no_displacement_exceeds_pi_on_rotations():
    field, told = field_on(SO3()), Labels(torch.arange(200) % 3, unknown=3)
    guide = ClassifierFree(field, 8.0)
    x = SO3().random_point(200, generator=Noise(0), dtype=DOUBLE)
    assert guide(x, 0.4, told).norm(dim=-1).max() > 4
    assert Clipped(guide)(x, 0.4, told).norm(dim=-1).max() < math.pi + 1e-12


def test_factors_and_nodes_are_clipped_one_by_one_and_flat_ones_never():
    space = Product((Sphere(2), Euclidean(2)))
    x = space.random_point(3, generator=Noise(0), dtype=DOUBLE)
    u = space.to_tangent(x, torch.full((3, 5), 9.0, dtype=DOUBLE))
    cut = Clipped(NetworkField(lambda x, s, c, m: u, Geodesic(space)))(x, 0.5)
    assert (cut[:, 3:] == u[:, 3:]).all()
    assert torch.allclose(
        cut[:, :3].norm(dim=-1),
        torch.full((3,), math.pi, dtype=DOUBLE).minimum(u[:, :3].norm(dim=-1)),
    )
    cloud = Power(SO3())
    x = cloud.draw((2, 3), generator=Noise(0), dtype=DOUBLE)
    v = torch.tensor([1.0, 3.0, 5.0], dtype=DOUBLE)[:, None] * torch.eye(3, dtype=DOUBLE)
    cut = Clipped(NetworkField(lambda x, s, c, m: v.expand(2, 3, 3), Geodesic(cloud)))(x, 0.5)
    assert torch.allclose(cut.norm(dim=-1), v.norm(dim=-1).clamp(max=math.pi).expand(2, 3))


def test_what_makes_no_sense_is_refused():
    with pytest.raises(TypeError, match="guide: expected a guide"):
        Rescaled(FIELD)
    with pytest.raises(ValueError, match="share"):
        Rescaled(ClassifierFree(FIELD, 2.0), 1.5)
    with pytest.raises(ValueError, match="scale"):
        ScaledNull(FIELD, math.nan)
    with pytest.raises(ValueError, match="weak: .* same corruption"):
        Autoguidance(FIELD, field_on(SO3()), 2.0)
    with pytest.raises(ValueError, match="scale"):
        Autoguidance(FIELD, FIELD, math.inf)
