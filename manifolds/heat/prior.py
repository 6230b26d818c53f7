"""How far the noisiest law of a diffusion is from the law that sampling starts from."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from manifolds.base import Device, Kernel, Level, Levels, Manifold

_NODES = 160  # of a double-exponential rule, which keeps its order where an end has a root


def prior_tv(
    law: Manifold | Kernel, kappa: Levels, radius: float | None = None, *, per_entry: bool = False
) -> Tensor:
    """Total variation between the heat kernel at level kappa and the base that sampling starts
    from, in [0, 1].

    It bounds the error of every probability of a sample that comes from starting at the base.
    Float64, without gradient. On compact spaces the base is uniform and the clean point does not
    matter. On flat ones it is N(0, 1 + kappa^2), as standard normal points diffused, and the clean
    point lies `radius` from the mean; by default sqrt(dim), as a standard normal point does. There
    0 is not reached by any kappa: it falls as radius / (2.5 kappa). Exact on R^n, circles, spheres
    and SO(3). On products and tori of several angles an upper bound, from the factors' exact total
    variations a_i and affinities b_i: min(1 - prod(1 - a_i), sqrt(1 - prod b_i^2)); the largest a_i
    is a lower one.

    Args:
        law: a space or its `kernel`.
        kappa: a float or a tensor of any shape, which is that of the result; on a product a
            sequence is one level per factor.
        radius: of the clean point from the mean, on flat spaces; None is sqrt(dim).
        per_entry: whether the last axis of kappa holds a level for each coordinate of a tangent, as
            in clocks per factor; it is not in the result.

    Raises: ValueError on spaces without a heat kernel, and where the base has no closed density.
    Source: Tsybakov 2009, section 2.4 (the bounds of a product).
    """
    if isinstance(law, Manifold):
        law = law.heat()
    with torch.no_grad():
        variation, affinity = [], []
        known: dict[tuple[Kernel, int], tuple[Tensor, Tensor]] = {}
        for part, level, distance in law.independent(kappa, radius, per_entry):
            if (part, id(level)) not in known:  # many factors are alike
                known[part, id(level)] = _terms(part, level, distance)
            a, b = known[part, id(level)]
            variation.append(a)
            affinity.append(b)
        if len(variation) == 1:
            return variation[0]
        same, overlap = torch.ones_like(variation[0]), torch.ones_like(variation[0])
        for a, b in zip(variation, affinity):
            same, overlap = same * (1 - a), overlap * b.square()
        return torch.minimum(1 - same, (1 - overlap).clamp(min=0).sqrt())


def _terms(law: Kernel, kappa: Level, radius: float | None) -> tuple[Tensor, Tensor]:
    """Total variation and affinity of one factor."""
    kappa = torch.as_tensor(kappa, dtype=torch.float64)
    if not bool((kappa >= 0).all()):
        raise ValueError(f"kappa: expected levels of at least 0, got {kappa}")
    dim = law.manifold.dim
    flat = law.manifold.flat and dim is not None
    variation, affinity = _flat(dim or 0, kappa, radius) if flat else _radial(law, kappa)
    return variation.clamp(0, 1), affinity.clamp(0, 1)


def _radial(law: Kernel, kappa: Tensor) -> tuple[Tensor, Tensor]:
    """Total variation and affinity of the uniform law and a kernel that falls with distance, at
    most pi.
    """
    log_ratio, dim = _geometry(law)
    log_measure = law.manifold.log_prob_of_dist
    kappa = kappa.unsqueeze(-1)
    # Where the density crosses the uniform one: beyond, the uniform law has more.
    low, high = torch.zeros_like(kappa), torch.full_like(kappa, math.pi)
    for _ in range(60):
        middle = 0.5 * (low + high)
        above = log_ratio(middle, kappa) > 0
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    share, weight = _nodes(kappa.device)
    d = high * share
    variation = (high * weight * log_measure(d).exp() * torch.expm1(log_ratio(d, kappa))).sum(-1)
    # The root of the density is twice as wide as the density.
    reach = (kappa * (math.sqrt(2 * dim) + 13)).clamp(max=math.pi)
    d = reach * share
    affinity = (reach * weight * (0.5 * log_ratio(d, kappa) + log_measure(d)).exp()).sum(-1)
    point = kappa.squeeze(-1) == 0
    return torch.where(point, 1.0, variation), torch.where(point, 0.0, affinity)


def _geometry(law: Kernel) -> tuple[Callable[[Tensor, Tensor], Tensor], int]:
    """log(p / uniform) as a function of distance and level, and the dimension.

    Raises ValueError on spaces where the distance is not all.
    """
    space, dim = law.manifold, law.manifold.dim
    try:
        space.log_prob_of_dist(torch.ones((), dtype=torch.float64))
    except ValueError as error:
        cure = (
            "for n nodes, ask for Euclidean((n - 1) * point_dim), and a factor SO3() for each "
            "frame of Poses"
            if dim is None
            else "there is one on R^n, tori, spheres, SO(3), SE(3) and their products"
        )
        raise ValueError(
            f"law: the base of a diffusion on {space} has no closed density to compare with; {cure}"
        ) from error
    uniform = space.uniform_log_prob()
    # All clean points and all ways from them are alike.
    clean = space.random_point(generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    way = space.frame(clean)[0]

    def log_ratio(d: Tensor, kappa: Tensor) -> Tensor:
        d, kappa = torch.broadcast_tensors(d, kappa.clamp(min=1e-12))
        return (
            law.log_prob(space.exp(clean.to(d), d.unsqueeze(-1) * way.to(d)), clean.to(d), kappa)
            - uniform
        )

    return log_ratio, dim or 0


def _flat(dim: int, kappa: Tensor, radius: float | None) -> tuple[Tensor, Tensor]:
    """Total variation and affinity of N(clean, kappa^2) and N(0, 1 + kappa^2) on R^dim, |clean| =
    radius.

    The first is larger inside a ball around (1 + kappa^2) clean; its probability is a non-central
    chi-square one.
    """
    radius = math.sqrt(dim) if radius is None else float(radius)
    if not 0 <= radius < math.inf:
        raise ValueError(f"radius: expected a distance of at least 0, got {radius!r}")
    small, t = kappa == 0, torch.where(kappa == 0, 1.0, kappa).square()
    wide = 1 + t
    size = wide * (dim * torch.log1p(1 / t) + radius**2)  # squared radius of the ball over t
    inside = _ball(dim, size.sqrt(), radius * t.sqrt())
    outside = _ball(dim, (size * t / wide).sqrt(), radius * wide.sqrt())
    affinity = (2 * (t * wide).sqrt() / (2 * t + 1)) ** (dim / 2) * (
        -(radius**2) / (4 * (2 * t + 1))
    ).exp()
    return torch.where(small, 1.0, inside - outside), torch.where(small, 0.0, affinity)


def _ball(dim: int, reach: Tensor, away: Tensor) -> Tensor:
    """Probability that a standard normal vector lies within `reach` of a point `away` from 0."""
    if dim == 1:
        scale = math.sqrt(2)
        return 0.5 * (torch.erf((away + reach) / scale) - torch.erf((away - reach) / scale))
    # Slices across the line to the point: each is a ball of one dimension less.
    reach, away = reach.unsqueeze(-1), away.unsqueeze(-1)
    low = (away - reach).clamp(min=-10, max=10)
    high = (away + reach).clamp(min=-10, max=10)
    share, weight = _nodes(reach.device)
    z = low + (high - low) * share
    rest = ((reach - away + z) * (reach + away - z)).clamp(min=0)
    slices = torch.special.gammainc(torch.full_like(rest, (dim - 1) / 2), rest / 2)
    return ((high - low) * weight * (-0.5 * z.square()).exp() * slices).sum(-1) / math.sqrt(
        2 * math.pi
    )


def _nodes(device: Device) -> tuple[Tensor, Tensor]:
    """Nodes and weights on [0, 1] of the double-exponential rule. Source: Takahasi and Mori
    1974.
    """
    step = torch.linspace(-3.15, 3.15, _NODES, dtype=torch.float64, device=device)
    inner = 0.5 * math.pi * step.sinh()
    share = torch.sigmoid(2 * inner)
    weight = math.pi * step.cosh() * share * torch.sigmoid(-2 * inner) * (step[1] - step[0])
    return share, weight
