"""The graphs against brute force, against scipy, and under everything that must not matter."""

import pytest
import torch
from scipy.spatial import cKDTree

from geodiff.networks import graph
from geodiff.networks.graph import farthest_points, knn_graph, nearest, radius_graph

DTYPES = [torch.float32, torch.float64]


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def cloud(*size, seed=0, dtype=torch.float32):
    return torch.rand(*size, generator=seeded(seed), dtype=dtype)


@pytest.fixture(params=["dense", "tree"])
def search(request, monkeypatch):
    """Both searches, at any size."""
    threshold = 10**9 if request.param == "dense" else 0
    monkeypatch.setattr(graph, "TREE_FROM_RADIUS", threshold)
    monkeypatch.setattr(graph, "TREE_FROM_NEAREST", threshold)
    return request.param


def pairs(edges):
    return set(map(tuple, edges.T.tolist()))


def is_sorted(edges):
    listed = edges.flip(0).T.tolist()
    return listed == sorted(listed)


def brute_radius(points, radius, batch, loop=False):
    return {
        (j, i)
        for i in range(len(points))
        for j in range(len(points))
        if batch[i] == batch[j]
        and (loop or i != j)
        and (points[j] - points[i]).square().sum() <= radius**2
    }


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("dim", [1, 2, 3, 16])
def test_radius_graph_is_every_pair_within_the_radius(search, dtype, loop, dim):
    points = cloud(40, dim, dtype=dtype)
    batch = torch.randint(0, 4, (40,), generator=seeded(1))  # in no order
    radius = 0.3 * dim**0.5
    edges = radius_graph(points, radius, batch=batch, loop=loop)
    assert pairs(edges) == brute_radius(points, radius, batch, loop)
    assert is_sorted(edges)


def test_radius_graph_has_the_pairs_that_scipy_finds(search):
    points = 30 * cloud(300, 3, dtype=torch.float64)
    found = cKDTree(points.numpy()).query_pairs(6.0)
    assert pairs(radius_graph(points, 6.0)) == found | {(j, i) for i, j in found}


def test_a_large_cloud_has_the_same_radius_graph_by_tree_and_by_matrix(monkeypatch):
    points = 24 * cloud(1, graph.TREE_FROM_RADIUS + 1, 3)
    by_tree = radius_graph(points, 3.0)
    monkeypatch.setattr(graph, "TREE_FROM_RADIUS", 10**9)
    assert torch.equal(by_tree, radius_graph(points, 3.0))


def test_pairs_exactly_at_the_radius_are_edges(search):
    grid = torch.cartesian_prod(*[torch.arange(4.0)] * 3)
    assert radius_graph(grid, 1.0).shape[1] == 2 * 3 * 3 * 16


@pytest.mark.parametrize(
    "make",
    [lambda x, **k: radius_graph(x, 0.4, **k), lambda x, **k: knn_graph(x, 5, **k)],
    ids=["radius", "nearest"],
)
def test_padded_and_flat_clouds_have_the_same_edges(search, make):
    points = cloud(3, 20, 3)
    mask = torch.rand(3, 20, generator=seeded(3)) < 0.7
    mask[2] = False
    mask[2, 4] = True  # one point alone
    edges = make(points.masked_fill(~mask[..., None], 0.5), mask=mask)
    assert is_sorted(edges)
    number = torch.full((60,), -1)
    number[mask.reshape(-1)] = torch.arange(int(mask.sum()))
    flat = make(points[mask], batch=torch.arange(3).repeat_interleave(20)[mask.reshape(-1)])
    assert torch.equal(number[edges], flat)


@pytest.mark.parametrize(
    "make",
    [lambda x, **k: radius_graph(x, 0.4, **k), lambda x, **k: knn_graph(x, 5, **k)],
    ids=["radius", "nearest"],
)
def test_what_stands_in_masked_slots_does_not_matter(search, make):
    points, mask = cloud(2, 12, 3), torch.arange(12) < torch.tensor([[12], [7]])
    edges = make(points, mask=mask)
    for junk in (1e30, torch.nan, 0.5):
        assert torch.equal(edges, make(points.masked_fill(~mask[..., None], junk), mask=mask))


