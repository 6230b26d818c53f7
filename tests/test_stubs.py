"""Editors and type checkers find the public names: the stubs list what loads on first use."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import geodiff

PACKAGES = ["geodiff", *(f"geodiff.{task}" for task in ("conformers", "grasps", "images"))]
PACKAGES.append("geodiff.proteins")


def wanted(package: str) -> dict[str, str]:
    """Where each public name of a package comes from, as its __init__.py has it."""
    module = importlib.import_module(package)
    if package != "geodiff":
        names = {name: f"{place}.{name}" for name, place in module._EXPORTS.items()}
        return module._MODULES | names
    names = {name: f"geodiff.{place}.{name}" for name, place in module._EXPORTS.items()}
    rooms = {room: room for room in module._ROOMS}
    return {n: f"geodiff.{place}" for n, place in {**module._MOVED, **rooms}.items()} | names


def stubbed(package: str) -> dict[str, str]:
    """The same, as the stub has it."""
    found = {}
    path = Path(importlib.import_module(package).__file__).with_suffix(".pyi")
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            base = package if node.level else node.module
            found |= {a.asname: f"{base}.{a.name}" for a in node.names if a.asname == a.name}
        elif isinstance(node, ast.Assign):
            found[node.targets[0].id] = ast.unparse(node.value)
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_the_stub_has_the_names_that_load(package):
    assert stubbed(package) == wanted(package), f"{package}: mend __init__.pyi or __init__.py"


def test_a_type_checker_finds_a_misspelt_name(tmp_path):
    """Names that exist pass, one that does not is an error; mypy is asked."""
    pytest.importorskip("mypy")
    (tmp_path / "right.py").write_text(
        "import geodiff\nfrom geodiff import conformers\n"
        "geodiff.sample, geodiff.objectives, geodiff.proteins.load, conformers.sample\n"
    )
    (tmp_path / "wrong.py").write_text("import geodiff\ngeodiff.sampel\n")
    command = [sys.executable, "-m", "mypy", "--follow-imports=skip", "--config-file=", "right.py"]
    settings = {
        "cwd": tmp_path,
        "capture_output": True,
        "text": True,
        "env": {"MYPYPATH": str(Path(geodiff.__file__).parent.parent)},
    }
    right = subprocess.run(command, **settings)
    assert right.returncode == 0, right.stdout
    wrong = subprocess.run([*command[:-1], "wrong.py"], **settings)
    assert wrong.returncode == 1 and "sampel" in wrong.stdout
