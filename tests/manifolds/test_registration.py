"""Registration against scipy, and at the inputs where it is degenerate."""

import numpy
import pytest
import torch
from scipy.spatial.transform import Rotation

from manifolds import SO3
from manifolds.registration import align, kabsch, rmsd, similarity

DTYPES = pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64], ids=["float32", "float64"]
)


def _clouds(*size, dtype=torch.float64):
    return torch.randn(2, *size, 3, generator=torch.Generator().manual_seed(0), dtype=dtype)


def _motion(*batch, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    rotation = SO3().random_point(*batch, generator=generator, dtype=dtype)
    return rotation, torch.randn(*batch, 3, generator=generator, dtype=dtype)


@DTYPES
@pytest.mark.parametrize("batch", [(), (1,), (3, 1, 2), (0,)], ids=str)
def test_a_known_motion_is_found(batch, dtype):
    x, _ = _clouds(*batch, 7, dtype=dtype)
    rotation, shift = _motion(*batch, dtype=dtype)
    y = x @ rotation.mT + shift.unsqueeze(-2)
    found_rotation, found_shift = kabsch(x, y)
    limit = 1e-5 if dtype == torch.float32 else 1e-13
    assert ((found_rotation - rotation).abs() < limit).all() and (
        (found_shift - shift).abs() < limit
    ).all()
    assert (rmsd(x, y) < limit).all() and rmsd(x, y).shape == batch
    assert ((align(x, y) - y).abs() < limit).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_the_rotation_is_that_of_scipy(weighted):
    x, y = _clouds(20, 6)
    generator = torch.Generator().manual_seed(2)
    weights = torch.rand(20, 6, generator=generator, dtype=torch.float64) if weighted else None
    rotation, shift = kabsch(x, y, weights)
    for i in range(20):
        w = numpy.ones(6) if weights is None else weights[i].numpy()
        means = [numpy.average(points[i].numpy(), axis=0, weights=w) for points in (x, y)]
        known, _ = Rotation.align_vectors(
            y[i].numpy() - means[1], x[i].numpy() - means[0], weights=w
        )
        assert numpy.abs(known.as_matrix() - rotation[i].numpy()).max() < 1e-10
        assert numpy.abs(means[1] - known.as_matrix() @ means[0] - shift[i].numpy()).max() < 1e-10


@DTYPES
def test_a_mirror_image_is_not_laid_over_by_a_reflection(dtype):
    x, _ = _clouds(50, 5, dtype=dtype)
    mirrored = x * torch.tensor([1.0, 1.0, -1.0], dtype=dtype)
    rotation, _ = kabsch(x, mirrored)
    assert SO3().check(rotation) is None
    assert (rmsd(x, mirrored) > 0.01).all()


def test_padding_does_not_count_whatever_it_holds():
    x, y = _clouds(4, 6)
    mask = torch.tensor([[1] * 6, [1, 1, 1, 1, 0, 0], [0, 1, 1, 1, 1, 0], [1] * 6]).bool()
    x_padded, y_padded = (torch.where(mask.unsqueeze(-1), points, torch.nan) for points in (x, y))
    rotation, shift = kabsch(x_padded, y_padded, mask=mask)
    deviation = rmsd(x_padded, y_padded, mask=mask)
    for i in range(4):
        alone = kabsch(x[i, mask[i]], y[i, mask[i]])
        assert (rotation[i] - alone[0]).abs().max() < 1e-12 and (
            shift[i] - alone[1]
        ).abs().max() < 1e-12
        assert abs(float(deviation[i] - rmsd(x[i, mask[i]], y[i, mask[i]]))) < 1e-12
    assert (align(x, y, mask=mask)[~mask] == 0).all()


def test_no_small_motion_does_better():
    x, y = _clouds(30, 5)
    rotation, shift = kabsch(x, y)
    best = (x @ rotation.mT + shift.unsqueeze(-2) - y).square().sum((-1, -2))
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        turned = SO3().exp(
            rotation, 0.05 * torch.randn(30, 3, generator=generator, dtype=torch.float64)
        )
        moved = shift + 0.05 * torch.randn(30, 3, generator=generator, dtype=torch.float64)
        assert ((x @ turned.mT + moved.unsqueeze(-2) - y).square().sum((-1, -2)) > best).all()


DEGENERATE = {
    "one point": torch.tensor([[1.0, 2, 3]]).repeat(4, 1),
    "a line": torch.arange(4.0).unsqueeze(-1) * torch.tensor([1.0, -1, 2]),
    "a plane": torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]]),
    "all zero": torch.zeros(4, 3),
}


