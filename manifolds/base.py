"""What every space and its heat kernel can do: the interface of all samplers, losses and solvers.

The two name each other, and so stand in one file; each space and each kernel builds on this one.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from manifolds import numerics
from manifolds.checks import largest as largest
from manifolds.checks import positive as positive
from manifolds.checks import wrong_form
from manifolds.checks import wrong_shape as wrong_shape
from manifolds.draws import Device as Device
from manifolds.draws import Generator as Generator
from manifolds.draws import rand as rand
from manifolds.draws import randn as randn

Level = float | Tensor
Levels = float | Tensor | Sequence[float | Tensor]


class Manifold(abc.ABC):
    """A Riemannian manifold whose points and tangents are tensors with batch axes in front.

    A space is a frozen dataclass: hashable, printable, picklable, without parameters or device.
    Points have shape (*batch, *shape), tangents (*batch, *tangent_shape); batches broadcast. `dim`
    and the sizes in `shape` are None where they depend on the point (clouds of any number of
    nodes). Clouds of different sizes share a batch by padding, and `mask` (*batch, nodes), which
    every method takes that must know of it, is True at real nodes; a space whose points have no
    nodes ignores it, so that callers never ask. What is true of a space is said by the space. The
    laws all spaces keep are in `manifolds.testing`.
    """

    if TYPE_CHECKING:  # a space has these as fields, class attributes or properties

        @property
        def shape(self) -> tuple[int | None, ...]: ...

        @property
        def tangent_shape(self) -> tuple[int | None, ...]: ...

        @property
        def dim(self) -> int | None: ...

        @property
        def injectivity_radius(self) -> float:
            """log is smooth, and undone by exp, closer than this."""

        @property
        def flat(self) -> bool:
            """Whether this is a vector space with one inner product: exp(x, v) is x + v."""

        @property
        def magnification(self) -> float:
            """How many times rounding may grow: a factor on the tolerances of the laws."""

        @property
        def unmet(self) -> Mapping[str, str]:
            """Laws of `manifolds.testing` not kept here, and why."""

    else:
        flat = False
        magnification = 1.0
        unmet = MappingProxyType({})

    @abc.abstractmethod
    def exp(self, x: Tensor, v: Tensor) -> Tensor:
        """Point reached from `x` along the geodesic with velocity `v` after unit time.

        Args:
            x: points, (*batch, *shape).
            v: tangents at `x`, (*batch, *tangent_shape).
        """

    @abc.abstractmethod
    def log(self, x: Tensor, y: Tensor) -> Tensor:
        """Shortest tangent at `x` that `exp` carries to `y`; one of them, finite, where it is not
        unique.

        Args:
            x: points, (*batch, *shape).
            y: points, (*batch, *shape).
        """

    @abc.abstractmethod
    def transport(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        """Tangent `v` at `x`, moved parallel along the geodesic of `log(x, y)` to a tangent at
        `y`.

        Args:
            x: points, (*batch, *shape).
            y: points, (*batch, *shape).
            v: tangents at `x`, (*batch, *tangent_shape).
        """

    @abc.abstractmethod
    def project(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Nearest point of the space to a tensor of shape (*batch, *shape).

        Args:
            x: any numbers, (*batch, *shape).
            mask: (*batch, nodes) bool, for clouds; the other nodes become the padding.
        """

    @abc.abstractmethod
    def to_tangent(self, x: Tensor, ambient: Tensor, mask: Tensor | None = None) -> Tensor:
        """Orthogonal projection of a tensor of shape (*batch, *tangent_shape) onto the tangents at
        `x`.

        Args:
            x: points, (*batch, *shape).
            ambient: any numbers, (*batch, *tangent_shape).
            mask: (*batch, nodes) bool, for clouds; the other nodes become 0.
        """

    @abc.abstractmethod
    def random_point(
        self,
        *size: int,
        mask: Tensor | None = None,
        generator: Generator = None,
        dtype: torch.dtype | None = None,
        device: Device = None,
    ) -> Tensor:
        """Points (*size, *shape): uniform on a compact space, standard normal on a flat one.

        Args:
            size: the batch.
            mask: (*size, nodes) bool, for clouds, whose number of nodes it says.
            generator: where the numbers come from; None is torch's own.
            dtype: of the points; None is torch's default.
            device: of the points; None is torch's default.
        """

    @abc.abstractmethod
    def frame(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Orthonormal basis of the tangents at `x`, (*batch, dim, *tangent_shape).

        Args:
            x: points, (*batch, *shape).
            mask: (*batch, nodes) bool, for clouds: smaller ones have fewer basis vectors, and the
                surplus ones are 0.
        """

    @abc.abstractmethod
    def uniform_log_prob(self) -> float:
        """Log density of the uniform distribution, nats against Riemannian volume.

        Raises: ValueError if the volume is infinite.
        """

    @abc.abstractmethod
    def check(self, x: Tensor, mask: Tensor | None = None) -> str | None:
        """None if `x` holds points of this space to rounding, else a sentence that says why not.

        Args:
            x: what may be points, (*batch, *shape).
            mask: (*batch, nodes) bool, for clouds; the other nodes must hold the padding.
        """

    def dim_of(self, x: Tensor, mask: Tensor | None = None) -> float | Tensor:
        """Dimension of the space at each point: a number, or (*batch,) where a mask makes it
        differ.

        Args:
            x: points, (*batch, *shape).
            mask: (*batch, nodes) bool, for clouds; only real nodes count.
        """
        if self.dim is None:
            raise NotImplementedError(f"{self}: dim depends on the point, so dim_of must say it")
        return self.dim

    def coordinates_of(self, x: Tensor, mask: Tensor | None = None) -> float | Tensor:
        """`dim_of` before clouds are centred: what a mean over nodes and coordinates divides by.

        Args:
            x: points, (*batch, *shape).
            mask: (*batch, nodes) bool, for clouds; only real nodes count.
        """
        return self.dim_of(x, mask)

    def log_prob_of_random(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Log density of `random_point` at `x`, (*batch,), nats against Riemannian volume.

        Args:
            x: points, (*batch, *shape).
            mask: (*batch, nodes) bool, for clouds.

        Raises: ValueError where it is not known.
        """
        if len(self.factors) > 1:
            parts = zip(self.factors, self.split(x))
            return total(space.log_prob_of_random(part, mask) for space, part in parts)
        return x.new_full(self.batch_of(x), self.uniform_log_prob())

    def log_prob_of_dist(self, d: Tensor) -> Tensor:
        """Log density of the distance of a uniform point from a fixed one, where all points and
        directions are alike.

        Args:
            d: distances, from 0 to the injectivity radius, any shape.

        Raises: ValueError on spaces where points or directions differ, or without a uniform law.
        """
        raise ValueError(
            f"{self}: the distance between random points has no closed density here; there is one "
            "on circles, spheres and rotations"
        )

    def heat(self) -> Kernel:
        """The law of Brownian motion on this space; see `manifolds.heat`.

        Raises: ValueError where it has no closed form here.
        """
        if len(self.factors) > 1:
            raise NotImplementedError(
                f"{self}: a space of several factors says its heat kernel itself; let its heat() "
                "return manifolds.heat.product.of_factors(self)"
            )
        raise no_heat_kernel(self)

    @property
    def factors(self) -> tuple[Manifold, ...]:
        """The spaces that this is the product of, with the sum of their metrics; or itself."""
        return (self,)

    def split(self, x: Tensor) -> Sequence[Tensor]:
        """A point (*batch, *shape) as one point of each factor.

        Args:
            x: points, (*batch, *shape).
        """
        return [x]

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """The point of one point per factor: the inverse of `split`.

        Args:
            parts: points of each factor, (*batch, *shape of the factor).
        """
        return parts[0]

    def split_tangent(self, v: Tensor) -> Sequence[Tensor]:
        """A tangent (*batch, *tangent_shape) as one tangent of each factor.

        Args:
            v: tangents, (*batch, *tangent_shape).
        """
        return [v]

    def join_tangent(self, parts: Sequence[Tensor]) -> Tensor:
        """The tangent of one tangent per factor: the inverse of `split_tangent`.

        Args:
            parts: tangents of each factor, (*batch, *tangent_shape of the factor).
        """
        return parts[0]

    def origin(self, *, dtype: torch.dtype | None = None, device: Device = None) -> Tensor:
        """One fixed point, (*shape): what stands at the masked nodes of a cloud.

        It is 0 on a flat space or a torus, the identity among motions, the first unit vector on
        spheres and hyperbolic space.

        Args:
            dtype: of the point; None is torch's default.
            device: of the point; None is torch's default.
        """
        fixed = torch.Generator().manual_seed(0)
        return self.random_point(generator=fixed, dtype=dtype, device=device)

    def batch_of(self, x: Tensor) -> torch.Size:
        """The axes of `x` in front of a point's.

        Args:
            x: points, (*batch, *shape).
        """
        return x.shape[: x.dim() - len(self.shape)]

    def size_of(self, x: Tensor) -> tuple[int, ...]:
        """What `draw` must be asked for to get points like `x`.

        Args:
            x: points, (*batch, *shape).
        """
        return tuple(self.batch_of(x))

    def draw(
        self,
        size: Sequence[int],
        *,
        mask: Tensor | None = None,
        generator: Generator = None,
        dtype: torch.dtype | None = None,
        device: Device = None,
    ) -> Tensor:
        """`random_point` for a size that says all: for clouds the last number is that of nodes.

        Args:
            size: the batch, and after it each size that `shape` leaves open.
            mask: (*batch, nodes) bool, for clouds.
            generator: where the numbers come from; None is torch's own.
            dtype: of the points; None is torch's default.
            device: of the points; None is torch's default.
        """
        return self.random_point(*size, mask=mask, generator=generator, dtype=dtype, device=device)

    def coordinates(self, x: Tensor, v: Tensor) -> Tensor:
        """Coordinates of a tangent in `frame(x)`, (*batch, dim): a row of length |v|.

        Args:
            x: points, (*batch, *shape).
            v: tangents at `x`, (*batch, *tangent_shape).
        """
        at = x.unsqueeze(-len(self.shape) - 1)
        return self.inner(at, self.frame(x), v.unsqueeze(-len(self.tangent_shape) - 1))

    def from_coordinates(self, x: Tensor, w: Tensor) -> Tensor:
        """Tangent at `x` with these coordinates in `frame(x)`, (*batch, *tangent_shape).

        Args:
            x: points, (*batch, *shape).
            w: coordinates, (*batch, dim).
        """
        axes = len(self.tangent_shape)
        return (w.reshape(w.shape + (1,) * axes) * self.frame(x)).sum(-axes - 1)

    def inner(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Riemannian inner product of tangents `u` and `v` at `x`, (*batch,).

        The sum of products of entries; a space with another metric overrides this and `norm`.

        Args:
            x: points, (*batch, *shape).
            u: tangents at `x`, (*batch, *tangent_shape).
            v: tangents at `x`, (*batch, *tangent_shape).
        """
        product = u * v
        axes = len(self.tangent_shape)
        return product.sum(tuple(range(-axes, 0))) if axes else product

    def norm(self, x: Tensor, v: Tensor) -> Tensor:
        """Length of the tangent `v` at `x`, (*batch,); gradient 0 at the zero tangent.

        Args:
            x: points, (*batch, *shape).
            v: tangents at `x`, (*batch, *tangent_shape).
        """
        return numerics.norm(v, len(self.tangent_shape))

    def gradient(self, x: Tensor, slope: Tensor, mask: Tensor | None = None) -> Tensor:
        """The tangent at `x` whose inner product with any tangent v is the sum of slope * v.

        With slope the derivative of f(exp(x, v)) by the entries of v at v = 0, this is the
        Riemannian gradient of f.

        Args:
            x: points, (*batch, *shape).
            slope: derivatives by the entries of a tangent, (*batch, *tangent_shape).
            mask: (*batch, nodes) bool, for clouds; the other nodes get 0.
        """
        if len(self.factors) > 1:
            parts = zip(self.factors, self.split(x), self.split_tangent(slope))
            return self.join_tangent([space.gradient(a, b, mask) for space, a, b in parts])
        frame, axes = self.frame(x, mask), len(self.tangent_shape)
        along = frame * slope.unsqueeze(-1 - axes)
        along = along.sum(tuple(range(-axes, 0)), keepdim=True) if axes else along
        return (along * frame).sum(-1 - axes)

    def within_radius(self, x: Tensor, v: Tensor) -> Tensor:
        """Tangent `v`, shortened to the injectivity radius where it is longer: each factor of a
        product and each node of a cloud by itself.

        Args:
            x: points, (*batch, *shape).
            v: tangents at `x`, (*batch, *tangent_shape).
        """
        radius = self.injectivity_radius
        if radius == float("inf"):
            return v
        if len(self.factors) > 1:
            parts = zip(self.factors, self.split(x), self.split_tangent(v))
            return self.join_tangent([space.within_radius(a, b) for space, a, b in parts])
        long = self.norm(x, v)
        share = torch.where(long > radius, radius / long.clamp(min=radius), 1.0)
        return expand(share, v, len(self.tangent_shape)) * v

    def dist(self, x: Tensor, y: Tensor) -> Tensor:
        """Length of the shortest geodesic between `x` and `y`, (*batch,); gradient 0 at equal
        points.

        Where second derivatives at equal points matter, use inner(x, v, v) with v = log(x, y)
        instead.

        Args:
            x: points, (*batch, *shape).
            y: points, (*batch, *shape).
        """
        return self.norm(x, self.log(x, y))

    def geodesic(self, x: Tensor, y: Tensor, t: float | Tensor) -> Tensor:
        """Point at the fraction `t` of the way from `x` to `y`.

        Args:
            x: points, (*batch, *shape).
            y: points, (*batch, *shape).
            t: a number; or broadcastable to the batch; or with as many axes as tangents.
        """
        v = self.log(x, y)
        return self.exp(x, expand(t, v, len(self.tangent_shape)) * v)

    def geodesic_and_back(self, x: Tensor, y: Tensor, t: float | Tensor) -> tuple[Tensor, Tensor]:
        """The point of `geodesic`, and the tangent there that leads back to `x`: one batch of flow
        matching.

        Args:
            x: points, (*batch, *shape).
            y: points, (*batch, *shape).
            t: as in `geodesic`.
        """
        point = self.geodesic(x, y, t)
        return point, self.log(point, x)

    def pull_back(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        """How log(x, y) changes when `y` moves with velocity `v`: a tangent at `x`.

        The differential of log(x, .) at y, in which curvature counts; `transport` is its part that
        keeps lengths. It grows without bound where y nears the cut locus of x.

        Args:
            x: points, (*batch, *shape).
            y: points, (*batch, *shape).
            v: tangents at `y`, (*batch, *tangent_shape).
        """
        return torch.func.jvp(lambda w: self.log(x, self.exp(y, w)), (torch.zeros_like(v),), (v,))[
            1
        ]

    def require(self, **points: Tensor) -> None:
        """Raise ValueError unless each named tensor holds points of this space, all of one dtype
        and device.

        For the borders of a program: `space.require(clean=clean, noise=noise)`. The message names
        the argument, what came, what was expected, and the way out.

        Args:
            points: what may be points, by the name to call them in the message.
        """
        _require(self, self.check, points)

    def require_shape(self, **points: Tensor) -> None:
        """Raise ValueError unless each named tensor is a floating one (*batch, *shape), all of one
        dtype and device.

        `require` without a look at the numbers: for places that are passed often, or must not wait
        for a GPU.

        Args:
            points: what may be points, by the name to call them in the message.
        """
        _require(self, lambda point: wrong_form(point, self.shape), points)

    def require_mask(self, x: Tensor, mask: Tensor | None) -> None:
        """Raise ValueError unless `mask` fits the clouds `x`; anything fits points without nodes.

        Args:
            x: points, (*batch, *shape).
            mask: what may be a mask of them; None is one.
        """
        return None

    def random_tangent(
        self, x: Tensor, generator: Generator = None, mask: Tensor | None = None
    ) -> Tensor:
        """Standard normal tangents at `x`: independent unit variance along each vector of a
        frame.

        Args:
            x: points, (*batch, *shape).
            generator: where the numbers come from; None is torch's own.
            mask: (*batch, nodes) bool, for clouds; the other nodes get 0.
        """
        batch = self.batch_of(x)
        sizes = [
            x.shape[axis - len(self.shape)] if size is None else size
            for axis, size in enumerate(self.tangent_shape)
        ]
        noise = randn(*batch, *sizes, generator=generator, dtype=x.dtype, device=x.device)
        return self.to_tangent(x, noise, mask)


class Kernel(abc.ABC):
    """Law of Brownian motion from `clean` after variance kappa^2 in each direction.

    kappa: a float; or a tensor broadcastable to the batch, one level per point. Points are (*batch,
    *shape). On a flat space or a torus it may also have the shape of a tangent: one level per
    coordinate. Where the space is a product, also a list, one per factor. Tensors of another shape,
    dtype or device than points and each other are refused with a ValueError; whether their numbers
    are points is not looked at here, which `manifold.require(x=x, clean=clean)` does. mask:
    (*batch, nodes) bool, True at real nodes, for clouds; others do not read it.

    Args:
        manifold: where the motion is.
    """

    manifold: Manifold

    @abc.abstractmethod
    def sample(
        self, clean: Tensor, kappa: Levels, generator: Generator = None, mask: Tensor | None = None
    ) -> Tensor:
        """An exact draw for each clean point.

        Args:
            clean: where the motion starts, (*batch, *shape).
            kappa: the level, as the class says.
            generator: where the numbers come from; None is torch's own.
            mask: (*batch, nodes) bool, for clouds; the other nodes stay.
        """

    @abc.abstractmethod
    def log_prob(
        self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None
    ) -> Tensor:
        """Log density at `x`, (*batch,), in nats against Riemannian volume.

        Args:
            x: points, (*batch, *shape).
            clean: where the motion starts, (*batch, *shape).
            kappa: the level, as the class says.
            mask: (*batch, nodes) bool, for clouds; the other nodes do not count.
        """

    @abc.abstractmethod
    def displacement(
        self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None
    ) -> Tensor:
        """kappa^2 times the score: a tangent at `x`, which becomes log(x, clean) as kappa goes to
        0.

        Args:
            x: points, (*batch, *shape).
            clean: where the motion starts, (*batch, *shape).
            kappa: the level, as the class says.
            mask: (*batch, nodes) bool, for clouds; 0 at the other nodes.
        """

    def score(self, x: Tensor, clean: Tensor, kappa: Levels, mask: Tensor | None = None) -> Tensor:
        """Riemannian gradient of `log_prob` in `x`, a tangent at `x`.

        Args:
            x: points, (*batch, *shape).
            clean: where the motion starts, (*batch, *shape).
            kappa: the level, as the class says.
            mask: (*batch, nodes) bool, for clouds; 0 at the other nodes.
        """
        u = self.displacement(x, clean, kappa, mask)
        return u / expand(self.one_level(kappa), u, len(self.manifold.tangent_shape)).square()

    def log_prob_of_diffused(self, x: Tensor, kappa: Levels, mask: Tensor | None = None) -> Tensor:
        """Log density at `x`, (*batch,), of a `random_point` after motion of level kappa.

        Uniform stays uniform; a standard normal one becomes N(0, 1 + kappa^2).

        Args:
            x: points, (*batch, *shape).
            kappa: the level, as the class says.
            mask: (*batch, nodes) bool, for clouds; the other nodes do not count.

        Raises: ValueError where it has no closed form.
        """
        return self.manifold.log_prob_of_random(x, mask)

    def independent(
        self, kappa: Levels, radius: float | None, per_entry: bool
    ) -> list[tuple[Kernel, Level, float | None]]:
        """The parts of this law that are independent, with the level and the radius of each.

        Args:
            kappa: a level, or one per factor; tensors of any shape.
            radius: of the clean point from the mean, for `prior_tv`.
            per_entry: whether the last axis of kappa has a level for each entry of a tangent.
        """
        level = self.one_level(kappa)
        return [(self, level[..., 0] if per_entry and torch.is_tensor(level) else level, radius)]

    def one_level(self, kappa: Levels) -> Level:
        """The level itself.

        Args:
            kappa: the level, as the class says.

        Raises: ValueError for a list of levels.
        """
        if isinstance(kappa, Sequence):
            raise ValueError(f"kappa: expected one level on {self.manifold}, got {len(kappa)}")
        return kappa

    def _require(self, kappa: Levels, **points: Tensor) -> Level:
        """The level; ValueError for tensors that are no points by their form, or what is no
        level.
        """
        self.manifold.require_shape(**points)
        level = self.one_level(kappa)
        if not torch.is_tensor(level) and not level >= 0:
            raise ValueError(f"kappa: expected a level of at least 0, got {level!r}")
        return level


def expand(t: float | Tensor, x: Tensor, axes: int | None = None) -> Tensor:
    """`t` in the dtype and device of `x`, with trailing axes of size 1 so that it multiplies `x`.

    Args:
        t: a float; or (*batch,), broadcastable to the batch of x; or a tensor with as many axes as
            x, kept as is.
        x: (*batch, ...).
        axes: how many trailing axes of x are not batch; None takes all axes of x after those of t.
    """
    t = torch.as_tensor(t, dtype=x.dtype, device=x.device)
    if axes is None:
        axes = max(x.dim() - t.dim(), 0)
    if t.dim() == 0 or t.dim() > x.dim() - axes:
        return t
    return t.reshape(t.shape + (1,) * axes)


def total(terms: Iterable[Tensor]) -> Tensor:
    """The sum of tensors, one or more.

    Args:
        terms: tensors that broadcast.
    """
    first, *rest = terms
    for term in rest:
        first = first + term
    return first


def volume_is_infinite(manifold: Manifold) -> ValueError:
    """The error of `uniform_log_prob` on a space without a uniform distribution.

    Args:
        manifold: the space.
    """
    return ValueError(
        f"{manifold} has infinite volume and no uniform density; use a standard normal base"
    )


def no_heat_kernel(manifold: Manifold) -> ValueError:
    """The error of `heat` on a space whose Brownian motion has no closed form here.

    Args:
        manifold: the space.
    """
    return ValueError(
        f"manifold: no heat kernel for {manifold}; there is one for flat spaces, Torus, Sphere(n) "
        "with n at most 64, SO3, SE3, Hyperbolic(3), any of them Scaled, their products, and "
        "clouds of them (Power, Centered, Poses). Flow matching "
        "(geodiff.process.corruption.Geodesic) works on every space"
    )


def _require(
    space: Manifold, check: Callable[[Tensor], str | None], points: dict[str, Tensor]
) -> None:
    first = None
    for name, point in points.items():
        first = first or (name, point)
        for kind in ("dtype", "device"):
            wanted, got = getattr(first[1], kind, None), getattr(point, kind, None)
            if got != wanted and torch.is_tensor(point) and point.is_floating_point():
                raise ValueError(
                    f"{name}: expected {kind} {wanted}, that of {first[0]}, got {got}; convert "
                    "with .to()"
                )
        defect = check(point)
        if defect:
            raise ValueError(f"{name}: not points of {space}: {defect}")
