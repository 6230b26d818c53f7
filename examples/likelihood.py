"""How right are log densities by the ODE, in nats?

Takes a mixture of four heat kernels on the sphere or the rotations, whose density is known. Prints
the mean log density of fresh points by the ODE of the exact displacement (exact divergence, and
Hutchinson's random probes), then by that of a small network trained for a few seconds by flow
matching, all beside the mixture's own. Draws the densities.

    python examples/likelihood.py [--fast] [--space sphere|rotations] [--out likelihood.png]
"""

import argparse
import math
import time

import torch
from torch import Tensor, nn

import geodiff
from geodiff.networks import MLP
from geodiff.pictures.style import DENSITY, sheet
from geodiff.process.likelihood import prior_tv
from manifolds import SO3, Sphere, heat
from manifolds.base import Manifold

WIDTH = 0.4  # radians, the level of each component's heat kernel
SPACES = {"sphere": Sphere(2), "rotations": SO3()}


class Mixture:
    """Four heat kernels of one width and different weights, and the exact u of its own
    diffusion.
    """

    def __init__(self, space: Manifold):
        self.space, self.kernel = space, heat.kernel(space)
        self.centres = space.random_point(
            4, generator=torch.Generator().manual_seed(5), dtype=torch.float64
        )
        self.log_weights = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64).log()
        # Noise from a tenth of a component's width to all but uniform.
        self.corruption = geodiff.HeatKernel(space, geodiff.LogLinear(0.04, 3.0))

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        which = torch.multinomial(
            self.log_weights.exp(), count, replacement=True, generator=generator
        )
        return self.kernel.sample(self.centres[which], WIDTH, generator=generator)

    def log_prob(self, x: Tensor, level: float = WIDTH) -> Tensor:
        return torch.logsumexp(self._terms(x, level), -1)

    def u(self, x: Tensor, s: float, condition=None, mask=None) -> Tensor:
        """kappa^2 times the score at noise level kappa: variances add, so each component stays a
        heat kernel.
        """
        kappa = float(self.corruption.clock.kappa(s))
        level = math.hypot(kappa, WIDTH)
        share = self._terms(x, level).softmax(-1)
        each = self.kernel.displacement(self._beside(x), self.centres, level)
        return (kappa / level) ** 2 * (share.unsqueeze(-1) * each).sum(-2)

    def _terms(self, x: Tensor, level: float) -> Tensor:
        return self.log_weights + self.kernel.log_prob(self._beside(x), self.centres, level)

    def _beside(self, x: Tensor) -> Tensor:
        return x.unsqueeze(-1 - len(self.space.shape))


class Velocity(nn.Module):
    """An MLP that predicts the velocity of a geodesic path."""

    def __init__(self, space: Manifold, width: int):
        super().__init__()
        self.mlp = MLP(
            space.shape, out_shape=space.tangent_shape, width=width, layers=3, bandwidths=(1.0, 3.0)
        )

    def forward(self, x: Tensor, s: Tensor, condition=None, mask=None) -> Tensor:
        return self.mlp(x, s)


