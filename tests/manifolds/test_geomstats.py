"""Spaces of geomstats keep our laws, and agree with our own where there are both."""

import importlib.util
import inspect
import math
import subprocess
import sys

import pytest
import torch

from manifolds import SO3, Hyperbolic, Product, Scaled, Sphere
from manifolds import geomstats as adapter
from manifolds.rotations import hat
from manifolds.testing import LAWS

if importlib.util.find_spec("geomstats") is None:  # importing it here would choose its backend
    pytest.skip("geomstats is not installed", allow_module_level=True)
pytestmark = pytest.mark.filterwarnings("ignore")  # geomstats warns of its own and of numpy's plans


def _seeded(seed=0):
    return torch.Generator().manual_seed(seed)


# module, class, arguments; a new space adds one line here.
SPACES = {
    "spd": ("spd_matrices", "SPDMatrices", {"n": 2}),
    "grassmann": ("grassmannian", "Grassmannian", {"n": 3, "p": 1}),
    "sphere": ("hypersphere", "Hypersphere", {"dim": 2}),
    "hyperboloid": ("hyperboloid", "Hyperboloid", {"dim": 2}),
    "rotations": ("special_orthogonal", "SpecialOrthogonal", {"n": 3}),
}


def _make(module, name, options):
    adapter.load()
    return getattr(importlib.import_module(f"geomstats.geometry.{module}"), name)(**options)


@pytest.fixture(scope="module", params=SPACES)
def space(request):
    return adapter.from_geomstats(_make(*SPACES[request.param]))


# Everything in float32, and the laws of a thousand calls, take a quarter of a minute together.
_LONG = (
    "long_walks_stay_on_the_space",
    "geodesic_is_proportional",
    "dist_is_symmetric_and_zero_at_equal_points",
)


@pytest.mark.parametrize(
    ("law", "dtype"),
    [
        pytest.param(
            law,
            dtype,
            id=f"{law.__name__}-{str(dtype)[6:]}",
            marks=[pytest.mark.slow] if dtype == torch.float32 or law.__name__ in _LONG else [],
        )
        for law in LAWS
        for dtype in (torch.float32, torch.float64)
    ],
)
def test_spaces_of_geomstats_keep_the_laws(law, space, dtype):
    if law.__name__ in space.unmet:
        return
    law(space, dtype)


def test_laws_that_are_left_out_are_laws(space):
    assert set(space.unmet) <= {law.__name__ for law in LAWS} and all(space.unmet.values())


def test_gradients_flow_through_the_maps(space):
    x, y = space.random_point(2, 3, generator=_seeded(), dtype=torch.float64)
    x, y = x.requires_grad_(), y.requires_grad_()
    v = space.log(x, y)
    for output in (v, space.exp(x, 0.5 * v), space.dist(x, y)):
        for gradient in torch.autograd.grad(
            output.sum(), (x, y), retain_graph=True, allow_unused=True
        ):
            assert gradient is None or torch.isfinite(gradient).all()


def test_draws_repeat_and_leave_the_global_state_alone(space):
    before = torch.random.get_rng_state()
    a, b, c = (space.random_point(4, generator=_seeded(seed)) for seed in (0, 0, 1))
    assert torch.equal(a, b) and not torch.equal(a, c) and a.dtype == torch.float32
    assert (
        torch.equal(torch.random.get_rng_state(), before)
        and torch.get_default_dtype() == torch.float32
    )


class _Rows:
    """A generator with a stream for each row, as geodiff.process.randomness has."""

    def rand(self, *size, dtype=None, device=None):
        return torch.linspace(0.1, 0.9, 5, dtype=dtype)[: size[0]]

    randn = rand


def test_a_sample_of_a_generator_with_streams_does_not_depend_on_its_batch(space):
    assert torch.equal(
        space.random_point(5, generator=_Rows())[:2], space.random_point(2, generator=_Rows())
    )


def test_adapted_spaces_go_into_products_and_scale():
    inner = adapter.from_geomstats(_make(*SPACES["spd"]))
    both = Product((Sphere(1), Scaled(inner, 2.0)))
    x, y = both.random_point(2, 5, generator=_seeded(), dtype=torch.float64)
    assert both.check(x) is None and (both.dist(both.exp(x, both.log(x, y)), y)).max() < 1e-8
    assert both.unmet == inner.unmet and both.magnification == 200


def test_stiefel_matrices_have_exp_and_log_nearby_and_an_approximate_transport():
    space = adapter.from_geomstats(_make("stiefel", "Stiefel", {"n": 4, "p": 2}))
    x = space.random_point(5, generator=_seeded(), dtype=torch.float64)
    v = space.random_tangent(x, generator=_seeded(1))
    v = 0.3 * v / space.norm(x, v)[:, None, None]
    y = space.exp(x, v)
    assert space.check(x) is None and space.check(y) is None
    assert (space.log(x, y) - v).abs().max() < 1e-6 and (space.norm(x, v) - 0.3).abs().max() < 1e-12
    assert (space.norm(y, space.transport(x, y, v)) / space.norm(x, v) - 1).abs().max() < 1e-2
    frame = space.frame(x)
    gram = space.inner(x[:, None, None], frame[:, None], frame[:, :, None])
    assert (gram - torch.eye(space.dim, dtype=torch.float64)).abs().max() < 1e-12
    assert {"transport_is_a_linear_isometry", "batches_broadcast"} <= set(space.unmet)


