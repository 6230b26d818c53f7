"""Does one training loop and one sampler serve every space and every corruption?

Learns a mixture of four wrapped normals on the sphere, the torus and the rotations, by flow
matching and by score matching, and prints the energy distance of the samples to fresh data beside
that of data to data. Draws a picture. With --geomstats, also on a space of another package: the 2 x
2 positive definite matrices of geomstats, by flow matching in ten lines (`ten_lines`).

    python examples/any_space.py [--fast] [--geomstats] [--out any_space.png]
"""

import argparse
import time

import torch
from torch import Tensor, nn

import geodiff
from geodiff.networks import MLP
from geodiff.pictures.style import BLUE, INK, sheet
from manifolds import SO3, Sphere, Torus
from manifolds.base import Manifold

WIDTH = 0.25  # radians, standard deviation of each component
SPACES = {"sphere": Sphere(2), "torus": Torus(2), "rotations": SO3()}
# Heat-kernel noise from a fifth of a component's width to uniform within 0.003 in total variation.
CORRUPTIONS = {
    "flow": geodiff.Geodesic,
    "score": lambda space: geodiff.HeatKernel(space, geodiff.LogLinear(0.05, 3.5)),
}


def ten_lines(space: Manifold, data: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """As many samples as data, from a flow on any space, trained on the data."""
    field = geodiff.NetworkField(
        MLP(space.shape, out_shape=space.tangent_shape, width=64, layers=2),
        geodiff.Geodesic(space),
        reading="velocity",
    )
    optimiser = torch.optim.Adam(field.parameters(), lr=3e-3)
    for _ in range(steps):
        clean = data[torch.randint(len(data), (128,), generator=generator)]
        loss = geodiff.matching_loss(
            field, clean, s_min=0.01, weight=lambda s, kappa: kappa**-2, generator=generator
        )
        optimiser.zero_grad()
        loss.value.backward()
        optimiser.step()
    return geodiff.sample(field, len(data), steps=20, generator=generator)


class Displacement(nn.Module):
    """An MLP whose output is u over the noise level, so that it is of size 1 at every level."""

    def __init__(self, corruption, width: int):
        super().__init__()
        space = corruption.manifold
        self.clock = corruption.clock
        self.mlp = MLP(
            space.shape,
            out_shape=space.tangent_shape,
            width=width,
            layers=3,
            bandwidths=(1.0, 3.0),
            periodic=isinstance(space, Torus),
        )
        self.axes = (...,) + (None,) * len(space.tangent_shape)

    def forward(self, x: Tensor, s: Tensor, condition=None, mask=None) -> Tensor:
        return self.clock.kappa(s).to(x)[self.axes] * self.mlp(x, s)


def draw(space: Manifold, count: int, generator: torch.Generator) -> Tensor:
    """Points of the mixture; its centres are the same for every call."""
    centres = space.random_point(4, generator=torch.Generator().manual_seed(3))
    centre = centres[torch.randint(4, (count,), generator=generator)]
    return space.exp(centre, WIDTH * space.random_tangent(centre, generator=generator))


def energy_distance(space: Manifold, x: Tensor, y: Tensor) -> float:
    """2 E d(x, y) - E d(x, x') - E d(y, y') with geodesic distance, radians; 0 only for equal
    laws.
    """

    def between(a: Tensor, b: Tensor) -> Tensor:
        return space.dist(
            a[:, None].expand(-1, len(b), *a.shape[1:]), b[None].expand(len(a), *b.shape)
        )

    def within(a: Tensor) -> Tensor:
        return between(a, a).sum() / (len(a) * (len(a) - 1))

    return float(2 * between(x, y).mean() - within(x) - within(y))


def learn(corruption, steps: int, width: int, generator: torch.Generator) -> geodiff.Field:
    """A field trained on the mixture; weight 1 / kappa^2 makes every level's error count alike."""
    space = corruption.manifold
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        field = geodiff.NetworkField(Displacement(corruption, width), corruption, reading="u")
    optimiser = torch.optim.Adam(field.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        loss = geodiff.matching_loss(
            field,
            draw(space, 256, generator),
            generator=generator,
            s_min=0.01,
            weight=lambda s, kappa: kappa**-2,
        )
        optimiser.zero_grad()
        loss.value.backward()
        optimiser.step()
        schedule.step()
    return field


def plane(space: Manifold, x: Tensor) -> Tensor:
    """Two coordinates to draw a point by: longitude and latitude, the angles, or where a rotation
    takes z and x.
    """
    if isinstance(space, Torus):
        return x
    axis = x[:, :, 2] if isinstance(space, SO3) else x
    return torch.stack(
        [torch.atan2(axis[:, 1], axis[:, 0]), torch.asin(axis[:, 2].clamp(-1, 1))], -1
    )


def main() -> dict[tuple[str, str], float]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--fast", action="store_true", help="few steps: shows that it runs, not how well it learns"
    )
    parser.add_argument(
        "--geomstats", action="store_true", help="also a space of geomstats (needs that package)"
    )
    parser.add_argument("--out", help="write a picture here")
    arguments = parser.parse_args()
    steps, width, count = (30, 32, 200) if arguments.fast else (1500, 128, 1000)
    drawn, distances = {}, {}
    for name, space in SPACES.items():
        generator = torch.Generator().manual_seed(1)
        data, fresh = draw(space, count, generator), draw(space, count, generator)
        uniform = space.random_point(count, generator=generator)
        drawn[name, "data"] = data
        print(
            f"{name:10} data to data {energy_distance(space, data, fresh):7.4f}   "
            f"uniform to data {energy_distance(space, uniform, data):7.4f}"
        )
        for kind, corrupt in CORRUPTIONS.items():
            start = time.perf_counter()
            field = learn(corrupt(space), steps, width, generator)
            points = geodiff.sample(field, count, steps=20, generator=generator)
            distances[name, kind] = energy_distance(space, points, data)
            drawn[name, kind] = points
            print(
                f"{'':10} {kind:5} to data {distances[name, kind]:7.4f}   (expected below 0.02 "
                f"without --fast)   {time.perf_counter() - start:.1f} s"
            )
    if arguments.geomstats:
        distances["matrices", "flow"] = on_matrices(20, 50)
    if arguments.out:
        picture(drawn, arguments.out)
    return distances


def on_matrices(steps: int, count: int) -> float:
    """The same for positive definite matrices with the affine-invariant metric, which geodiff does
    not have.
    """
    from manifolds import geomstats

    geomstats.load()
    from geomstats.geometry.spd_matrices import SPDMatrices

    space = geomstats.from_geomstats(SPDMatrices(2))
    generator, start = torch.Generator().manual_seed(1), time.perf_counter()
    data, fresh = (draw(space, count, generator).float() for _ in range(2))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        points = ten_lines(space, data, steps, generator)
    base = space.random_point(count, generator=generator, dtype=torch.float32)
    print(
        f"{'matrices':10} data to data {energy_distance(space, data, fresh):7.4f}   "
        f"base to data {energy_distance(space, base, data):7.4f}"
    )
    distance = energy_distance(space, points, data)
    print(
        f"{'':10} flow  to data {distance:7.4f}   (expected below 0.05)   "
        f"{time.perf_counter() - start:.1f} s"
    )
    return distance


def picture(drawn: dict, path: str) -> None:
    kinds = ("data", *CORRUPTIONS)
    with sheet(path, 9, 8, layout="constrained") as page:
        axes = page.figure.subplots(len(SPACES), len(kinds), sharex=True)
        for row, (name, space) in zip(axes, SPACES.items()):
            for panel, kind in zip(row, kinds):
                panel.scatter(
                    *plane(space, drawn[name, kind]).T,
                    s=4,
                    alpha=0.5,
                    linewidths=0,
                    color=INK if kind == "data" else BLUE,
                )
                panel.set_title(f"{name}: {kind}")
                panel.set_xlim(-3.2, 3.2)
                panel.set_ylim((-3.2, 3.2) if name == "torus" else (-1.6, 1.6))


if __name__ == "__main__":
    main()
