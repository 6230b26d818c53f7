"""Structure files: what was written is read back, and everything odd is said in words."""

import gzip

import gemmi
import numpy as np
import pytest

from geodiff.domains.chains import geometry
from geodiff.domains.chains.chain import Chain, load_chains, save_chains
from geodiff.domains.chains.io import from_biopython, read, structure_files, to_biopython, write
from geodiff.paths import data_path

PDB = data_path("proteins", "pdb", "1A2P_A.pdb")


@pytest.fixture(scope="module")
def chain() -> Chain:
    return read(PDB)[0][0]


def lines(of=PDB) -> list[str]:
    return [line for line in of.read_text().splitlines() if line.startswith("ATOM")]


def line(
    atom="N",
    residue="ALA",
    number=1,
    xyz=(0.0, 0.0, 0.0),
    *,
    chain="A",
    altloc=" ",
    insertion=" ",
    occupancy=1.0,
    record="ATOM",
    element=None,
) -> str:
    x, y, z = xyz
    return (
        f"{record:<6}    1  {atom:<3}{altloc}{residue:>3} {chain}{number:>4}{insertion}   "
        f"{x:8.3f}{y:8.3f}{z:8.3f}{occupancy:6.2f}  0.00          {element or atom[0]:>2}"
    )


def saved(tmp_path, text, name="x.pdb"):
    path = tmp_path / name
    path.write_text(text if isinstance(text, str) else "\n".join([*text, "END", ""]))
    return path


def kinds(notes) -> set[str]:
    return {note.kind for note in notes}


def residue(number: int) -> list[str]:
    """The atom records of residue `number` of the test file."""
    return [x for x in lines() if int(x[22:26]) == number]


def test_the_pdb_file_of_a_val_chain_holds_the_chain_of_the_npz(chain):
    stored = {c.name: c for c in load_chains(data_path("proteins", "backbones_val.npz"))}
    for path in structure_files(data_path("proteins", "pdb")):
        (found,), notes = read(path)
        other = stored[path.stem]
        assert found.sequence == other.sequence and notes == [] and not found.gaps.any()
        centred = [c.coords - c.coords[:, 1].mean(0) for c in (found, other)]
        assert np.abs(centred[0] - centred[1]).max() < 2e-3


@pytest.mark.parametrize("name", ["x.pdb", "x.ent", "x.cif", "x.mmcif", "x.pdb.gz", "x.cif.gz"])
def test_what_was_written_is_read_back(tmp_path, chain, name):
    codes = ("",) * 20 + ("A",) + ("",) * 9
    odd = Chain(chain.coords[:30], chain.sequence[:29] + "X", "x", "B", np.r_[5:25, 24:34], codes)
    write(tmp_path / name, [chain, odd])
    (first, second), _ = read(tmp_path / name)
    for found, wanted in ((first, chain), (second, odd)):
        assert np.abs(found.coords - wanted.coords).max() < 1e-3
        assert (found.sequence, found.chain_id) == (wanted.sequence, wanted.chain_id)
        assert found.insertions == wanted.insertions
        assert (found.numbers == wanted.numbers).all() and not found.gaps.any()
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_gap_survives_writing(tmp_path, chain):
    path = saved(tmp_path, [x for x in lines() if not 40 <= int(x[22:26]) <= 44])
    (gapped,), _ = read(path)
    write(tmp_path / "again.cif", gapped)
    (again,), notes = read(tmp_path / "again.cif")
    assert (again.gaps == gapped.gaps).all() and gapped.gaps.sum() == 1 and kinds(notes) == {"gaps"}
    assert [len(piece) for piece in gapped.pieces()] == [39, len(chain) - 44]


