import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem
from rdkit.Geometry import Point3D

from geodiff.domains.molecules.io import (
    Failure,
    SdfWriter,
    read,
    read_ensembles,
    read_failures,
    write_failures,
)
from geodiff.domains.molecules.stereo import matches_smiles

GOOD = "C[C@H](O)/C=C/F"
BAD_SMILES = {
    "syntax": ("C1CC", "no SMILES that RDKit can read .unclosed ring"),
    "valence": ("C(C)(C)(C)(C)C", "valence"),
    "words": ("paracetamol", "no SMILES .* no path"),
    "empty": ("", "empty SMILES"),
    "blank": ("   ", "empty SMILES"),
    "dummy atom": ("*CC", r"dummy atom \(\*\) at position 0"),
    "sodium alone": ("[Na+]", "element Na; known are H B C"),
    "iron": ("C[Fe]C", "element Fe"),
    "salt": ("CC(=O)[O-].[Na+]", r"2 fragments, CC\(=O\)\[O-\] and \[Na\+\]: pass one"),
    "mixture": ("CCO.O.O", "3 fragments, CCO and O and O: pass one"),
    "dative bond": ("CN(C)(C)->O", "dative bond; known are"),
    "lone surrogate": ("C\udc80", "no SMILES"),
    "accent": ("C\u00e9", "not ASCII"),
    "two lines": ("CC\nCO", "several lines"),
    "axis": ("Cc1cccc(I)c1-c1c(C)cccc1Br |wU:7.7|", "the axis 7-8"),
    "bipyramid": ("F[P@TB1](Cl)(Br)(I)C", r"atom 1 \(P\) that is not tetrahedral"),
    "octahedron": ("F[S@OH1](Cl)(Br)(I)(C)CC", r"atom 1 \(S\) that is not tetrahedral"),
    "endless": ("C(" * 3000, r"characters\)"),
}


def block(mol: Chem.Mol, **properties: object) -> str:
    return (
        Chem.MolToMolBlock(mol)
        + "".join(f">  <{k}>\n{v}\n\n" for k, v in properties.items())
        + "$$$$\n"
    )


@pytest.fixture
def good(embed) -> Chem.Mol:
    return embed(GOOD)


@pytest.fixture
def three_records(good) -> str:
    return "".join(block(good, mol_id=f"m{i}") for i in range(3))


def test_one_smiles_is_one_record_with_hydrogens():
    (record,), failures = read(GOOD)
    assert failures == [] and (record.index, record.name, record.smiles) == (0, "mol_0000", GOOD)
    assert record.mol.GetNumAtoms() == 13 and record.mol.GetNumConformers() == 0


@pytest.mark.parametrize("smiles, words", BAD_SMILES.values(), ids=BAD_SMILES.keys())
def test_a_bad_smiles_is_a_failure_with_its_reason_and_nothing_on_stderr(smiles, words, capfd):
    records, (failure,) = read(smiles)
    assert records == [] and failure.smiles == smiles
    with pytest.raises(ValueError, match=words):
        raise ValueError(failure.reason)
    assert capfd.readouterr().err == ""


def test_silence_ends_with_the_reading(capfd):
    read("C1CC")
    Chem.MolFromSmiles("C1CC")
    assert "unclosed ring" in capfd.readouterr().err


def test_bad_records_do_not_stop_good_ones():
    records, failures = read(["CCO", "C1CC", "CCN", "[Fe]", "CCC"])
    assert [r.index for r in records] == [0, 2, 4] and [f.index for f in failures] == [1, 3]
    assert [r.name for r in records] == ["mol_0000", "mol_0002", "mol_0004"]


def test_radicals_and_ions_are_taken_as_written():
    records, failures = read(["C[CH2]", "C[O]", "C[N+](C)(C)C", "CC(=O)[O-]", "[H][H]", "[Cl-]"])
    assert len(records) == 6 and failures == []
    assert sum(a.GetNumRadicalElectrons() for a in records[0].mol.GetAtoms()) == 1


