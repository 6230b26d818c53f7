"""What does the engine cost on images, beside a DDPM loop written by hand around the same network?

Both train and sample the same U-Net on the same 8 x 8 digits with the same optimiser and noise
schedule, in one process, taking turns step by step (A, B, B, A, ...). Printed are medians of CPU
time per step and the ratio, ours over by hand, of a training step (draw the level and the noise,
forward, backward, Adam) and of an ancestral sampling step. From the same random numbers both loops
give the same losses and images (tests/images/test_euclidean_path.py). Batches are those that
`images.train` and `images.sample` take.

The engine adds 0.1 ms of small operations to each call of the network when it samples, whatever the
batch: 2 to 3 % of a step of 64 digits with this small network, less for more images and larger
networks.

    python examples/benchmarks/euclidean_path.py [--fast] [--batch 64] [--samples 256] [--threads 1]
"""

import argparse
from collections.abc import Callable

import torch
from _timing import in_turn
from torch import Tensor, nn
from torch.nn import functional

import geodiff
from geodiff import images
from geodiff.images.datasets import pixels_to_points
from geodiff.networks.unet import UNet
from geodiff.process.objectives.level_weights import velocity_weight
from manifolds import Euclidean

CHAIN = 1000
EXPECTED = 1.05  # ours over by hand, at most


class ByHand:
    """DDPM as its paper writes it: a table of alpha bar, an integer step, eps predicted. Source: Ho
    et al. 2020.
    """

    def __init__(self, network: nn.Module):
        self.network = network
        beta = torch.linspace(1e-4, 0.02, CHAIN, dtype=torch.float64)
        self.kept = torch.cumprod(1 - beta, 0)
        self.signal, self.noise = self.kept.sqrt().float(), (1 - self.kept).sqrt().float()

    def loss(self, clean: Tensor, labels: Tensor, generator=None) -> Tensor:
        step = torch.randint(CHAIN, (len(clean),), generator=generator)
        eps = torch.randn(clean.shape, generator=generator)
        noisy = (
            self.signal[step, None, None, None] * clean + self.noise[step, None, None, None] * eps
        )
        return functional.mse_loss(self.network(noisy, (step + 1) / CHAIN, labels), eps)

    @torch.no_grad()
    def sample(self, noisy: Tensor, labels: Tensor, steps: int, generator=None) -> Tensor:
        visited = torch.linspace(CHAIN - 1, -1, steps + 1).round().long().tolist()
        for step, target in zip(visited, visited[1:]):
            now, after = float(self.kept[step]), float(self.kept[target]) if target >= 0 else 1.0
            eps = self.network(noisy, torch.full((len(noisy),), (step + 1) / CHAIN), labels)
            clean = (noisy - (1 - now) ** 0.5 * eps) / now**0.5
            if target < 0:
                return clean
            variance = (1 - after) / (1 - now) * (1 - now / after)
            noisy = after**0.5 * clean + (1 - after - variance) ** 0.5 * eps
            noisy = noisy + variance**0.5 * torch.randn(noisy.shape, generator=generator)
        return noisy


class Ours:
    """The same process in the engine's nouns."""

    def __init__(self, network: nn.Module):
        corruption = geodiff.Gaussian(Euclidean((1, 8, 8)), geodiff.DDPMLinear())
        self.field = geodiff.NetworkField(network, corruption, reading="eps")

    def loss(self, clean: Tensor, labels: Tensor, generator=None) -> Tensor:
        s = (torch.randint(CHAIN, (len(clean),), generator=generator) + 1) / CHAIN
        return geodiff.matching_loss(
            self.field, clean, s=s, condition=labels, generator=generator, weight=velocity_weight
        ).value

    def sample(self, noise: Tensor, labels: Tensor, steps: int, generator=None) -> Tensor:
        return geodiff.sample(
            self.field,
            noise,
            steps=steps,
            stepper=geodiff.Ancestral(),
            condition=labels,
            generator=generator,
        )


def trainer(loop, network: nn.Module, clean: Tensor, labels: Tensor) -> Callable[[], None]:
    optimiser = torch.optim.Adam(network.parameters(), 1e-4)

    def step():
        optimiser.zero_grad(set_to_none=True)
        loop.loss(clean, labels).backward()
        optimiser.step()

    return step


def main() -> dict[str, float]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fast", action="store_true", help="few repeats")
    parser.add_argument(
        "--batch", type=int, default=64, help="images of a training step (default 64)"
    )
    parser.add_argument(
        "--samples", type=int, default=256, help="images of a sampling step (default 256)"
    )
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    repeats, steps = (10, 4) if arguments.fast else (200, 5)
    digits = images.read("digits").select(slice(arguments.batch))
    clean, labels = pixels_to_points(digits.pixels), digits.labels
    noise = torch.randn(arguments.samples, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    asked = torch.arange(arguments.samples) % 10
    trainers, samplers = {}, {}
    for name, kind in {"ours": Ours, "by hand": ByHand}.items():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = UNet(1, classes=10)
        loop = kind(network)
        trainers[name] = trainer(loop, network, clean, labels)
        samplers[name] = lambda loop=loop: loop.sample(noise, asked, steps)
    ratios = {}
    for what, calls, count, each, size in (
        ("training", trainers, repeats, 1, len(clean)),
        ("sampling", samplers, max(2, repeats // 5), steps, len(noise)),
    ):
        taken = {name: both["cpu"] for name, both in in_turn(calls, count).items()}
        ratios[what] = taken["ours"] / taken["by hand"]
        print(
            f"{what} step of {size:3} images: ours {1e3 * taken['ours'] / each:6.2f} ms, by hand "
            f"{1e3 * taken['by hand'] / each:6.2f} ms of CPU   ratio {ratios[what]:.3f}   "
            f"(expected <= {EXPECTED})"
        )
    return ratios


if __name__ == "__main__":
    main()
