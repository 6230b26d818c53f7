"""Inpainting by replacement: parts of a point that are known from the start."""

from typing import Any

import torch
from torch import Tensor

from geodiff.process.field import Field
from geodiff.process.guidance.base import Guide


class Known(Guide):
    """The field where nothing is known; where a part is, the displacement that leads to it.

    The known part then follows the corruption's own way back from its noise to the known point, a
    draw of it with `Ancestral`, its ODE with other steppers, and ends there (with `HeatKernel` up
    to kappa(0)^2). The rest sees it at its level, but never learns that it will end there, so its
    law is not the conditional one. Of two normal numbers with correlation 0.9, the first known to
    be 1, the second has mean 0.90: here it gets 0.61 with `Ancestral()` in 200 steps, 0.44 with a
    deterministic stepper, 0.84 with `RePaint(5)`, 0.89 with `RePaint(20)`, and 0.90 by
    `geodiff.steer` with this as its proposal and `energy` as its energy.

    Args:
        field: of all parts.
        points: where the known parts end, broadcastable to (*batch, *shape); numbers elsewhere do
            not count, but must be those of a point.
        where: bool, broadcastable to the tangents (*batch, *tangent_shape), True where known: whole
            factors of a product, whole nodes of a cloud ((nodes, 1) as a rule), any coordinates of
            flat spaces and angles.

    Raises: TypeError for a `where` that is not bool; ValueError on centred clouds, where no node
        has a place of its own, and, when asked, where the shapes do not fit.
    Source: Lugmayr et al. 2022 (RePaint), eq. 8.
    """

    points: Tensor
    where: Tensor

    def __init__(self, field: Field, points: Tensor, where: Tensor):
        super().__init__(field)
        manifold = field.corruption.manifold
        if where.dtype != torch.bool:
            raise TypeError(f"where: expected True where points are known, got {where.dtype}")
        if getattr(manifold, "centred", False):
            raise ValueError(
                f"field: the nodes of {manifold} have mean 0, so that each place depends on all "
                "others and none can be known; use a space that is not centred"
            )
        manifold.require(points=points)
        self.register_buffer("points", points)
        self.register_buffer("where", where)

    def displacement(self, x: Tensor, s: Tensor, condition: Any, mask: Tensor | None) -> Tensor:
        u = self.field.displacement(x, s, condition, mask)
        known = self.corruption.displacement("clean", self.points.to(x).expand_as(x), x, s)
        return torch.where(self.where, known, u)

    def energy(self, clean: Tensor, kappa: Tensor) -> Tensor:
        """How far an estimate of the clean points is from what is known, squared, over 2 kappa^2,
        (*batch,) nats: what `geodiff.steer` weighs by.

        Args:
            clean: (*batch, *shape).
            kappa: the level of the state that the estimate was made of, (*batch,), or with a clock
                per factor (*batch, last axis of the tangents).
        """
        manifold = self.corruption.manifold
        away = manifold.log(clean, self.points.to(clean).expand_as(clean))
        away = torch.where(self.where, away, 0.0) / self.corruption.against_tangent(kappa)
        return manifold.inner(clean, away, away) / 2

    def clean_estimate(
        self, noisy: Tensor, s: float | Tensor, condition: Any = None, mask: Tensor | None = None
    ) -> Tensor:
        estimate = self.field.clean_estimate(noisy, s, condition, mask)
        # A flat space's points have the entries of its tangents.
        return torch.where(self.where, self.points.to(estimate), estimate)
