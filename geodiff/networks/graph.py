"""Who is near whom: radius graphs, nearest neighbours and farthest points in plain torch.

Clouds come in two forms. Padded: `points` (clouds, nodes, dim) with an optional boolean `mask`
(clouds, nodes); flat: `points` (n, dim) with an optional integer `batch` (n,) that names the cloud
of each point, in any order. Edges are a long tensor (2, edges), sources in row 0 and destinations
in row 1, sorted by destination and then by source; numbers count rows of the flat points, and
`cloud * nodes + node` for padded points. Sorted destinations make `index_add` about three times
faster than an unsorted scatter.

Which pairs are edges carries no gradient: recompute distances from `points[edges[0]] -
points[edges[1]]` where one is needed. An edge never depends on padding, on the other clouds, or on
how far from the origin a cloud lies.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

# Nodes in one cloud above which a k-d tree beats the dense matrix on a CPU. Measured on one Zen 4
# core, dense against tree in ms: radius 10 at the density of C-alpha atoms, 1 x 1000: 2.4, 2.4; 1 x
# 2000: 6.9, 3.1; k = 20, 8 x 128: 2.5, 2.9; 8 x 1024: 113, 23.
TREE_FROM_RADIUS = 1000
TREE_FROM_NEAREST = 256


def radius_graph(
    points: Tensor,
    radius: float,
    *,
    batch: Tensor | None = None,
    mask: Tensor | None = None,
    loop: bool = False,
) -> Tensor:
    """All ordered pairs of one cloud at distance <= `radius`; never truncated to a number of
    neighbours.

    Args:
        points: (clouds, nodes, dim) with mask, or (n, dim) with batch; see the module.
        radius: in the unit of the points.
        batch: the cloud of each flat point, (n,) integers; None: one cloud.
        mask: which padded points are real, (clouds, nodes) bool; None: all.
        loop: whether a point is its own neighbour.

    Returns: edges, (2, edges) long, sorted by destination, then source.
    Raises: ValueError if radius is not positive or the shapes do not fit.
    """
    if not radius > 0:
        raise ValueError(f"radius: expected a positive number, got {radius!r}")
    table, valid, dense = _dense(points, batch, mask)
    clouds, nodes = valid.shape
    if dense.device.type == "cpu" and nodes > TREE_FROM_RADIUS:
        destination, source = _tree_radius(dense, valid, radius)
    else:
        destination, source = _gram_radius(dense, valid, radius)
    if not loop:
        keep = source != destination
        destination, source = destination[keep], source[keep]
    return _relabel(table, source, destination)


def knn_graph(
    points: Tensor,
    k: int,
    *,
    batch: Tensor | None = None,
    mask: Tensor | None = None,
    loop: bool = False,
) -> Tensor:
    """An edge to every point from each of its `k` nearest in its cloud, or from all where there are
    fewer.

    Args:
        points: (clouds, nodes, dim) with mask, or (n, dim) with batch; see the module.
        k: how many neighbours, at least 1.
        batch: the cloud of each flat point, (n,) integers; None: one cloud.
        mask: which padded points are real, (clouds, nodes) bool; None: all.
        loop: whether the point itself is one of the k.

    Returns: edges, (2, edges) long, sorted by destination, then source. Which of several equally
        far points is taken is not specified.
    Raises: ValueError if k < 1 or the shapes do not fit.
    """
    if k < 1:
        raise ValueError(f"k: expected at least 1 neighbour, got {k}")
    table, valid, dense = _dense(points, batch, mask)
    index, found = nearest(dense, dense, k if loop else k + 1, mask=valid)
    clouds, nodes = valid.shape
    found = found & valid[..., None]
    if not loop:
        # Among coincident points a point need not be the first of its own list, or on it at all:
        # then the farthest goes.
        itself = index == torch.arange(nodes, device=index.device)[:, None]
        absent = ~itself.any(-1)
        itself[..., -1] |= absent
        found = found & ~itself
    offset = (torch.arange(clouds, device=index.device) * nodes)[:, None, None]
    destination = (torch.arange(nodes, device=index.device)[:, None] + offset).expand_as(index)[
        found
    ]
    return _relabel(table, (index + offset)[found], destination, sort=True)


def nearest(
    queries: Tensor, points: Tensor, k: int, *, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The `k` points nearest to each query, nearest first.

    Args:
        queries: (clouds, m, dim).
        points: (clouds, n, dim).
        k: how many, at least 1.
        mask: which points may be found, (clouds, n) bool; None: all.

    Returns: their numbers, (clouds, m, k) long, and whether the slot is filled, (clouds, m, k)
        bool: a cloud with fewer than k points fills fewer, and an empty slot holds 0.
    Raises: ValueError if k < 1 or the shapes do not fit.
    """
    if k < 1:
        raise ValueError(f"k: expected at least 1 neighbour, got {k}")
    if queries.ndim != 3 or points.ndim != 3 or queries.shape[::2] != points.shape[::2]:
        raise ValueError(
            "queries, points: expected (clouds, m, dim) and (clouds, n, dim), "
            f"got {tuple(queries.shape)} and {tuple(points.shape)}"
        )
    clouds, n, _ = points.shape
    _check_mask(mask, (clouds, n))
    taken = min(k, n)
    if points.device.type == "cpu" and n > TREE_FROM_NEAREST:
        index, found = _tree_nearest(queries, points, taken, mask)
    else:
        squared = _squared_distances(queries.detach(), points.detach())
        if mask is not None:
            squared.masked_fill_(~mask[:, None, :], torch.inf)
        squared, index = squared.topk(taken, dim=-1, largest=False)
        found = torch.isfinite(squared)
    pad = (0, k - taken)
    found = torch.nn.functional.pad(found, pad)
    return torch.nn.functional.pad(index, pad).masked_fill(~found, 0), found


