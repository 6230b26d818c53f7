"""Every space keeps every law, in float32 and float64."""

import pytest
import torch

from manifolds import (
    SE3,
    SO3,
    Centered,
    Euclidean,
    Hyperbolic,
    Poses,
    Power,
    Product,
    Scaled,
    Sphere,
    Torus,
)
from manifolds.testing import LAWS, check_laws

# A new space adds one word here.
SPACES = [
    Euclidean(3),
    Euclidean((2, 2)),
    Sphere(1),
    Sphere(2),
    Sphere(5),
    Torus(3),
    SO3(),
    SE3(),
    Hyperbolic(1),
    Hyperbolic(3),
    Centered(),
    Poses(),
    Scaled(Sphere(2), 3.0),
    Scaled(Centered(2), 0.1),
    Product((SO3(), Euclidean(2), Sphere(2))),
    Product((Hyperbolic(2), Scaled(Torus(1), 2.0))),
    Product((Euclidean(2), Scaled(Euclidean(()), 2.0))),
    Scaled(SE3(), 0.5),
    Scaled(Poses(), 2.0),
    Power(Euclidean(2)),
    Power(Torus(1)),
    Power(SO3()),
    Power(SE3()),
    Power(SE3(), centred=True),
    Power(Sphere(2)),
    Power(Scaled(Sphere(2), 3.0)),
    Power(Scaled(Euclidean(2), 2.0), centred=True),
    Power(Product((SO3(), Euclidean(2), Sphere(1)))),
    Power(Product((Product((Euclidean(1), Torus(1))), Scaled(Euclidean(1), 2.0))), centred=True),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("space", SPACES, ids=repr)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_every_space_keeps_every_law(law, space, dtype):
    assert law.__name__ not in space.unmet
    law(space, dtype)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_clouds_of_hyperbolic_points_keep_every_law_in_double(law):
    # In float32 the furthest of 500 points is beyond what `magnification` allows for a hundred.
    law(Power(Hyperbolic(1)), torch.float64)


class _Bent(Sphere):
    """A sphere whose log is a little short."""

    def log(self, x, y):
        return 0.99 * super().log(x, y)


class _Honest(_Bent):
    """The same, with one law named that this breaks."""

    unmet = {"log_undoes_exp": "log is a little short"}


def test_check_laws_names_the_space_and_the_broken_law():
    check_laws(Torus(1))
    with pytest.raises(AssertionError, match=r"_Bent.*log_undoes_exp: off by 0.0"):
        check_laws(_Bent(2))


def test_check_laws_leaves_out_the_laws_that_a_space_says_it_cannot_keep():
    with pytest.raises(AssertionError, match="_Honest.*exp_undoes_log: off by 0.0"):
        check_laws(_Honest(2))
    assert Product((Sphere(1), _Honest(1))).unmet == Scaled(_Honest(1), 2.0).unmet == _Honest.unmet
