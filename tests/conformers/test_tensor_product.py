"""The conformer model of tensor products: trained, saved, sampled, as equivariant as it says."""

from dataclasses import asdict, replace

import pytest
import torch
from rdkit import Chem

from geodiff import conformers
from geodiff.conformers.model import build, harmonic_base, new_config
from geodiff.conformers.network import NetworkConfig
from geodiff.conformers.sampling import sample_positions
from geodiff.conformers.tensor_product import TensorProductConfig
from geodiff.domains.molecules.ensembles import ensemble_of, save_ensembles
from geodiff.domains.molecules.features import collate, featurise
from geodiff.process.randomness import Noise
from geodiff.training import weights

from .flow import swap_hands

pytest.importorskip("e3nn")
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:e3nn"),
]
SMALL = TensorProductConfig(width=8, layers=2, lmax=1)
BUTANOL = "CC[C@H](C)OC"


@pytest.fixture
def batch():
    return collate([featurise(Chem.AddHs(Chem.MolFromSmiles(s))) for s in (BUTANOL, "CC")])


@pytest.fixture
def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build(new_config(SMALL)).network.double()


@pytest.fixture
def x(batch):
    generator = torch.Generator().manual_seed(1)
    return harmonic_base((), generator, torch.float64, condition=batch)


def turn():
    generator = torch.Generator().manual_seed(3)
    q = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]
    return q * torch.det(q)


def test_turns_reflections_and_padding_do_what_they_do_to_the_transformer(network, batch, x):
    s, condition = torch.tensor([0.7, 0.3], dtype=torch.float64), batch.to(torch.float64)
    out = network(x, s, condition, batch.mask)
    assert (out - x).abs().max() > 1e-3
    assert (network(x @ turn(), s, condition, batch.mask) - out @ turn()).abs().max() < 1e-10
    assert (network(-x, s, swap_hands(condition), batch.mask) + out).abs().max() < 1e-10
    difference = (network(-x, s, condition, batch.mask) + out).abs().amax((1, 2))
    assert difference[0] > 1e-5 and difference[1] < 1e-10  # a hand is noticed, ethane has none
    n = int(batch.mask[1].sum())
    alone = collate([featurise(Chem.AddHs(Chem.MolFromSmiles("CC")))])
    assert (
        network(x[1:, :n], s[1:], alone.to(torch.float64), alone.mask) - out[1:, :n]
    ).abs().max() < 1e-12
    assert out[1, n:].abs().max() == 0


def test_bonds_are_known(network, batch, x):
    """Two molecules of the same atoms at the same places differ by their bonds alone."""
    s, condition = torch.full((2,), 0.5, dtype=torch.float64), batch.to(torch.float64)
    other = replace(condition, pair=torch.where(condition.pair == 1, 2, condition.pair))
    out = network(x, s, condition, batch.mask)
    assert (network(x, s, other, batch.mask) - out).abs().max() > 1e-4


def test_a_few_steps_make_a_model_that_is_saved_and_samples_turn_with_their_noise(
    ensembles, tmp_path
):
    save_ensembles(tmp_path / "data.npz", [ensemble_of(mol) for mol in ensembles[:12]])
    document = conformers.train(
        tmp_path / "data.npz",
        tmp_path / "run",
        network="tensor_product",
        width=8,
        layers=2,
        max_steps=3,
        batch_size=4,
        accelerator="cpu",
        progress_bar=False,
    )
    field = weights.load(document)
    assert field.config["architecture"] == "tensor_product"
    molecule = conformers.sample(BUTANOL, 2, model=document, steps=2)
    assert molecule.GetNumConformers() == 2
    fresh = build(field.config).state_dict()
    tables = [name for name in fresh if "_w3j_" in name]
    assert tables  # of half precision on disk, as all weights are
    assert all(torch.equal(field.state_dict()[name], fresh[name]) for name in tables)
    field = field.double()
    condition = collate([featurise(Chem.AddHs(Chem.MolFromSmiles(BUTANOL)))]).repeat(2)
    condition = condition.to(torch.float64)
    noise = harmonic_base((), Noise(1), torch.float64, condition=condition)
    plain = sample_positions(field, condition, noise, steps=4)
    turned = sample_positions(field, condition, noise @ turn(), steps=4)
    assert (turned - plain @ turn()).abs().max() < 1e-8


def test_weights_without_the_word_are_transformers_and_others_are_refused():
    assert "architecture" not in new_config(NetworkConfig())
    with pytest.raises(ValueError, match="architecture is 'mamba', this geodiff has transformer"):
        build(new_config(NetworkConfig()) | {"architecture": "mamba"})
    with pytest.raises(ValueError, match="network: expected 'transformer' or 'tensor_product'"):
        conformers.module(network="mamba")


def test_a_network_of_hidden_layers_is_averaged_and_gone_on_with(ensembles, tmp_path):
    """Three layers of order 2: such products are compiled with constants of their own."""
    save_ensembles(tmp_path / "data.npz", [ensemble_of(mol) for mol in ensembles[:12]])
    options = {"network": "tensor_product", "width": 16, "layers": 3, "batch_size": 4}
    options |= {"accelerator": "cpu", "progress_bar": False}
    conformers.train(tmp_path / "data.npz", tmp_path / "run", max_steps=2, **options)
    document = conformers.train(
        tmp_path / "data.npz", tmp_path / "run", max_steps=4, resume=True, **options
    )
    assert weights.load(document).card["steps"] == 4


def test_sizes_that_are_not_asked_for_are_those_of_the_network():
    """Those of a transformer would be 34 million weights of tensor products."""
    settings = conformers.module(network="tensor_product").config["network"]
    assert settings == asdict(TensorProductConfig())
    assert conformers.module(layers=1).config["network"] == asdict(NetworkConfig(layers=1))
    with pytest.raises(ValueError, match="vector_width: expected none for a tensor_product, got 8"):
        conformers.module(network="tensor_product", vector_width=8)
