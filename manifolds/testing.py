"""The laws of every space, as functions that raise AssertionError where one is broken.

`check_laws(space)` runs all of them; a test suite may instead take them one by one from `LAWS`.
Each law is a function of a space and a dtype, and its name is the sentence it checks.

Args:
    space: the space that is to keep the law.
    dtype: float32 or float64.
"""

from __future__ import annotations

import math
import pickle

import torch
from torch import Tensor

from manifolds.base import Manifold, randn

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
_NODES = 5  # for clouds of any number of nodes


def check_laws(
    manifold: Manifold, dtypes: tuple[torch.dtype, ...] = (torch.float32, torch.float64)
) -> None:
    """Check every law of `LAWS` on a space in every dtype; AssertionError names the broken one.

    The tolerances of `TOLERANCE` are multiplied by `manifold.magnification`; laws in
    `manifold.unmet` are left out. Both are 1 and empty on every space whose docstring does not say
    why.

    Args:
        manifold: the space.
        dtypes: which to check it in.
    """
    for dtype in dtypes:
        for law in LAWS:
            if law.__name__ in manifold.unmet:
                continue
            try:
                law(manifold, dtype)
            except AssertionError as error:
                raise AssertionError(
                    f"{manifold}, {dtype}: broken law: {law.__name__}: {error}"
                ) from error


