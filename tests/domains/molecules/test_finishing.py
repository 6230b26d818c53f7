"""Relaxing and choosing conformers."""

import numpy as np
import pytest
from rdkit import Chem

from geodiff.domains.molecules.baselines import etkdg
from geodiff.domains.molecules.finishing import relax, select
from geodiff.domains.molecules.rmsd import rmsd_matrix


@pytest.fixture(scope="module")
def pool():
    mol = etkdg("CCCCOC(=O)CC", 12)
    return mol, relax(mol)


def test_relaxing_lowers_the_energy_and_again_changes_nothing(pool):
    mol, energies = pool
    again = Chem.Mol(mol)
    assert energies.shape == (12,) and np.allclose(relax(again), energies, atol=1e-3)


def test_threads_do_not_change_what_comes_out():
    one, two = (etkdg("CCCCOC(=O)CC", 6) for _ in range(2))
    assert np.array_equal(relax(one, threads=1), relax(two, threads=2))


def test_a_molecule_without_parameters_stays_as_it_is():
    mol = etkdg("CB(C)C", 2)
    before = mol.GetConformer().GetPositions().copy()
    assert relax(mol) is None
    assert np.array_equal(before, mol.GetConformer().GetPositions())


def test_the_lowest_come_first_and_differ(pool):
    mol, energies = pool
    kept = select(mol, energies, prune_rms=0.5)
    assert kept[0] == int(energies.argmin()) and list(energies[kept]) == sorted(energies[kept])
    heavy = Chem.RemoveHs(mol)
    apart = rmsd_matrix(heavy, heavy)[np.ix_(kept, kept)]
    assert apart[~np.eye(len(kept), dtype=bool)].min() >= 0.5
    passed = sorted(set(range(12)) - set(kept))
    # every one that was passed over is near one of lower energy
    full = rmsd_matrix(heavy, heavy)
    assert all(min(full[i, k] for k in kept if energies[k] <= energies[i]) < 0.5 for i in passed)


def test_as_many_come_as_were_asked_for(pool):
    mol, energies = pool
    assert len(select(mol, energies, 10, prune_rms=5.0)) == 10
    assert select(mol, energies, 3) == list(np.argsort(energies, kind="stable")[:3])


def test_nothing_above_the_window_is_kept(pool):
    mol, energies = pool
    kept = select(mol, energies, energy_window=1.0)
    assert kept and max(energies[kept]) <= energies.min() + 1.0 < sorted(energies)[len(kept)]


def test_energies_that_are_not_numbers_are_passed_over(pool):
    mol, energies = pool
    assert 0 not in select(mol, np.where(np.arange(12) == 0, np.nan, energies))
