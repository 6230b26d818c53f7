"""Bond lengths of real conformers pass; stretched, squeezed and undefined ones do not."""

import torch

from geodiff.domains.molecules.features import collate, featurise
from geodiff.domains.molecules.geometry import bonds_ok


def test_all_real_conformers_hold_together_and_scaled_ones_do_not(ensembles):
    for mol in ensembles:
        batch = collate([featurise(mol)]).repeat(mol.GetNumConformers())
        positions = torch.stack([torch.from_numpy(c.GetPositions()) for c in mol.GetConformers()])
        assert bonds_ok(batch, positions).all()
        assert not bonds_ok(batch, 1.5 * positions).any()
        assert not bonds_ok(batch, 0.6 * positions).any()
        assert not bonds_ok(batch, positions * float("nan")).any()


def test_padding_is_not_looked_at(ensembles):
    small, large = sorted((ensembles[0], ensembles[3]), key=lambda m: m.GetNumAtoms())
    batch = collate([featurise(small), featurise(large)])
    positions = torch.zeros(*batch.mask.shape, 3, dtype=torch.float64)
    for row, mol in enumerate((small, large)):
        positions[row, : mol.GetNumAtoms()] = torch.from_numpy(mol.GetConformer().GetPositions())
    assert bonds_ok(batch, positions).tolist() == [True, True]
