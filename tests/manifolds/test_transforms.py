"""Every space under compile, export, and half precision; vmap, jvp, jacrev and autocast are
laws.
"""

import subprocess
import sys

import pytest
import torch

from manifolds import SE3, SO3, Centered, Euclidean, Hyperbolic, Product, Scaled, Sphere, Torus
from manifolds.testing import points, tangents, within_reach

SPACES = [
    Euclidean(3),
    Sphere(2),
    Torus(3),
    SO3(),
    SE3(),
    Hyperbolic(3),
    Centered(),
    Scaled(Sphere(2), 3.0),
    Product((SO3(), Euclidean(2), Sphere(2))),
]
# Tracing takes one to five seconds a space: rotations always, the others when slow tests are asked
# for.
TRACED = [
    pytest.param(space, id=repr(space), marks=[] if space == SO3() else pytest.mark.slow)
    for space in SPACES
]
# torch 2.13 warns of its own uses of what it deprecates while it traces.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"
)


FORWARD_DERIVATIVES = """
import torch

from manifolds import SO3, Sphere
from manifolds.testing import points, within_reach


def of_both(x, y, u, v):
    return torch.func.jvp(space.log, (x, y), (u, v))[1]


def of_the_second(x, y, u, v):
    return torch.func.jvp(lambda y: space.log(x, y), (y,), (v,))[1]


for space in (Sphere(2), SO3()):
    x = points(space, 4)
    y = space.exp(x, within_reach(space, x))
    for derivative in (of_both, of_the_second):
        torch._dynamo.reset()
        expected = derivative(x, y, x, y)
        got = torch.compile(derivative, backend="aot_eager")(x, y, x, y)
        assert (got - expected).abs().max() < 1e-5 * expected.abs().max(), (space, derivative)
"""


class _Everything(torch.nn.Module):
    """All maps of a space at once."""

    def __init__(self, space):
        super().__init__()
        self.space = space

    def forward(self, x, y, v):
        space = self.space
        return (
            space.exp(x, v),
            space.log(x, y),
            space.transport(x, y, v),
            space.project(x),
            space.to_tangent(x, v),
            space.dist(x, y),
            space.frame(x),
            space.norm(x, v),
            space.inner(x, v, v),
            space.geodesic(x, y, 0.3),
        )


def _arguments(space, count, dtype=torch.float32):
    x = points(space, count, dtype=dtype)
    return x, space.exp(x, within_reach(space, x)), tangents(space, x)


@pytest.mark.parametrize("space", TRACED)
def test_all_maps_are_one_graph_with_the_same_values(space):
    torch._dynamo.reset()
    maps, arguments = _Everything(space), _arguments(space, 4)
    graph = torch.compile(maps, fullgraph=True, backend="eager")
    for one, other in zip(maps(*arguments), graph(*arguments)):
        assert torch.equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_gradients_of_the_graph_are_those_of_the_maps(space):
    torch._dynamo.reset()
    maps, arguments = _Everything(space), _arguments(space, 4)
    graph = torch.compile(maps, fullgraph=True, backend="aot_eager")
    sums = []
    for function in (maps, graph):
        leaves = [tensor.clone().requires_grad_() for tensor in arguments]
        results = function(*leaves)
        total = sum(result.square().sum() for result in results)
        sums.append((results, torch.autograd.grad(total, leaves, allow_unused=True)))
    for plain, compiled in zip(sums[0], sums[1]):
        for one, other in zip(plain, compiled):
            assert (one is None) == (other is None)
            assert one is None or torch.allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_all_maps_export_with_any_batch_size(space):
    maps = _Everything(space)
    any_size = {name: {0: torch.export.Dim("batch", min=2)} for name in "xyv"}
    program = torch.export.export(maps, _arguments(space, 4), dynamic_shapes=any_size)
    larger = _arguments(space, 7)
    for one, other in zip(maps(*larger), program.module()(*larger)):
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_half_precision_keeps_its_dtype_and_is_as_good_as_it_can_be(space, dtype):
    exact = _arguments(space, 20, torch.float64)
    coarse = [tensor.to(dtype) for tensor in exact]
    assert space.check(space.project(coarse[0])) is None
    for other in _Everything(space)(*coarse):
        assert other.dtype == dtype and torch.isfinite(other).all()
    there = space.exp(coarse[0], space.log(coarse[0], coarse[0]))
    assert (there - coarse[0]).abs().max() <= 16 * torch.finfo(dtype).eps * coarse[0].abs().max()


@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_an_empty_batch_goes_through_all_maps_and_their_gradients(space):
    x = points(space, 0).requires_grad_()
    v = space.log(x, x)
    results = _Everything(space)(x, x, v)
    assert (
        all(result.shape[0] == 0 for result in results) and space.random_tangent(x).shape == v.shape
    )
    (gradient,) = torch.autograd.grad(sum(result.sum() for result in results), x)
    assert gradient.shape == x.shape


def test_forward_derivatives_of_log_compile(tmp_path):
    # In an interpreter of its own, since what this guards against is a crash of it.
    script = tmp_path / "compiled.py"
    script.write_text(FORWARD_DERIVATIVES)
    command = [sys.executable, "-W", "ignore", str(script)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