def test_biopython_and_gemmi_read_the_same(tmp_path, chain):
    from Bio.PDB import MMCIFParser, PDBParser

    altlocs = [
        line(x[12:16].strip(), "CYS", 120, np.arange(3) + i, altloc=a, occupancy=o)
        for i, x in enumerate(residue(1))
        for a, o in (("A", 0.4), ("B", 0.6))
    ]
    path = saved(tmp_path, lines() + altlocs)
    bio, bio_notes = from_biopython(PDBParser(QUIET=True).get_structure("x", path))
    ours, our_notes = read(path)
    assert kinds(bio_notes) == kinds(our_notes) == {"altlocs", "gaps"}
    assert (
        bio[0].sequence == ours[0].sequence and np.abs(bio[0].coords - ours[0].coords).max() < 1e-4
    )
    write(tmp_path / "y.cif", chain)
    (third,), _ = from_biopython(MMCIFParser(QUIET=True).get_structure("y", tmp_path / "y.cif"))
    (fourth,), notes = from_biopython(to_biopython(chain))
    for found in (third, fourth):
        assert found.sequence == chain.sequence and np.abs(found.coords - chain.coords).max() < 1e-3
    assert notes == []


def test_biopython_structures_without_a_backbone_are_refused(chain):
    structure = to_biopython(chain.slice(0, 3))
    for found in list(structure.get_residues()):
        found.detach_child("CA")
    with pytest.raises(
        ValueError, match="structure: 1A2P_A holds no protein backbone: it has 1 VAL"
    ):
        from_biopython(structure)
    with pytest.raises(TypeError, match="Bio.PDB"):
        from_biopython("1a2p.pdb")
    one = from_biopython(next(to_biopython(chain).get_chains()))[0]
    assert len(one) == 1 and one[0].sequence == chain.sequence


@pytest.mark.parametrize(
    "occupancies, shift", [((0.6, 0.4), 0.0), ((0.3, 0.7), 1.0), ((0.5, 0.5), 0.0)]
)
def test_the_most_occupied_place_is_read_and_the_first_of_equals(
    tmp_path, chain, occupancies, shift
):
    records = []
    for record in residue(2):
        for altloc, occupancy, dx in zip("AB", occupancies, (0.0, 1.0)):
            x = float(record[30:38]) + dx
            records.append(
                f"{record[:16]}{altloc}{record[17:30]}{x:8.3f}{record[38:54]}{occupancy:6.2f}{record[60:]}"
            )
    (found,), notes = read(saved(tmp_path, residue(1) + records + residue(3)))
    assert np.abs(found.coords[1] - chain.coords[1] - [shift, 0, 0]).max() < 1e-6
    assert kinds(notes) - {"long bonds"} == {"altlocs"} and "ILE2" in str(notes[0])


def test_a_point_mutation_is_read_as_its_more_occupied_residue(tmp_path):
    other = [x[:16] + "B" + "TRP" + x[20:54] + f"{0.7:6.2f}" + x[60:] for x in residue(2)]
    first = [x[:16] + "A" + x[17:54] + f"{0.3:6.2f}" + x[60:] for x in residue(2)]
    (found,), notes = read(saved(tmp_path, residue(1) + first + other + residue(3)))
    assert len(found) == 3 and found.sequence[1] == "W" and kinds(notes) == {"altlocs"}


def test_insertion_codes_are_kept_and_said(tmp_path):
    renumbered = [x[:22] + f"{52:4d}A" + x[27:] for x in residue(2)]
    first = [x[:22] + f"{52:4d} " + x[27:] for x in residue(1)]
    (found,), notes = read(saved(tmp_path, first + renumbered))
    assert (
        found.numbers.tolist() == [52, 52]
        and found.insertions == ("", "A")
        and not found.gaps.any()
    )
    assert kinds(notes) == {"insertions"} and found.label(1) == "I52A"


def test_a_residue_without_backbone_atoms_leaves_a_gap(tmp_path):
    kept = [x for x in lines() if not (int(x[22:26]) == 10 and x[12:16].strip() == "CA")]
    (found,), notes = read(saved(tmp_path, kept))
    assert np.flatnonzero(found.gaps).tolist() == [8] and kinds(notes) == {"missing atoms", "gaps"}
    assert "TYR" not in str(notes[0]) and "10" in str(notes[0])


