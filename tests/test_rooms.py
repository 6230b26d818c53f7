"""The rooms and what each may import: one way, never sideways; from the source and a fresh
interpreter.
"""

import ast
import json
import subprocess
import sys
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIGHTNING = {"pytorch_lightning", "lightning"}
HEAVY = {"rdkit", "torch_geometric", "pytorch_lightning", "lightning", "e3nn", "Bio"}
# Which rooms each room may import, besides itself; a folder that is not here is a task.
GROUND = {"ground"}  # files, paths, lazy, console, options, task: the standard library alone
BELOW_TASKS = {
    "ground",
    "manifolds",
    "process",
    "domains",
    "networks",
    "training",
    "jobs",
    "pictures",
}
MAY = {
    "ground": set(),
    "manifolds": set(),
    "process": GROUND | {"manifolds"},
    "networks": GROUND | {"manifolds"},
    "jobs": GROUND,
    "pictures": GROUND,
    "domains": GROUND | {"manifolds", "jobs", "pictures"},
    "training": GROUND | {"manifolds", "process", "networks", "jobs"},
}
TOP = {"cli", "__main__", "demo", "doctor", "testing"}  # may import everything


def module_name(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


def imports(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it, by full name; names of `from` imports
    appended.
    """
    found, package = set(), module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


FILES = sorted(path for room in ("manifolds", "geodiff") for path in (ROOT / room).rglob("*.py"))


def room(module: str) -> str | None:
    """The room of a module: a key of MAY, the name of a task, "top"; None for what is not ours."""
    parts = module.split(".")
    if parts[0] == "manifolds":
        return "manifolds"
    if parts[0] != "geodiff":
        return None
    name = parts[1] if len(parts) > 1 else ""
    if name in MAY or (ROOT / "geodiff" / name / "__init__.py").is_file() and name:
        return name
    return "top" if name in TOP else "ground"


def outside(modules: set[str]) -> set[str]:
    """Installed packages among the imports: neither ours nor the standard library."""
    roots = {module.split(".")[0] for module in modules} - {"geodiff", "manifolds"}
    return roots - set(sys.stdlib_module_names)


def may_import(here: str, there: str) -> bool:
    """Whether a module of room `here` may import one of room `there`; tasks never import each
    other.
    """
    return here in ("top", there) or there in MAY.get(here, BELOW_TASKS)


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_go_one_way(path):
    here = room(module_name(path))
    wrong = {
        m for m in imports(path) if (there := room(m)) is not None and not may_import(here, there)
    }
    assert not wrong, f"{module_name(path)}, of room {here}, may not import {sorted(wrong)}"


@pytest.mark.parametrize(
    "path", [p for p in FILES if room(module_name(p)) == "manifolds"], ids=module_name
)
def test_manifolds_need_torch_only(path):
    extra = {"geomstats", "numpy"} if path.stem == "geomstats" else set()
    assert outside(imports(path)) <= {"torch"} | extra


@pytest.mark.parametrize(
    "path", [p for p in FILES if room(module_name(p)) == "process"], ids=module_name
)
def test_the_process_needs_torch_and_a_few_plain_packages_only(path):
    assert outside(imports(path)) <= {"torch", "scipy", "numpy"}


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_outside_libraries_stay_in_their_rooms(path):
    here, found = room(module_name(path)), outside(imports(path))
    assert here == "training" or not found & LIGHTNING, "Lightning belongs to geodiff.training"
    of_things = {"rdkit", "Bio", "gemmi", "torch_geometric", "trimesh", "h5py", "mujoco", "coacd"}
    assert here in {"domains", "top"} or here not in MAY or not found & of_things
    assert here == "networks" or "e3nn" not in found, "e3nn belongs to geodiff.networks"
    never = {"torch_cluster", "torch_scatter", "pyg_lib", "torchvision", "litdata", "torchsde"}
    assert not found & never, "these do not install everywhere or break beside a CPU torch"


def modules_after(statement: str) -> set[str]:
    """Top-level modules loaded in a fresh interpreter after `statement`."""
    loaded = "json.dumps(sorted(m.split('.')[0] for m in sys.modules))"
    code = f"import sys, json; {statement}; print({loaded})"
    command = [sys.executable, "-W", "error", "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    return set(json.loads(run.stdout))


PROCESS = sorted(module_name(path) for path in (ROOT / "geodiff" / "process").rglob("*.py"))


@pytest.mark.parametrize(
    "statement", ["import geodiff", "import " + ", ".join(PROCESS)], ids=["geodiff", "process"]
)
def test_importing_geodiff_pulls_in_no_heavy_library(statement):
    assert not modules_after(statement) & HEAVY


def test_importing_manifolds_costs_what_torch_costs():
    assert modules_after("import manifolds, manifolds.heat, manifolds.registration") <= (
        modules_after("import torch") | set(sys.stdlib_module_names) | {"manifolds"}
    )


def test_the_test_sees_a_wrong_import(tmp_path):
    """The control: a task that imports another, and a manifold that imports the core, are
    caught.
    """
    assert not may_import("conformers", room("geodiff.proteins.datasets"))
    assert not may_import("manifolds", room("geodiff.process.clocks.Clock"))
    assert not may_import("process", room("geodiff.networks"))
    assert not may_import("networks", room("geodiff.process.corruption"))
    assert not may_import("domains", room("geodiff.process.field"))
    assert not may_import("training", room("geodiff.conformers.datasets"))
    assert may_import("conformers", room("geodiff.networks.transformer"))
    assert may_import("top", "conformers")
    heun = ROOT / "geodiff" / "process" / "samplers" / "heun.py"
    assert "geodiff.process.samplers.base.Stepper" in imports(heun)


def tree_of_imports(paths: Iterable[Path]) -> dict[str, set[str]]:
    """Which of these files each imports, by module: at the top, inside functions, for types."""
    known = {module_name(path): imports(path) for path in paths}
    either = {  # `from a import b` is of the file a.b, or else of a
        name: {full if full in known else full.rpartition(".")[0] for full in found}
        for name, found in known.items()
    }
    return {name: found & set(known) for name, found in either.items()}


def circle_of(tree: dict[str, set[str]]) -> list[str]:
    """Files of which each is imported by the next, back to the first; none without a circle."""
    try:
        TopologicalSorter(tree).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_file_imports_itself_in_a_circle():
    """Not even inside a function or for types alone: whatever a file builds on can be read, and
    moved, without it.
    """
    tree = tree_of_imports(FILES)
    assert "manifolds.heat.sphere" in tree["manifolds.sphere"]
    assert not circle_of(tree)
    tree["manifolds.base"].add("manifolds.sphere")
    assert {"manifolds.base", "manifolds.sphere"} <= set(circle_of(tree))


@pytest.mark.parametrize(
    "back",
    [
        "import room.sphere",
        "from room.sphere import Sphere",
        "from . import sphere",
        "def space():\n    from room import sphere\n    return sphere.Sphere()",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from room.sphere import Sphere",
    ],
)
def test_the_test_sees_a_circle(back, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    sources = {"sphere.py": "from room.kernel import Kernel", "kernel.py": back, "__init__.py": ""}
    for name, source in sources.items():
        (tmp_path / "room").mkdir(exist_ok=True)
        (tmp_path / "room" / name).write_text(source)
    tree = tree_of_imports((tmp_path / "room").iterdir())
    assert set(circle_of(tree)) == {"room.sphere", "room.kernel"}
    del tree["room.kernel"]
    assert not circle_of(tree)


def classes_below(roots: set[str], trees: dict[Path, ast.AST]) -> dict[str, Path]:
    """Every class that descends from one of these names, and the file that defines it."""
    found: dict[str, Path] = {}
    while True:
        new = {
            node.name: path
            for path, tree in trees.items()
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef)
            and node.name not in found
            and {named(base) for base in node.bases} & (roots | set(found))
        }
        if not new:
            return found
        found |= new


def named(node: ast.AST) -> str:
    """The last name of a dotted one, "" for anything else."""
    return getattr(node, "attr", getattr(node, "id", ""))


def questions(tree: ast.AST) -> list[tuple[int, set[str]]]:
    """Lines that ask for the class of something, with the names and words they compare it with."""
    asked = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and named(node.func) in ("isinstance", "issubclass"):
            asked.append((node.lineno, ast.walk(node.args[1])))
        elif isinstance(node, ast.Compare) and any(
            isinstance(part, ast.Call)
            and named(part.func) == "type"
            or named(part) in ("__class__", "__name__")
            for part in (node.left, *node.comparators)
        ):
            asked.append((node.lineno, ast.walk(node)))
        elif isinstance(node, ast.Dict):  # a table by class asks as well
            asked.append((node.lineno, [key for key in node.keys if named(key)]))
    words = lambda part: part.value if isinstance(part, ast.Constant) else named(part)  # noqa: E731
    return [(line, {str(words(part)) for part in parts}) for line, parts in asked]


def nosy(trees: dict[Path, ast.AST]) -> list[str]:
    """Places that ask if a space, a kernel or a corruption is one of a kind, outside its file."""
    kinds = classes_below({"Manifold", "Kernel", "Corruption"}, trees)
    return [
        f"{path.name}:{line} asks for {name}"
        for path, tree in trees.items()
        for line, names in questions(tree)
        for name in sorted(names & set(kinds))
        if kinds[name] != path
    ]


def test_nobody_asks_what_a_space_is():
    """A space, a kernel and a corruption say themselves what is true of them."""
    trees = {path: ast.parse(path.read_text()) for path in FILES}
    kinds = classes_below({"Manifold", "Kernel", "Corruption"}, trees)
    assert {"SO3", "Power", "Poses", "PowerKernel", "Gaussian", "HeatKernel"} <= set(kinds)
    assert not nosy(trees)


@pytest.mark.parametrize(
    "asks",
    [
        "isinstance(space, Torus)",
        "isinstance(space, (int, manifolds.Torus))",
        "issubclass(kind, Torus | None)",
        "type(space) is Torus",
        "type(space).__name__ in ('Torus', 'Sphere')",
        "space.__class__ == Torus",
        "{manifolds.Torus: 1, int: 2}[type(space)]",
    ],
)
def test_the_test_sees_whoever_asks(asks):
    defined = {Path("torus.py"): ast.parse("class Torus(Manifold): ...")}
    assert nosy(defined | {Path("other.py"): ast.parse(asks)}) == ["other.py:1 asks for Torus"]
    assert not nosy(defined | {Path("other.py"): ast.parse("isinstance(space, Manifold)")})
    assert not nosy({Path("torus.py"): ast.parse(f"class Torus(Manifold): ...\n{asks}")})
