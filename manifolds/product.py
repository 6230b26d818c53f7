"""Several spaces at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from manifolds.base import Device, Generator, Kernel, Manifold, total, wrong_shape


@dataclass(frozen=True)
class Product(Manifold):
    """The product of spaces with the sum of their metrics; a point is one flat vector.

    `split` gives the factors as (*batch, *factor shape) views, `join` makes the vector again; the
    same for tangents with `split_tangent` and `join_tangent`.

    Args:
        spaces: the factors, one or more.
    """

    spaces: tuple[Manifold, ...]

    def __post_init__(self) -> None:
        spaces = tuple(self.spaces)
        if not spaces:
            raise ValueError("spaces: expected at least one space, got none")
        for space in spaces:
            if not isinstance(space, Manifold):
                raise TypeError(f"spaces: expected manifolds, got {space!r}")
            if None in space.shape:
                raise ValueError(
                    f"spaces: {space} has points of any number of nodes, which do not fit in a "
                    "flat vector; use Euclidean((nodes, dim)) for a fixed number"
                )
        object.__setattr__(self, "spaces", spaces)

    @property
    def shape(self) -> tuple[int]:
        return (sum(map(_size, self._shapes)),)

    @property
    def tangent_shape(self) -> tuple[int]:
        return (sum(map(_size, self._tangent_shapes)),)

    @property
    def dim(self) -> int:
        return sum(space.dim or 0 for space in self.spaces)

    @property
    def flat(self) -> bool:
        return all(space.flat for space in self.spaces)

    @property
    def injectivity_radius(self) -> float:
        return min(space.injectivity_radius for space in self.spaces)

    @property
    def magnification(self) -> float:
        return max(space.magnification for space in self.spaces)

    @property
    def unmet(self) -> dict[str, str]:
        return {law: reason for space in self.spaces for law, reason in space.unmet.items()}

    @property
    def factors(self) -> tuple[Manifold, ...]:
        return self.spaces

    @property
    def _shapes(self) -> list[tuple[int, ...]]:
        return [_known(space.shape) for space in self.spaces]

    @property
    def _tangent_shapes(self) -> list[tuple[int, ...]]:
        return [_known(space.tangent_shape) for space in self.spaces]

    def split(self, x: Tensor) -> list[Tensor]:
        return _split(x, self._shapes)

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        return _join(parts, self._shapes)

    def split_tangent(self, v: Tensor) -> list[Tensor]:
        return _split(v, self._tangent_shapes)

    def join_tangent(self, parts: Sequence[Tensor]) -> Tensor:
        return _join(parts, self._tangent_shapes)

    def exp(self, x: Tensor, v: Tensor) -> Tensor:
        parts = zip(self.spaces, self.split(x), self.split_tangent(v))
        return self.join([space.exp(a, b) for space, a, b in parts])

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        parts = zip(self.spaces, self.split(x), self.split(y))
        return self.join_tangent([space.log(a, b) for space, a, b in parts])

    def transport(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        parts = zip(self.spaces, self.split(x), self.split(y), self.split_tangent(v))
        return self.join_tangent([space.transport(a, b, c) for space, a, b, c in parts])

    def pull_back(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        parts = zip(self.spaces, self.split(x), self.split(y), self.split_tangent(v))
        return self.join_tangent([space.pull_back(a, b, c) for space, a, b, c in parts])

    def project(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.join([space.project(a) for space, a in zip(self.spaces, self.split(x))])

    def to_tangent(self, x: Tensor, ambient: Tensor, mask: Tensor | None = None) -> Tensor:
        parts = zip(self.spaces, self.split(x), self.split_tangent(ambient))
        return self.join_tangent([space.to_tangent(a, b) for space, a, b in parts])

    def random_point(
        self,
        *size: int,
        mask: Tensor | None = None,
        generator: Generator = None,
        dtype: torch.dtype | None = None,
        device: Device = None,
    ) -> Tensor:
        return self.join(
            [
                space.random_point(*size, generator=generator, dtype=dtype, device=device)
                for space in self.spaces
            ]
        )

    def random_tangent(
        self, x: Tensor, generator: Generator = None, mask: Tensor | None = None
    ) -> Tensor:
        parts = zip(self.spaces, self.split(x))
        return self.join_tangent(
            [space.random_tangent(a, generator=generator) for space, a in parts]
        )

    def frame(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        batch = x.shape[:-1]
        rows, (width,) = [], self.tangent_shape
        start = 0
        for space, part, shape in zip(self.spaces, self.split(x), self._tangent_shapes):
            basis, size = space.frame(part), _size(shape)
            basis = basis.reshape(*batch, basis.shape[basis.dim() - len(shape) - 1], size)
            rows.append(torch.nn.functional.pad(basis, (start, width - start - size)))
            start += size
        return torch.cat(rows, -2)

    def inner(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        parts = zip(self.spaces, self.split(x), self.split_tangent(u), self.split_tangent(v))
        return total(space.inner(a, b, c) for space, a, b, c in parts)

    def norm(self, x: Tensor, v: Tensor) -> Tensor:
        lengths = torch.stack(
            torch.broadcast_tensors(
                *(
                    space.norm(a, b)
                    for space, a, b in zip(self.spaces, self.split(x), self.split_tangent(v))
                )
            ),
            -1,
        )
        zero = (lengths == 0).all(-1)
        squared = torch.where(zero, 1.0, lengths.square().sum(-1))
        return torch.where(zero, 0.0, squared.sqrt())

    def origin(self, *, dtype: torch.dtype | None = None, device: Device = None) -> Tensor:
        return self.join([space.origin(dtype=dtype, device=device) for space in self.spaces])

    def uniform_log_prob(self) -> float:
        return sum(space.uniform_log_prob() for space in self.spaces)

    def heat(self) -> Kernel:
        from manifolds.heat.product import of_factors

        return of_factors(self)

    def check(self, x: Tensor, mask: Tensor | None = None) -> str | None:
        defect = wrong_shape(x, self.shape)
        if defect:
            return defect
        for number, (space, part) in enumerate(zip(self.spaces, self.split(x))):
            defect = space.check(part)
            if defect:
                return f"factor {number}, {space}: {defect}"
        return None


def _known(shape: tuple[int | None, ...]) -> tuple[int, ...]:
    """A shape of which every size is known, as the constructor has seen to."""
    return tuple(size for size in shape if size is not None)


def _size(shape: tuple[int, ...]) -> int:
    return math.prod(shape)


def _split(x: Tensor, shapes: list[tuple[int, ...]]) -> list[Tensor]:
    parts = x.split([_size(shape) for shape in shapes], -1)
    return [
        part.unflatten(-1, shape) if shape else part.squeeze(-1)
        for part, shape in zip(parts, shapes)
    ]


def _join(parts: Sequence[Tensor], shapes: list[tuple[int, ...]]) -> Tensor:
    if len(parts) != len(shapes):
        raise ValueError(f"parts: expected {len(shapes)}, one per factor, got {len(parts)}")
    kinds = {(part.dtype, part.device) for part in parts}
    if len(kinds) > 1:
        got = ", ".join(f"{part.dtype} on {part.device}" for part in parts)
        raise ValueError(
            f"parts: expected one dtype and one device, got {got}; convert them with .to()"
        )
    batches = [part.shape[: part.dim() - len(shape)] for part, shape in zip(parts, shapes)]
    batch = torch.broadcast_shapes(*batches)
    wide = [part.expand((*batch, *shape)) for part, shape in zip(parts, shapes)]
    return torch.cat([part.reshape(*batch, _size(shape)) for part, shape in zip(wide, shapes)], -1)