def test_edges_do_not_depend_on_the_distance_from_the_origin():
    points = (cloud(1, 30, 3) * 64).round() / 64  # moved by 2^11 without rounding
    assert torch.equal(radius_graph(points, 0.4), radius_graph(points + 2048, 0.4))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("k", [1, 6, 50])
def test_knn_graph_takes_the_nearest(search, dtype, loop, k):
    points = cloud(40, 3, dtype=dtype)
    batch = torch.randint(0, 3, (40,), generator=seeded(1))
    edges = knn_graph(points, k, batch=batch, loop=loop)
    assert is_sorted(edges)
    expected = set()
    for i in range(40):
        others = [j for j in range(40) if batch[j] == batch[i] and (loop or j != i)]
        others.sort(key=lambda j: (points[j] - points[i]).square().sum().item())
        expected |= {(j, i) for j in others[:k]}
    assert pairs(edges) == expected


def test_knn_graph_among_coincident_points_keeps_its_count_and_has_no_loop(search):
    edges = knn_graph(torch.zeros(9, 3), 3)
    assert (edges[0] != edges[1]).all()
    assert torch.equal(edges[1].bincount(), torch.full((9,), 3))


def test_nearest_is_in_order_and_marks_empty_slots(search):
    points, queries = cloud(2, 30, 3), cloud(2, 5, 3, seed=1)
    mask = torch.arange(30) < torch.tensor([[30], [3]])
    index, found = nearest(queries, points, 4, mask=mask)
    assert found[0].all()
    assert torch.equal(found[1], torch.tensor([True, True, True, False]).expand(5, 4))
    assert (index[1] < 3).all()
    for q in range(5):
        order = (points[0] - queries[0, q]).square().sum(-1).argsort()
        assert torch.equal(index[0, q], order[:4])
    index, found = nearest(queries, points, 32)
    assert index.shape == (2, 5, 32)
    assert torch.equal(found.sum(-1), torch.full((2, 5), 30))


def greedy(points, count, first):
    chosen = [first]
    for _ in range(count - 1):
        gap = torch.stack([(points - points[c]).square().sum(-1) for c in chosen]).amin(0)
        gap[chosen] = -1
        chosen.append(int(gap.argmax()))
    return chosen


@pytest.mark.parametrize("dtype", DTYPES)
def test_farthest_points_are_the_greedy_choice(dtype):
    points, batch = cloud(50, 3, dtype=dtype), torch.randint(0, 3, (50,), generator=seeded(2))
    chosen, expected = farthest_points(points, 6, batch=batch), []
    for c in range(3):
        number = (batch == c).nonzero()[:, 0]
        own = points[number]
        first = int((own - own.mean(0)).square().sum(-1).argmax())
        expected += number[greedy(own, 6, first)].tolist()
    assert chosen.tolist() == expected


def test_farthest_points_choose_the_same_points_after_renumbering_and_rotation():
    points = cloud(1, 60, 3, dtype=torch.float64)
    order = torch.randperm(60, generator=seeded(4))
    rotation = torch.linalg.qr(torch.randn(3, 3, generator=seeded(5), dtype=torch.float64))[0]
    moved = points[:, order] @ rotation + 3
    assert torch.equal(order[farthest_points(moved, 10)], farthest_points(points, 10))


def test_farthest_points_start_where_told_and_never_at_a_masked_point():
    points, mask = cloud(2, 10, 3), torch.arange(10) < torch.tensor([[10], [4]])
    points[1, 4:] = 100
    chosen = farthest_points(points, 6, mask=mask, start=torch.tensor([3, 2]))
    assert chosen[:, 0].tolist() == [3, 2]
    assert len(set(chosen[0].tolist())) == 6
    assert set(chosen[1].tolist()) == {0, 1, 2, 3}  # four points for six places: some come again
    flat = farthest_points(points[mask], 6, batch=mask.nonzero()[:, 0])
    assert len(flat) == 6 + 4


