"""What every heat kernel can do."""

from __future__ import annotations

import abc

from torch import Tensor

from manifolds.base import Manifold, expand


class Kernel(abc.ABC):
    """Law of Brownian motion from `clean` after variance kappa^2 in each direction.

    kappa: a float; or a tensor broadcastable to the batch, one level per point. Points are (*batch,
    *shape). On a flat space or a torus it may also have the shape of a tangent: one level per
    coordinate. Tensors of another shape, dtype or device than points and each other are refused
    with a ValueError; whether their numbers are points is not looked at here, which
    `manifold.require(x=x, clean=clean)` does.
    """

    manifold: Manifold

    @abc.abstractmethod
    def sample(self, clean: Tensor, kappa: float | Tensor, generator=None) -> Tensor:
        """An exact draw for each clean point."""

    @abc.abstractmethod
    def log_prob(self, x: Tensor, clean: Tensor, kappa: float | Tensor) -> Tensor:
        """Log density at `x`, (*batch,), in nats against Riemannian volume."""

    @abc.abstractmethod
    def displacement(self, x: Tensor, clean: Tensor, kappa: float | Tensor) -> Tensor:
        """kappa^2 times the score: a tangent at `x`, which becomes log(x, clean) as kappa goes to
        0.
        """

    def _require(self, kappa: float | Tensor, **points: Tensor) -> None:
        """Raise ValueError for tensors that are no points by their form, or a number that is no
        level.
        """
        self.manifold.require_shape(**points)
        if isinstance(kappa, (int, float)) and not kappa >= 0:
            raise ValueError(f"kappa: expected a level of at least 0, got {kappa!r}")

    def score(self, x: Tensor, clean: Tensor, kappa: float | Tensor) -> Tensor:
        """Riemannian gradient of `log_prob` in `x`, a tangent at `x`."""
        u = self.displacement(x, clean, kappa)
        return u / expand(kappa, u, len(self.manifold.tangent_shape)).square()