@pytest.mark.parametrize(
    ("ours", "name", "limit"),
    [(Sphere(2), "sphere", 1e-9), (Hyperbolic(2), "hyperboloid", 1e-8)],
    ids=["sphere", "hyperbolic"],
)
def test_our_spaces_agree_with_those_of_geomstats(ours, name, limit):
    theirs = adapter.from_geomstats(_make(*SPACES[name]))
    x, y = ours.random_point(2, 50, generator=_seeded(), dtype=torch.float64)
    v = ours.random_tangent(x, generator=_seeded(1))
    assert theirs.check(x) is None
    assert (theirs.dist(x, y) - ours.dist(x, y)).abs().max() < limit
    assert (theirs.log(x, y) - ours.log(x, y)).abs().max() < 10 * limit
    assert (theirs.exp(x, v) - ours.exp(x, v)).abs().max() < 10 * limit
    assert (theirs.transport(x, y, v) - ours.transport(x, y, v)).abs().max() < 10 * limit
    assert (theirs.inner(x, v, v) - ours.inner(x, v, v)).abs().max() < limit


def test_our_ball_agrees_with_that_of_geomstats():
    ball, ours = (
        adapter.from_geomstats(_make("poincare_ball", "PoincareBall", {"dim": 2})),
        Hyperbolic(2),
    )
    x, y = ours.random_point(2, 20, generator=_seeded(), dtype=torch.float64)
    a, b = ours.to_poincare(x), ours.to_poincare(y)
    assert (ball.dist(a, b) - ours.dist(x, y)).abs().max() < 1e-8
    assert (
        ours.from_poincare(ball.geodesic(a, b, 0.5)) - ours.geodesic(x, y, 0.5)
    ).abs().max() < 1e-7


def test_our_rotations_agree_with_those_of_geomstats():
    ours, theirs = SO3(), adapter.from_geomstats(_make(*SPACES["rotations"]))
    x, y = ours.random_point(2, 50, generator=_seeded(), dtype=torch.float64)
    v = ours.log(x, y)
    # Theirs are matrices x hat(w); the metric is that of Frobenius, which measures a radian as sqrt
    # 2 or 1.
    ambient = x @ hat(v)
    assert (theirs.log(x, y) - ambient).abs().max() < 1e-7
    assert (theirs.exp(x, ambient) - ours.exp(x, v)).abs().max() < 1e-9
    ratio = theirs.dist(x, y) / ours.dist(x, y)
    assert (ratio - ratio[0]).abs().max() < 1e-7
    u = ours.random_tangent(x, generator=_seeded(1))
    assert (
        theirs.transport(x, y, x @ hat(u)) - y @ hat(ours.transport(x, y, u))
    ).abs().max() < 1e-7


def test_a_missing_geomstats_and_one_that_does_not_import_name_their_cures(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(adapter.importlib, "import_module", missing)
    with pytest.raises(ModuleNotFoundError, match=r"pip install geodiff-manifolds\[geomstats\]"):
        adapter.from_geomstats(None)

    def old(name):
        raise ImportError("cannot import name 'trapz' from 'numpy'")

    monkeypatch.setattr(adapter.importlib, "import_module", old)
    with pytest.raises(
        ImportError, match=r"trapz.*numpy < 2\.4.*pip install geodiff-manifolds\[geomstats\]"
    ):
        adapter.from_geomstats(None)


def test_what_is_no_space_of_geomstats_is_refused():
    with pytest.raises(TypeError, match=r"space: expected a geomstats space, .*got Sphere\(n=2\)"):
        adapter.from_geomstats(Sphere(2))
    bare = _make("spd_matrices", "SPDMatrices", {"n": 2, "equip": False})
    with pytest.raises(ValueError, match="space: SPDMatrices has no metric"):
        adapter.from_geomstats(bare)
    plain = _make(*SPACES["sphere"])
    with pytest.raises(ValueError, match="injectivity_radius: expected a positive number, got 0"):
        adapter.from_geomstats(plain, injectivity_radius=0)
    space = adapter.from_geomstats(plain, injectivity_radius=3.0)
    assert space.injectivity_radius == 3.0 and "Hypersphere" in repr(space)
    assert "1 of 2 points" in space.check(torch.tensor([[0.0, 0, 1], [0, 0, 2]]))
    with pytest.raises(ValueError, match="x: not points of .*Hypersphere.*project"):
        space.require(x=torch.ones(3))
    with pytest.raises(ValueError, match="volume"):
        space.uniform_log_prob()


def test_nothing_is_imported_before_it_is_asked_for():
    assert not any(
        line.startswith(("import geomstats", "import numpy"))
        for line in inspect.getsource(adapter).splitlines()
    )
    assert math.isinf(adapter.from_geomstats(_make(*SPACES["spd"])).injectivity_radius)


@pytest.mark.slow
def test_under_the_numpy_backend_values_are_given_and_gradients_refused_with_the_reason():
    code = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "import geomstats.backend, torch\n"
        "from geomstats.geometry.spd_matrices import SPDMatrices\n"
        "from manifolds.geomstats import from_geomstats\n"
        "space = from_geomstats(SPDMatrices(2))\n"
        "x, y = space.random_point(2, 5, dtype=torch.float64)\n"
        "assert space.dist(space.exp(x, space.log(x, y)), y).max() < 1e-9\n"
        "try: space.exp(x.requires_grad_(), space.log(x, y))\n"
        "except RuntimeError as error: assert 'GEOMSTATS_BACKEND=pytorch' in str(error), error\n"
        "else: raise AssertionError('gradients were lost in silence')\n"
    )
    environment = {
        "GEOMSTATS_BACKEND": "numpy",
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": ":".join(sys.path),
    }
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert run.returncode == 0, run.stderr
