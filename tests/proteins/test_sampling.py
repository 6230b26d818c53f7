"""Sampling backbones: reproducible, independent of the batch, turning with the noise, and clear
about bad input.
"""

import numpy as np
import pytest
import torch

from geodiff import proteins
from geodiff.process.randomness import Noise
from geodiff.process.samplers import ExponentialEuler, Heun, Multistep
from geodiff.proteins.model import sampling_levels
from geodiff.proteins.sampling import sample_poses
from manifolds import Poses

from .flow import small_field


@pytest.fixture(scope="module")
def field():
    return small_field()


def test_chains_come_in_the_order_asked_for_with_whole_backbones(field):
    chains = proteins.sample([12, 7], n=2, model=field, steps=3)
    assert [len(chain) for chain in chains] == [12, 12, 7, 7]
    assert len({chain.name for chain in chains}) == 4
    for chain in chains:
        assert chain.coords.shape[1:] == (4, 3) and np.isfinite(chain.coords).all()
        assert np.allclose(
            np.linalg.norm(chain.coords[:, 1] - chain.coords[:, 2], axis=-1), 1.525, atol=1e-3
        )
    assert len(proteins.sample(9, model=field, steps=2)) == 1


def test_a_chain_is_the_same_in_any_batch_and_another_with_another_seed(field):
    many = proteins.sample([8, 15, 11], n=2, model=field, steps=4)
    alone = proteins.sample([8, 15, 11], n=2, model=field, steps=4, batch_size=1)
    for a, b in zip(many, alone):
        assert np.abs(a.coords - b.coords).max() < 1e-8
    other = proteins.sample([8, 15, 11], n=2, model=field, steps=4, seed=1)
    assert all(np.abs(a.coords - b.coords).max() > 0.1 for a, b in zip(many, other))
    assert np.abs(many[0].coords - many[1].coords).max() > 0.1


@pytest.mark.parametrize("process", ["flow", "diffusion"])
def test_turning_the_noise_turns_the_chains(process):
    field = small_field(process, torch.float64)
    noise = field.corruption.base(2, 9, generator=Noise(0), dtype=torch.float64)
    turn = torch.eye(4, dtype=torch.float64)
    turn[:3, :3] = Poses().random_point(1, nodes=1, generator=Noise(3), dtype=torch.float64)[
        0, 0, :3, :3
    ]
    made, _ = sample_poses(field, [9, 9], noise, steps=6)
    turned, _ = sample_poses(field, [9, 9], turn @ noise, steps=6)
    assert Poses().check(made) is None
    assert (turned - turn @ made).abs().max() < 1e-9


def test_rotations_settle_before_translations():
    levels = sampling_levels(small_field().corruption, 10)
    assert (levels.kappas[1:-1, 0] < 0.95 * levels.kappas[1:-1, 5]).all()
    assert levels.kappas[5, 0] < 0.6 * levels.kappas[5, 5]  # (e - 1) / (e^2 - 1) = 0.27 half-way
    noisiest = sampling_levels(small_field("diffusion").corruption, 10).kappas[0]
    assert torch.allclose(noisiest, torch.tensor([2.5] * 3 + [5.0] * 3, dtype=torch.float64))


@pytest.mark.parametrize("stepper", [ExponentialEuler(), Multistep(), Heun()], ids=repr)
def test_any_stepper_goes_and_the_network_hears_its_last_estimate(field, stepper):
    heard = []
    whole = field.network.forward

    def listening(x, s, condition, mask):
        heard.append(condition.previous)
        return whole(x, s, condition, mask)

    field.network.forward = listening
    try:
        poses, mask = sample_poses(field, [6, 9], Noise(0), steps=3, stepper=stepper)
    finally:
        field.network.forward = whole
    calls = 2 if isinstance(stepper, Heun) else 1  # a step; the last, to kappa = 0, has one
    assert all(x is None for x in heard[:calls])
    assert all(x is not None for x in heard[calls:])
    assert all(heard[i] is heard[i - i % calls] for i in range(len(heard)))
    assert Poses().check(poses, mask) is None


@pytest.mark.parametrize("suffix", [".pdb", ".cif"])
def test_a_folder_holds_a_file_for_each_chain(field, tmp_path, suffix):
    files = proteins.sample_folder(
        [8, 6], tmp_path / "made", 2, model=field, steps=2, suffix=suffix
    )
    assert [len(proteins.read(file)[0][0]) for file in files] == [8, 8, 6, 6]
    made = proteins.sample([8, 6], 2, model=field, steps=2)
    # digits of the file
    assert np.abs(proteins.read(files[2])[0][0].coords - made[2].coords).max() < 2e-3
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize(
    "arguments, error, why",
    [
        (dict(lengths=[]), ValueError, "lengths: expected at least one"),
        (dict(lengths=0), ValueError, "lengths: expected 1 to 1000 residues, got 0"),
        (dict(lengths=10_000), ValueError, "lengths: expected 1 to 1000 residues, got 10000"),
        (dict(lengths=[5.5]), TypeError, "lengths: expected whole numbers"),
        (dict(lengths=5.5), TypeError, "lengths: expected whole numbers of residues, got 5.5"),
        (dict(lengths=None), TypeError, "lengths: expected whole numbers of residues, got None"),
        (dict(lengths=5, n=0), ValueError, "n: expected a whole number of at least 1, got 0"),
        (dict(lengths=5, steps=0), ValueError, "steps: expected a whole number"),
        (dict(lengths=5, seed="a"), TypeError, "seed: expected a whole number"),
        (dict(lengths=5, model=3), TypeError, "model: expected a Field"),
        (dict(lengths=5, model="nothing"), FileNotFoundError, "no weights at 'nothing'"),
        (
            dict(lengths=5, model="images-digits"),
            ValueError,
            "for proteins, got 'images-digits', which is for images",
        ),
    ],
)
def test_bad_input_is_refused_with_a_reason(arguments, error, why):
    with pytest.raises(error, match=why):
        proteins.sample(**arguments)


def test_noise_of_other_lengths_is_refused(field):
    with pytest.raises(ValueError, match=r"noise: expected a generator or poses \(2, 9, 4, 4\)"):
        sample_poses(field, [9, 6], field.corruption.base(2, 8, generator=Noise(0)))


def test_a_chain_of_one_residue_is_a_chain(field):
    assert len(proteins.sample(1, model=field, steps=3)[0]) == 1
