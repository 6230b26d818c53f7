"""The check of a file of conformers: against the stereo that was asked for, no more and no less."""

import numpy as np
import pytest

from geodiff.conformers import evaluate
from geodiff.conformers.delivery import with_conformers
from geodiff.domains.molecules.baselines import etkdg
from geodiff.domains.molecules.sdf_writer import SdfWriter


@pytest.mark.parametrize(("smiles", "valid"), [("CC(N)C(=O)O", 2), ("C[C@H](N)C(=O)O", 1)])
def test_a_hand_counts_where_the_smiles_asks_for_it(tmp_path, smiles, valid):
    """Both hands in one file: right where the SMILES leaves it open, else one is wrong."""
    mol = etkdg(smiles, 1, force_field="MMFF94s")
    places = mol.GetConformer().GetPositions()
    both = with_conformers(mol, [places, places * np.array([1.0, 1.0, -1.0])])
    with SdfWriter(tmp_path / "both.sdf") as writer:
        writer.write(both, "alanine", smiles)
    found = evaluate(tmp_path / "both.sdf")
    assert (found.validity.conformers, found.validity.valid) == (2, valid)
    assert found.coverage is None and f"valid {valid} of 2" in found.table()
    assert found.document()["valid"] == valid