def test_two_hundred_atoms_pass_and_more_are_told_the_number():
    (record,), failures = read("C" * 66)
    assert record.mol.GetNumAtoms() == 200 and failures == []
    _, (failure,) = read("C" * 67)
    assert failure.reason == "has 203 atoms with hydrogens, more than max_atoms=200"
    assert len(read("C" * 67, max_atoms=203)[0]) == 1
    assert len(read("CC", max_atoms=7)[1]) == 1


def test_rdkit_molecules_are_taken_without_their_drawing_and_left_alone():
    drawn = Chem.MolFromSmiles(GOOD)
    AllChem.Compute2DCoords(drawn)
    records, failures = read([drawn, Chem.MolFromSmiles("CC", sanitize=False)])
    assert failures == [] and [r.mol.GetNumAtoms() for r in records] == [13, 8]
    assert records[0].mol.GetNumConformers() == 0 and drawn.GetNumConformers() == 1
    assert Chem.CanonSmiles(records[0].smiles) == Chem.CanonSmiles(GOOD)
    broken = Chem.MolFromSmiles("C(C)(C)(C)(C)C", sanitize=False)
    assert "sanitise" in read(broken)[1][0].reason


@pytest.mark.parametrize("source", [3, None, [3], b"CCO"])
def test_other_sources_are_type_errors(source):
    with pytest.raises(TypeError, match="expected a"):
        read(source)


@pytest.mark.parametrize("suffix", [".smi", ".txt", ".smi.gz", ".SMI"])
def test_lines_are_smiles_and_names(tmp_path, suffix):
    path = tmp_path / f"molecules{suffix}"
    text = "\ufeffsmiles name\nCCO ethanol\n\nC1CC\tbroken ring\nCCN\n  CC   two words \r\n"
    path.write_bytes(gzip.compress(text.encode()) if suffix.endswith("gz") else text.encode())
    records, failures = read(str(path))
    assert [(r.index, r.name, r.smiles) for r in records] == [
        (0, "ethanol", "CCO"),
        (2, "mol_0002", "CCN"),
        (3, "two words", "CC"),
    ]
    assert [(f.index, f.name) for f in failures] == [(1, "broken ring")]


@pytest.mark.parametrize("column", ["name", "mol_id", "ID"])
def test_a_csv_needs_a_smiles_column_only(tmp_path, column):
    path = tmp_path / "molecules.csv"
    path.write_text(
        f"weight,SMILES,{column}\n46,CCO,ethanol\n1,,nothing\n"
        '2,"CC(=O)[O-].[Na+]","a, salt"\n3\n4,CC,\n'
    )
    records, failures = read(path)
    assert [(r.index, r.name, r.smiles) for r in records] == [
        (0, "ethanol", "CCO"),
        (4, "mol_0004", "CC"),
    ]
    assert [(f.index, f.name) for f in failures] == [
        (1, "nothing"),
        (2, "a, salt"),
        (3, "mol_0003"),
    ]
    path.write_text("molecule,name\nCCO,ethanol\n")
    with pytest.raises(ValueError, match="column named smiles; its columns are molecule, name"):
        read(path)


def test_a_missing_file_says_that_it_was_taken_for_one(tmp_path):
    for name in ("nothing.sdf", "nothing.csv", "nothing.smi.gz"):
        with pytest.raises(FileNotFoundError, match="read as a path.*SMILES never ends like that"):
            read(str(tmp_path / name))


def test_folders_other_files_and_empty_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="is a folder"):
        read(tmp_path)
    (tmp_path / "molecules.pkl").write_bytes(b"\x80\x04N.")
    with pytest.raises(ValueError, match="ends in none of .smi .txt .csv .sdf"):
        read(tmp_path / "molecules.pkl")
    for name in ("empty.smi", "empty.csv", "empty.sdf", "header.csv"):
        (tmp_path / name).write_text("smiles\n" if name == "header.csv" else "")
        with pytest.raises(ValueError, match="holds no molecules"):
            read(tmp_path / name)
    with pytest.raises(ValueError, match="holds no molecules"):
        read([])


