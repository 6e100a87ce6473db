"""What a program does never hangs on the words of a message: those are for people."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "codebuddy"
_ERROR_TEXTS = {"message", "hint", "args", "strerror"}
_TEXT_METHODS = {
    *("startswith", "endswith", "find", "rfind", "index", "count", "removeprefix"),
    *("match", "search", "fullmatch", "findall"),
}


def decisions_by_text(source: str) -> list[str]:
    """Comparisons in `source` with the text of an error."""
    tree = ast.parse(source)
    found = []
    for handler_names, node in _with_caught_names(tree):

        def is_text(each: ast.AST, caught: frozenset[str] = handler_names) -> bool:
            if isinstance(each, ast.Attribute):
                # `self.message` of an error's own class, or of anything that carries one.
                return each.attr in _ERROR_TEXTS
            if isinstance(each, ast.Call) and isinstance(each.func, ast.Name):
                is_made_text = each.func.id in {"str", "repr", "format"}
                names = {n.id for a in each.args for n in ast.walk(a) if isinstance(n, ast.Name)}
                return is_made_text and bool(names & caught)
            if isinstance(each, ast.FormattedValue):
                names = {n.id for n in ast.walk(each.value) if isinstance(n, ast.Name)}
                return bool(names & caught)
            return False

        operands: list[ast.AST] = []
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in _TEXT_METHODS
        ):
            operands = [node.func.value, *node.args]
        elif isinstance(node, ast.Match):
            operands = [node.subject]
        if any(is_text(part) for operand in operands for part in ast.walk(operand)):
            line = getattr(node, "lineno", 0)
            found.append(f"{line}: {ast.unparse(node)[:120]}")
    return found


def _with_caught_names(tree: ast.AST) -> list[tuple[frozenset[str], ast.AST]]:
    """Every node with the names that exceptions have around it, in handlers and after them."""
    names = frozenset(
        node.name for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.name
    )
    return [(names, node) for node in ast.walk(tree)]


@pytest.mark.parametrize(
    "line",
    [
        'if "answered" in error.message: pass',
        'if error.message.startswith("a message is"): pass',
        'if "locked" in str(error).lower(): pass',
        'if error.hint == "try again": pass',
        'if error.args[0] == "gone": pass',
        'if re.search("gone", str(error)): pass',
        'if "x" in f"{error}": pass',
        'if error.strerror == "No such file": pass',
    ],
)
def test_a_decision_by_text_is_found(line):
    """The check sees each way of it."""
    source = f"try:\n    pass\nexcept OSError as error:\n    {line}\n"
    assert decisions_by_text(source)


@pytest.mark.parametrize(
    "line",
    [
        "if isinstance(error, OSError): pass",
        "if error.errno == 2: pass",
        'print(f"{error.message}; {error.hint}")',
        "if error.hint: pass",
        "if error.status in (401, 503): pass",
    ],
)
def test_decisions_by_type_or_code_are_none(line):
    """Types, numbers and words that are only shown."""
    source = f"try:\n    pass\nexcept OSError as error:\n    {line}\n"
    assert decisions_by_text(source) == []


def test_nothing_in_the_package_decides_by_the_text_of_an_error():
    """Errors are told apart by their types and codes."""
    found = {
        str(file.relative_to(PACKAGE)): places
        for file in sorted(PACKAGE.rglob("*.py"))
        if (places := decisions_by_text(file.read_text(encoding="utf-8")))
    }
    assert found == {}
