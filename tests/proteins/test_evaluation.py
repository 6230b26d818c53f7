"""From files to tables, and from a folder to training data."""

import json

import numpy as np
import pytest

from geodiff.domains.chains.chain import Chain, load_chains, save_chains
from geodiff.domains.chains.decoys import TITLES, decoys
from geodiff.domains.chains.io import write
from geodiff.domains.chains.metrics import CHECKS
from geodiff.paths import data_path
from geodiff.proteins import evaluation, preparation
from geodiff.proteins.evaluation import REAL, evaluate, references
from geodiff.proteins.preparation import Rules, prepare

pytest.importorskip("pydssp")


@pytest.fixture(scope="module")
def chains() -> list[Chain]:
    return load_chains(data_path("proteins", "backbones_val.npz"))


def test_files_folders_and_npz_are_measured_alike(tmp_path, chains):
    for chain in chains[:4]:
        write(tmp_path / f"{chain.name}.cif.gz", chain)
    save_chains(tmp_path / "x.npz", chains[:4])
    by_folder, by_npz = (
        evaluate(tmp_path).report.values(),
        evaluate(tmp_path / "x.npz").report.values(),
    )
    by_files = evaluate([tmp_path / f"{c.name}.cif.gz" for c in chains[:4]]).report.values()
    assert by_folder == by_files
    assert all(
        abs(by_folder[name] - by_npz[name]) < 0.01 or np.isnan(by_npz[name]) for name in by_npz
    )


@pytest.mark.parametrize("title", TITLES)
def test_files_of_decoys_are_told_apart(tmp_path, chains, title):
    for chain in decoys(chains[:6])[title]:
        write(tmp_path / f"{chain.name}.pdb", chain)
    found = evaluate(tmp_path, title="decoy")
    assert found.told_apart() and not found.failures
    assert found.report.passes()["all checks"] == 0 and "decoy: " in found.table()


def test_real_files_are_not_told_apart():
    found = evaluate(data_path("proteins", "pdb"))
    assert found.told_apart() == [] and "samples: no check" in found.table()


def test_shipped_references_are_what_is_measured(monkeypatch, chains):
    stored = references()
    assert set(stored) == {REAL, *TITLES} and stored[REAL]["chains"] == 90
    assert all(f"chains with {name}" in stored[title] for name in CHECKS for title in stored)
    measured = evaluation.measure_references()
    for title, values in stored.items():
        for name, value in values.items():
            assert abs(value - measured[title][name]) < 2e-3 * max(1, abs(value)), (title, name)


def test_bad_files_become_failures_and_the_rest_is_measured(tmp_path, chains):
    write(tmp_path / "good.pdb", chains[0])
    write(tmp_path / "short.pdb", chains[0].slice(0, 3))
    write(
        tmp_path / "long.cif", Chain(np.tile(chains[0].coords, (100, 1, 1))[:10_000], "A" * 10_000)
    )
    (tmp_path / "empty.pdb").write_text("")
    (tmp_path / "notes.txt").write_text("not a structure")
    found = evaluate(tmp_path)
    assert len(found.report.chains) == 1
    reasons = " ".join(f.reason for f in found.failures)
    assert len(found.failures) == 3
    assert all(reason in reasons for reason in ("is empty", "3 residues", "10000 residues"))
    assert "not measured" in found.table()


def test_nothing_to_measure_is_refused(tmp_path):
    with pytest.raises(ValueError, match="nothing to measure"):
        evaluate(tmp_path)
    with pytest.raises(FileNotFoundError, match="absent"):
        evaluate(tmp_path / "absent.pdb")
    with pytest.raises(ValueError, match="at least one"):
        evaluate([])


def test_a_folder_becomes_training_chains(tmp_path, chains):
    source = tmp_path / "in"
    source.mkdir()
    for chain in chains[:3]:
        write(source / f"{chain.name}.pdb", chain)
    write(source / "again.pdb", chains[0])
    write(source / "noisy.pdb", decoys(chains[3:4])["noise 0.3"][0])
    write(source / "short.pdb", chains[4].slice(0, 20))
    write(source / "random.pdb", decoys(chains[5:6])["random phi/psi"][0])
    (source / "cut.pdb").write_text("ATOM      1  N   VAL A   1      16.8")
    counts = prepare(source, tmp_path / "out")
    kept = {c.name: c for c in load_chains(tmp_path / "out" / "chains.npz")}
    assert (counts.files, counts.unreadable, counts.kept) == (8, 1, 3)
    assert sum(counts.rejected.values()) == counts.pieces - counts.kept
    assert "sequence seen before" in counts.rejected and "too short" in counts.rejected
    assert {c.sequence for c in kept.values()} == {c.sequence for c in chains[:3]}
    assert counts.residues == sum(map(len, kept.values())) and "kept 3" in str(counts)
    rejected = (tmp_path / "out" / "rejected.csv").read_text()
    assert "cut.pdb,unreadable" in rejected and "random_A," in rejected
    assert not list((tmp_path / "out").glob("*.part"))


def test_chains_are_cut_at_gaps_and_named_by_piece(tmp_path, chains):
    whole = max(chains, key=len)
    keep = np.r_[:60, 70 : len(whole)]
    gaps = np.arange(len(keep) - 1) == 59
    (tmp_path / "in").mkdir()
    write(
        tmp_path / "in" / "x.cif",
        Chain(
            whole.coords[keep],
            "".join(whole.sequence[i] for i in keep),
            "x",
            numbers=keep + 1,
            gaps=gaps,
        ),
    )
    loose = Rules(rg_ratio=9, far_contacts=0, loop=1)
    prepare(tmp_path / "in", tmp_path / "out", rules=loose)
    assert [(c.name, len(c)) for c in load_chains(tmp_path / "out" / "chains.npz")] == [
        ("x_A_1", 60),
        ("x_A_2", len(whole) - 70),
    ]


def test_clusters_come_from_the_table(tmp_path, chains):
    (tmp_path / "in").mkdir()
    for name, chain in zip("abc", chains):
        write(tmp_path / "in" / f"{name}.pdb", chain)
    table = tmp_path / "clusters.tsv"
    table.write_text("a_A\ta_A\na_A\tc_A\nb\tb\n")
    prepare(tmp_path / "in", tmp_path / "out", clusters=table)
    assert [c.cluster for c in load_chains(tmp_path / "out" / "chains.npz")] == [0, 1, 0]
    table.write_text("a_A\ta_A\n")
    with pytest.raises(ValueError, match="b_A is not in the table"):
        prepare(tmp_path / "in", tmp_path / "out", clusters=table)
    table.write_text("a_A\n")
    with pytest.raises(ValueError, match="line 1"):
        prepare(tmp_path / "in", tmp_path / "out", clusters=table)


def test_folders_without_chains_are_refused(tmp_path, chains):
    with pytest.raises(ValueError, match="holds no"):
        prepare(tmp_path, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="no folder"):
        prepare(tmp_path / "absent", tmp_path / "out")
    write(tmp_path / "x.pdb", chains[0].slice(0, 10))
    with pytest.raises(ValueError, match="1 too short"):
        prepare(tmp_path, tmp_path / "out")


def test_references_are_json_of_plain_numbers():
    text = data_path("proteins", "references.json").read_text()
    assert "NaN" not in text and all(
        isinstance(v, int | float) for x in json.loads(text).values() for v in x.values()
    )
    assert preparation.CHAINS == "chains.npz"