def points(
    space: Manifold, *size: int, seed: int = 0, dtype: torch.dtype = torch.float64
) -> Tensor:
    """Repeatable random points (*size, *shape); clouds have five nodes.

    Args:
        space: where they are.
        size: the batch.
        seed: of the random numbers.
        dtype: of the points.
    """
    size = (*size, _NODES) if None in space.shape else size
    return space.draw(size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def tangents(space: Manifold, x: Tensor, seed: int = 1) -> Tensor:
    """Repeatable standard normal tangents at `x`.

    Args:
        space: where the points are.
        x: points, (*batch, *shape).
        seed: of the random numbers.
    """
    return space.random_tangent(x, generator=torch.Generator().manual_seed(seed))


def within_reach(space: Manifold, x: Tensor, seed: int = 2) -> Tensor:
    """Tangents of lengths up to 0.9 of the injectivity radius (or 3), where exp and log undo each
    other.

    Args:
        space: where the points are.
        x: points, (*batch, *shape).
        seed: of the random numbers.
    """
    v = tangents(space, x, seed)
    radius = min(space.injectivity_radius, 3.0)
    length = space.norm(x, v)
    share = torch.linspace(0.01, 0.9, max(length.numel(), 1), dtype=x.dtype)[: length.numel()]
    return _against(space, radius * share.reshape(length.shape) / length) * v


def _against(space: Manifold, t: Tensor) -> Tensor:
    return t.reshape(t.shape + (1,) * len(space.tangent_shape))


def _near_zero(space: Manifold, value: Tensor, dtype: torch.dtype, factor: float = 1.0) -> None:
    worst = float(value.detach().abs().max()) if value.numel() else 0.0
    allowed = factor * space.magnification * TOLERANCE[dtype]
    assert worst <= allowed, f"off by {worst:.3g}, allowed {allowed:.3g}"


def random_points_are_points(space: Manifold, dtype: torch.dtype) -> None:
    x = points(space, 100, dtype=dtype)
    assert x.dtype == dtype
    assert space.check(x) is None, space.check(x)
    assert torch.equal(x, points(space, 100, dtype=dtype)), (
        "the same generator must give the same points"
    )


def check_says_why(space: Manifold, dtype: torch.dtype) -> None:
    x = points(space, 4, dtype=dtype)
    broken = x.clone()
    broken.view(-1)[0] = math.nan
    for wrong in (broken, x.long(), x[..., :0], x.flatten()[0]):
        if wrong.shape == x.shape or space.shape:
            assert isinstance(space.check(wrong), str) and space.check(wrong), (
                f"no reason for {wrong}"
            )


def log_undoes_exp(space: Manifold, dtype: torch.dtype) -> None:
    x = points(space, 200, dtype=dtype)
    v = within_reach(space, x)
    _near_zero(space, space.log(x, space.exp(x, v)) - v, dtype, 3)


def exp_undoes_log(space: Manifold, dtype: torch.dtype) -> None:
    x, y = points(space, 200, seed=0, dtype=dtype), points(space, 200, seed=1, dtype=dtype)
    _near_zero(space, space.dist(space.exp(x, space.log(x, y)), y), dtype)


def exp_of_zero_stays(space: Manifold, dtype: torch.dtype) -> None:
    x = points(space, 20, dtype=dtype)
    _near_zero(space, space.exp(x, 0 * tangents(space, x)) - x, dtype)
    _near_zero(space, space.log(x, x), dtype)


def results_are_points_and_tangents(space: Manifold, dtype: torch.dtype) -> None:
    x, y = points(space, 50, seed=0, dtype=dtype), points(space, 50, seed=1, dtype=dtype)
    v = tangents(space, x)
    for point in (space.exp(x, v), space.geodesic(x, y, 0.3)):
        assert point.dtype == dtype and space.check(point) is None, space.check(point)
    for base, tangent in ((x, v), (x, space.log(x, y)), (y, space.transport(x, y, v))):
        assert tangent.dtype == dtype
        _near_zero(space, space.to_tangent(base, tangent) - tangent, dtype)


def dist_is_symmetric_and_zero_at_equal_points(space: Manifold, dtype: torch.dtype) -> None:
    x, y, z = (points(space, 100, seed=seed, dtype=dtype) for seed in range(3))
    _near_zero(space, space.dist(x, y) - space.dist(y, x), dtype)
    _near_zero(space, space.dist(x, x), dtype)
    _near_zero(space, (space.dist(x, z) - space.dist(x, y) - space.dist(y, z)).clamp(min=0), dtype)


def dist_is_the_length_of_exp(space: Manifold, dtype: torch.dtype) -> None:
    x = points(space, 100, dtype=dtype)
    v = within_reach(space, x)
    _near_zero(space, space.dist(x, space.exp(x, v)) - space.norm(x, v), dtype)


def geodesic_is_proportional(space: Manifold, dtype: torch.dtype) -> None:
    x = points(space, 50, dtype=dtype)
    y = space.exp(x, within_reach(space, x))
    for t in (0.0, 0.25, 1.0, torch.linspace(0, 1, 50, dtype=dtype)):
        between = space.geodesic(x, y, t)
        _near_zero(space, space.dist(x, between) - t * space.dist(x, y), dtype)
        _near_zero(space, space.dist(between, y) - (1 - t) * space.dist(x, y), dtype)


def transport_is_a_linear_isometry(space: Manifold, dtype: torch.dtype) -> None:
    x, y = points(space, 100, seed=0, dtype=dtype), points(space, 100, seed=1, dtype=dtype)
    u, v = tangents(space, x, 1), tangents(space, x, 2)
    moved_u, moved_v = space.transport(x, y, u), space.transport(x, y, v)
    _near_zero(space, space.inner(y, moved_u, moved_v) - space.inner(x, u, v), dtype, 10)
    _near_zero(space, space.transport(x, y, u - 2 * v) - (moved_u - 2 * moved_v), dtype, 10)


def transport_to_the_same_point_changes_nothing(space: Manifold, dtype: torch.dtype) -> None:
    x = points(space, 50, dtype=dtype)
    v = tangents(space, x)
    _near_zero(space, space.transport(x, x, v) - v, dtype)


def transport_carries_a_geodesic_along_itself(space: Manifold, dtype: torch.dtype) -> None:
    x = points(space, 100, dtype=dtype)
    y = space.exp(x, within_reach(space, x))
    _near_zero(space, space.transport(x, y, space.log(x, y)) + space.log(y, x), dtype)


def transport_back_undoes_transport(space: Manifold, dtype: torch.dtype) -> None:
    x = points(space, 100, dtype=dtype)
    y = space.exp(x, within_reach(space, x))
    v = tangents(space, x)
    _near_zero(space, space.transport(y, x, space.transport(x, y, v)) - v, dtype)


def pull_back_is_the_differential_of_log(space: Manifold, dtype: torch.dtype) -> None:
    x = points(space, 50, dtype=dtype)
    y = space.exp(x, 0.7 * within_reach(space, x))
    # Outwards along the geodesic the logarithm grows with its own length.
    _near_zero(space, space.pull_back(x, y, -space.log(y, x)) - space.log(x, y), dtype, 10)
    if dtype == torch.float64:
        v, h = tangents(space, y), 1e-4
        difference = (space.log(x, space.exp(y, h * v)) - space.log(x, space.exp(y, -h * v))) / (
            2 * h
        )
        _near_zero(space, (space.pull_back(x, y, v) - difference) * TOLERANCE[dtype] / 1e-5, dtype)


def frame_is_orthonormal(space: Manifold, dtype: torch.dtype) -> None:
    x = points(space, 30, dtype=dtype)
    frame = space.frame(x)
    axes = len(space.tangent_shape)
    assert frame.shape[: frame.dim() - axes - 1] == x.shape[: x.dim() - len(space.shape)]
    count = frame.shape[frame.dim() - axes - 1]
    assert space.dim is None or count == space.dim, f"{count} vectors, dim {space.dim}"
    assert count == space.dim_of(x), f"{count} vectors, dim_of {space.dim_of(x)}"
    at = x.unsqueeze(1)
    gram = space.inner(at.unsqueeze(1), frame.unsqueeze(1), frame.unsqueeze(2))
    _near_zero(space, gram - torch.eye(count, dtype=dtype), dtype)
    _near_zero(space, space.to_tangent(at, frame) - frame, dtype)


def frame_spans_the_tangents(space: Manifold, dtype: torch.dtype) -> None:
    x = points(space, 30, dtype=dtype)
    v, frame = tangents(space, x), space.frame(x)
    parts = space.inner(x.unsqueeze(1), frame, v.unsqueeze(1))
    _near_zero(space, (_against(space, parts) * frame).sum(1) - v, dtype)
    _near_zero(space, space.coordinates(x, v) - parts, dtype)
    _near_zero(space, space.from_coordinates(x, parts) - v, dtype)


def gradient_gives_the_slope_along_every_tangent(space: Manifold, dtype: torch.dtype) -> None:
    """inner(x, gradient(x, slope), v) is the sum of slope * v, and the gradient is a tangent."""
    x = points(space, 40, dtype=dtype)
    v, slope = tangents(space, x), torch.cos(3 * tangents(space, x, seed=4))
    gradient = space.gradient(x, slope)
    _near_zero(space, space.to_tangent(x, gradient) - gradient, dtype, 10)
    off = space.inner(x, gradient, v) - (slope * v).reshape(40, -1).sum(-1)
    _near_zero(space, off / (1 + (slope * v).reshape(40, -1).norm(dim=-1)), dtype)


def lengths_within_the_radius_stay(space: Manifold, dtype: torch.dtype) -> None:
    """within_radius keeps directions, keeps what is shorter, and no one space has longer ones."""
    x = points(space, 40, dtype=dtype)
    v = tangents(space, x)
    short = 0.5 * min(space.injectivity_radius, 1.0) / (1 + space.norm(x, v).max()) * v
    assert torch.equal(space.within_radius(x, short), short)
    long = space.within_radius(x, 100 * v)
    assert (space.inner(x, long, v) > 0).all()
    if len(space.factors) == 1 and space.dim is not None:
        assert (space.norm(x, long) <= space.injectivity_radius * (1 + 1e-5)).all()


def random_tangents_have_unit_variance(space: Manifold, dtype: torch.dtype) -> None:
    x = points(space, 1, dtype=dtype).expand(4000, *points(space, dtype=dtype).shape)
    frame = space.frame(x[:1])
    parts = space.inner(x.unsqueeze(1), frame, tangents(space, x).unsqueeze(1))
    covariance = parts.mT @ parts / len(parts)
    worst = float((covariance - torch.eye(covariance.shape[-1], dtype=dtype)).abs().max())
    assert worst < 0.15, f"covariance off by {worst:.3g}"  # more than six standard errors


def project_is_idempotent(space: Manifold, dtype: torch.dtype) -> None:
    x = points(space, 50, dtype=dtype)
    _near_zero(space, space.project(x) - x, dtype)
    noise = randn(*x.shape, generator=torch.Generator().manual_seed(3), dtype=dtype)
    projected = space.project(x + 0.3 * noise)
    assert space.check(projected) is None, space.check(projected)
    _near_zero(space, space.project(projected) - projected, dtype)


def to_tangent_is_idempotent(space: Manifold, dtype: torch.dtype) -> None:
    x = points(space, 50, dtype=dtype)
    v = tangents(space, x)
    noise = randn(*v.shape, generator=torch.Generator().manual_seed(3), dtype=dtype)
    projected = space.to_tangent(x, noise)
    _near_zero(space, space.to_tangent(x, projected) - projected, dtype)
    _near_zero(space, space.inner(x, projected - noise, v), dtype)


def any_batch_shape_works(space: Manifold, dtype: torch.dtype) -> None:
    for batch in ((), (1,), (3, 1, 2), (0,)):
        x, y = (
            points(space, *batch, seed=0, dtype=dtype),
            points(space, *batch, seed=1, dtype=dtype),
        )
        v = tangents(space, x)
        for tangent in (space.log(x, y), space.transport(x, y, v), space.to_tangent(x, v)):
            assert tangent.shape == v.shape
        assert space.exp(x, v).shape == space.project(x).shape == x.shape
        assert (
            space.dist(x, y).shape == space.norm(x, v).shape == space.inner(x, v, v).shape == batch
        )
        for t in (0.5, torch.full(batch, 0.5, dtype=dtype)):
            assert space.geodesic(x, y, t).shape == x.shape
        assert space.check(x) is None


def batches_broadcast(space: Manifold, dtype: torch.dtype) -> None:
    x, y = points(space, 3, 1, seed=0, dtype=dtype), points(space, 4, seed=1, dtype=dtype)
    assert space.dist(x, y).shape == (3, 4)
    _near_zero(space, space.dist(space.exp(x, space.log(x, y)), y), dtype)
    v = tangents(space, x)
    _near_zero(
        space, space.transport(x, y, v)[2, 3] - space.transport(x[2, 0], y[3], v[2, 0]), dtype
    )


def entries_of_a_batch_do_not_mix(space: Manifold, dtype: torch.dtype) -> None:
    x, y = points(space, 6, seed=0, dtype=dtype), points(space, 6, seed=1, dtype=dtype)
    v = tangents(space, x)
    for number in range(6):
        one = space.exp(x[number], v[number])
        _near_zero(space, one - space.exp(x, v)[number], dtype)
        _near_zero(space, space.log(x[number], y[number]) - space.log(x, y)[number], dtype)


def gradients_are_finite_at_singular_points(space: Manifold, dtype: torch.dtype) -> None:
    x = points(space, 3, dtype=dtype)
    zero = 0 * tangents(space, x)
    frame = space.frame(x)
    at = x.unsqueeze(1).expand(x.shape[0], frame.shape[1], *x.shape[1:]).contiguous()
    pairs = [(x, x), (x, space.exp(x, zero))]
    if math.isfinite(space.injectivity_radius):
        # The cut locus, where log is not unique: antipodes, rotations by pi, opposite angles.
        pairs.append((at, space.exp(at, space.injectivity_radius * frame)))
    tiny = torch.finfo(dtype).tiny * torch.ones_like(frame)
    pairs.append((at, space.exp(at, space.to_tangent(at, tiny))))
    for first, second in pairs:
        first, second = first.clone().requires_grad_(), second.clone().requires_grad_()
        v = (0 * space.log(first, second)).detach().requires_grad_()
        outputs = [
            space.exp(first, v),
            space.log(first, second),
            space.dist(first, second),
            space.dist(first, second).square(),
            space.norm(first, v),
            space.transport(first, second, v),
            space.geodesic(first, second, 0.5),
            space.project(first),
        ]
        for number, output in enumerate(outputs):
            assert torch.isfinite(output).all(), f"value {number} is not finite"
            if not output.requires_grad:
                continue
            gradients = torch.autograd.grad(output.sum(), (first, second, v), allow_unused=True)
            for gradient in gradients:
                assert gradient is None or torch.isfinite(gradient).all(), (
                    f"gradient {number} is not finite"
                )


def squared_distance_is_flat_at_equal_points(space: Manifold, dtype: torch.dtype) -> None:
    x = points(space, 5, dtype=dtype)
    y = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(space.dist(x, y).square().sum(), y)
    _near_zero(space, gradient, dtype)


def gradients_are_right(space: Manifold, dtype: torch.dtype) -> None:
    """Also at the zero tangent and at equal points; in float64 only, whatever the dtype asked
    for.
    """
    if dtype != torch.float64:
        return
    x = points(space, 2)
    v = within_reach(space, x)
    y = space.exp(x, v)
    for tangent in (v, 0 * v):
        assert torch.autograd.gradcheck(space.exp, _leaves(x, tangent))
    for second in (y, x):
        assert torch.autograd.gradcheck(space.log, _leaves(x, second))
        assert torch.autograd.gradcheck(lambda a, b: space.dist(a, b).square(), _leaves(x, second))
    assert torch.autograd.gradcheck(space.transport, _leaves(x, y, v))
    assert torch.autograd.gradcheck(space.project, _leaves(x + 0.1))


def second_derivatives_are_right_at_zero(space: Manifold, dtype: torch.dtype) -> None:
    """Of the squared distance to the end of a tangent: along a frame its Hessian is twice the
    identity.
    """
    if dtype != torch.float64:
        return
    x = points(space)
    frame = space.frame(x)

    def end(coordinates: Tensor) -> Tensor:
        return space.exp(x, (_against(space, coordinates) * frame).sum(0))

    def squared_distance(coordinates: Tensor) -> Tensor:
        v = space.log(x, end(coordinates))  # dist would lose the curvature at 0 in its square root
        return space.inner(x, v, v)

    zero = torch.zeros(frame.shape[0], dtype=dtype)
    assert torch.autograd.gradgradcheck(end, _leaves(zero))
    for coordinates in (zero, zero + 0.1):
        assert torch.autograd.gradgradcheck(squared_distance, _leaves(coordinates))
    hessian = torch.autograd.functional.hessian(squared_distance, zero)
    _near_zero(space, hessian - 2 * torch.eye(len(zero), dtype=dtype), dtype)


def vmap_and_jvp_agree_with_batches(space: Manifold, dtype: torch.dtype) -> None:
    x = points(space, 4, dtype=dtype)
    y = space.exp(x, within_reach(space, x))
    v = tangents(space, x)
    _near_zero(space, torch.func.vmap(space.exp)(x, v) - space.exp(x, v), dtype)
    _near_zero(space, torch.func.vmap(space.log)(x, y) - space.log(x, y), dtype)
    _near_zero(space, torch.func.vmap(space.transport)(x, y, v) - space.transport(x, y, v), dtype)
    _near_zero(space, torch.func.vmap(space.project)(x) - space.project(x), dtype)
    # The distance walked grows with the length of the tangent.
    step = within_reach(space, x)

    def walked(t: Tensor) -> Tensor:
        return space.dist(x, space.exp(x, t * step))

    half = torch.tensor(0.5, dtype=dtype)
    rate = torch.func.jvp(walked, (half,), (torch.ones_like(half),))[1]
    _near_zero(space, rate - space.norm(x, step), dtype, 10)


def derivatives_agree_in_every_mode(space: Manifold, dtype: torch.dtype) -> None:
    """jacrev, jacfwd, vmap over them, and the velocity of a geodesic, also at its ends and of no
    length.
    """
    x = points(space, 2, dtype=dtype)
    y = space.exp(x, within_reach(space, x))
    for function, first, second in (
        (space.exp, x, space.log(x, y)),
        (space.log, x, y),
        (space.log, x, x),
        (lambda a, b: space.transport(a, b, space.log(a, b)), x, y),
    ):
        reverse = torch.func.vmap(torch.func.jacrev(function, argnums=1))(first, second)
        forward = torch.func.vmap(torch.func.jacfwd(function, argnums=1))(first, second)
        size = max(1.0, float(reverse.abs().max()))
        _near_zero(space, (reverse - forward) / size, dtype, 10)
    for end in (y, x):
        v = space.log(x, end)
        for t in (0.0, 0.3, 1.0):
            at = space.exp(x, t * v)

            def seen(s: Tensor, v: Tensor = v, at: Tensor = at) -> Tensor:
                return space.log(at, space.exp(x, s * v))

            here = torch.tensor(t, dtype=dtype)
            velocity = torch.func.jvp(seen, (here,), (torch.ones_like(here),))[1]
            _near_zero(space, velocity - space.transport(x, at, v), dtype, 10)


def autocast_changes_nothing(space: Manifold, dtype: torch.dtype) -> None:
    x = points(space, 5, dtype=dtype)
    y, v = space.exp(x, within_reach(space, x)), tangents(space, x)

    def everything() -> list[Tensor]:
        maps = [space.exp(x, v), space.log(x, y), space.transport(x, y, v), space.project(x)]
        return [
            *maps,
            space.dist(x, y),
            space.frame(x),
            space.inner(x, v, v),
            space.geodesic(x, y, 0.3),
        ]

    plain = everything()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = everything()
    for one, other in zip(plain, cast):
        assert other.dtype == dtype
        _near_zero(space, one - other, dtype)


def memory_layout_does_not_matter(space: Manifold, dtype: torch.dtype) -> None:
    """Points and tangents that are expanded, transposed, or every second of others."""
    x, y = (points(space, 3, 4, seed=seed, dtype=dtype) for seed in (0, 1))
    v = tangents(space, x)
    wide = [torch.stack([a, a], 2)[:, :, 0] for a in (x, y, v)]
    turned = [a.transpose(0, 1) for a in (x, y, v)]
    same = [a[:1].expand(3, *a.shape[1:]) for a in (x, y, v)]
    for a, b, c in (wide, turned, same):
        plain = [part.clone(memory_format=torch.contiguous_format) for part in (a, b, c)]
        for function in (
            lambda a, b, c: space.exp(a, c),
            lambda a, b, c: space.log(a, b),
            space.transport,
        ):
            _near_zero(space, function(a, b, c) - function(*plain), dtype)


def meta_tensors_pass_through(space: Manifold, dtype: torch.dtype) -> None:
    """Shapes can be had without numbers: nothing reads a value or makes a tensor on another
    device.
    """
    x, y = (points(space, 3, seed=seed, dtype=dtype).to("meta") for seed in (0, 1))
    v = space.log(x, y)
    for result in (v, space.transport(x, y, v), space.to_tangent(x, v)):
        assert result.device.type == "meta" and result.shape == v.shape and result.dtype == dtype
    for result in (space.exp(x, v), space.project(x), space.geodesic(x, y, 0.5)):
        assert result.device.type == "meta" and result.shape == x.shape
    assert (
        space.dist(x, y).shape == space.norm(x, v).shape == (3,)
        and space.frame(x).device.type == "meta"
    )


def long_walks_stay_on_the_space(space: Manifold, dtype: torch.dtype) -> None:
    if math.isinf(space.injectivity_radius):
        return  # flat: points may wander off, rounding grows with them
    x = points(space, 20, dtype=dtype)
    generator = torch.Generator().manual_seed(0)
    for _ in range(1000):
        x = space.exp(x, 0.1 * space.random_tangent(x, generator=generator))
    # Rounding grows with the coordinates of a flat factor, which may wander off.
    worst = float((space.project(x) - x).abs().max() / x.abs().max().clamp(min=1))
    assert worst <= 1e-6, f"{worst:.3g} off after 1000 steps"


def facts_of_a_space_agree_with_its_maps(space: Manifold, dtype: torch.dtype) -> None:
    """The sizes to ask for, the origin, what flat means, and the factors."""
    x, y = points(space, 3, 4, seed=0, dtype=dtype), points(space, 3, 4, seed=1, dtype=dtype)
    v = tangents(space, x)
    assert space.draw(space.size_of(x), dtype=dtype).shape == x.shape
    assert space.batch_of(x) == (3, 4)
    if None not in space.shape:
        origin = space.origin(dtype=dtype)
        assert origin.dtype == dtype and origin.shape == space.shape
        assert space.check(origin) is None and torch.equal(origin, space.origin(dtype=dtype))
        _near_zero(space, space.exp(origin, space.log(origin, origin)) - origin, dtype)
    if space.flat:
        assert math.isinf(space.injectivity_radius)
        _near_zero(space, space.exp(x, v) - (x + v), dtype)
        _near_zero(space, space.log(x, y) - (y - x), dtype)
        _near_zero(space, space.inner(x, v, v) - space.inner(y, v, v), dtype)
    if len(space.factors) > 1:
        assert torch.equal(space.join(space.split(x)), x)
        assert torch.equal(space.join_tangent(space.split_tangent(v)), v)
        squares = []
        for factor, a, b, c, away in zip(
            space.factors,
            space.split(x),
            space.split(y),
            space.split_tangent(v),
            space.split_tangent(space.log(x, y)),
        ):
            assert factor.check(a) is None, factor.check(a)
            _near_zero(space, factor.to_tangent(a, c) - c, dtype)
            _near_zero(space, factor.log(a, b) - away, dtype)
            squares.append(factor.inner(a, c, c))
        _near_zero(space, space.inner(x, v, v) - torch.stack(squares).sum(0), dtype, 10)


def masks_mean_nothing_without_nodes(space: Manifold, dtype: torch.dtype) -> None:
    if None in space.shape:
        return
    x, mask = points(space, 3, 4, dtype=dtype), torch.zeros(3, 4, dtype=torch.bool)
    v = tangents(space, x)
    assert space.check(x, mask) is None
    space.require_mask(x, mask)
    for with_mask, without in (
        (space.project(x, mask), space.project(x)),
        (space.to_tangent(x, v, mask), space.to_tangent(x, v)),
        (space.frame(x, mask), space.frame(x)),
    ):
        assert torch.equal(with_mask, without)
    assert space.dim_of(x, mask) == space.dim_of(x) == space.coordinates_of(x, mask)


def masked_nodes_stay_zero_and_do_not_count(space: Manifold, dtype: torch.dtype) -> None:
    if None not in space.shape:
        return
    mask = torch.tensor([[True, True, True, False], [True, False, True, True]])
    nodes = mask.dim()  # the axes of a point's tensor up to its nodes
    x = space.random_point(2, mask=mask, generator=torch.Generator().manual_seed(0), dtype=dtype)
    padding = x[0, 3]  # 0 for points of a vector space, the identity for frames
    assert space.check(x, mask) is None and (x[~mask] == padding).all()
    noise = randn(*x.shape, generator=torch.Generator().manual_seed(1), dtype=dtype)
    ambient = space.random_tangent(x, generator=torch.Generator().manual_seed(2))
    projected, tangent = space.project(noise, mask), space.to_tangent(x, ambient, mask)
    assert space.check(projected, mask) is None
    assert (projected[~mask] == padding).all() and (tangent[~mask] == 0).all()
    _near_zero(space, projected[1][mask[1]] - space.project(noise[1][mask[1]]), dtype)
    _near_zero(
        space, tangent[1][mask[1]] - space.to_tangent(x[1][mask[1]], ambient[1][mask[1]]), dtype
    )
    _near_zero(space, space.to_tangent(x, tangent, mask) - tangent, dtype)
    noise[~mask], ambient[~mask] = math.nan, math.nan  # whatever stands in the padding
    assert torch.isfinite(space.project(noise, mask)).all()
    assert torch.isfinite(space.to_tangent(x, ambient, mask)).all()
    frame = space.frame(x, mask)
    assert (frame.movedim(1, -len(space.tangent_shape))[~mask] == 0).all()
    rank = len(space.frame(x[1][mask[1]]))
    assert (frame.flatten(nodes).norm(dim=-1) > 0).sum(1).tolist() == [rank] * 2
    _near_zero(space, space.dim_of(x, mask) - torch.full((2,), float(rank), dtype=dtype), dtype)
    density = space.log_prob_of_random(x, mask)
    _near_zero(space, density[1] - space.log_prob_of_random(x[1][mask[1]]), dtype, 10)
    with_stray = x.clone()
    with_stray[0, 3] = x[0, 0]
    assert space.check(with_stray, mask), "a point outside the mask was let through"


def a_space_is_a_value(space: Manifold, dtype: torch.dtype) -> None:
    again = pickle.loads(pickle.dumps(space))
    assert again == space and hash(again) == hash(space) and repr(again) == repr(space)
    try:
        space.anything = 1  # type: ignore[attr-defined]
    except (AttributeError, TypeError):
        return
    raise AssertionError("attributes can be set; make it a frozen dataclass")


def _leaves(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(tensor.detach().clone().requires_grad_() for tensor in tensors)


LAWS = (
    random_points_are_points,
    check_says_why,
    log_undoes_exp,
    exp_undoes_log,
    exp_of_zero_stays,
    results_are_points_and_tangents,
    dist_is_symmetric_and_zero_at_equal_points,
    dist_is_the_length_of_exp,
    geodesic_is_proportional,
    transport_is_a_linear_isometry,
    transport_to_the_same_point_changes_nothing,
    transport_carries_a_geodesic_along_itself,
    transport_back_undoes_transport,
    pull_back_is_the_differential_of_log,
    frame_is_orthonormal,
    frame_spans_the_tangents,
    gradient_gives_the_slope_along_every_tangent,
    lengths_within_the_radius_stay,
    random_tangents_have_unit_variance,
    project_is_idempotent,
    to_tangent_is_idempotent,
    any_batch_shape_works,
    batches_broadcast,
    entries_of_a_batch_do_not_mix,
    gradients_are_finite_at_singular_points,
    squared_distance_is_flat_at_equal_points,
    gradients_are_right,
    second_derivatives_are_right_at_zero,
    vmap_and_jvp_agree_with_batches,
    derivatives_agree_in_every_mode,
    autocast_changes_nothing,
    memory_layout_does_not_matter,
    meta_tensors_pass_through,
    long_walks_stay_on_the_space,
    facts_of_a_space_agree_with_its_maps,
    masks_mean_nothing_without_nodes,
    masked_nodes_stay_zero_and_do_not_count,
    a_space_is_a_value,
)
