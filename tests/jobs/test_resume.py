"""What a run leaves beside its output: what it was asked for, what failed, its share."""

from dataclasses import dataclass

import pytest

from geodiff.jobs import shards
from geodiff.jobs.failures import Failure, read_failures, write_failures
from geodiff.jobs.progress import bar, bars
from geodiff.jobs.resume import check_same_run, folder_for


def test_a_run_goes_on_and_another_is_refused_by_what_differs(tmp_path):
    path = tmp_path / "settings.json"
    check_same_run(path, {"n": 2, "where": (1, 2)}, begun=False)
    check_same_run(path, {"n": 2, "where": (1, 2)}, begun=True)
    with pytest.raises(ValueError, match="with other n, scale .see settings.json.; go on with"):
        check_same_run(path, {"n": 3, "where": (1, 2), "scale": 1.0}, begun=True)
    check_same_run(path, {"n": 3}, begun=False)  # a run that made nothing binds nobody
    check_same_run(path, {"n": 3}, begun=True)
    assert [file.name for file in tmp_path.iterdir()] == ["settings.json"]


def test_a_file_is_no_folder_for_a_run(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="out: .*file is a file"):
        folder_for(tmp_path / "file")
    assert folder_for(tmp_path / "a" / "b").is_dir()


def test_failures_read_back_and_none_leave_no_file(tmp_path):
    path = tmp_path / "failures.csv"
    failures = [Failure(0, "a, b", 'has "2" ends'), Failure(3, "", "two\nlines")]
    write_failures(path, failures)
    assert read_failures(path) == failures
    assert path.read_text().startswith("index,name,reason\n")
    with pytest.raises(ValueError, match="not a list of failures with the columns index,place"):
        read_failures(path, Other)
    write_failures(path, [])
    assert not path.exists()
    write_failures(path, [])


@dataclass(frozen=True)
class Other:
    index: int
    place: str


def test_shards_together_are_the_whole_and_each_has_a_name(tmp_path):
    parts = [shards.select("abcdefg", (i, 3), place="abcdefg".index) for i in range(3)]
    assert sorted(sum(parts, [])) == list("abcdefg") and parts[1] == ["b", "e"]
    assert shards.select("abc", None, place="abc".index) == list("abc")
    assert shards.path_of(tmp_path / "failures.csv", (1, 4)) == tmp_path / "failures_1of4.csv"
    assert shards.path_of(tmp_path / "failures.csv", None) == tmp_path / "failures.csv"
    with pytest.raises(ValueError, match="expected i/n"):
        shards.select("abc", (3, 3), place="abc".index)


def test_a_bar_is_for_those_who_watch(monkeypatch):
    with bar("things") as progress, bars() as several:
        assert progress is None and several is None
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with bar("things") as progress:
        progress(1, 2)
