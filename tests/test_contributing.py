"""CONTRIBUTING and CHANGELOG tell the truth: blocks run, files named are there, moved names are
found.
"""

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
GUIDE = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
CHANGES = (ROOT / ".github" / "CHANGELOG.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## A new (\w+)\n(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL))
MOVED = re.search(r"^\| was \| is \|\n.*?\n\n", CHANGES, re.MULTILINE | re.DOTALL)[0]


def test_there_is_a_section_for_everything_that_can_be_added():
    assert set(SECTIONS) == {"space", "stepper", "guide", "network", "task"}


@pytest.mark.parametrize("section", SECTIONS)
def test_the_block_of_every_section_runs(section, monkeypatch, tmp_path):
    (block,) = re.findall(r"^```python\n(.*?)^```", SECTIONS[section], re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "toy_task"))
    module = ModuleType("contributing")  # a law pickles the space, which needs a module to be in
    monkeypatch.setitem(sys.modules, "contributing", module)
    exec(compile(block, f"CONTRIBUTING.md: {section}", "exec"), vars(module))


def test_every_file_named_is_there():
    named = re.findall(r"`((?:manifolds|geodiff|tests|\.ci)/[\w/.]*)`", GUIDE)
    assert named and [path for path in named if not (ROOT / path).exists()] == []


def test_what_has_moved_is_where_the_changelog_says():
    rows = [line.split("|")[2] for line in MOVED.strip().splitlines()[2:]]
    names = [name for row in rows for name in re.findall(r"`([\w.]+)`", row)]
    assert names
    for name in names:
        importlib.import_module(name)
