"""The package imports cheaply, finds its data however it was installed, and refuses a foreign
`manifolds`.
"""

import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import geodiff
from geodiff import conformers
from geodiff.paths import data_path, data_root

ROOT = Path(__file__).resolve().parent.parent
PRINT_DATA = """
import geodiff, geodiff.paths
print(geodiff.__file__)
print(geodiff.paths.data_path("viewer", "3Dmol-min.js"))
"""

needs_checkout = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").exists(), reason="not a checkout of the repository"
)


def python(code: str, *path: Path, cwd: Path, bare: bool = False) -> subprocess.CompletedProcess:
    """Run `code` in a fresh interpreter that finds packages in `path` first; bare: and nowhere
    else.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, path)),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, *(["-S"] if bare else []), "-c", code]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120
    )


def build(backend_call: str, out: Path, source: Path) -> Path:
    """A wheel of `source` made by a hook of the build backend, in its own process, without the
    network.
    """
    code = f"import hatchling.build as b; print(b.{backend_call}({str(out)!r}))"
    done = python(code, cwd=source)
    assert done.returncode == 0, done.stderr
    return out / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of what a build needs, so that nothing is written into the checkout."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("geodiff", "manifolds", "data"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@needs_checkout
def test_a_wheel_carries_both_packages_and_the_data(source, tmp_path):
    pytest.importorskip("hatchling")
    wheel = build("build_wheel", tmp_path, source)
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    done = python(PRINT_DATA, site, cwd=tmp_path, bare=True)
    assert done.returncode == 0, done.stderr
    module, data = map(Path, done.stdout.split("\n")[:2])
    assert module == site / "geodiff" / "__init__.py"
    assert data == site / "geodiff" / "_data" / "viewer" / "3Dmol-min.js"
    assert data.read_bytes() == data_path("viewer", "3Dmol-min.js").read_bytes()
    assert (site / "manifolds").is_dir()
    assert {p.name for p in site.iterdir() if not p.name.endswith(".dist-info")} == {
        "geodiff",
        "manifolds",
    }
    assert all((site / name / "py.typed").is_file() for name in ("geodiff", "manifolds"))
    (entry,) = site.glob("*.dist-info/entry_points.txt")
    assert "geodiff = geodiff.__main__:main" in entry.read_text()


@needs_checkout
def test_an_editable_install_finds_the_data_of_the_checkout(source, tmp_path):
    pytest.importorskip("hatchling")
    pytest.importorskip("editables")
    wheel = build("build_editable", tmp_path, source)
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    done = python(
        f"import site; site.addsitedir({str(site)!r})\n{PRINT_DATA}", cwd=tmp_path, bare=True
    )
    assert done.returncode == 0, done.stderr
    module, data = map(Path, done.stdout.split("\n")[:2])
    assert module == source / "geodiff" / "__init__.py"
    assert data == source / "data" / "viewer" / "3Dmol-min.js"


def test_data_path_names_what_is_missing_and_what_is_there():
    with pytest.raises(FileNotFoundError, match="3Dmol-min.js"):
        data_path("viewer", "4Dmol.js")


def test_data_path_stays_inside_the_data_folder():
    with pytest.raises(ValueError, match="inside"):
        data_path("..", "geodiff")
    assert data_path() == data_root()


def test_importing_geodiff_pulls_in_no_outside_library(tmp_path):
    done = python(
        "import sys, geodiff, geodiff.conformers, geodiff.cli; "
        "print([m for m in ('torch', 'numpy', 'rdkit', 'torch_geometric', 'pytorch_lightning', "
        "'e3nn', 'Bio', 'jsonargparse', 'rich') if m in sys.modules])",
        Path(geodiff.__file__).parent.parent,
        cwd=tmp_path,
    )
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("name", sorted(geodiff._EXPORTS))
def test_every_exported_name_exists(name):
    assert getattr(geodiff, name) is not None
    assert name in dir(geodiff)


@pytest.mark.parametrize("name", sorted([*conformers._EXPORTS, *conformers._MODULES]))
def test_every_exported_name_of_conformers_exists(name):
    assert getattr(conformers, name) is not None
    assert name in dir(conformers)


@pytest.mark.parametrize("room", geodiff._ROOMS)
def test_every_room_is_reached_as_an_attribute(room):
    assert getattr(geodiff, room) is importlib.import_module(f"geodiff.{room}")


@pytest.mark.parametrize("package", (geodiff, conformers))
def test_a_name_that_does_not_exist_is_answered_with_those_that_do(package):
    with pytest.raises(AttributeError, match="sample"):
        package.simple  # noqa: B018


@pytest.mark.parametrize("stranger", ("manifolds.py", "manifolds/__init__.py"))
def test_a_foreign_package_called_manifolds_is_refused_with_the_cure(tmp_path, stranger):
    (tmp_path / stranger).parent.mkdir(exist_ok=True)
    (tmp_path / stranger).write_text("")
    done = python("import geodiff", tmp_path, Path(geodiff.__file__).parent.parent, cwd=tmp_path)
    assert done.returncode == 1
    message = done.stderr.strip().splitlines()[-1]
    assert (
        message.startswith("ImportError")
        and str(tmp_path) in message
        and "pip uninstall manifolds" in message
    )


def test_a_foreign_distribution_in_the_same_folder_is_named_with_the_cure(tmp_path):
    for name in ("geodiff", "manifolds"):
        shutil.copytree(Path(geodiff.__file__).parent.parent / name, tmp_path / name)
    (tmp_path / "geodiff-0.9.5.dist-info").mkdir()
    done = python("import geodiff", tmp_path, cwd=tmp_path)
    assert done.returncode == 0
    assert "RuntimeWarning" in done.stderr and "geodiff-0.9.5" in done.stderr
    assert "pip uninstall geodiff`" in done.stderr


def test_the_command_says_so_when_a_foreign_distribution_has_overwritten_ours(tmp_path):
    shutil.copytree(Path(geodiff.__file__).parent, tmp_path / "geodiff")
    (tmp_path / "geodiff" / "__init__.py").write_text("")
    done = python(
        "import sys, geodiff.__main__; sys.exit(geodiff.__main__.main())", tmp_path, cwd=tmp_path
    )
    assert done.returncode == 2
    assert str(tmp_path) in done.stderr and "pip uninstall geodiff`" in done.stderr


def test_doctor_names_a_distribution_that_shares_our_folders(monkeypatch):
    from geodiff import doctor

    owners = {"geodiff": ["geodiff", "geodiff-manifolds"], "manifolds": ["geodiff-manifolds"]}
    monkeypatch.setattr(doctor.importlib.metadata, "packages_distributions", lambda: owners)
    lines, healthy = doctor.examine()
    assert not healthy
    assert len([line for line in lines if "pip uninstall geodiff, then" in line]) == 1


@needs_checkout
def test_no_advice_installs_the_foreign_distribution():
    wrong = re.compile(r"pip install [^`\n]*(?<![\w./-])geodiff(?![\w-])")
    texts = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    texts += [
        p for room in ("geodiff", "manifolds", "examples") for p in (ROOT / room).rglob("*.py")
    ]
    assert [path.name for path in texts if wrong.search(path.read_text(encoding="utf-8"))] == []


@needs_checkout
def test_pyproject_pins_nothing_and_ci_pins_every_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [
        *project["dependencies"],
        *extras["test"],
        *extras["geomstats"],
        *extras["grasp"],
        *extras["viz"],
    ]
    assert not [w for w in [*project["dependencies"], *sum(extras.values(), [])] if "==" in w]
    tested = {
        re.split(r"[=<]", line)[0]
        for line in (ROOT / ".ci" / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    }
    names = {re.split(r"[\[<>=]", w)[0] for w in wanted} - {"geodiff-manifolds"}
    assert names <= tested
