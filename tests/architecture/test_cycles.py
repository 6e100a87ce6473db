"""The architecture, checked: modules import in one direction, inside functions too."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "codebuddy"
FILES = {
    ".".join(["codebuddy", *file.relative_to(PACKAGE).with_suffix("").parts]): file
    for file in PACKAGE.rglob("*.py")
    if file.name != "__init__.py"
}


def is_for_types(node: ast.AST) -> bool:
    """Whether it is `if TYPE_CHECKING:`."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def imports_of(file: Path, *, with_types: bool) -> set[str]:
    """The package's modules that a file imports, anywhere in it."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & FILES.keys() or {node.module}
        elif with_types or not is_for_types(node):
            waiting += ast.iter_child_nodes(node)
    return found & FILES.keys()


def test_no_module_imports_in_a_circle():
    """All modules can be put in an order in which each imports earlier ones only."""
    graph = {name: imports_of(file, with_types=False) for name, file in FILES.items()}
    assert sum(map(len, graph.values())) > len(graph)
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize(
    "package", sorted({name.split(".")[1] for name in FILES if name.count(".") > 1})
)
def test_no_module_of_a_package_needs_a_later_one_for_its_types(package):
    """Types that are named in annotations count too."""
    inside = {name for name in FILES if name.startswith(f"codebuddy.{package}.")}
    graph = {name: imports_of(FILES[name], with_types=True) & inside for name in inside}
    TopologicalSorter(graph).prepare()
