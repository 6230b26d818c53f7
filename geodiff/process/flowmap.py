"""Flow maps: one step from any level to any lower one, for sampling in a few calls."""

import abc
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from geodiff.process.corruption.base import PointCorruption
from geodiff.process.field import Field
from geodiff.process.levels import Levels
from geodiff.process.samplers.base import euler_step, intervals
from geodiff.process.samplers.integrate import Callback

MapNetwork = Callable[[Tensor, Tensor, Tensor, Any, Tensor | None], Tensor]
"""(x, s, t, condition, mask) -> what it predicts; s, t (*batch,)."""


class FlowMap(nn.Module, abc.ABC):
    """Where a field's ODE leads from level s to level t, told by one tangent U(x, s, t) at x.

    The state at t is Exp_x((1 - kappa(t) / kappa(s)) U(x, s, t)); at t = s it is x itself, and U is
    u, the map's `field`. Consistency models have t = 0 only. A map of your own has `displacement`;
    what it returns is projected onto the tangents here.

    Args:
        corruption: the way to noise that the map undoes.
    """

    corruption: PointCorruption

    def __init__(self, corruption: PointCorruption):
        super().__init__()
        self.corruption = corruption

    @abc.abstractmethod
    def displacement(
        self, x: Tensor, s: Tensor, t: Tensor, condition: Any, mask: Tensor | None
    ) -> Tensor:
        """U before it is projected, (*batch, *tangent_shape).

        Args:
            x: states at s, (*batch, *shape).
            s: (*batch,), the level of x.
            t: (*batch,), the level to reach, at most s.
            condition: what the map is told; None for nothing.
            mask: (*batch, nodes) bool, for clouds.
        """

    def forward(
        self,
        x: Tensor,
        s: float | Tensor,
        t: float | Tensor,
        condition: Any = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """U at the states x, (*batch, *tangent_shape).

        Args:
            x: states at s, (*batch, *shape).
            s: the level of x, a number or (*batch,).
            t: the level to reach, a number or (*batch,).
            condition: what the map is told; None for nothing.
            mask: (*batch, nodes) bool; U is 0 at masked nodes.
        """
        s, t = self.corruption.times(s, x), self.corruption.times(t, x)
        return self.corruption.tangent(x, self.displacement(x, s, t, condition, mask), mask)

    def step(
        self,
        x: Tensor,
        s: float | Tensor,
        t: float | Tensor,
        condition: Any = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """The states at t, (*batch, *shape).

        Args:
            x: states at s, (*batch, *shape).
            s: the level of x, a number or (*batch,); its kappa is finite and above 0.
            t: the level to reach, a number or (*batch,).
            condition: what the map is told; None for nothing.
            mask: (*batch, nodes) bool, for clouds.
        """
        (_, start), (_, end) = self.corruption.level(s, x), self.corruption.level(t, x)
        share = self.corruption.against_tangent(1 - end / start)
        return self.corruption.manifold.exp(x, share * self(x, s, t, condition, mask))

    @property
    def field(self) -> Field:
        """The field whose ODE the map solves: U at t = s. It shares the map's parameters."""
        return _AtOnce(self)


class NetworkFlowMap(FlowMap):
    """The flow map that a network predicts.

    The network sees what that of a `NetworkField` sees, and t beside s.

    Args:
        network: any callable (x, s, t, condition, mask) -> tensor; s and t reach it as (*batch,).
        corruption: the way to noise that the network was trained on.
        reading: what the output is, read at s as a field's is: "clean" is the point that the step
            heads for.

    Raises: ValueError for a reading that does not exist for the corruption, with the reason.
    """

    network: MapNetwork

    def __init__(self, network: MapNetwork, corruption: PointCorruption, reading: str = "u"):
        super().__init__(corruption)
        corruption.check_reading(reading)
        self.network, self.reading = network, reading

    def displacement(
        self, x: Tensor, s: Tensor, t: Tensor, condition: Any, mask: Tensor | None
    ) -> Tensor:
        seen = self.corruption.network_input(x, s)
        output = self.network(seen, s, t, condition, mask)
        return self.corruption.displacement(self.reading, output, x, s)

    def extra_repr(self) -> str:
        return f"corruption={self.corruption!r}, reading={self.reading!r}"


class _AtOnce(Field):
    """A flow map at t = s."""

    def __init__(self, flow_map: FlowMap):
        super().__init__(flow_map.corruption)
        self.flow_map = flow_map

    def displacement(self, x: Tensor, s: Tensor, condition: Any, mask: Tensor | None) -> Tensor:
        return self.flow_map.displacement(x, s, s, condition, mask)


def walk(
    flow_map: FlowMap,
    x: Tensor,
    levels: Levels,
    *,
    condition: Any = None,
    mask: Tensor | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """The states at the last level, by one call of the map for each interval.

    A step's kappas are the clock's, which U is told of as s and t. Where a clock starts above
    kappa = 0, the last level of `geodiff.levels` is kappa = 0 at the same s = 0: that step goes
    along the map's field, in one call. With one step alone the states at kappa(0) are returned.

    Args:
        flow_map: the map.
        x: states at the first level, (*batch, *shape).
        levels: finite and decreasing.
        condition: what the map is told.
        mask: for clouds, (*batch, nodes) bool.
        callback: as in `integrate`.
    """
    clock, manifold = flow_map.corruption.clock, flow_map.corruption.manifold
    times = clock.s(levels.kappas) if levels.s is None else levels.s
    for i, interval in enumerate(intervals(levels), 1):
        s, t = times[i - 1], times[i]
        if s == t:
            x = euler_step(manifold, flow_map(x, s, s, condition, mask), x, interval)
        else:
            x = flow_map.step(x, s, t, condition, mask)
        if callback is not None:
            callback(i, x, levels[i])
    return x


def require_walkable(levels: Levels) -> None:
    """Raise ValueError unless a flow map can walk these levels.

    Args:
        levels: those asked for.
    """
    if levels.starts_infinite or bool((levels.kappas[1:] > levels.kappas[:-1]).any()):
        raise ValueError(
            "levels: a FlowMap steps from finite noise levels to lower ones, got "
            f"{levels}; give geodiff.levels(clock, steps, s_max=0.999), or a clock whose kappa(1) "
            "is finite"
        )