@DTYPES
@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_clouds_give_a_rotation_and_finite_gradients(name, dtype):
    x = DEGENERATE[name].to(dtype).requires_grad_()
    for y in (DEGENERATE[name].to(dtype), _clouds(4, dtype=dtype)[0], -DEGENERATE[name].to(dtype)):
        y = y.clone().requires_grad_()
        rotation, shift = kabsch(x, y)
        assert SO3().check(rotation.detach()) is None and torch.isfinite(shift).all()
        value = rotation.sum() + shift.sum() + rmsd(x, y) + align(x, y).sum()
        for gradient in torch.autograd.grad(value, (x, y)):
            assert torch.isfinite(gradient).all()


def test_gradients_are_those_of_the_exact_map():
    x, y = (points.requires_grad_() for points in _clouds(2, 5))
    weights = _clouds(2, 5)[0, ..., 0].abs().requires_grad_()
    assert torch.autograd.gradcheck(kabsch, (x, y, weights))
    assert torch.autograd.gradcheck(rmsd, (x, y, weights))


def test_the_deviation_of_equal_clouds_has_zero_gradient():
    x = _clouds(5)[0].requires_grad_()
    (gradient,) = torch.autograd.grad(rmsd(x, x.detach()).square(), x)
    assert gradient.abs().max() < 1e-12


def test_an_all_false_mask_is_the_identity():
    x, y = _clouds(4)
    rotation, shift = kabsch(x, y, mask=torch.zeros(4, dtype=torch.bool))
    assert SO3().check(rotation) is None and (shift == 0).all()


@pytest.mark.parametrize(("first", "second"), [((4, 2), (4, 2)), ((4, 3), (5, 3)), ((3,), (3,))])
def test_clouds_that_do_not_correspond_are_refused(first, second):
    with pytest.raises(ValueError, match="expected"):
        kabsch(torch.zeros(first), torch.zeros(second))


@DTYPES
@pytest.mark.parametrize("batch", [(), (1,), (3, 1, 2), (0,)], ids=str)
def test_a_known_motion_and_scale_are_found(batch, dtype):
    x, _ = _clouds(*batch, 7, dtype=dtype)
    rotation, shift = _motion(*batch, dtype=dtype)
    scale = torch.rand(batch, generator=torch.Generator().manual_seed(2), dtype=dtype) + 0.5
    y = scale[..., None, None] * (x @ rotation.mT) + shift.unsqueeze(-2)
    limit = 1e-5 if dtype == torch.float32 else 1e-13
    for found, known in zip(similarity(x, y), (scale, rotation, shift)):
        assert found.shape == known.shape and ((found - known).abs() < limit).all()


def test_no_small_change_of_the_scale_does_better():
    x, y = _clouds(20, 6)
    generator = torch.Generator().manual_seed(3)
    weights = torch.rand(20, 6, generator=generator, dtype=torch.float64)
    mask = torch.rand(20, 6, generator=generator) < 0.8

    def cost(scale, rotation, shift):
        off = scale[:, None, None] * (x @ rotation.mT) + shift.unsqueeze(-2) - y
        return (weights * mask * off.square().sum(-1)).sum(-1)

    scale, rotation, shift = similarity(x, y, weights, mask)
    least = cost(scale, rotation, shift)
    for by in (-1e-3, 1e-3):
        assert (cost((scale + by).clamp(min=0), rotation, shift) >= least - 1e-12).all()
        assert (cost(scale, rotation, shift + by) >= least - 1e-12).all()
    assert (least <= cost(torch.ones_like(scale), *kabsch(x, y, weights, mask)) + 1e-12).all()


@DTYPES
def test_points_that_coincide_have_scale_zero_and_finite_gradients(dtype):
    x = torch.ones(4, 3, dtype=dtype, requires_grad=True)
    y = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=dtype)
    scale, rotation, shift = similarity(x, y)
    assert scale == 0 and ((shift - y.mean(0)).abs() < 1e-6).all()
    (gradient,) = torch.autograd.grad(scale + rotation.sum() + shift.sum(), x)
    assert gradient.isfinite().all()
