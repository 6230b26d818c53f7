"""The RMSD matrix equals RDKit's GetBestRMS, and stays exact where alignments are degenerate."""

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdMolAlign
from rdkit.Geometry import Point3D

from geodiff.domains.molecules.io import read_ensembles
from geodiff.domains.molecules.rmsd import aligned_rmsd, positions, rmsd_matrix, symmetries
from geodiff.paths import data_path

# Terminal groups in every charge state, hidden automorphisms of rings and of rotors, chains with an
# end-to-end symmetry, a kept hydrogen ([H]/N=), fused and spiro rings, salts, stereo centres that
# the match ignores.
MOLECULES = [
    "c1ccccc1",
    "FC(F)(F)c1ccccc1",
    "CC(C)(C)C",
    "C[N+](=O)[O-]",
    "O=[N+]([O-])c1ccc(cc1)C(=O)[O-]",
    "CCC(=O)O",
    "NC(=[NH2+])c1ccccc1",
    "COP(=O)([O-])[O-]",
    "CS(=O)(=O)NC",
    "CC(=O)OC",
    "[H]/N=c1/cc(NC)cn[nH]1",
    "C1CC12CC2",
    "C[C@@H](O)[C@H](O)C",
    "OCC(CO)(CO)CO",
    "CCCCCC",
    "C#CC#CC",
    "CC(C)c1cc(C(C)C)cc(C(C)C)c1",
    "N#CC=C=CC#N",
    "[NH3+]CC([O-])=O",
    "FS(F)(F)(F)(F)F",
    "O=C=O",
    "CNC(=O)N(C)C",
    "OC(=O)/C=C/C(O)=O",
]


def embedded(smiles: str, conformers: int, seed: int = 5, hydrogens: bool = True) -> Chem.Mol:
    molecule = Chem.MolFromSmiles(smiles)
    if hydrogens:
        molecule = Chem.AddHs(molecule)
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = seed
    parameters.useRandomCoords = True
    assert len(rdDistGeom.EmbedMultipleConfs(molecule, conformers, parameters))
    return molecule


def placed(smiles: str, clouds: np.ndarray) -> Chem.Mol:
    """The molecule with the given coordinates, (conformers, atoms, 3), and no hydrogens."""
    molecule = Chem.MolFromSmiles(smiles)
    for cloud in clouds:
        conformer = Chem.Conformer(len(cloud))
        for i, (x, y, z) in enumerate(cloud):
            conformer.SetAtomPosition(i, Point3D(float(x), float(y), float(z)))
        molecule.AddConformer(conformer, assignId=True)
    return molecule


def best_rms(reference: Chem.Mol, generated: Chem.Mol, **options) -> np.ndarray:
    """The matrix of RDKit's own GetBestRMS."""
    reference, generated = Chem.RemoveHs(reference), Chem.RemoveHs(generated)
    return np.array(
        [
            [
                rdMolAlign.GetBestRMS(reference, generated, a.GetId(), b.GetId(), **options)
                for b in generated.GetConformers()
            ]
            for a in reference.GetConformers()
        ]
    )


def by_svd(x: np.ndarray, y: np.ndarray) -> float:
    """RMSD of one pair by Kabsch's algorithm, with the residual written out."""
    x, y = x - x.mean(0), y - y.mean(0)
    u, _, vt = np.linalg.svd(x.T @ y)
    flip = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    return float(np.sqrt(((x @ (u @ flip @ vt) - y) ** 2).sum(1).mean()))


