"""Jacobians of the exponentials against forward derivatives, and each against its inverse."""

import math

import pytest
import torch

from manifolds import SE3
from manifolds.jacobians import (
    left_jacobian,
    left_jacobian_inverse,
    right_jacobian,
    right_jacobian_inverse,
)

ANGLES = [0.0, 1e-9, 1e-4, 0.1, 0.99, 1.01, 2.0, 3.0, math.pi - 1e-4]
DOUBLE = torch.float64


def _twists(angle, count=8, dtype=DOUBLE):
    w, v = torch.randn(2, count, 3, generator=torch.Generator().manual_seed(0), dtype=DOUBLE)
    return torch.cat([angle * w / w.norm(dim=-1, keepdim=True), v], -1).to(dtype)


@pytest.mark.parametrize("angle", ANGLES)
def test_they_are_the_derivatives_of_the_exponential(angle):
    space, twists = SE3(), _twists(angle)

    def on_the_left(d, twist):
        there, back = space.group_exp(twist + d), space.inverse(space.group_exp(twist))
        return space.group_log(space.compose(there, back))

    def on_the_right(d, twist):
        there, back = space.group_exp(twist + d), space.inverse(space.group_exp(twist))
        return space.group_log(space.compose(back, there))

    zero = torch.zeros(6, dtype=DOUBLE)
    for turn, jacobian in ((on_the_left, left_jacobian), (on_the_right, right_jacobian)):
        expected = torch.func.vmap(torch.func.jacrev(turn), (None, 0))(zero, twists)
        assert (jacobian(twists) - expected).abs().max() < 1e-10
        assert torch.equal(jacobian(twists[:, :3]), jacobian(twists)[:, :3, :3])


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 2e-5), (DOUBLE, 1e-13)])
@pytest.mark.parametrize("angle", [*ANGLES, 4.0, 5.0])
def test_their_inverses_undo_them(angle, dtype, limit):
    twists = _twists(angle, dtype=dtype)
    for vectors in (twists, twists[:, :3], twists[:1, None]):
        identity = torch.eye(vectors.shape[-1], dtype=dtype)
        for forth, back in (
            (left_jacobian, left_jacobian_inverse),
            (right_jacobian, right_jacobian_inverse),
        ):
            assert (forth(vectors) @ back(vectors) - identity).abs().max() < limit


def test_gradients_are_finite_at_the_identity():
    vector = torch.zeros(6, requires_grad=True)
    for jacobian in (left_jacobian, right_jacobian_inverse):
        (gradient,) = torch.autograd.grad(jacobian(vector).square().sum(), vector)
        assert gradient.isfinite().all()


def test_vectors_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"vector: expected rotation vectors .*got \(2, 4\)"):
        left_jacobian(torch.zeros(2, 4))
