"""README and the pages of docs tell the truth: their Python runs, their commands parse, CI runs the
command named.
"""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from geodiff import cli

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {
    path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))
}
TEXT = "\n".join([README, *PAGES.values()])
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
COMMANDS = dict(
    re.findall(r"^<!-- command: (\w+) -->\n```bash\n(.*?)\n```", README, re.MULTILINE | re.DOTALL)
)


def geodiff_lines() -> list[str]:
    bash = re.findall(r"^```bash\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`(geodiff [^`]+)`", TEXT)
    return [
        line for block in bash for line in block.splitlines() if line.startswith("geodiff ")
    ] + inline


# what Lightning says of a run of a few steps
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:torch")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:pytorch_lightning")
@pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec")
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[-1][:30])
def test_every_python_block_runs(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "readme"}
    exec(compile(block, "README.md", "exec"), names)
    if "distance" in names:  # the number that the block prints beside what to expect
        assert 0.09 < names["distance"] < 0.16


def test_there_is_python_to_run_on_every_page():
    assert "```python" in README and PAGES
    assert [name for name, text in PAGES.items() if "```python" not in text] == []


def test_every_link_leads_to_a_file():
    for folder, text in [(ROOT, README), *((ROOT / "docs", text) for text in PAGES.values())]:
        prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        paths = [
            path for path in re.findall(r"\]\(([^)#]+)\)", prose) if not path.startswith("http")
        ]
        assert [path for path in paths if not (folder / path).exists()] == []


def test_there_are_exactly_two_setup_commands_and_each_is_one_line():
    assert set(COMMANDS) == {"demo", "tests"}
    for command in COMMANDS.values():
        assert "\n" not in command
        assert command.startswith(
            "python3 -m venv .venv && .venv/bin/pip install -c .ci/constraints.txt "
        )


def test_ci_runs_the_test_command_verbatim():
    printed = subprocess.run(
        [ROOT / ".ci" / "run", "--print"], capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == COMMANDS["tests"]


@pytest.mark.parametrize("line", geodiff_lines())
def test_every_geodiff_command_parses(line):
    words = [w for w in shlex.split(line)[1:] if w != "--help"]
    known, rest = cli.parser(words).parse_known_args(words)
    assert not rest or vars(known)[cli._CHOSEN][2]  # the command takes what it is given


def test_every_file_named_in_the_map_exists():
    rooms = re.search(r"\| room \|.*?\n\n", README, re.DOTALL)[0]
    paths = re.findall(r"`((?:manifolds|geodiff|data|tests)/[\w/.]*)`", rooms)
    assert paths and not [p for p in paths if not (ROOT / p).exists()]