def random_rotation(generator: np.random.Generator) -> np.ndarray:
    q, _ = np.linalg.qr(generator.normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def shuffled(molecule: Chem.Mol, generator: np.random.Generator) -> Chem.Mol:
    return Chem.RenumberAtoms(molecule, generator.permutation(molecule.GetNumAtoms()).tolist())


@pytest.mark.parametrize("smiles", MOLECULES)
def test_matrix_equals_best_rms_of_every_pair(smiles):
    reference, generated = embedded(smiles, 4), embedded(smiles, 6, seed=11)
    assert np.abs(rmsd_matrix(reference, generated) - best_rms(reference, generated)).max() < 1e-6


@pytest.mark.parametrize("smiles", MOLECULES)
def test_matrix_equals_best_rms_without_symmetrisation(smiles):
    reference, generated = embedded(smiles, 2), embedded(smiles, 3, seed=11)
    ours = rmsd_matrix(reference, generated, symmetrize=False)
    theirs = best_rms(reference, generated, symmetrizeConjugatedTerminalGroups=False)
    assert np.abs(ours - theirs).max() < 1e-6


def test_matrix_equals_best_rms_on_real_ensembles():
    # pairs of conformers, largest difference
    generator, pairs, worst = np.random.default_rng(0), 0, 0.0
    for reference in read_ensembles(
        data_path("conformers", "qm9size_gfn2", "qm9test_gfn2_etkdg.sdf.gz")
    ):
        generated = embedded(reference.GetProp("smiles"), 4)
        ours = rmsd_matrix(reference, generated)
        rows = generator.permutation(reference.GetNumConformers())[:6].tolist()
        reference = Chem.RemoveHs(reference)
        ids = [c.GetId() for c in reference.GetConformers()]
        generated = Chem.RemoveHs(generated)
        for i in rows:
            for j, conformer in enumerate(generated.GetConformers()):
                theirs = rdMolAlign.GetBestRMS(reference, generated, ids[i], conformer.GetId())
                worst, pairs = max(worst, abs(theirs - ours[i, j])), pairs + 1
    assert pairs >= 500
    assert worst < 1e-6


@pytest.mark.parametrize(
    "smiles", ["c1ccccc1", "CC(C)(C)C", "FC(F)(F)CC(=O)[O-]", "CC[C@H](C)C(=O)NC"]
)
def test_rotations_translations_and_equivalent_atoms_change_nothing(smiles):
    generator = np.random.default_rng(1)
    reference, generated = embedded(smiles, 3), embedded(smiles, 4, seed=8)
    expected = rmsd_matrix(reference, generated)
    moved = shuffled(generated, generator)
    for conformer in moved.GetConformers():
        xyz = (
            conformer.GetPositions() @ random_rotation(generator).T + generator.normal(size=3) * 10
        )
        conformer.SetPositions(np.ascontiguousarray(xyz))
    assert np.abs(rmsd_matrix(reference, moved) - expected).max() < 1e-6
    assert np.abs(rmsd_matrix(shuffled(reference, generator), moved) - expected).max() < 1e-6


@pytest.mark.parametrize(
    "smiles, count",
    [
        ("c1ccccc1", 12),
        ("CC(C)(C)C", 24),
        ("CC(F)(F)F", 6),
        ("C[N+](=O)[O-]", 2),
        ("CC(=O)[O-]", 2),
        ("CC(=O)O", 2),
        ("COP(=O)([O-])[O-]", 6),
        ("CCO", 1),
    ],
)
def test_every_symmetry_is_found(smiles, count):
    molecule = Chem.MolFromSmiles(smiles)
    found = symmetries(molecule, molecule)
    assert len(found.permutations) == count and not found.truncated


@pytest.mark.parametrize("smiles", ["C[N+](=O)[O-]", "CC(=O)[O-]", "CC(=O)O", "CC(=N)N"])
def test_conjugated_terminal_groups_are_equivalent_only_when_asked(smiles):
    generator = np.random.default_rng(3)
    cloud = generator.normal(size=(Chem.MolFromSmiles(smiles).GetNumAtoms(), 3))
    swapped = cloud[[0, 1, 3, 2]]
    one, other = placed(smiles, [cloud]), placed(smiles, [swapped])
    assert rmsd_matrix(one, other)[0, 0] < 1e-6
    assert rmsd_matrix(one, other, symmetrize=False)[0, 0] > 0.1


def test_a_single_heavy_atom_has_distance_zero():
    methane = embedded("C", 3)
    assert np.array_equal(rmsd_matrix(methane, methane), np.zeros((3, 3)))


def test_two_heavy_atoms_differ_by_half_the_bond_difference():
    one = placed("CO", [[[0, 0, 0], [1.4, 0, 0]]])
    other = placed("CO", [[[5, 5, 5], [5, 5, 6.6]], [[0, 0, 0], [0, 1.4, 0]]])
    assert rmsd_matrix(one, other) == pytest.approx(np.array([[0.1, 0.0]]), abs=1e-6)


def test_a_mirror_image_is_not_the_same_conformer():
    molecule = embedded("C[C@H](F)Cl", 1, hydrogens=False)
    mirror = placed("CC(F)Cl", -positions(molecule))
    assert rmsd_matrix(molecule, mirror)[0, 0] > 0.1
    assert rmsd_matrix(molecule, mirror) == pytest.approx(best_rms(molecule, mirror), abs=1e-6)


@pytest.mark.parametrize(
    "scales",
    [
        (1, 1, 1),
        (1, 1, 0),
        (1, 0, 0),
        (1, 1e-3, 1e-6),
        (1, 1e-7, 0),
        (9, 1, 1e-9),
        (1, 1e-4, 1e-4),
        (0, 0, 0),
        (6, 4, 2),
    ],
    ids=str,
)
def test_alignment_is_exact_for_flat_and_straight_and_mirrored_clouds(scales):
    generator = np.random.default_rng(2)
    cloud = generator.normal(size=(12, 3)) * scales
    others = [
        cloud,
        -cloud,
        cloud * [1, 1, -1],
        cloud[::-1],
        cloud + 1e-4 * generator.normal(size=(12, 3)),
        cloud * (1 + 1e-5),
        np.zeros((12, 3)),
        generator.normal(size=(12, 3)),
    ]
    x = np.stack([cloud @ random_rotation(generator).T for _ in range(5)])
    y = np.stack([other @ random_rotation(generator).T + 3 for other in others])
    expected = [[by_svd(a, b) for b in y] for a in x]
    assert np.abs(aligned_rmsd(x, y) - expected).max() < 1e-6


def test_alignment_is_exact_for_regular_bodies_and_their_mirror_images():
    octahedron = np.concatenate([np.eye(3), -np.eye(3)])
    tetrahedron = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1.0]])
    for body in (octahedron, tetrahedron):
        others = np.stack([body, -body, body[::-1], np.roll(body, 1, 0), body[:, [1, 0, 2]]])
        expected = [[by_svd(a, b) for b in others] for a in others]
        assert np.abs(aligned_rmsd(others, others) - expected).max() < 1e-6


