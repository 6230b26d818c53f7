"""Any space of the geomstats package behind our interface: SPD matrices, Stiefel, Grassmann and the
rest.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from manifolds import numerics
from manifolds.base import Device, Generator, Manifold, rand, randn, wrong_shape

_THEIR_FORMULAS = "geomstats' own formulas divide by zero here or leave torch's graph"
_LADDER = "geomstats knows no closed form of this transport; a ladder of geodesics approximates it"
_GRADIENTS = (
    "gradients_are_finite_at_singular_points",
    "squared_distance_is_flat_at_equal_points",
    "gradients_are_right",
    "second_derivatives_are_right_at_zero",
    "vmap_and_jvp_agree_with_batches",
    "derivatives_agree_in_every_mode",
    "pull_back_is_the_differential_of_log",
    "meta_tensors_pass_through",
)
_TRANSPORTS = (
    "transport_is_a_linear_isometry",
    "transport_back_undoes_transport",
    "batches_broadcast",
)


def load() -> ModuleType:
    """Import geomstats with its pytorch backend, unless the environment chose another; return the
    package.

    Call it before anything imports geomstats: the backend is read from GEOMSTATS_BACKEND at that
    moment, and is numpy by default, without gradients. geomstats sets torch's default dtype to
    float64; it is put back.

    Raises: ModuleNotFoundError or ImportError that name the cure where it is absent or meets numpy
        >= 2.4.
    """
    os.environ.setdefault("GEOMSTATS_BACKEND", "pytorch")
    default = torch.get_default_dtype()
    try:
        importlib.import_module("geomstats.backend")
        return importlib.import_module("geomstats")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Spaces of geomstats need that package: pip install geodiff-manifolds[geomstats]",
            name=error.name,
        ) from error
    except ImportError as error:
        raise ImportError(
            f"geomstats does not import ({error}). Its release 2.8.0 needs numpy < 2.4, where "
            "numpy.trapz still is: pip install geodiff-manifolds[geomstats], which asks for that"
        ) from error
    finally:
        torch.set_default_dtype(default)


def from_geomstats(space: Any, injectivity_radius: float | None = None) -> Geomstats:
    """A geomstats space with its metric, as a manifold.

    Args:
        space: such as geomstats.geometry.spd_matrices.SPDMatrices(3), made after `load()`.
        injectivity_radius: None asks geomstats, which does not know it for every metric.

    Raises: TypeError for what is no geomstats space, ValueError for one without a metric or without
        a radius, ImportError where geomstats is missing or meets numpy >= 2.4.
    """
    load()
    kind = importlib.import_module("geomstats.geometry.base").Manifold
    if not isinstance(space, kind):
        raise TypeError(
            "space: expected a geomstats space, such as SPDMatrices(3) of "
            f"geomstats.geometry.spd_matrices, got {space!r}"
        )
    metric = getattr(space, "metric", None)
    if metric is None:
        raise ValueError(
            f"space: {type(space).__name__} has no metric; call space.equip_with_metric() first"
        )
    if injectivity_radius is None:
        injectivity_radius = _radius(space)
    if isinstance(injectivity_radius, bool) or not injectivity_radius > 0:
        raise ValueError(
            f"injectivity_radius: expected a positive number, got {injectivity_radius!r}"
        )
    return Geomstats(space, float(injectivity_radius))


@dataclass(frozen=True, eq=False, repr=False)
class Geomstats(Manifold):
    """A space of geomstats; made by `from_geomstats`.

    Tangents are in the ambient coordinates of geomstats. It computes in float64, whatever the dtype
    of the points, with a single batch axis. Under its pytorch backend gradients flow; under numpy a
    tensor that needs them is refused.

    Laws not kept (`unmet`), because the formulas are those of geomstats: derivatives at zero
    tangents, at equal points and at the cut locus are often NaN or an error, and its code is not
    made for vmap, capture or the meta device. Where it has no closed form of parallel transport
    (Stiefel, the Poincare ball) a pole ladder of ten rungs stands in, which is no exact isometry;
    the logarithm of Stiefel matrices is iterative, stops at 1e-9, and is right nearby only.
    `magnification` is 100: decompositions lose two digits.

    Args:
        space: the space of geomstats, with its metric.
        injectivity_radius: how far log is smooth.
    """

    space: Any
    injectivity_radius: float

    magnification = 100.0

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.space.shape)

    @property
    def tangent_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def dim(self) -> int:
        return int(self.space.dim)

    @property
    def unmet(self) -> Mapping[str, str]:
        laws = dict.fromkeys(_GRADIENTS, _THEIR_FORMULAS)
        return (
            laws
            if _knows_transport(self.space.metric)
            else laws | dict.fromkeys(_TRANSPORTS, _LADDER)
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Geomstats) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        kind, metric, _, values = self._key()
        shown = [
            f"{name}={value!r}"
            for name, value in values
            if name not in ("shape", "dim", "intrinsic")
        ]
        name, metric = kind.rpartition(".")[2], metric.rpartition(".")[2]
        return f"from_geomstats({name}({', '.join(shown)}), {metric})"

    def _key(self) -> tuple[Any, ...]:
        """What makes two of them equal: kind, metric, radius, and every plain attribute of the
        space.
        """
        things = (self.space, self.space.metric)
        kinds = [f"{type(thing).__module__}.{type(thing).__name__}" for thing in things]
        plain = {
            k: v
            for k, v in vars(self.space).items()
            if isinstance(v, (bool, int, float, str, tuple))
        }
        return (*kinds, self.injectivity_radius, tuple(sorted(plain.items())))

    def exp(self, x: Tensor, v: Tensor) -> Tensor:
        y = self._apply(lambda x, v: self.space.metric.exp(v, x), x, v, kinds="xv")
        if self.space.intrinsic:
            return y
        # Rounding would grow over a long walk. Projections by singular vectors have no gradient
        # where the singular values are equal, as they are here, so that of exp alone is kept.
        return y + (self.project(y.detach()) - y.detach())

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        return self._apply(lambda x, y: self.space.metric.log(y, x), x, y, kinds="xx")

    def transport(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        return self._apply(
            lambda x, y, v: _transport(self.space.metric, x, y, v), x, y, v, kinds="xxv"
        )

    def pull_back(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        """Parallel transport in its place: geomstats has no forward derivatives of its
        logarithms.
        """
        return self.transport(y, x, v)

    def project(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """What geomstats calls regularize where that gives a point of the space, else its
        projection.
        """
        return self._apply(lambda x: _nearest(self.space, x), x)

    def to_tangent(self, x: Tensor, ambient: Tensor, mask: Tensor | None = None) -> Tensor:
        return self._apply(lambda x, ambient: self.space.to_tangent(ambient, x), x, ambient)

    def inner(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        def product(x: Any, u: Any, v: Any) -> Any:
            return self.space.metric.inner_product(u, v, x)

        return self._apply(product, x, u, v, kinds="xaa", scalar=True)

    def norm(self, x: Tensor, v: Tensor) -> Tensor:
        squared = self.inner(x, v, v)
        zero = squared <= 0
        return torch.where(zero, 0.0, torch.where(zero, 1.0, squared).sqrt())

    def random_point(
        self,
        *size: int,
        mask: Tensor | None = None,
        generator: Generator = None,
        dtype: torch.dtype | None = None,
        device: Device = None,
    ) -> Tensor:
        """Points of geomstats' own distribution, uniform on a compact space; generator draws its
        seed.

        A generator with a stream per sample seeds each point, in a loop; a torch.Generator seeds
        the batch.
        """
        dtype = torch.get_default_dtype() if dtype is None else dtype
        count = math.prod(size)
        if hasattr(generator, "rand"):
            seeds = (
                rand(*(size or (1,)), generator=generator, dtype=torch.float64).flatten().tolist()
            )
            drawn = [self._draw(1, seed) for seed in seeds]
            points = torch.cat(drawn) if drawn else torch.empty(0, *self.shape, dtype=torch.float64)
        else:
            points = self._draw(count, float(rand(1, generator=generator, dtype=torch.float64)))
        return points.reshape(*size, *self.shape).to(dtype=dtype, device=device).contiguous()

    def _draw(self, count: int, seed: float) -> Tensor:
        """`count` points (count, *shape) in float64 on the CPU; global random states stay as they
        were.
        """
        if count == 0:
            return torch.empty(0, *self.shape, dtype=torch.float64)
        import numpy  # geomstats brings it, and draws from its global state under the numpy backend

        number, state = int(seed * 2**32), numpy.random.get_state()
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(number)
            numpy.random.seed(number)
            try:
                with _in_double():
                    drawn = self.space.random_point(count)
            finally:
                numpy.random.set_state(state)
        return torch.as_tensor(drawn, dtype=torch.float64).reshape(count, *self.shape)

    def random_tangent(
        self, x: Tensor, generator: Generator = None, mask: Tensor | None = None
    ) -> Tensor:
        axes = len(self.shape)
        size = (*x.shape[: x.dim() - axes], self.dim)
        noise = randn(*size, generator=generator, dtype=x.dtype, device=x.device)
        return (noise.reshape(*noise.shape, *[1] * axes) * self.frame(x)).sum(-axes - 1)

    def frame(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Orthonormal basis of the tangents at `x`, by Gram and Schmidt from fixed ambient
        directions.
        """
        axes, size = len(self.shape), math.prod(self.shape)
        if size == self.dim:
            seeds = torch.eye(size, dtype=torch.float64, device=x.device)
        else:
            fixed = torch.Generator().manual_seed(0)
            seeds = torch.randn(self.dim, size, generator=fixed, dtype=torch.float64).to(x.device)
        at = x.double().unsqueeze(x.dim() - axes)
        basis = self.to_tangent(at, seeds.reshape(self.dim, *self.shape))
        for _ in range(2):  # the second time removes the rounding of the first
            gram = self.inner(
                at.unsqueeze(-axes - 1), basis.unsqueeze(-axes - 2), basis.unsqueeze(-axes - 1)
            )
            factor = torch.linalg.cholesky(gram)
            flat = torch.linalg.solve_triangular(factor, basis.flatten(-axes), upper=False)
            basis = flat.unflatten(-1, self.shape)
        return basis.to(x.dtype)

    def uniform_log_prob(self) -> float:
        raise ValueError(
            f"{self}: geomstats does not give the volume; a uniform density is not known here"
        )

    def log_prob_of_random(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        raise ValueError(
            f"{self}: the density of random points is not known; use a Geodesic with a base= that "
            "has a method log_prob(noise, condition, mask)"
        )

    def check(self, x: Tensor, mask: Tensor | None = None) -> str | None:
        defect = wrong_shape(x, self.shape)
        if defect or x.numel() == 0:
            return defect
        points = x.detach().reshape(-1, *self.shape).double()
        # The laws of spaces are of second degree in the coordinates, and so is their rounding.
        limit = 10 * numerics.tolerance(x.dtype) * max(1.0, float(points.abs().max())) ** 2
        with torch.no_grad(), _in_double():
            belongs = self.space.belongs(self._theirs(points), atol=limit)
        belongs = torch.as_tensor(belongs).reshape(-1)
        if bool(belongs.all()):
            return None
        worst = int((~belongs).nonzero()[0])
        return (
            f"{int((~belongs).sum())} of {len(belongs)} points are not on {self}, the first is "
            f"number {worst} of the flattened batch; project(x) moves x onto the space"
        )

    def _apply(
        self, function: Callable[..., Any], *tensors: Tensor, kinds: str = "", scalar: bool = False
    ) -> Tensor:
        """function of tensors (*batch, *shape), in float64 with one batch axis; dtype of the first
        comes back.

        kinds: a letter for each, x point, v tangent at the first, a any. Points and tangents of
        lower precision are put on the space again in float64: the formulas of geomstats take them
        to be exact.
        """
        axes = len(self.shape)
        batch = torch.broadcast_shapes(*(tensor.shape[: tensor.dim() - axes] for tensor in tensors))
        shape = batch if scalar else (*batch, *self.shape)
        first = tensors[0]
        flat = [
            tensor.double().expand(*batch, *self.shape).reshape(-1, *self.shape)
            for tensor in tensors
        ]
        if flat[0].shape[0] == 0:
            return torch.zeros(shape, dtype=first.dtype, device=first.device)
        with _in_double():
            theirs = [self._theirs(tensor) for tensor in flat]
            if first.dtype != torch.float64 and not self.space.intrinsic:
                for number, kind in enumerate(kinds):
                    if kind == "x":
                        exact = torch.as_tensor(
                            _nearest(self.space, self._theirs(flat[number].detach()))
                        )
                        theirs[number] = self._theirs(
                            flat[number] + (exact - flat[number].detach())
                        )
                    elif kind == "v":
                        theirs[number] = self.space.to_tangent(theirs[number], theirs[0])
            result = function(*theirs)
        return torch.as_tensor(result).to(dtype=first.dtype, device=first.device).reshape(shape)

    def _theirs(self, tensor: Tensor) -> Any:
        """The tensor as an array of the backend in use."""
        backend = importlib.import_module("geomstats.backend").__name__
        if backend.endswith("pytorch"):
            return tensor
        if tensor.requires_grad and torch.is_grad_enabled():
            raise RuntimeError(
                f"geomstats runs on its {backend.rpartition('.')[2]} backend, without gradients "
                "for torch: call manifolds.geomstats.load() before anything imports geomstats, or "
                "set GEOMSTATS_BACKEND=pytorch in the environment; or detach the tensor"
            )
        return tensor.detach().cpu().numpy()


@contextlib.contextmanager
def _in_double() -> Iterator[None]:
    """torch's default dtype as geomstats needs it for its constants and draws; as it was,
    afterwards.
    """
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(default)


def _radius(space: Any) -> float:
    try:
        with _in_double(), torch.random.fork_rng(devices=[]):
            return float(
                torch.as_tensor(space.metric.injectivity_radius(space.random_point())).min()
            )
    except (AttributeError, NotImplementedError) as error:
        raise ValueError(
            f"injectivity_radius: geomstats does not know it for {type(space.metric).__name__}; "
            "pass it (math.inf where exp has one inverse everywhere)"
        ) from error


def _nearest(space: Any, x: Any) -> Any:
    # geomstats 2.8.0: Hyperboloid.projection divides points off by rounding by x0; regularize does
    # not.
    regular = space.regularize(x)
    if not hasattr(space, "projection"):
        return regular
    there = torch.as_tensor(space.belongs(regular, atol=1e-9)).reshape(-1)
    if bool(there.all()):
        return regular
    regular, projected = torch.as_tensor(regular), torch.as_tensor(space.projection(x))
    chosen = torch.where(there.reshape(-1, *[1] * (regular.dim() - 1)), regular, projected)
    return chosen if torch.is_tensor(x) else chosen.numpy()


def _knows_transport(metric: Any) -> bool:
    general = importlib.import_module("geomstats.geometry.connection").Connection
    return type(metric).parallel_transport is not general.parallel_transport


def _transport(metric: Any, x: Any, y: Any, v: Any) -> Any:
    if _knows_transport(metric):
        return metric.parallel_transport(v, x, end_point=y)
    # A ladder errs by the square of the tangent it carries: carry a short one.
    short = 1e-3
    ladder = metric.ladder_parallel_transport(short * v, x, direction=metric.log(y, x), n_rungs=10)
    return ladder["transported_tangent_vec"] / short