def test_real_sdf_records_keep_name_stereo_and_coordinates(qm9_size_file):
    records, failures = read(qm9_size_file)
    assert len(records) == 330 and failures == []
    assert records[0].name == "qm9t_0000" and records[0].mol.GetProp("conf_idx") == "0"
    for record in records[::7]:
        assert Chem.CanonSmiles(record.mol.GetProp("smiles")) == record.smiles
        assert record.mol.GetNumConformers() == 1


def test_an_sdf_without_hydrogens_or_depth_gets_the_first_and_loses_its_drawing(tmp_path, good):
    drawn = Chem.MolFromSmiles(GOOD)
    AllChem.Compute2DCoords(drawn)
    (tmp_path / "two.sdf").write_text(block(drawn) + block(Chem.RemoveHs(good)))
    (flat, deep), failures = read(tmp_path / "two.sdf")
    assert failures == [] and flat.smiles == deep.smiles == Chem.CanonSmiles(GOOD)
    assert flat.mol.GetNumConformers() == 0 and deep.mol.GetNumConformers() == 1
    assert flat.mol.GetNumAtoms() == deep.mol.GetNumAtoms() == 13
    assert matches_smiles(deep.mol, -1, GOOD)


def bad_block(good: Chem.Mol, kind: str) -> str:
    text = block(good)
    if kind == "nan":
        words = f"{good.GetConformer().GetPositions()[0, 0]:10.4f}"
        return text.replace(words, "       nan", 1)
    if kind == "no atoms":
        return block(Chem.Mol())
    if kind == "short atom block":
        lines = text.splitlines(keepends=True)
        return "".join(lines[:6] + lines[10:])
    if kind == "no end":
        return text.replace("M  END\n", "")
    if kind == "words":
        return "these\nare\nonly words\nM  END\n$$$$\n"
    if kind == "one point":
        same = Chem.Mol(good)
        same.GetConformer().SetPositions(np.ones((13, 3)))
        return block(same)
    if kind == "query atom":
        return text.replace(" C   0", " R#  0", 1)
    assert kind == "salt"
    return block(Chem.CombineMols(good, good, Point3D(9.0, 0.0, 0.0)))


@pytest.mark.parametrize(
    "kind, words",
    [
        ("nan", "not finite"),
        ("no atoms", "no atoms"),
        ("short atom block", "RDKit"),
        ("no end", "M  END"),
        ("words", "RDKit"),
        ("one point", "one point"),
        ("query atom", "dummy atom|RDKit"),
        ("salt", "2 fragments"),
    ],
)
def test_a_bad_sdf_record_fails_alone(tmp_path, good, kind, words, capfd):
    (tmp_path / "some.sdf").write_text(block(good) + bad_block(good, kind) + block(good))
    records, (failure,) = read(tmp_path / "some.sdf")
    assert [r.index for r in records] == [0, 2] and failure.index == 1
    with pytest.raises(ValueError, match=words):
        raise ValueError(failure.reason)
    assert capfd.readouterr().err == ""


