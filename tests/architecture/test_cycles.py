"""The architecture, checked: modules import in one direction, types and functions included."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "codebuddy"


def imports_of(file: Path, modules: set[str]) -> set[str]:
    """Which of `modules` a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & modules or {node.module}
    return found & modules


@pytest.mark.parametrize("package", ["tui"])
def test_no_module_of_a_package_imports_in_a_circle(package):
    """The modules of a package can be put in an order in which each imports earlier ones only."""
    files = {
        ".".join(["codebuddy", *file.relative_to(PACKAGE).with_suffix("").parts]): file
        for file in (PACKAGE / package).rglob("*.py")
        if file.name != "__init__.py"
    }
    graph = {name: imports_of(file, set(files)) for name, file in files.items()}
    assert sum(map(len, graph.values())) > len(graph)
    TopologicalSorter(graph).prepare()
