"""What every heat kernel can do."""

from __future__ import annotations

import abc

from torch import Tensor

from manifolds.base import Manifold, expand


class Kernel(abc.ABC):
    """Law of Brownian motion from `clean` after variance kappa^2 in each direction.

    kappa: a float; or a tensor broadcastable to the batch, one level per point. Points are (*batch, *shape).
    On a flat space or a torus it may also have the shape of a tangent: one level per coordinate.
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
        """kappa^2 times the score: a tangent at `x`, which becomes log(x, clean) as kappa goes to 0."""

    def score(self, x: Tensor, clean: Tensor, kappa: float | Tensor) -> Tensor:
        """Riemannian gradient of `log_prob` in `x`, a tangent at `x`."""
        u = self.displacement(x, clean, kappa)
        return u / expand(kappa, u, len(self.manifold.tangent_shape)).square()
