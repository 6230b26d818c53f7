"""Images are the Euclidean case of the engine: its DDPM and DDIM are the textbook's, number by
number.
"""

import sys

import pytest
import torch

import geodiff
from geodiff import images
from geodiff.images.datasets import pixels_to_points
from geodiff.images.model import PROCESSES
from geodiff.networks.unet import UNet
from manifolds import Euclidean
from tests.scripts import benchmarks

from .flow import small_field


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def loops():
    """The benchmark's two loops around one network."""
    network = small_field("ddpm").network
    with benchmarks("euclidean_path") as modules:
        script = modules["euclidean_path"]
        return script.Ours(network), script.ByHand(network)


@pytest.fixture(scope="module")
def digits():
    few = images.read("digits").select(slice(32))
    return pixels_to_points(few.pixels), few.labels


def test_the_training_loss_is_the_one_written_by_hand(loops, digits):
    ours, by_hand = (loop.loss(*digits, seeded(3)) for loop in loops)
    torch.testing.assert_close(ours, by_hand, rtol=1e-4, atol=0)


@pytest.mark.parametrize("steps", [4, 20])
def test_ancestral_samples_are_those_written_by_hand(loops, digits, steps):
    noise = torch.randn(digits[0].shape, generator=seeded(1))
    ours, by_hand = (loop.sample(noise, digits[1], steps, seeded(2)) for loop in loops)
    assert ours.std() > 0.1
    torch.testing.assert_close(ours, by_hand, rtol=1e-3, atol=1e-3 * float(by_hand.abs().max()))


def test_ddim_is_the_same_model_with_another_stepper():
    """Song et al. 2021, eq. 12, in the coordinates of noisy, from a network that predicts v."""
    field = small_field("ddpm", dtype=torch.float64)
    clock, labels = field.corruption.clock, torch.arange(4)
    noise = torch.randn(4, 1, 8, 8, generator=seeded(1), dtype=torch.float64)
    ours = geodiff.sample(
        field, noise, steps=5, stepper=geodiff.ExponentialEuler(), condition=labels
    )
    noisy = clock.sigma(1.0) * noise
    s = torch.linspace(1, 0, 6, dtype=torch.float64)
    with torch.no_grad():
        for now, after in zip(s, s[1:]):
            v = field.network(noisy, now.expand(4), labels, None)
            clean = clock.alpha(now) * noisy - clock.sigma(now) * v
            eps = clock.sigma(now) * noisy + clock.alpha(now) * v
            noisy = clock.alpha(after) * clean + clock.sigma(after) * eps
    torch.testing.assert_close(ours, noisy, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    "process, error",
    [
        ("ddpm", lambda c, alpha, sigma, out: out - (alpha * c.noise - sigma * c.clean)),
        ("flow", lambda c, alpha, sigma, out: out - (c.noise - c.clean)),
    ],
)
def test_training_weighs_the_error_of_what_the_network_predicts(process, error):
    field = small_field(process, dtype=torch.float64)
    clean = pixels_to_points(images.read("digits").pixels[:5].double())
    s = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
    noise = torch.randn(5, 1, 8, 8, generator=seeded(1), dtype=torch.float64)
    loss = geodiff.matching_loss(
        field, clean, s=s, noise=noise, weight=PROCESSES[process].weight
    ).per_sample
    c = field.corruption.corrupt(clean, s, noise=noise)
    alpha, sigma = (
        f(s)[:, None, None, None]
        for f in (field.corruption.clock.alpha, field.corruption.clock.sigma)
    )
    noisy = alpha * c.x if process == "ddpm" else c.x
    output = field.network(noisy, s, None, None)
    torch.testing.assert_close(
        loss, error(c, alpha, sigma, output).square().mean((1, 2, 3)), rtol=1e-8, atol=0
    )


@pytest.mark.parametrize(
    "corruption",
    [
        geodiff.Geodesic(Euclidean((1, 2, 2))),
        geodiff.Gaussian(Euclidean((1, 2, 2)), geodiff.Linear()),
    ],
    ids=["geodesic", "Gaussian"],
)
def test_the_two_forms_of_linear_flow_take_the_same_steps(corruption):
    """noisy = (1 - s) clean + s eps, walked by Euler steps in s along the predicted velocity."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = UNet(1, width=8, heads=2)
        for parameter in network.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    network = network.double()

    def velocity(seen, s, condition, mask):
        # A Gaussian's network sees noisy over its standard deviation; here both are to see noisy
        # itself.
        scale = corruption.network_scale(s) if isinstance(corruption, geodiff.Gaussian) else 1.0
        return network(seen * scale, s)

    field = geodiff.NetworkField(velocity, corruption, reading="velocity")
    noise = torch.randn(3, 1, 2, 2, generator=seeded(4), dtype=torch.float64)
    ours = geodiff.sample(field, noise, steps=8, stepper=geodiff.ExponentialEuler())
    noisy = noise
    with torch.no_grad():
        for i in range(8, 0, -1):
            noisy = noisy - network(noisy, i / 8) / 8
    torch.testing.assert_close(ours, noisy, rtol=1e-8, atol=1e-8)


def test_the_benchmark_runs_and_prints_both_ratios(monkeypatch, capsys):
    options = {"--batch": 8, "--samples": 8, "--threads": torch.get_num_threads()}
    words = [str(word) for option in options.items() for word in option]
    monkeypatch.setattr(sys, "argv", ["euclidean_path.py", "--fast", *words])
    with benchmarks("euclidean_path") as modules:
        ratios = modules["euclidean_path"].main()
    assert set(ratios) == {"training", "sampling"} and all(
        0.2 < ratio < 5 for ratio in ratios.values()
    )
    assert capsys.readouterr().out.count("expected <= 1.05") == 2