def farthest_points(
    points: Tensor,
    count: int,
    *,
    batch: Tensor | None = None,
    mask: Tensor | None = None,
    start: Tensor | None = None,
) -> Tensor:
    """`count` points of each cloud, each the farthest from those chosen before it.

    Args:
        points: (clouds, nodes, dim) with mask, or (n, dim) with batch; see the module.
        count: how many to choose, at least 1.
        batch: the cloud of each flat point, (n,) integers; None: one cloud.
        mask: which padded points are real, (clouds, nodes) bool; None: all.
        start: number of the first point of each cloud, (clouds,), counted inside the cloud; by
            default the point farthest from the cloud's mean, which no renumbering or motion
            changes.

    Returns: for padded points (clouds, count) node numbers; a cloud with fewer points repeats some,
        an empty cloud holds 0. For flat points the numbers of min(count, size) points of each
        cloud, cloud after cloud, in the order of choice.
    Raises: ValueError if count < 1 or the shapes do not fit.
    Source: Gonzalez 1985 (within a factor 2 of the best cover radius).
    """
    if count < 1:
        raise ValueError(f"count: expected at least 1 point, got {count}")
    table, valid, dense = _dense(points, batch, mask)
    clouds, nodes = valid.shape
    dense = dense.detach()
    if nodes == 0:
        return torch.zeros(
            (clouds, count) if points.ndim == 3 else 0, dtype=torch.long, device=points.device
        )
    if start is None:
        sizes = valid.sum(1).clamp(min=1)
        mean = (dense * valid[..., None]).sum(1) / sizes[:, None]
        apart = (dense - mean[:, None]).square().sum(-1)
        chosen = apart.masked_fill(~valid, -1).argmax(1)
    else:
        if start.shape != (clouds,):
            raise ValueError(
                f"start: expected one number per cloud, ({clouds},), got {tuple(start.shape)}"
            )
        chosen = start.to(dense.device).long()
        inside = (chosen >= 0) & (chosen < nodes)
        if not bool((inside & valid.gather(1, chosen.clamp(0, nodes - 1)[:, None])[:, 0]).all()):
            raise ValueError("start: every number must name an unmasked point of its cloud")
    row = torch.arange(clouds, device=dense.device)
    # Masked points are at -1, below every distance, so that none is chosen while its cloud has a
    # point.
    gap = dense.new_full((clouds, nodes), torch.inf).masked_fill_(~valid, -1)
    chain = [chosen]
    for _ in range(count - 1):
        step = (dense - dense[row, chosen][:, None]).square().sum(-1)
        gap = torch.minimum(gap, step)
        gap[row, chosen] = -0.5  # chosen: after every other point, before the masked
        chosen = gap.argmax(1)
        chain.append(chosen)
    order = torch.stack(chain, 1)
    if table is None:
        return order
    rank = torch.arange(count, device=order.device)
    return table.gather(1, order)[rank < valid.sum(1, keepdim=True)]