def test_farthest_points_cover_a_cloud_within_twice_the_best_radius():
    corners = torch.cartesian_prod(*[torch.tensor([0.0, 10.0])] * 3)
    points = (corners[:, None] + cloud(8, 20, 3)).reshape(-1, 3)
    chosen = points[farthest_points(points, 8)]
    assert len({tuple((p > 5).tolist()) for p in chosen}) == 8  # one in each cluster


def test_empty_clouds_have_no_edges(search):
    nobody = torch.zeros(1, 5, dtype=torch.bool)
    assert radius_graph(torch.zeros(1, 5, 3), 1.0, mask=nobody).shape == (2, 0)
    assert knn_graph(torch.zeros(1, 5, 3), 2, mask=nobody).shape == (2, 0)
    for points, batch in (
        (torch.zeros(0, 3), None),
        (torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)),
    ):
        assert radius_graph(points, 1.0, batch=batch).shape == (2, 0)
        assert knn_graph(points, 2, batch=batch).shape == (2, 0)
        assert farthest_points(points, 2, batch=batch).shape == (0,)


def test_edges_of_a_cloud_that_is_not_finite_do_not_spoil_the_others(monkeypatch):
    points = cloud(2, 10, 3)
    alone = radius_graph(points[1:], 0.5)
    points[0, 3] = torch.nan
    edges = radius_graph(points, 0.5)
    assert torch.equal(edges[:, edges[1] >= 10] - 10, alone)


def test_points_that_require_grad_are_searched_without_recording(search):
    points = cloud(20, 3).requires_grad_()
    edges = radius_graph(points, 0.5)
    assert not edges.requires_grad
    assert torch.equal(edges, radius_graph(points.detach(), 0.5))
    assert torch.equal(knn_graph(points, 3), knn_graph(points.detach(), 3))
    assert torch.equal(farthest_points(points, 3), farthest_points(points.detach(), 3))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: radius_graph(torch.zeros(4, 3), 0.0), "radius"),
        (lambda: radius_graph(torch.zeros(4, 3), float("nan")), "radius"),
        (lambda: radius_graph(torch.zeros(4), 1.0), "points"),
        (
            lambda: radius_graph(torch.zeros(4, 3), 1.0, batch=torch.zeros(3, dtype=torch.long)),
            "batch",
        ),
        (
            lambda: radius_graph(torch.zeros(4, 3), 1.0, mask=torch.ones(4, dtype=torch.bool)),
            "batch index",
        ),
        (
            lambda: radius_graph(torch.zeros(1, 4, 3), 1.0, batch=torch.zeros(4, dtype=torch.long)),
            "mask",
        ),
        (
            lambda: radius_graph(
                torch.zeros(1, 4, 3), 1.0, mask=torch.ones(1, 3, dtype=torch.bool)
            ),
            "mask",
        ),
        (lambda: radius_graph(torch.zeros(1, 4, 3), 1.0, mask=torch.ones(1, 4)), "bool"),
        (lambda: knn_graph(torch.zeros(4, 3), 0), "k:"),
        (lambda: nearest(torch.zeros(1, 4, 3), torch.zeros(1, 4, 2), 1), "queries"),
        (lambda: farthest_points(torch.zeros(4, 3), 0), "count"),
        (lambda: farthest_points(torch.zeros(4, 3), 2, start=torch.tensor([4])), "start"),
        (lambda: farthest_points(torch.zeros(4, 3), 2, start=torch.tensor([-1])), "start"),
        (lambda: farthest_points(torch.zeros(4, 3), 2, start=torch.tensor([0, 0])), "start"),
    ],
)
def test_wrong_arguments_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