def test_a_truncated_sdf_gives_the_whole_records_and_one_failure(tmp_path, three_records):
    path = tmp_path / "cut.sdf"
    size = len(three_records)
    for keep in (size - 6, size - 40, size * 3 // 4):
        path.write_text(three_records[:keep])
        records, (failure,) = read(path)
        assert [r.name for r in records] == ["m0", "m1"] and failure.index == 2
        assert "cut off" in failure.reason


def test_a_truncated_gzip_file_gives_the_whole_records_and_one_failure(tmp_path, qm9_size_file):
    whole = qm9_size_file.read_bytes()
    path = tmp_path / "cut.sdf.gz"
    path.write_bytes(whole[: len(whole) // 2])
    records, (failure,) = read(path)
    assert 100 < len(records) < 230 and failure.index == len(records)
    assert "cut off" in failure.reason or "broken" in failure.reason
    lines = tmp_path / "cut.smi.gz"
    packed = gzip.compress("\n".join(["CCO"] * 1000).encode(), mtime=0)
    lines.write_bytes(packed[:-4])
    records, failures = read(lines)
    assert len(records) + 1 >= 1000 and "compressed file is broken" in failures[-1].reason
    (tmp_path / "plain.csv.gz").write_text("smiles\nCCO\n")
    assert "compressed file is broken" in read(tmp_path / "plain.csv.gz")[1][0].reason


def test_a_lone_molfile_needs_no_end_mark(tmp_path, good):
    (tmp_path / "one.sdf").write_text(Chem.MolToMolBlock(good))
    assert len(read(tmp_path / "one.sdf")[0]) == 1


def test_binary_rubbish_is_a_list_of_failures(tmp_path, capfd):
    rubbish = bytes(np.random.default_rng(0).integers(0, 256, 2000, dtype=np.uint8))
    for name in ("rubbish.smi", "rubbish.sdf"):
        (tmp_path / name).write_bytes(rubbish)
        records, failures = read(tmp_path / name)
        assert not records and failures
    assert capfd.readouterr().err == ""


def test_ensembles_group_the_conformers_of_each_molecule(qm9_size_file, ensembles):
    with open(qm9_size_file.with_name("qm9test_gfn2_etkdg_index.csv")) as file:
        expected = {row["mol_id"]: int(row["n_conf_written"]) for row in csv.DictReader(file)}
    assert {m.GetProp("_Name"): m.GetNumConformers() for m in ensembles} == expected
    for mol in ensembles:
        assert [c.GetId() for c in mol.GetConformers()] == list(range(mol.GetNumConformers()))
        assert all(
            matches_smiles(mol, c.GetId(), mol.GetProp("smiles")) for c in mol.GetConformers()
        )


def test_ensembles_part_where_the_name_or_the_graph_changes(tmp_path, good, embed):
    other = embed("CCO")
    path = tmp_path / "mixed.sdf"
    path.write_text(
        "".join(
            [
                block(good, mol_id="a"),
                block(good, mol_id="a"),
                block(good, mol_id="b"),
                block(other, mol_id="b"),
                block(other),
                block(other),
                block(good, mol_id="a"),
            ]
        )
    )
    molecules = read_ensembles(path)
    assert [m.GetNumConformers() for m in molecules] == [2, 1, 1, 2, 1]
    assert [m.GetProp("_Name") for m in molecules] == ["a", "b", "b", "", "a"]


def test_ensembles_name_the_record_that_cannot_be_read(tmp_path, good, three_records):
    path = tmp_path / "bad.sdf"
    path.write_text(three_records + bad_block(good, "one point"))
    with pytest.raises(ValueError, match="record 3 .* two atoms at one point"):
        read_ensembles(path)
    path.write_text(three_records[:-6])
    with pytest.raises(ValueError, match=r"record 2 \(m2\) .* cut off"):
        read_ensembles(path)
    drawn = Chem.MolFromSmiles("CCO")
    AllChem.Compute2DCoords(drawn)
    path.write_text(block(drawn))
    with pytest.raises(ValueError, match="no 3D coordinates"):
        read_ensembles(path)
    path.write_text("")
    with pytest.raises(ValueError, match="holds no molecules"):
        read_ensembles(path)
    with pytest.raises(ValueError, match="expected a .sdf"):
        (tmp_path / "a.csv").write_text("smiles\n")
        read_ensembles(tmp_path / "a.csv")


@pytest.mark.parametrize("name", ["out.sdf", "out.sdf.gz"])
def test_what_is_written_is_read_back(tmp_path, name, ensembles):
    path = tmp_path / name
    with SdfWriter(path) as writer:
        for mol in ensembles[:9]:
            count = writer.write(
                mol,
                mol.GetProp("_Name"),
                mol.GetProp("smiles"),
                [{"energy": c.GetId() / 2} for c in mol.GetConformers()],
            )
            assert count == mol.GetNumConformers()
            assert not path.exists() and writer.part.exists()
        assert writer.molecules == 9 and writer.conformers == sum(
            m.GetNumConformers() for m in ensembles[:9]
        )
    assert path.exists() and not writer.part.exists()
    for written, mol in zip(read_ensembles(path), ensembles[:9], strict=True):
        for key in ("_Name", "smiles"):
            assert written.GetProp(key) == mol.GetProp(key)
        for a, b in zip(written.GetConformers(), mol.GetConformers(), strict=True):
            assert np.abs(a.GetPositions() - b.GetPositions()).max() < 1e-4
    records, _ = read(path)
    first = ensembles[0].GetNumConformers()
    assert [r.mol.GetProp("conf_idx") for r in records[:first]] == [str(i) for i in range(first)]
    assert records[1].mol.GetProp("energy") == "0.5"


def test_rdkit_reads_what_is_written(tmp_path, ensembles):
    with SdfWriter(tmp_path / "out.sdf") as writer:
        writer.write(ensembles[0], "first")
    supplier = Chem.SDMolSupplier(str(tmp_path / "out.sdf"), removeHs=False)
    assert len(supplier) == ensembles[0].GetNumConformers()
    assert supplier[0].GetProp("mol_id") == "first"
    assert Chem.MolToSmiles(Chem.RemoveHs(supplier[0])) == supplier[0].GetProp("smiles")


def test_an_interrupted_writer_leaves_the_old_file_and_the_part(tmp_path, ensembles):
    path = tmp_path / "out.sdf"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        with SdfWriter(path) as writer:
            writer.write(ensembles[0], "first")
            raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert writer.part.read_text().count("$$$$") == ensembles[0].GetNumConformers()


def test_no_name_can_break_a_record(tmp_path, good):
    names = ["$$$$", "> <smiles>", "two\nlines", "", "  spaces  ", "ünïcode", "x" * 300]
    with SdfWriter(tmp_path / "out.sdf") as writer:
        for name in names:
            writer.write(good, name)
    molecules = read_ensembles(tmp_path / "out.sdf")
    assert [m.GetProp("_Name") for m in molecules] == [
        "_$$$$",
        "_> <smiles>",
        "two lines",
        "",
        "spaces",
        "ünïcode",
        "x" * 300,
    ]


def test_the_writer_refuses_what_it_could_not_finish(tmp_path, good):
    with pytest.raises(ValueError, match="ending in .sdf"):
        SdfWriter(tmp_path / "out.xyz")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        SdfWriter(tmp_path / "nowhere" / "out.sdf")
    (tmp_path / "folder.sdf").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder"):
        SdfWriter(tmp_path / "folder.sdf")
    with pytest.raises(ValueError, match="with block"):
        SdfWriter(tmp_path / "out.sdf").write(good, "name")
    good.GetConformer().SetAtomPosition(0, (float("nan"), 0.0, 0.0))
    with SdfWriter(tmp_path / "out.sdf") as writer:
        with pytest.raises(ValueError, match="not finite"):
            writer.write(good, "name")
        with pytest.raises(ValueError, match="expected 1, one a conformer"):
            writer.write(good, "name", properties=[])
    assert not list(tmp_path.glob("out.sdf*"))  # nothing was written


def test_a_place_that_cannot_be_written_is_named_with_a_way_out(tmp_path, monkeypatch):
    def refuse(path, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(
        PermissionError, match="path: .*out.sdf cannot be written .Permission denied.; choose"
    ):
        SdfWriter(tmp_path / "out.sdf").__enter__()


def test_failures_are_written_as_csv_that_reads_back(tmp_path):
    failures = [Failure(0, "a, b", "C.C", 'has "2" fragments'), Failure(3, "", "", "two\nlines")]
    path = tmp_path / "failures.csv"
    write_failures(path, failures)
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [Failure(int(r["index"]), r["name"], r["smiles"], r["reason"]) for r in rows] == failures
    assert read_failures(path) == failures
    assert list(Path(tmp_path).iterdir()) == [path]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"CCO,reason\n",
        b"index,name,smiles,reason\nfirst,,CCO,\n",
        b"index,name,smiles,reason\n0,CCO\n",
        b"\xff\xfe\x00",
    ],
)
def test_a_file_that_lists_no_failures_is_refused_by_name(tmp_path, content):
    (tmp_path / "failures.csv").write_bytes(content)
    with pytest.raises(ValueError, match="failures.csv is not a list of failures"):
        read_failures(tmp_path / "failures.csv")