def _dense(
    points: Tensor, batch: Tensor | None, mask: Tensor | None
) -> tuple[Tensor | None, Tensor, Tensor]:
    """(row number of each slot or None if it is the slot's own number, which slots are filled,
    padded points with 0 in the rest).
    """
    if points.ndim == 3:
        if batch is not None:
            raise ValueError(
                "batch: padded points (clouds, nodes, dim) take a mask, not a batch index"
            )
        _check_mask(mask, points.shape[:2])
        if mask is None:
            return (
                None,
                torch.ones(points.shape[:2], dtype=torch.bool, device=points.device),
                points,
            )
        return None, mask, points.masked_fill(~mask[..., None], 0)
    if points.ndim != 2:
        raise ValueError(
            f"points: expected (clouds, nodes, dim) or (n, dim), got {tuple(points.shape)}"
        )
    if mask is not None:
        raise ValueError(
            "mask: flat points (n, dim) take a batch index, not a mask; drop the points instead: "
            "points[mask]"
        )
    n = len(points)
    if batch is None:
        table = torch.arange(n, device=points.device)[None]
        return table, torch.ones_like(table, dtype=torch.bool), points[None]
    if batch.shape != (n,) or batch.dtype.is_floating_point or batch.dtype == torch.bool:
        raise ValueError(
            f"batch: expected ({n},) integers, one per point, got {tuple(batch.shape)} of "
            f"{batch.dtype}"
        )
    order = torch.argsort(batch, stable=True)
    _, sizes = torch.unique_consecutive(batch[order], return_counts=True)
    nodes = int(sizes.max()) if n else 0
    cloud = torch.repeat_interleave(torch.arange(len(sizes), device=batch.device), sizes)
    slot = torch.arange(n, device=batch.device) - (sizes.cumsum(0) - sizes)[cloud]
    table = order.new_zeros(len(sizes), nodes)
    table[cloud, slot] = order
    valid = torch.arange(nodes, device=batch.device) < sizes[:, None]
    return table, valid, points[table].masked_fill(~valid[..., None], 0)


def _check_mask(mask: Tensor | None, shape: tuple[int, ...]) -> None:
    if mask is not None and (mask.shape != tuple(shape) or mask.dtype != torch.bool):
        raise ValueError(
            f"mask: expected bool {tuple(shape)}, got {mask.dtype} {tuple(mask.shape)}"
        )


def _relabel(
    table: Tensor | None, source: Tensor, destination: Tensor, sort: bool = False
) -> Tensor:
    """Edges between slots as edges between rows, sorted by destination, then source."""
    if table is not None:
        flat = table.reshape(-1)
        # Only an unsorted batch index can disturb the order that the searches already have.
        sort = sort or bool((flat[destination].diff() < 0).any())
        source, destination = flat[source], flat[destination]
    if sort and len(source):
        order = torch.argsort(
            destination * (1 + int(torch.maximum(source.max(), destination.max()))) + source
        )
        source, destination = source[order], destination[order]
    return torch.stack((source, destination))


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """|x_i - y_j|^2 by differences, (clouds, m, n): no cancellation, unlike |x|^2 - 2 x.y +
    |y|^2.
    """
    total = (x[..., :, None, 0] - y[..., None, :, 0]).square_()
    for i in range(1, x.shape[-1]):
        difference = x[..., :, None, i] - y[..., None, :, i]
        total.addcmul_(difference, difference)
    return total


