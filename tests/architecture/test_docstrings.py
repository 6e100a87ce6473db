"""Docstrings name what is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "codebuddy"
_ARGUMENTS = re.compile(r"^Args:\n((?:    .*\n|\n)+)", re.MULTILINE)
_NAME = re.compile(r"^    \**(\w+):", re.MULTILINE)


def test_arguments_in_docstrings_are_parameters():
    """A parameter that is renamed is renamed in its docstring too."""
    wrong = []
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            section = _ARGUMENTS.search((ast.get_docstring(node) or "") + "\n")
            taken = node.args
            every = [*taken.posonlyargs, *taken.args, *taken.kwonlyargs, taken.vararg, taken.kwarg]
            known = {each.arg for each in every if each is not None}
            named = set(_NAME.findall(section[1])) if section else set()
            wrong += [f"{file.name}:{node.name} {name}" for name in sorted(named - known)]
    assert wrong == []
