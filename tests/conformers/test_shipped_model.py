"""The weights that ship: symmetric to rounding, the same in any batch, and as good as their card
says.
"""

import pytest
import torch
from rdkit import Chem

from geodiff.conformers.model import DEFAULT_MODEL, harmonic_base
from geodiff.conformers.sampling import sample, sample_positions
from geodiff.domains.molecules.features import collate, featurise
from geodiff.domains.molecules.metrics import coverage, stereo_correct
from geodiff.process.randomness import Noise
from geodiff.training.weights import load

SMILES = ["CC[C@H](C)OC", "OC[C@H]1CO[C@@H]1C#N", "CC(=O)Oc1ccccc1C(=O)O"]


@pytest.fixture(scope="module")
def field():
    return load(DEFAULT_MODEL)


@pytest.mark.parametrize("smiles", SMILES)
def test_rotating_and_permuting_the_noise_rotates_and_permutes_the_conformers(field, smiles):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    order = torch.randperm(mol.GetNumAtoms(), generator=torch.Generator().manual_seed(2))
    condition = collate([featurise(mol)]).repeat(4)
    renumbered = collate([featurise(Chem.RenumberAtoms(mol, order.tolist()))]).repeat(4)
    noise = harmonic_base((), Noise(1), torch.float32, condition=condition)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(3)))[0]
    turn = turn * torch.det(turn)
    plain = sample_positions(field, condition, noise)
    assert (sample_positions(field, condition, noise @ turn) - plain @ turn).abs().max() < 1e-5
    assert (
        sample_positions(field, renumbered, noise[:, order]) - plain[:, order]
    ).abs().max() < 1e-5


def test_a_conformer_does_not_depend_on_its_batch(field):
    together = sample(SMILES, 3, seed=4, model=field)
    alone = sample(SMILES, 3, seed=4, model=field, batch_size=1)
    for a, b in zip(together, alone):
        for k in range(3):
            difference = a.GetConformer(k).GetPositions() - b.GetConformer(k).GetPositions()
            assert abs(difference).max() < 1e-5


def test_a_tenth_of_the_benchmark_comes_out_as_the_card_says(field, ensembles):
    chosen = {mol.GetProp("_Name"): mol for mol in ensembles if mol.GetNumConformers() <= 8}
    chosen = dict(list(chosen.items())[:10])
    smiles = {name: mol.GetProp("smiles") for name, mol in chosen.items()}
    made = sample(
        list(smiles.values()), [2 * mol.GetNumConformers() for mol in chosen.values()], model=field
    )
    generated = dict(zip(chosen, made, strict=True))
    record = coverage(chosen, generated, 0.5)
    assert record.failures == 0 and record.amr_r.mean < field.card["benchmark"]["amr_r"] + 0.1
    assert stereo_correct(generated, smiles).both == 1.0
    repaired = sum(len(mol.GetProp("repaired").split()) for mol in made)
    assert repaired <= 0.1 * sum(mol.GetNumConformers() for mol in made)


def test_the_card_says_how_the_weights_were_made(field):
    assert {
        "command",
        "data",
        "seed",
        "training_seconds",
        "molecules",
        "parameters",
        "benchmark",
    } <= field.card.keys()