def _gram_radius(points: Tensor, valid: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """(destination, source) slots within radius: one batched matrix product finds candidates,
    differences decide.
    """
    clouds, nodes = valid.shape
    points = points.detach()
    sizes = valid.sum(1).clamp(min=1)
    centred = points - ((points * valid[..., None]).sum(1) / sizes[:, None])[:, None]
    # inf: a masked point is near nobody
    square = centred.square().sum(-1).masked_fill(~valid, torch.inf)
    extent = square.masked_fill(~valid, 0).sum(
        1
    )  # no less than the largest; of one cloud, so that no other has a say
    slack = 4 * (4 + points.shape[-1]) * torch.finfo(points.dtype).eps * (extent + radius**2)
    centred = centred.masked_fill(~valid[..., None], 0)
    gram = torch.baddbmm(square[:, None, :], centred, centred.transpose(1, 2), alpha=-2)
    candidate = (
        (gram <= (radius**2 + slack[:, None] - square)[:, :, None]).reshape(-1).nonzero()[:, 0]
    )
    destination = candidate // nodes
    source = destination // nodes * nodes + candidate % nodes
    return _within(points, radius, destination, source)


def _within(
    points: Tensor, radius: float, destination: Tensor, source: Tensor
) -> tuple[Tensor, Tensor]:
    """The pairs of slots within radius: the one place that decides, so that both searches give the
    same edges.
    """
    flat = points.detach().flatten(0, 1)
    squared = (flat.index_select(0, source) - flat.index_select(0, destination)).square().sum(-1)
    near = squared <= radius**2
    return destination[near], source[near]


def _tree_radius(points: Tensor, valid: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """(destination, source) slots within radius by scipy's k-d tree, cloud by cloud."""
    slack = (
        4 * torch.finfo(points.dtype).eps
    )  # the tree works in float64, the decision is taken in the dtype of the points
    destinations, sources = [], []
    for cloud, (tree, slots) in enumerate(_trees(points, valid)):
        pairs = tree.query_pairs(radius * (1 + slack), output_type="ndarray")
        pairs = slots[torch.from_numpy(pairs).long()] + cloud * valid.shape[1]
        loops = slots + cloud * valid.shape[1]
        destination = torch.cat((pairs[:, 0], pairs[:, 1], loops))
        source = torch.cat((pairs[:, 1], pairs[:, 0], loops))
        order = torch.argsort(destination * valid.numel() + source)
        destinations.append(destination[order])
        sources.append(source[order])
    return _within(points, radius, torch.cat(destinations), torch.cat(sources))


def _tree_nearest(
    queries: Tensor, points: Tensor, k: int, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """As `nearest` for k <= number of points, by scipy's k-d tree, cloud by cloud."""
    valid = torch.ones(points.shape[:2], dtype=torch.bool) if mask is None else mask
    indices, founds = [], []
    for query, (tree, slots) in zip(queries.detach(), _trees(points, valid), strict=True):
        _, index = tree.query(query.numpy(), k=range(1, k + 1))
        index = torch.from_numpy(index).long()
        found = index < len(slots)  # scipy marks an empty slot by the number of points
        padded = torch.cat((slots, slots.new_zeros(1)))
        indices.append(padded[index])
        founds.append(found)
    return torch.stack(indices), torch.stack(founds)


def _trees(points: Tensor, valid: Tensor) -> Iterator[tuple[Any, Tensor]]:
    """The k-d tree of each cloud's filled slots, and their numbers."""
    from scipy.spatial import cKDTree  # half a second to import: only large clouds pay it

    for cloud, filled in zip(points.detach(), valid, strict=True):
        yield cKDTree(cloud[filled].numpy()), filled.nonzero()[:, 0]
