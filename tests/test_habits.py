"""House habits that can be read from the source: every public parameter is named where a reader
looks for it.

A parameter of a function stands in the `Args:` of its docstring, one of a constructor in that of
its class, a field of a dataclass there or in a comment beside it. A method that overrides a
documented one need not repeat what the base says, nor need functions of one signature, such as
laws, what the module says under its own `Args:`.
"""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted(path for room in ("manifolds", "geodiff") for path in (ROOT / room).rglob("*.py"))


def args(docstring: str | None) -> set[str]:
    """Names at the start of the entries of the section `Args:`."""
    lines = iter((docstring or "").splitlines())
    margin = next((len(x) - len(x.lstrip()) for x in lines if x.strip() == "Args:"), None)
    names: set[str] = set()
    if margin is None:
        return names
    for line in lines:
        depth = len(line) - len(line.lstrip())
        if line.strip() and depth <= margin:
            break
        entry = re.match(r"\*{0,2}(\w+): \S", line.strip())
        if entry and depth == margin + 4:
            names.add(entry[1])
    return names


def is_public(name: str) -> bool:
    return not name.startswith("_") or name == "__call__"


def decorators(node: ast.FunctionDef | ast.ClassDef) -> set[str]:
    return {name for d in node.decorator_list for name in re.findall(r"\w+", ast.unparse(d))}


def statements(body: list[ast.stmt]) -> list[ast.stmt]:
    """Statements of a module or class, those under `if` and `try` included."""
    found: list[ast.stmt] = []
    for node in body:
        if isinstance(node, ast.If | ast.Try):
            found += statements([*node.body, *node.orelse])
        else:
            found.append(node)
    return found


@dataclass
class Docs:
    """What the classes of a tree say, by name, so that an override may lean on its bases."""

    methods: dict[str, dict[str, set[str]]]  # of each class: parameters that each method names
    bases: dict[str, list[str]]

    @classmethod
    def of(cls, files: list[Path]) -> "Docs":
        docs = cls({}, {})
        for path in files:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    # Two rooms may have a class of one name.
                    docs.methods.setdefault(node.name, {}).update(
                        {
                            m.name: args(ast.get_docstring(m))
                            for m in statements(node.body)
                            if isinstance(m, ast.FunctionDef)
                        }
                    )
                    docs.bases.setdefault(node.name, []).extend(
                        ast.unparse(b).split(".")[-1] for b in node.bases
                    )
        return docs

    def inherited(self, owner: str, method: str) -> set[str]:
        """Parameters of a method that the bases of a class document."""
        return {
            name
            for base in self.bases.get(owner, [])
            for name in self.methods.get(base, {}).get(method, set()) | self.inherited(base, method)
        }


def parameters(node: ast.FunctionDef) -> list[str]:
    a = node.args
    every = [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg))]
    # `with_run` gives the fields of a run to callers in the place of `run`, each with its line.
    hidden = {"self", "cls"} | ({"run"} if "with_run" in decorators(node) else set())
    return [p.arg for p in every if p.arg not in hidden and not p.arg.startswith("_")]


def fields(node: ast.ClassDef, lines: list[str]) -> list[str]:
    """Fields that the caller of a dataclass gives, without a comment beside or above them."""
    bare = []
    for field in node.body:
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            beside = lines[field.lineno - 1 : field.end_lineno]
            above = lines[field.lineno - 2].strip()
            commented = any("#" in line for line in beside) or above.startswith("#")
            given = "ClassVar" not in ast.unparse(field.annotation) and (
                field.value is None or "init=False" not in ast.unparse(field.value)
            )
            if given and not (commented or field.target.id.startswith("_")):
                bare.append(field.target.id)
    return bare


def unnamed(path: Path, docs: Docs) -> list[str]:
    """Public parameters of a file that no docstring names, as `Class.method(parameter)`."""
    text = path.read_text()
    lines, missing, tree = text.splitlines(), [], ast.parse(text)
    shared = args(ast.get_docstring(tree))

    def visit(body: list[ast.stmt], owner: str) -> None:
        for node in statements(body):
            if isinstance(node, ast.FunctionDef) and is_public(node.name):
                if not decorators(node) & {"overload", "setter"}:
                    named = args(ast.get_docstring(node)) | docs.inherited(owner, node.name)
                    report(f"{owner}.{node.name}", parameters(node), named)
            elif isinstance(node, ast.ClassDef) and is_public(node.name):
                made_by = [m for m in node.body if isinstance(m, ast.FunctionDef)]
                made_by = [m for m in made_by if m.name == "__init__"]
                named = args(ast.get_docstring(node)) | docs.inherited(node.name, "__init__")
                if made_by:
                    named |= args(ast.get_docstring(made_by[0]))
                    report(node.name, parameters(made_by[0]), named)
                elif "dataclass" in decorators(node):
                    report(node.name, fields(node, lines), named)
                visit(node.body, node.name)

    def report(name: str, wanted: list[str], named: set[str]) -> None:
        named = named | shared
        missing.extend(f"{name.lstrip('.')}({p})" for p in wanted if p not in named)

    visit(tree.body, "")
    return missing


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


DOCS = Docs.of(FILES)


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_every_public_parameter_is_named_in_its_docstring(path):
    missing = unnamed(path, DOCS)
    assert not missing, f"no entry under Args: for {', '.join(missing)}"


def test_the_test_sees_a_parameter_that_is_not_named(tmp_path):
    """The control: what is missing is found, what is named, inherited or private is not."""
    path = tmp_path / "module.py"
    path.write_text(
        '''"""A module.

Args:
    law: what many functions take.
"""

@dataclass
class Pair:
    """Two."""

    left: int  # metres
    # seconds
    right: int
    bare: int


class Base:
    def step(self, x, v):
        """Step.

        Args:
            x: point.
            v: tangent
                at: x.
        """


class Derived(Base):
    """A class.

    Args:
        order: of it.
    """

    def __init__(self, order, scale):
        pass

    def step(self, x, v):
        return x

    def _hidden(self, y):
        pass


def verb(x, *, at, law, _private=None, **rest):
    """Do.

    x: in the old way.

    Args:
        rest: anything.

    Returns: at: not an entry.
    """


@with_run(max_steps=1)
def train(data, *, run):
    """Train."""
'''
    )
    assert unnamed(path, Docs.of([path])) == [
        "Pair(bare)",
        "Derived(scale)",
        "verb(x)",
        "verb(at)",
    ] + ["train(data)"]
