"""The comparison in examples/benchmarks/geometry.py is fair: every contender computes what ours
does.
"""

import pytest
import torch

import geodiff
from manifolds import SO3, Sphere, heat
from tests.scripts import benchmarks


@pytest.fixture(scope="module")
def benchmark():
    with benchmarks("geometry") as modules:
        yield modules["geometry"]


def test_the_series_of_the_score_is_ours_where_its_constants_do_not_matter(benchmark):
    noisy, clean, kappa = benchmark.score_inputs(torch.float64)
    noisy, clean, kappa = noisy[:, :16], clean[:, :16], kappa
    w = SO3().log(clean, noisy)
    near = (w.norm(dim=-1) < 2 * kappa) & (kappa < 0.5)
    ours = heat.kernel(SO3()).score(noisy, clean, kappa)
    theirs = benchmark.peers.series_score(w, kappa)
    assert near.sum() > 20
    assert ((ours - theirs).norm(dim=-1) / ours.norm(dim=-1))[near].max() < 2e-3
    assert torch.allclose(benchmark.our_score(w, kappa), ours)


def test_the_reference_of_the_score_is_ours_to_rounding(benchmark):
    pytest.importorskip("mpmath")
    for kappa, angle in ((0.05, 0.3), (0.5, 3.0), (1.5, 0.7)):
        w = torch.tensor([[angle, 0.0, 0.0]], dtype=torch.float64)
        ours = benchmark.our_score(w, torch.tensor([kappa], dtype=torch.float64))
        assert abs(float(ours[0, 0]) / benchmark.exact_score(angle, kappa) - 1) < 1e-11


def test_the_differentiated_path_on_the_sphere_is_ours(benchmark):
    generator = torch.Generator().manual_seed(0)
    space = Sphere(2)
    clean, noise = (
        space.random_point(64, generator=generator, dtype=torch.float64) for _ in range(2)
    )
    s = torch.rand(64, generator=generator, dtype=torch.float64)
    point, velocity = benchmark.peers.path_by_differentiation(noise, clean, s)
    ours = geodiff.Geodesic(space).corrupt(clean, s, noise=noise)
    assert (ours.x - point).abs().max() < 1e-12
    assert (ours.u + s[:, None] * velocity).abs().max() < 1e-9


@pytest.fixture
def double():
    """geomstats makes its constants in the default dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.mark.filterwarnings("ignore")  # those of the libraries
@pytest.mark.parametrize(
    "library", ["geomstats", "roma", "kornia", "pypose", "pypose, quaternions"]
)
def test_every_library_is_asked_for_what_ours_computes(benchmark, library, double):
    peers = benchmark.peers
    package, build = peers.LIBRARIES[library]
    if peers.missing(package):
        pytest.skip(f"{package} is not installed")
    ours = peers.ours()
    for name, (call, prepare, finish) in build().items():
        given = peers.inputs(name, 100, torch.float64)
        wanted, got = ours[name](*given), finish(call(*prepare(*given)))
        right = (got - wanted).abs().flatten(1).amax(1) < 1e-6
        # geomstats takes another way within 0.01 rad of half a turn.
        assert right.double().mean() >= (0.95 if library == "geomstats" else 1), name


def test_a_failing_library_shows_as_such_and_an_absent_one_as_a_dash(benchmark):
    def fails(x):
        raise RuntimeError("no")

    timer = benchmark.Timer(benchmark.time.perf_counter, fast=True)
    taken = timer.in_turn({"ours": lambda: None, "theirs": lambda: fails(0)}, 1)
    assert taken["theirs"] == "RuntimeError" and taken["ours"] >= 0
    assert benchmark._shown(taken["theirs"]) == "Runtime" and benchmark._shown(None) == "-"