def test_a_long_bond_without_a_jump_is_no_gap(tmp_path, chain):
    moved = np.array(chain.coords)
    moved[50:] += 3.0
    write(tmp_path / "x.pdb", Chain(moved, chain.sequence))
    (found,), notes = read(tmp_path / "x.pdb")
    assert not found.gaps.any() and kinds(notes) == {"long bonds"}
    assert len(found.pieces(1.6)) == 2


def test_selenomethionine_is_methionine_and_an_unknown_residue_is_x(tmp_path):
    strange = (
        [x.replace(x[17:20], "MSE").replace("ATOM  ", "HETATM") for x in residue(1)]
        + [x.replace(x[17:20], "QZ9").replace("ATOM  ", "HETATM") for x in residue(2)]
        + residue(3)
    )
    (found,), notes = read(saved(tmp_path, strange))
    assert (
        found.sequence == "MXN"
        and kinds(notes) == {"modified", "unknown"}
        and "MSE1 as M" in str(notes[0])
    )


def test_missing_oxygens_are_rebuilt_where_they_were(tmp_path, chain):
    (found,), notes = read(saved(tmp_path, [x for x in lines() if x[12:16].strip() != "O"]))
    error = np.linalg.norm(found.coords[:-1, 3] - chain.coords[:-1, 3], axis=-1)
    # notes: median 0.03, 99 % 0.21 over all chains
    assert np.median(error) < 0.06 and error.max() < 0.4
    assert kinds(notes) == {"oxygens"} and len(found) == len(chain)
    bend = geometry.angle(found.coords[:, 1], found.coords[:, 2], found.coords[:, 3])
    assert np.abs(bend - geometry.CA_C_O).max() < 1e-2


def test_the_first_model_of_a_bundle_is_read(tmp_path, chain):
    text = [f"MODEL{i:9d}\n" + "\n".join(lines()) + "\nENDMDL" for i in (1, 2, 3)]
    (found,), notes = read(saved(tmp_path, text))
    assert len(found) == len(chain) and "3 models, only the first" in str(notes[0])


def test_ligands_water_and_free_amino_acids_are_dropped(tmp_path, chain):
    extra = [
        line("FE", "HEM", 201, (9, 9, 9), record="HETATM", element="FE"),
        line("O", "HOH", 301, (1, 1, 1), record="HETATM"),
        line("CA", " CA", 202, record="HETATM", element="CA"),
    ]
    free = [
        line(atom, "GLY", 401, (50 + i, 50, i * i), record="HETATM")
        for i, atom in enumerate(("N", "CA", "C", "O"))
    ]
    (found,), notes = read(saved(tmp_path, lines() + extra + free))
    assert found.sequence == chain.sequence and kinds(notes) == {"no backbone", "free amino acids"}
    assert not found.gaps.any()


def test_files_without_a_backbone_are_refused_with_what_they_hold(tmp_path):
    hem = line("FE", "HEM", 1, record="HETATM", element="FE")
    with pytest.raises(ValueError, match="no protein backbone: it has 2 HEM"):
        read(saved(tmp_path, [hem, hem.replace("   1    ", "   2    ")]))
    with pytest.raises(ValueError, match="CA atoms alone"):
        read(saved(tmp_path, [x for x in lines() if x[12:16].strip() == "CA"]))
    with pytest.raises(ValueError, match="no atoms"):
        read(saved(tmp_path, "HEADER    NOTHING\nEND\n"))
    with pytest.raises(ValueError, match="is empty"):
        read(saved(tmp_path, "\n"))


