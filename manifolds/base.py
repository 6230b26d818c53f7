"""What every space can do: the interface of all samplers, losses and solvers."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from manifolds import numerics


class Manifold(abc.ABC):
    """A Riemannian manifold whose points and tangents are tensors with batch axes in front.

    A space is a frozen dataclass: hashable, printable, picklable, without parameters or device.
    Points have shape (*batch, *shape), tangents (*batch, *tangent_shape); batches broadcast. `dim`
    and the sizes in `shape` are None where they depend on the point (clouds of any number of
    nodes). The laws all spaces keep are in `manifolds.testing`.
    """

    shape: tuple[int | None, ...]
    tangent_shape: tuple[int | None, ...]
    dim: int | None
    injectivity_radius: float  # log is smooth, and undone by exp, closer than this
    takes_mask = False  # whether project, to_tangent, random_point, frame accept mask=
    magnification = 1.0  # how many times rounding may grow: a factor on the tolerances of the laws
    # laws of manifolds.testing not kept here, and why
    unmet: Mapping[str, str] = MappingProxyType({})

    @abc.abstractmethod
    def exp(self, x: Tensor, v: Tensor) -> Tensor:
        """Point reached from `x` along the geodesic with velocity `v` after unit time."""

    @abc.abstractmethod
    def log(self, x: Tensor, y: Tensor) -> Tensor:
        """Shortest tangent at `x` that `exp` carries to `y`; one of them, finite, where it is not
        unique.
        """

    @abc.abstractmethod
    def transport(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        """Tangent `v` at `x`, moved parallel along the geodesic of `log(x, y)` to a tangent at
        `y`.
        """

    @abc.abstractmethod
    def project(self, x: Tensor) -> Tensor:
        """Nearest point of the space to a tensor of shape (*batch, *shape)."""

    @abc.abstractmethod
    def to_tangent(self, x: Tensor, ambient: Tensor) -> Tensor:
        """Orthogonal projection of a tensor of shape (*batch, *tangent_shape) onto the tangents at
        `x`.
        """

    @abc.abstractmethod
    def random_point(self, *size: int, generator=None, dtype=None, device=None) -> Tensor:
        """Points (*size, *shape): uniform on a compact space, standard normal on a flat one."""

    @abc.abstractmethod
    def frame(self, x: Tensor) -> Tensor:
        """Orthonormal basis of the tangents at `x`, (*batch, dim, *tangent_shape)."""

    @abc.abstractmethod
    def uniform_log_prob(self) -> float:
        """Log density of the uniform distribution, nats against Riemannian volume.

        Raises ValueError if the volume is infinite.
        """

    @abc.abstractmethod
    def check(self, x: Tensor) -> str | None:
        """None if `x` holds points of this space to rounding, else a sentence that says why not."""

    def inner(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Riemannian inner product of tangents `u` and `v` at `x`, (*batch,).

        The sum of products of entries; a space with another metric overrides this and `norm`.
        """
        product = u * v
        axes = len(self.tangent_shape)
        return product.sum(tuple(range(-axes, 0))) if axes else product

    def norm(self, x: Tensor, v: Tensor) -> Tensor:
        """Length of the tangent `v` at `x`, (*batch,); gradient 0 at the zero tangent."""
        return numerics.norm(v, len(self.tangent_shape))

    def dist(self, x: Tensor, y: Tensor) -> Tensor:
        """Length of the shortest geodesic between `x` and `y`, (*batch,); gradient 0 at equal
        points.

        Where second derivatives at equal points matter, use inner(x, v, v) with v = log(x, y)
        instead.
        """
        return self.norm(x, self.log(x, y))

    def geodesic(self, x: Tensor, y: Tensor, t: float | Tensor) -> Tensor:
        """Point at the fraction `t` (a float, or broadcastable to the batch) of the way from `x` to
        `y`.
        """
        v = self.log(x, y)
        return self.exp(x, expand(t, v, len(self.tangent_shape)) * v)

    def geodesic_and_back(self, x: Tensor, y: Tensor, t: float | Tensor) -> tuple[Tensor, Tensor]:
        """The point of `geodesic`, and the tangent there that leads back to `x`: one batch of flow
        matching.
        """
        point = self.geodesic(x, y, t)
        return point, self.log(point, x)

    def pull_back(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        """How log(x, y) changes when `y` moves with velocity `v`: a tangent at `x`.

        The differential of log(x, .) at y, in which curvature counts; `transport` is its part that
        keeps lengths. It grows without bound where y nears the cut locus of x.
        """
        return torch.func.jvp(lambda w: self.log(x, self.exp(y, w)), (torch.zeros_like(v),), (v,))[
            1
        ]

    def require(self, **points: Tensor) -> None:
        """Raise ValueError unless each named tensor holds points of this space, all of one dtype
        and device.

        For the borders of a program: `space.require(clean=clean, noise=noise)`. The message names
        the argument, what came, what was expected, and the way out.
        """
        _require(self, self.check, points)

    def require_shape(self, **points: Tensor) -> None:
        """Raise ValueError unless each named tensor is a floating one (*batch, *shape), all of one
        dtype and device.

        `require` without a look at the numbers: for places that are passed often, or must not wait
        for a GPU.
        """
        _require(self, lambda point: wrong_form(point, self.shape), points)

    def random_tangent(self, x: Tensor, generator=None) -> Tensor:
        """Standard normal tangents at `x`: independent unit variance along each vector of a
        frame.
        """
        batch = x.shape[: x.dim() - len(self.shape)]
        sizes = [
            x.shape[axis - len(self.shape)] if size is None else size
            for axis, size in enumerate(self.tangent_shape)
        ]
        noise = randn(*batch, *sizes, generator=generator, dtype=x.dtype, device=x.device)
        return self.to_tangent(x, noise)


def expand(t: float | Tensor, x: Tensor, axes: int | None = None) -> Tensor:
    """`t` in the dtype and device of `x`, with trailing axes of size 1 so that it multiplies `x`.

    t: a float; or (*batch,), broadcastable to the batch of x; or a tensor with as many axes as x,
    kept as is.
    axes: how many trailing axes of x are not batch; None takes all axes of x after those of t.
    """
    t = torch.as_tensor(t, dtype=x.dtype, device=x.device)
    if axes is None:
        axes = max(x.dim() - t.dim(), 0)
    if t.dim() == 0 or t.dim() > x.dim() - axes:
        return t
    return t.reshape(t.shape + (1,) * axes)


def randn(*size: int, generator=None, dtype=None, device=None) -> Tensor:
    """Standard normal numbers from a torch.Generator, an object with a `randn`, or (None) torch
    itself.
    """
    if hasattr(generator, "randn"):
        return generator.randn(*size, dtype=dtype, device=device)
    if generator is None:
        return torch.randn(size, dtype=dtype, device=device)
    drawn = torch.randn(size, generator=generator, dtype=dtype, device=generator.device)
    return drawn if device is None else drawn.to(device)


def rand(*size: int, generator=None, dtype=None, device=None) -> Tensor:
    """Numbers uniform on [0, 1), from the same sources as `randn`."""
    if hasattr(generator, "rand"):
        return generator.rand(*size, dtype=dtype, device=device)
    if generator is None:
        return torch.rand(size, dtype=dtype, device=device)
    drawn = torch.rand(size, generator=generator, dtype=dtype, device=generator.device)
    return drawn if device is None else drawn.to(device)


def volume_is_infinite(manifold: Manifold) -> ValueError:
    """The error of `uniform_log_prob` on a space without a uniform distribution."""
    return ValueError(
        f"{manifold} has infinite volume and no uniform density; use a standard normal base"
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


def wrong_shape(x: Tensor, shape: tuple[int | None, ...]) -> str | None:
    """Sentence for a tensor that is no floating tensor (*batch, *shape) of finite numbers, else
    None.
    """
    defect = wrong_form(x, shape)
    if defect is None and not torch.isfinite(x).all():
        return f"{int((~torch.isfinite(x)).sum())} of {x.numel()} coordinates are not finite"
    return defect


def wrong_form(x: Tensor, shape: tuple[int | None, ...]) -> str | None:
    """Sentence for a tensor that is no floating tensor (*batch, *shape), else None; numbers are not
    read.
    """
    if not torch.is_tensor(x) or not x.is_floating_point():
        got = x.dtype if torch.is_tensor(x) else type(x).__name__
        return f"points must be a floating tensor, got {got}"
    tail = tuple(x.shape[x.dim() - len(shape) :]) if x.dim() >= len(shape) else None
    if tail is None or any(want is not None and want != got for want, got in zip(shape, tail)):
        wanted = ", ".join(["*batch", *("any" if want is None else str(want) for want in shape)])
        return f"points must have shape ({wanted}), got {tuple(x.shape)}"
    return None


def largest(
    defect: Tensor, limit: float, law: str, cure: str = "project(x) moves x onto the space"
) -> str | None:
    """Sentence that names the worst batch entry when `defect` (*batch,) exceeds `limit`, else
    None.
    """
    if defect.numel() == 0 or bool((defect <= limit).all()):
        return None
    worst = int(defect.argmax())
    index = (
        [int(i) for i in torch.unravel_index(torch.tensor(worst), defect.shape)]
        if defect.dim()
        else []
    )
    worst = float(defect.reshape(-1)[worst])
    return f"{law}; the largest departure is {worst:.3g}, at batch index {tuple(index)}; {cure}"


def positive(name: str, value: int) -> None:
    """Raise unless `value` is an integer of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name}: expected an integer of at least 1, got {value!r}")
