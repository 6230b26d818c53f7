"""Frames and atoms are two forms of one backbone."""

import math

import numpy as np
import pytest
import torch

from geodiff.domains.chains import geometry
from geodiff.domains.chains.chain import load_chains
from geodiff.domains.chains.frames import IDEAL, atoms_to_frames, frames_to_atoms
from geodiff.paths import data_path
from manifolds import SO3

TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-12}


def random_frames(*size, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rotations = SO3().random_point(*size, generator=generator, dtype=dtype)
    return rotations, 3 * torch.randn(*size, 3, generator=generator, dtype=dtype)


@pytest.fixture(scope="module")
def chains():
    return load_chains(data_path("proteins", "backbones_val.npz"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [(1,), (7,), (2, 5), (3, 1, 2)])
def test_frames_come_back_from_their_atoms(size, dtype):
    rotations, translations = random_frames(*size, dtype=dtype)
    again, places = atoms_to_frames(frames_to_atoms(rotations, translations))
    assert (again - rotations).abs().max() < TOLERANCE[dtype]
    assert (places - translations).abs().max() < TOLERANCE[dtype]
    assert again.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_atoms_of_ideal_geometry_come_back_from_their_frames(dtype):
    rotations, translations = random_frames(4, 9, dtype=dtype)
    psi = torch.linspace(-math.pi, math.pi, 36, dtype=dtype).view(4, 9)
    atoms = frames_to_atoms(rotations, translations, psi)
    again = frames_to_atoms(*atoms_to_frames(atoms), psi)
    assert (again - atoms).abs().max() < TOLERANCE[dtype]


def test_oxygen_turns_with_psi_and_has_ideal_geometry():
    rotations, translations = random_frames(36)
    psi = torch.linspace(-3.1, 3.1, 36, dtype=torch.float64)
    n, ca, c, o = frames_to_atoms(rotations, translations, psi).numpy().transpose(1, 0, 2)
    torsion = np.radians(geometry.dihedral(n, ca, c, o))
    assert np.abs(np.angle(np.exp(1j * (torsion - psi.numpy() - math.pi)))).max() < 1e-10
    assert np.abs(np.linalg.norm(o - c, axis=-1) - geometry.C_O).max() < 1e-12
    assert np.abs(geometry.angle(ca, c, o) - geometry.CA_C_O).max() < 1e-9
    assert np.abs(geometry.angle(n, ca, c) - geometry.N_CA_C).max() < 1e-9


def test_without_psi_oxygens_are_those_of_the_peptide_planes(chains):
    coords = torch.tensor(chains[0].coords)
    atoms = frames_to_atoms(*atoms_to_frames(coords)).numpy()
    assert (
        np.abs(atoms[:, 3] - geometry.oxygens(atoms, np.ones(len(atoms) - 1, dtype=bool))).max()
        < 1e-9
    )
    real = np.linalg.norm(atoms[:-1, 3] - chains[0].coords[:-1, 3], axis=-1)
    assert np.median(real) < 0.1


def test_frames_are_right_handed_rotations_that_move_with_the_atoms(chains):
    coords = torch.tensor(chains[0].coords)
    rotations, translations = atoms_to_frames(coords)
    assert SO3().check(rotations) is None
    turn, shift = random_frames(1, seed=3)
    moved, places = atoms_to_frames(coords @ turn[0].mT + shift)
    assert (moved - turn @ rotations).abs().max() < 1e-12
    assert (places - translations @ turn[0].mT - shift).abs().max() < 1e-12


def test_real_chains_keep_their_peptide_bonds_as_frames(chains):
    rebuilt = [frames_to_atoms(*atoms_to_frames(torch.tensor(c.coords))).numpy() for c in chains]
    bonds = np.concatenate([np.linalg.norm(x[1:, 0] - x[:-1, 2], axis=-1) for x in rebuilt])
    assert np.mean((bonds >= 1.23) & (bonds <= 1.43)) > 0.985  # the ceiling of the representation
    phi = np.concatenate(
        [geometry.dihedral(x[:-1, 2], x[1:, 0], x[1:, 1], x[1:, 2]) for x in rebuilt]
    )
    assert abs(np.mean(phi < 0) - 0.936) < 0.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_degenerate_atoms_give_rotations_and_finite_gradients(dtype):
    line = torch.tensor([[1.0, 0, 0], [0, 0, 0], [2.0, 0, 0]], dtype=dtype)
    cases = torch.stack(
        [
            torch.zeros(3, 3, dtype=dtype),
            line,
            line[:, [1, 0, 2]],
            line[:, [1, 2, 0]],
            torch.tensor(IDEAL, dtype=dtype),
        ]
    ).requires_grad_()
    rotations, translations = atoms_to_frames(cases)
    assert SO3().check(rotations.detach()) is None
    assert torch.equal(rotations[0], torch.eye(3, dtype=dtype))
    atoms = frames_to_atoms(rotations, translations)
    atoms.square().sum().backward()
    assert torch.isfinite(cases.grad).all() and torch.isfinite(atoms).all()


def test_equal_frames_give_finite_gradients():
    rotations = torch.eye(3).repeat(4, 1, 1).requires_grad_()
    places = torch.zeros(4, 3, requires_grad=True)
    frames_to_atoms(rotations, places).square().sum().backward()
    assert torch.isfinite(rotations.grad).all() and torch.isfinite(places.grad).all()


def test_gradients_are_those_of_differences(chains):
    coords = torch.tensor(chains[0].coords[:4, :3]).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: frames_to_atoms(*atoms_to_frames(x)), coords)


def test_masked_residues_are_zero_and_change_nothing():
    rotations, translations = random_frames(2, 6)
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    atoms = frames_to_atoms(rotations, translations, mask=mask)
    assert (atoms[1, 4:] == 0).all()
    assert (
        atoms[1, :4] - frames_to_atoms(rotations[1, :4], translations[1, :4])
    ).abs().max() < 1e-12
