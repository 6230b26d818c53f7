"""Making training ensembles: hold-out, files, duplicates, and real xtb runs where xtb is
installed.
"""

import shutil

import numpy as np
import pytest
from rdkit import Chem

from geodiff.conformers import preparation as prepare
from geodiff.domains.molecules import ensembles as files
from geodiff.domains.molecules import gfn2
from geodiff.domains.molecules.io import read_failures
from geodiff.paths import data_path

needs_xtb = pytest.mark.skipif(
    shutil.which("xtb") is None, reason="the xtb program is not installed"
)


def test_molecules_of_the_held_out_list_never_pass_whatever_their_stereo_or_spelling():
    kept = prepare.hold_out(
        ["OCC", "C[C@H](N)O", "CCC", "CCC", "C(C)C", "not a smiles"], ["CCO", "C[C@@H](O)N"]
    )
    assert kept == ["CCC"]


def test_ensembles_come_back_from_their_file_as_written(ensembles, tmp_path):
    written = [files.ensemble_of(mol) for mol in ensembles[:4]]
    files.save_ensembles(tmp_path / "e.npz", written)
    read = files.load_ensembles(tmp_path / "e.npz")
    assert [e.smiles for e in read] == [e.smiles for e in written]
    assert all(np.abs(a.positions - b.positions).max() <= 5.1e-4 for a, b in zip(read, written))
    assert [p.name for p in tmp_path.iterdir()] == ["e.npz"]


def test_duplicates_are_judged_by_energy_and_shape_together():
    recipe = gfn2.Recipe()
    constants = [np.array([1.0, 2.0, 3.0]), np.array([1.001, 2.0, 3.0]), np.array([1.1, 2.0, 3.0])]
    assert gfn2._unique([0.0, 0.01, 0.02], constants, recipe) == [0, 2]
    assert gfn2._unique([0.0, 1.0, 0.02], constants, recipe) == [0, 2, 1]


def test_a_bridgehead_across_a_cage_is_not_taken_for_a_bond(embed):
    mol = embed("C1C2CC1C2")  # bicyclo[1.1.1]pentane, 1.9 angstrom across
    table = Chem.GetPeriodicTable()
    radii = np.array([table.GetRcovalent(a.GetAtomicNum()) for a in mol.GetAtoms()])
    positions, adjacency = mol.GetConformer().GetPositions(), Chem.GetAdjacencyMatrix(mol)
    assert gfn2._same_graph(positions, adjacency, radii)
    assert not gfn2._same_graph(positions * 1.5, adjacency, radii)
    assert not gfn2._same_graph(positions * 0.7, adjacency, radii)


def test_one_stereoisomer_is_chosen_and_it_is_the_same_every_time():
    chosen = gfn2.choose_stereoisomer("CC(O)C(N)C#N", seed=3)
    assert chosen == gfn2.choose_stereoisomer("CC(O)C(N)C#N", seed=3)
    assert (
        not Chem.FindMolChiralCenters(
            Chem.MolFromSmiles(chosen), includeUnassigned=True, force=True
        )[0][1]
        == "?"
    )
    assert "[N" not in gfn2.choose_stereoisomer("CC1CN1CC", seed=0)  # amines invert


@needs_xtb
def test_an_ensemble_has_distinct_conformers_of_the_molecule_in_its_window():
    ensemble = gfn2.make_ensemble("CC[C@H](C)O", seed=1, other_seeds=True)
    assert len(ensemble.positions) >= 5
    assert ensemble.energies.min() == 0 and ensemble.energies.max() <= gfn2.Recipe().window_kcal
    assert (np.diff(ensemble.energies) >= 0).all()
    mol = Chem.AddHs(Chem.MolFromSmiles("CC[C@H](C)O"))
    for positions in ensemble.positions:
        conformer = Chem.Conformer(mol.GetNumAtoms())
        conformer.SetPositions(positions.astype(float))
        mol.RemoveAllConformers()
        mol.AddConformer(conformer)
        Chem.AssignStereochemistryFrom3D(mol)
        assert Chem.MolToSmiles(Chem.RemoveHs(mol)) == Chem.CanonSmiles("CC[C@H](C)O")