def test_cut_and_broken_files_are_refused_or_noted(tmp_path, chain):
    text = "\n".join(lines())
    with pytest.raises(ValueError, match="is cut"):
        read(saved(tmp_path, text[: len(text) - 50]))
    (found,), notes = read(saved(tmp_path, "\n".join(lines()[:200]) + "\n"))
    assert len(found) == 50 and kinds(notes) == {"end"}
    write(tmp_path / "x.cif", chain)
    whole = (tmp_path / "x.cif").read_text()
    with pytest.raises(ValueError, match="cannot be parsed"):
        read(saved(tmp_path, whole[: whole.index("_atom_site.") + 3000].rsplit(" ", 2)[0], "y.cif"))
    with pytest.raises(ValueError, match="cannot be parsed|no atoms"):
        read(saved(tmp_path, text, "text.cif"))
    packed = gzip.compress(text.encode())
    (tmp_path / "z.pdb.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(ValueError, match="broken gzip"):
        read(tmp_path / "z.pdb.gz")
    (tmp_path / "noise.pdb").write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(ValueError, match="noise.pdb"):
        read(tmp_path / "noise.pdb")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read(tmp_path / "absent.pdb")
    with pytest.raises(ValueError, match="name ending in"):
        read(tmp_path / "x.xyz")


def test_numbers_that_are_not_finite_lose_their_residue(tmp_path):
    bad = [
        x[:30] + f"{'nan':>8}" + x[38:] if int(x[22:26]) == 5 and x[12:16].strip() == "N" else x
        for x in lines()
    ]
    (found,), notes = read(saved(tmp_path, bad))
    assert np.isfinite(found.coords).all() and "missing atoms" in kinds(notes)


def test_what_does_not_fit_into_a_pdb_file_is_sent_to_mmcif(tmp_path, chain):
    many = Chain(np.tile(chain.coords, (100, 1, 1))[:10_000], (chain.sequence * 100)[:10_000])
    for wide in (
        many,
        Chain(chain.coords, chain.sequence, chain_id="AA"),
        Chain(chain.coords + 2e4, chain.sequence),
    ):
        with pytest.raises(ValueError, match="write a .cif file"):
            write(tmp_path / "x.pdb", wide)
        write(tmp_path / "x.cif", wide)
        assert [len(c) for c in read(tmp_path / "x.cif")[0]] == [len(wide)]
    assert not list(tmp_path.glob("*.part"))
    with pytest.raises(ValueError, match="come twice"):
        write(tmp_path / "x.cif", [chain, chain])


def test_a_chain_refuses_parts_that_do_not_fit():
    with pytest.raises(ValueError, match="coords"):
        Chain(np.zeros((0, 4, 3)), "")
    with pytest.raises(ValueError, match="sequence"):
        Chain(np.zeros((2, 4, 3)), "A")
    with pytest.raises(ValueError, match="not finite"):
        Chain(np.full((1, 4, 3), np.nan), "A")
    with pytest.raises(ValueError, match="numbers"):
        Chain(np.zeros((2, 4, 3)), "AA", numbers=[1])


def test_saved_chains_load_again(tmp_path, chain):
    save_chains(tmp_path / "x.npz", [chain, chain.slice(3, 20)])
    first, second = load_chains(tmp_path / "x.npz")
    assert first.sequence == chain.sequence and second.sequence == chain.sequence[3:20]
    assert np.abs(second.coords - chain.coords[3:20]).max() < 1e-5
    gapped = Chain(chain.coords[:3], chain.sequence[:3], gaps=[True, False])
    with pytest.raises(ValueError, match="pieces"):
        save_chains(tmp_path / "x.npz", [gapped])
    np.savez(tmp_path / "y.npz", coords=np.zeros(3))
    with pytest.raises(ValueError, match="lacks ids, offsets, seq"):
        load_chains(tmp_path / "y.npz")
    (tmp_path / "z.npz").write_bytes(b"PK nothing")
    with pytest.raises(ValueError, match="no readable npz"):
        load_chains(tmp_path / "z.npz")


def test_all_shipped_chains_load():
    counts = {
        split: load_chains(data_path("proteins", f"backbones_{split}.npz"))
        for split in ("train", "val")
    }
    assert {split: len(chains) for split, chains in counts.items()} == {"train": 770, "val": 90}
    assert len({c.cluster for c in counts["train"]}) == 589
    assert not {c.cluster for c in counts["train"]} & {c.cluster for c in counts["val"]}


def test_gemmi_reads_what_we_write_as_a_polymer(tmp_path, chain):
    write(tmp_path / "x.cif", chain)
    structure = gemmi.read_structure(str(tmp_path / "x.cif"))
    assert (
        gemmi.one_letter_code([r.name for r in structure[0][0].get_polymer()]).upper()
        == chain.sequence
    )


def test_caps_are_dropped_and_interleaved_mutations_kept_apart(tmp_path):
    cap = [
        x[:17] + "ACE" + x[20:22] + "   0" + x[26:]
        for x in residue(1)
        if x[12:16].strip() in ("C", "O", "CA")
    ]
    mixed = [
        f"{x[:16]}{altloc}{name}{x[20:54]}{occupancy:6.2f}{x[60:]}"
        for x in residue(2)
        for altloc, name, occupancy in (("A", "SER", 0.4), ("B", "THR", 0.6))
    ]
    (found,), notes = read(saved(tmp_path, cap + residue(1) + mixed + residue(3)))
    assert found.sequence == "VTN" and kinds(notes) == {"no backbone", "altlocs"}


@pytest.mark.parametrize("name", ["x.pdb", "x.cif", "x.cif.gz"])
def test_a_damaged_file_gives_chains_or_a_value_error(tmp_path, chain, name):
    write(tmp_path / name, chain.slice(0, 30))
    whole, generator = (tmp_path / name).read_bytes(), np.random.default_rng(0)
    refused = 0
    for trial in range(60):
        data = bytearray(whole)
        start = int(generator.integers(len(data)))
        if trial % 3 == 0:
            data = data[:start]
        elif trial % 3 == 1:
            data[start] = int(generator.integers(256))
        else:
            del data[start : start + int(generator.integers(200))]
        (tmp_path / name).write_bytes(bytes(data))
        try:
            chains, _ = read(tmp_path / name)
        except ValueError as error:
            assert name in str(error)
            refused += 1
        else:
            assert all(len(found) for found in chains)
    assert refused > 10


def test_a_coordinate_too_wide_for_its_columns_is_dropped_never_read_as_0(tmp_path):
    bad = [
        x[:30] + "*" * 8 + x[38:] if int(x[22:26]) == 5 and x[12:16].strip() == "CA" else x
        for x in lines()
    ]
    (whole,), _ = read(PDB)
    (made,), notes = read(saved(tmp_path, bad))
    assert (
        len(made) == len(whole) - 1
        and 5 not in made.numbers
        and made.gaps.sum() == whole.gaps.sum() + 1
    )
    assert {"missing atoms", "gaps"} <= kinds(notes)


@pytest.mark.parametrize(
    "name, value, why",
    [
        ("offsets", np.array([0.0, 2.0]), "offsets should be a row of whole numbers"),
        ("offsets", np.array(0), "offsets should be a row"),
        ("seq", np.array([5]), "seq should be a row of text"),
        ("coords", np.zeros((2, 4)), "coords: expected"),
    ],
)
def test_chain_files_of_another_form_are_refused(tmp_path, name, value, why):
    path = tmp_path / "odd.npz"
    good = dict(
        coords=np.zeros((2, 4, 3)),
        offsets=np.array([0, 2]),
        ids=np.array(["a"]),
        seq=np.array(["GG"]),
    )
    np.savez(path, **good | {name: value})
    with pytest.raises(ValueError, match=why):
        load_chains(path)


@pytest.mark.parametrize("data", [b"", b"some text", b"\x93NUMPY\x01\x00"])
def test_what_is_no_archive_is_refused_in_our_words(tmp_path, data):
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises(ValueError, match="no readable npz file, it may be cut"):
        load_chains(tmp_path / "x.npz")