def learn(mixture: Mixture, steps: int, width: int, generator: torch.Generator) -> geodiff.Field:
    space = mixture.space
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        field = geodiff.NetworkField(
            Velocity(space, width), geodiff.Geodesic(space), reading="velocity"
        )
    optimiser = torch.optim.Adam(field.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    data = mixture.draw(50_000, generator).float()
    for _ in range(steps):
        clean = data[torch.randint(len(data), (256,), generator=generator)]
        # In terms of the velocity every time counts alike: u = -s velocity.
        loss = geodiff.matching_loss(
            field, clean, generator=generator, s_min=1e-3, weight=lambda s, kappa: kappa**-2
        )
        optimiser.zero_grad()
        loss.value.backward()
        optimiser.step()
        schedule.step()
    return field


@torch.no_grad()
def main() -> dict[str, float]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--fast", action="store_true", help="few points and steps: shows that it runs, not how well"
    )
    parser.add_argument("--space", choices=SPACES, default="sphere")
    parser.add_argument("--out", help="write a picture here")
    arguments = parser.parse_args()
    count, training, width = (10, 20, 32) if arguments.fast else (100, 1500, 64)
    mixture = Mixture(SPACES[arguments.space])
    generator = torch.Generator().manual_seed(1)
    x = mixture.draw(count, generator)
    own = mixture.log_prob(x)
    means = {"mixture": float(own.mean())}
    print(
        f"{count} points of a mixture on {mixture.space}; uniform: "
        f"{mixture.space.uniform_log_prob():.4f} nats"
    )
    print(f"the mixture's own           {means['mixture']:8.4f} nats")

    def report(name: str, expected: str, start: float, value: Tensor) -> None:
        means[name] = float(value.double().mean())
        off, worst = means[name] - means["mixture"], float((value.double() - own).abs().max())
        print(
            f"{name:27} {means[name]:8.4f} nats, off by {off:+.4f}, at worst {worst:.4f}   "
            f"(expected {expected})   {time.perf_counter() - start:.1f} s"
        )

    corruption, exact = mixture.corruption, {"steps": 6 if arguments.fast else 12}
    start = time.perf_counter()
    report(
        "exact u, exact divergence",
        "within 0.001, at worst 0.01",
        start,
        geodiff.log_prob(mixture.u, corruption, x, **exact),
    )
    start = time.perf_counter()
    report(
        "exact u, 1 random probe",
        "within 0.3: unbiased, noise at each point",
        start,
        geodiff.log_prob(
            mixture.u, corruption, x, divergence="hutchinson", generator=generator, **exact
        ),
    )
    print(f"the base is off by at most {float(prior_tv(corruption)):.5f} in any probability")
    with torch.enable_grad():
        start = time.perf_counter()
        field = learn(mixture, training, width, generator)
    report(
        "trained network",
        "within 0.02",
        start,
        geodiff.log_prob(field, field.corruption, x.float(), steps=15),
    )
    if arguments.out:
        picture(mixture, field, arguments.out, 12 if arguments.fast else 40)
    return means


def picture(mixture: Mixture, field: geodiff.Field, path: str, rows: int) -> None:
    """Densities over longitude and latitude; of rotations, those about the vertical axis and one
    across it.
    """
    latitude = torch.linspace(-math.pi / 2, math.pi / 2, rows, dtype=torch.float64)
    longitude = torch.linspace(-math.pi, math.pi, 2 * rows, dtype=torch.float64)
    b, a = torch.meshgrid(latitude, longitude, indexing="ij")
    if isinstance(mixture.space, SO3):
        from manifolds.rotations import euler_to_matrix

        x = euler_to_matrix(torch.stack([a, b, 0 * a], -1), "ZYZ")
    else:
        x = torch.stack([b.cos() * a.cos(), b.cos() * a.sin(), b.sin()], -1)
    learned = geodiff.log_prob(field, field.corruption, x.flatten(0, 1).float(), steps=10).reshape(
        b.shape
    )
    shown = {
        "the mixture": mixture.log_prob(x.flatten(0, 1)).reshape(b.shape).exp(),
        "by the ODE": learned.exp(),
    }
    with sheet(path, 9, 2.8, layout="constrained") as page:
        panels = page.figure.subplots(1, 2, sharey=True)
        for panel, (title, density) in zip(panels, shown.items()):
            drawn = panel.pcolormesh(
                longitude,
                latitude,
                density,
                shading="gouraud",
                vmin=0,
                vmax=float(shown["the mixture"].max()),
                cmap=DENSITY,
            )
            panel.set_title(f"density, {title}")
            panel.set_xlabel("longitude, radians")
        panels[0].set_ylabel("latitude, radians")
        page.figure.colorbar(drawn, ax=panels)


if __name__ == "__main__":
    main()
