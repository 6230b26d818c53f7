"""Laws with an exact denoising displacement: heat-kernel mixtures from their own series, in
float64.
"""

import math

import torch
from torch import Tensor

from manifolds import SO3, Euclidean, Sphere, Torus

WEIGHTS = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Mixture:
    """Three clean points (or, on R^2, three Gaussians) diffused to level kappa; `u` is exact.

    A law gives the density and its gradient for each of the three, by a series.
    """

    manifold = None

    def __init__(self, dtype=torch.float64):
        self.means = self.manifold.random_point(3, generator=generator(5), dtype=torch.float64).to(
            dtype
        )
        self.weights = WEIGHTS.to(dtype)

    def start(self, count: int, kappa: float = 3.0, seed: int = 0) -> Tensor:
        """Draws from (nearly) the law at kappa = 3."""
        return self.manifold.random_point(count, generator=generator(seed), dtype=self.means.dtype)

    def density_and_gradient(self, x: Tensor, kappa: float) -> tuple[Tensor, Tensor]:
        """Each component's density, (batch, 3), up to a common factor, and gradient, (batch, 3,
        *tangent).
        """
        raise NotImplementedError

    def u(self, x: Tensor, kappa) -> Tensor:
        density, gradient = self.density_and_gradient(x, float(kappa))
        weight = self.weights * density
        return (
            float(kappa) ** 2
            * (self.weights[:, None] * gradient).sum(1)
            / weight.sum(1, keepdim=True)
        )


class Plane(Mixture):
    manifold = Euclidean(2)
    width = 0.3

    def start(self, count, kappa=3.0, seed=0):
        return kappa * super().start(count, seed=seed)

    def density_and_gradient(self, x, kappa):
        variance = kappa**2 + self.width**2
        away = self.means - x[:, None]
        exponent = -(away**2).sum(-1) / (2 * variance)
        density = torch.exp(exponent - exponent.amax(1, keepdim=True))
        return density, density[..., None] * away / variance


class FlatTorus(Mixture):
    manifold = Torus(2)
    images = 2 * math.pi * torch.arange(-6, 7, dtype=torch.float64)

    def density_and_gradient(self, x, kappa):
        away = (self.means - x[:, None])[..., None] + self.images.to(x)  # (batch, 3, 2, images)
        terms = torch.exp(-(away**2) / (2 * kappa**2))
        per_angle, slope = terms.sum(-1), (terms * away).sum(-1) / kappa**2
        return per_angle.prod(-1), slope * per_angle.flip(-1)


class TwoSphere(Mixture):
    manifold = Sphere(2)

    def density_and_gradient(self, x, kappa):
        cosine = x @ self.means.T
        density, slope = torch.zeros_like(cosine), torch.zeros_like(cosine)
        below, value = torch.zeros_like(cosine), torch.ones_like(cosine)  # Legendre P_(l-1), P_l
        slope_below, slope_value = torch.zeros_like(cosine), torch.zeros_like(cosine)
        for l in range(math.ceil(9 / kappa) + 3):
            share = (2 * l + 1) * math.exp(-l * (l + 1) * kappa**2 / 2)
            density, slope = density + share * value, slope + share * slope_value
            below, value, slope_below, slope_value = (
                value,
                ((2 * l + 1) * cosine * value - l * below) / (l + 1),
                slope_value,
                slope_below + (2 * l + 1) * value,
            )
        return density, slope[..., None] * (self.means - cosine[..., None] * x[:, None])


class Rotations(Mixture):
    manifold = SO3()

    def density_and_gradient(self, x, kappa):
        way = self.manifold.log(x[:, None], self.means)
        angle = way.norm(dim=-1, keepdim=True)
        l = torch.arange(math.ceil(9 / kappa) + 3, dtype=x.dtype)
        share = (2 * l + 1) * torch.exp(-l * (l + 1) * kappa**2 / 2)
        sine, half = torch.sin((l + 0.5) * angle), torch.sin(angle / 2)
        density = (share * sine).sum(-1, keepdim=True) / half
        slope = (share * (l + 0.5) * torch.cos((l + 0.5) * angle)).sum(
            -1, keepdim=True
        ) / half - density * torch.cos(angle / 2) / (2 * half)
        return density[..., 0], -slope * way / angle


LAWS = [Plane, FlatTorus, TwoSphere, Rotations]
