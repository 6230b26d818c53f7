"""Fields: what a network sees, and what comes back."""

import copy
import pickle

import pytest
import torch

from geodiff.process.clocks import Cosine, Karras, Linear
from geodiff.process.corruption import Gaussian, Geodesic
from geodiff.process.field import Field, NetworkField
from geodiff.process.randomness import Noise
from geodiff.process.sampling import sample
from manifolds import SO3, Centered, Euclidean, Sphere


class Recorder:
    """A network that notes what it is given and returns x."""

    def __call__(self, x, s, condition, mask):
        self.x, self.s, self.condition, self.mask = x, s, condition, mask
        return x


@pytest.mark.parametrize("clock", [Linear(), Karras(), Cosine()], ids=repr)
@pytest.mark.parametrize("s", [0.02, 0.5, 0.98])
def test_a_network_sees_gaussian_noisy_points_of_size_1(clock, s):
    network, corruption = Recorder(), Gaussian(Euclidean(4), clock, data_scale=3.0)
    clean = 3.0 * torch.randn(
        5000, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    NetworkField(network, corruption)(corruption.corrupt(clean, s, generator=Noise(1)).x, s)
    assert abs(network.x.std() - 1) < 0.02
    assert network.s.shape == (5000,) and (network.s == s).all()


def test_a_network_sees_geodesic_points_as_they_are():
    network, x = Recorder(), SO3().random_point(3)
    NetworkField(network, Geodesic(SO3()), "clean")(x, torch.tensor([0.1, 0.2, 0.3]), "condition")
    assert torch.equal(network.x, x)
    assert network.s.tolist() == pytest.approx([0.1, 0.2, 0.3]) and network.condition == "condition"


def test_u_is_a_tangent_whatever_the_network_says():
    x = Sphere(2).random_point(10, generator=Noise(0), dtype=torch.float64)
    u = NetworkField(lambda x, s, condition, mask: torch.ones_like(x), Geodesic(Sphere(2)))(x, 0.5)
    assert (u * x).sum(-1).abs().max() < 1e-14


def test_u_is_0_at_padded_nodes_and_centred():
    mask = torch.tensor([[True, True, False], [True, True, True]])
    x = Centered(3).random_point(2, mask=mask, generator=Noise(0))
    for reading in ("u", "clean"):
        network = lambda x, s, condition, mask: torch.ones_like(x).cumsum(1)  # noqa: E731
        u = NetworkField(network, Geodesic(Centered(3)), reading)(x, 0.5, None, mask)
        assert (u[~mask] == 0).all()
        assert u.sum(1).abs().max() < 1e-5


def test_a_batch_may_have_any_axes():
    for batch in ((), (1,), (3, 1, 2)):
        x = SO3().random_point(*batch)
        network = Recorder()
        assert NetworkField(network, Geodesic(SO3()), "clean")(x, 0.5).shape == (*batch, 3)
        assert network.s.shape == batch


def test_parameters_of_the_network_are_those_of_the_field():
    network = torch.nn.Linear(2, 2)
    field = NetworkField(network, Geodesic(Euclidean(2)))
    assert set(field.state_dict()) == {"network.weight", "network.bias"}


class Towards(Field):
    """A field without a network: ambient numbers towards one point."""

    def displacement(self, x, s, condition, mask):
        return torch.ones_like(x) * s[(...,) + (None,) * (x.ndim - s.ndim)]


@pytest.mark.parametrize("space", [Sphere(2), Euclidean(3)], ids=repr)
def test_a_field_of_ones_own_is_projected_and_sampled(space):
    field, x = Towards(Geodesic(space)), space.random_point(4, generator=Noise(0))
    u = field(x, 0.5)
    assert torch.equal(u, space.to_tangent(x, torch.full_like(x, 0.5)))
    assert space.check(sample(field, 3, steps=3, generator=Noise(1))) is None


def test_a_field_without_a_clean_estimate_cannot_leave_an_infinite_level():
    with pytest.raises(ValueError, match="Towards has no clean_estimate.*s_max=0.999"):
        sample(Towards(Gaussian(Euclidean(2), Cosine())), 3)


def test_the_old_call_makes_a_network_field_and_says_so():
    network = torch.nn.Linear(2, 2)
    with pytest.warns(FutureWarning, match="geodiff.NetworkField") as warned:
        field = Field(network, Geodesic(Euclidean(2)), reading="velocity")
    assert warned[0].filename == __file__
    assert type(field) is NetworkField and field.reading == "velocity"
    assert set(field.state_dict()) == {"network.weight", "network.bias"}
    assert isinstance(pickle.loads(pickle.dumps(copy.deepcopy(field))), NetworkField)
    with pytest.raises(TypeError, match="abstract"):
        Field()
