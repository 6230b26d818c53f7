"""Guidance by the gradient of an energy, a classifier or a likelihood."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from geodiff.process.field import Field
from geodiff.process.guidance.base import Guide

EnergyOf = Callable[[Tensor, Tensor, Any, Tensor | None], Tensor]
"""(x, s, condition, mask) -> nats, (*batch,); x the state, s (*batch,)."""


class Energy(Guide):
    """u - scale kappa^2 grad E(x, s), the displacement of the law p_s(x) exp(-scale E(x, s)).

    Samples follow p(x) exp(-E(x, 0)) where exp(-E(x, s)) is the mean of exp(-E(clean, 0)) over the
    clean points that the state x may come from, as of a classifier that was trained on noisy
    states: a Gaussian law times a Gaussian likelihood then has its posterior's mean and variance.
    An energy that knows clean points only is no such mean, and its gradient, times kappa^2, runs
    away at high levels; `Reconstruction` asks it of clean estimates. The gradient is the Riemannian
    one, taken by autograd, also under `torch.no_grad`. A level with alpha = 0 is left as without
    the energy.

    Args:
        field: of a corruption with a score.
        energy: (x, s, condition, mask) -> (*batch,), nats, differentiable in x, the state (noisy /
            alpha for `Gaussian`); rows apart.
        scale: what multiplies the energy.

    Raises: ValueError where u is no score, and for a scale that is no finite number.
    Source: Song et al. 2021, section 5; Dhariwal and Nichol 2021, algorithm 1.
    """

    def __init__(self, field: Field, energy: EnergyOf, scale: float = 1.0):
        super().__init__(field)
        require_score(field)
        if not math.isfinite(scale):
            raise ValueError(f"scale: expected a finite number, got {scale}")
        self.energy, self.scale = energy, scale

    def displacement(self, x: Tensor, s: Tensor, condition: Any, mask: Tensor | None) -> Tensor:
        u = self.field.displacement(x, s, condition, mask)
        manifold = self.corruption.manifold
        with torch.enable_grad():
            v = torch.zeros_like(u).requires_grad_()
            energy = self.energy(manifold.exp(x, v), s, condition, mask)
            check_one_a_point(energy, s)
            (slope,) = torch.autograd.grad(energy.sum(), v, create_graph=x.requires_grad)
        kappa = self.corruption.level(s, x)[1]
        squared = self.corruption.against_tangent(kappa) ** 2
        return u - self.scale * squared * manifold.gradient(x, slope, mask)

    def clean_estimate(
        self, noisy: Tensor, s: float | Tensor, condition: Any = None, mask: Tensor | None = None
    ) -> Tensor:
        return self.field.clean_estimate(noisy, s, condition, mask)

    def extra_repr(self) -> str:
        return f"scale={self.scale}"


def require_score(field: Field) -> None:
    """Raise ValueError, with the reason, where the gradient of an energy does not add to u.

    Args:
        field: what would be guided.
    """
    if not field.corruption.has_score:
        raise ValueError(
            f"field: {type(field.corruption).__name__} has no score: u on its paths is a mean of "
            "directions and not the gradient of a log density, so the gradient of an energy does "
            "not add to it; train with HeatKernel, or Gaussian on a flat space, or choose among "
            "samples by geodiff.best_of"
        )


def check_one_a_point(energy: Tensor, s: Tensor) -> None:
    """Raise ValueError unless there is one number a point.

    Args:
        energy: what an energy returned.
        s: (*batch,).
    """
    if energy.shape != s.shape:
        raise ValueError(
            f"energy: expected one number a point, {tuple(s.shape)}, got {tuple(energy.shape)}"
        )
