"""Exact fields of normal laws, one class or none, for guides whose effect has a closed form."""

import torch
from torch import Tensor

from geodiff.process.clocks import LogLinear
from geodiff.process.condition import Labels
from geodiff.process.corruption import Gaussian
from geodiff.process.field import Field, NetworkField
from geodiff.process.levels import levels
from geodiff.process.samplers import RungeKutta4
from geodiff.process.sampling import sample
from manifolds import Euclidean

DOUBLE = torch.float64
CLOCK = LogLinear(0.002, 8000.0)


def normal_field(means: list[float], variances: list[float]) -> Field:
    """N(means[i], variances[i]) on the line where it is told the label i."""
    centre = torch.tensor(means, dtype=DOUBLE)
    spread = torch.tensor(variances, dtype=DOUBLE)
    corruption = Gaussian(Euclidean(1), CLOCK)

    def network(seen: Tensor, s: Tensor, condition: Labels, mask: None) -> Tensor:
        x = seen * corruption.network_scale(s)
        a, mean = spread[condition.labels][:, None], centre[condition.labels][:, None]
        return mean + a / (a + CLOCK.kappa(s)[:, None] ** 2) * (x - mean)

    return NetworkField(network, corruption, "clean")


def mean_and_variance(field: Field, unknown: int | None = 1) -> tuple[float, float]:
    """Of what the ODE of a linear field makes of standard normal noise, for the label 0."""
    noise = torch.tensor([[-1.0], [1.0]], dtype=DOUBLE)
    low, high = sample(
        field,
        noise,
        levels=levels(CLOCK, 300, end_clean=True),
        condition=Labels(torch.tensor([0, 0]), unknown=unknown),
        stepper=RungeKutta4(),
    )
    return float(low + high) / 2, float((high - low) / 2) ** 2
