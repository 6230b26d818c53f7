"""Guidance by an energy of the clean estimate, through the network."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from geodiff.process.field import Field
from geodiff.process.guidance.base import Guide
from geodiff.process.guidance.energy import check_one_a_point, require_score

CleanEnergy = Callable[[Tensor, Tensor], Tensor]
"""(clean, kappa) -> nats, (*batch,); clean (*batch, *shape) an estimate, kappa (*batch,) its level,
or (*batch, last axis of the tangents) with a clock per factor."""


class Reconstruction(Guide):
    """u - scale kappa^2 grad E(c(x), kappa), c(x) = Exp_x(u) the clean estimate, the gradient by
    the state x through c.

    It needs no energy of noisy states, but one more pass backwards through the network a step. The
    samples have the law p(x) exp(-E) only where E knows how uncertain the estimate is: of two
    normal numbers of correlation 0.9, the first known to be 1, the second gets its mean 0.90 by
    E = (c - 1)^2 / (2 v), v the variance of the first given the state. An E of clean points as it
    stands takes estimates for certain and pulls too hard: N(0, 1) with E = (c - 2)^2 / 2, posterior
    N(1, 0.5), gets mean 1.45 and variance 0.37 by the ODE, 1.27 and 0.41 by `Ancestral`.
    `geodiff.steer`, with this as its proposal, makes up for it. A level with alpha = 0 is left as
    without the energy.

    Args:
        field: of a corruption with a score; differentiable in x.
        energy: (clean, kappa) -> (*batch,) nats, differentiable in clean; rows apart.
        scale: what multiplies the energy.

    Raises: ValueError where u is no score, and for a scale that is no finite number.
    Source: Ho et al. 2022 (Video diffusion models), section 3.1; Chung et al. 2023, algorithm 1.
    """

    def __init__(self, field: Field, energy: CleanEnergy, scale: float = 1.0):
        super().__init__(field)
        require_score(field)
        if not math.isfinite(scale):
            raise ValueError(f"scale: expected a finite number, got {scale}")
        self.energy, self.scale = energy, scale

    def displacement(self, x: Tensor, s: Tensor, condition: Any, mask: Tensor | None) -> Tensor:
        manifold, kappa = self.corruption.manifold, self.corruption.level(s, x)[1]
        with torch.enable_grad():
            v = torch.zeros_like(manifold.log(x, x)).requires_grad_()
            moved = manifold.exp(x, v)
            u = self.field(moved, s, condition, mask)
            energy = self.energy(manifold.exp(moved, u), kappa)
            check_one_a_point(energy, s)
            (slope,) = torch.autograd.grad(energy.sum(), v, create_graph=x.requires_grad)
        squared = self.corruption.against_tangent(kappa) ** 2
        return u - self.scale * squared * manifold.gradient(x, slope, mask)

    def clean_estimate(
        self, noisy: Tensor, s: float | Tensor, condition: Any = None, mask: Tensor | None = None
    ) -> Tensor:
        return self.field.clean_estimate(noisy, s, condition, mask)

    def extra_repr(self) -> str:
        return f"scale={self.scale}"
