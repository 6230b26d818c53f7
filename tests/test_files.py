"""Files appear whole or not at all, with ordinary permissions."""

import os
import stat

import pytest

from geodiff.files import part_of, replacing


@pytest.mark.parametrize("sync", [False, True])
def test_a_file_appears_when_the_block_is_left(tmp_path, sync):
    path = tmp_path / "a" / "b" / "file.csv"
    with replacing(path, sync=sync) as part:
        assert part.parent == path.parent and part == part_of(path)
        part.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new" and [p.name for p in path.parent.iterdir()] == ["file.csv"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "file.csv"
    path.write_text("old")
    with pytest.raises(error):
        with replacing(path) as part:
            part.write_text("half")
            raise error
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["file.csv"]


def test_a_block_that_writes_nothing_is_an_error_and_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        with replacing(tmp_path / "file.csv"):
            pass
    assert not list(tmp_path.iterdir())


def test_a_folder_is_not_replaced(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError):
        with replacing(tmp_path / "taken") as part:
            part.write_text("new")
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


def test_the_file_has_the_permissions_of_any_other(tmp_path):
    (tmp_path / "other").write_text("")
    with replacing(tmp_path / "file") as part:
        part.write_text("new")
    assert stat.S_IMODE(os.stat(tmp_path / "file").st_mode) == stat.S_IMODE(
        os.stat(tmp_path / "other").st_mode
    )