@pytest.mark.parametrize(
    "clouds, others, permutations",
    [(1, 1, 1), (0, 3, 1), (3, 0, 2), (2, 3, 20_000), (20_000, 1, 1), (1, 20_000, 1), (300, 90, 2)],
)
def test_blocks_do_not_change_the_answer(clouds, others, permutations):
    generator = np.random.default_rng(4)
    x, y = generator.normal(size=(clouds, 3, 3)), generator.normal(size=(others, 4, 3))
    orders = generator.integers(0, 4, size=(permutations, 3))
    ours = aligned_rmsd(x, y, orders)
    assert ours.shape == (clouds, others)
    for _ in range(20 if ours.size else 0):
        i, j = generator.integers(clouds), generator.integers(others)
        few = np.unique(orders, axis=0)
        assert ours[i, j] == pytest.approx(
            min(by_svd(x[i], y[j][order]) for order in few), abs=1e-6
        )


def test_a_search_that_stops_early_says_so():
    molecule = Chem.MolFromSmiles("CC(C)(C)C")
    found = symmetries(molecule, molecule, max_matches=5)
    assert found.truncated and len(found.permutations) == 5


def test_other_molecules_and_bad_numbers_are_refused():
    with pytest.raises(ValueError, match="graph of reference"):
        rmsd_matrix(embedded("CCO", 1), embedded("CCN", 1))
    with pytest.raises(ValueError, match="finite"):
        aligned_rmsd(np.full((1, 2, 3), np.nan), np.zeros((1, 2, 3)))
    with pytest.raises(ValueError, match="expected \\(L, N, 3\\)"):
        aligned_rmsd(np.zeros((2, 3)), np.zeros((1, 2, 3)))
    with pytest.raises(ValueError, match="permutations"):
        aligned_rmsd(np.zeros((1, 2, 3)), np.zeros((1, 2, 3)), np.array([[0, 2]]))
