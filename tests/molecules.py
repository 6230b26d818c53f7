"""Real ensembles and small molecules with every kind of stereo."""

from pathlib import Path

import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from geodiff.domains.molecules.io import read_ensembles

QM9_SIZE = (
    Path(__file__).parents[1] / "data" / "conformers" / "qm9size_gfn2" / "qm9test_gfn2_etkdg.sdf.gz"
)


@pytest.fixture(scope="session")
def qm9_size_file() -> Path:
    return QM9_SIZE


@pytest.fixture(scope="session")
def ensembles() -> list[Chem.Mol]:
    """53 real molecules with 330 GFN2-xTB conformers; tests must not change them."""
    return read_ensembles(QM9_SIZE)


@pytest.fixture(scope="session")
def embed():
    """SMILES or Mol -> molecule with hydrogens and one ETKDGv3 conformer."""

    def embedded(molecule: str | Chem.Mol, seed: int = 7) -> Chem.Mol:
        if isinstance(molecule, str):
            molecule = Chem.AddHs(Chem.MolFromSmiles(molecule))
        molecule = Chem.Mol(molecule)
        parameters = AllChem.ETKDGv3()
        parameters.randomSeed = seed
        parameters.useRandomCoords = True
        assert AllChem.EmbedMolecule(molecule, parameters) == 0, Chem.MolToSmiles(molecule)
        return molecule

    return embedded