@needs_xtb
def test_a_stopped_run_goes_on_with_the_chunks_that_are_missing(tmp_path):
    smiles = ["CCO", "CCC", "CO", "not a smiles"]
    counts = prepare.prepare(smiles, tmp_path, workers=1, chunk_size=1)
    assert counts == {"made": 3, "failed": 1, "chunks": 4}
    (failure,) = read_failures(tmp_path / "failures.csv")
    assert (failure.index, failure.smiles) == (3, "not a smiles") and failure.reason
    (tmp_path / "chunk_00001.npz").unlink()
    before = (tmp_path / "chunk_00000.npz").stat().st_mtime_ns
    assert prepare.prepare(smiles, tmp_path, workers=1, chunk_size=1)["made"] == 1
    assert (tmp_path / "chunk_00000.npz").stat().st_mtime_ns == before
    (tmp_path / "chunk_00003.npz").unlink()
    assert prepare.prepare(smiles, tmp_path, workers=1, chunk_size=1)["failed"] == 1
    assert read_failures(tmp_path / "failures.csv") == [failure]  # once, not again at every start
    with pytest.raises(ValueError, match="other molecules, smiles_sha256"):
        prepare.prepare(["CCO"], tmp_path, chunk_size=1)
    assert [e.smiles for e in files.load_ensembles(tmp_path / "ensembles.npz")] == [
        "CCC",
        "CCO",
        "CO",
    ]


def test_without_xtb_the_cure_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(prepare.shutil, "which", lambda name: None)
    with pytest.raises(RuntimeError, match="apt-get install xtb"):
        prepare.prepare(["CCO"], tmp_path)


def test_no_test_molecule_is_among_the_shipped_training_data(ensembles):
    folder = data_path("conformers", "training")
    trained = {
        prepare._skeleton(e.smiles)
        for f in sorted(folder.glob("*.npz"))
        for e in files.load_ensembles(f)
    }
    assert len(trained) > 3000
    assert not trained & {prepare._skeleton(mol.GetProp("smiles")) for mol in ensembles}


@pytest.mark.parametrize("damage", ["empty", "half", "flipped", "foreign", "object", "plain array"])
def test_a_damaged_or_foreign_file_of_ensembles_is_refused_by_name(ensembles, tmp_path, damage):
    path = tmp_path / "e.npz"
    files.save_ensembles(path, [files.ensemble_of(mol) for mol in ensembles[:4]])
    whole = path.read_bytes()
    middle = len(whole) // 2
    if damage == "foreign":
        np.savez(path, a=np.zeros(3))
    elif damage == "object":
        np.savez(path, smiles=np.array([{}], dtype=object))
    elif damage == "plain array":
        with open(path, "wb") as file:
            np.save(file, np.zeros(3))
    else:
        flipped = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
        path.write_bytes({"empty": b"", "half": whole[:middle], "flipped": flipped}[damage])
    with pytest.raises(ValueError, match="e.npz is damaged, or not written by"):
        files.load_ensembles(path)


def test_what_a_crash_leaves_is_not_taken_for_ensembles(ensembles, tmp_path, monkeypatch):
    def crash(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt

    files.save_ensembles(
        tmp_path / "chunk_00000.npz", [files.ensemble_of(mol) for mol in ensembles[:4]]
    )
    monkeypatch.setattr(files.np, "savez_compressed", crash)
    with pytest.raises(KeyboardInterrupt):
        files.save_ensembles(tmp_path / "chunk_00001.npz", [files.ensemble_of(ensembles[5])])
    assert [p.name for p in tmp_path.glob("*.npz")] == ["chunk_00000.npz"]
