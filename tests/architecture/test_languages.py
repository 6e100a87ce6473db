"""What is known of a language stands in one place: `codebuddy/syntax/`, in a row for each."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from codebuddy.syntax import lexicon, rules, traits
from codebuddy.syntax.languages import MARKUP, NOTEBOOK, languages

PACKAGE = Path(__file__).parent.parent.parent / "codebuddy"
DOCUMENTS = (MARKUP | {NOTEBOOK}) - set(languages())
NAMES = set(languages()) | DOCUMENTS

# Files outside syntax/ that name languages, and why.
ELSEWHERE = {
    "hook/rules/leftovers.py": "each pattern spells one language's debugger; nothing else asks",
    "training/sources.py": "data of the shipped weights: another table is another model",
    "commands/hook.py": "`json` is a format of the report",
    "robustness/dead_code.py": "a rewriting spells one language's statements; nothing else asks",
    "robustness/loops.py": "a rewriting spells one language's statements; nothing else asks",
    "robustness/names.py": "a rewriting spells one language's statements; nothing else asks",
    "robustness/operands.py": "a rewriting spells one language's statements; nothing else asks",
    "robustness/statements.py": "a rewriting spells one language's statements; nothing else asks",
    "robustness/catalog.py": "which language a change of the table serves; nothing else asks",
    "robustness/checks.py": "Python alone is parsed by its own parser besides",
    "inference/own_adapters.py": "`json` is a card of an adapter",
    "training/embedder/asking.py": "data of the shipped weights: how people call a language",
    "training/packages.py": "`json` is a file of a package's description",
}


def findings(source: str) -> Iterator[tuple[int, str]]:
    """(line, what) of each literal with two names of languages and each comparison with one."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            for side in (node.left, *node.comparators):
                inner = side.elts if isinstance(side, ast.Set | ast.Tuple | ast.List) else [side]
                yield from ((node.lineno, f"compares with {name}") for name in _names(inner))
        elif isinstance(node, ast.MatchValue):
            yield from ((node.lineno, f"matches {name}") for name in _names([node.value]))
        elif isinstance(node, ast.Set | ast.Tuple | ast.List | ast.Dict):
            several: list[Sequence[ast.expr | None]] = (
                [node.keys, node.values] if isinstance(node, ast.Dict) else [node.elts]
            )
            for each in several:
                if len(set(_names(each))) > 1:
                    yield node.lineno, f"lists {' '.join(_names(each))}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            words = re.split(r"[\s,|]+", node.value.strip())
            known = NAMES & set(words)
            if len(known) > 1 and len(known) * 2 > len(words):
                yield node.lineno, f"spells {' '.join(sorted(known))}"


def _names(nodes: Sequence[ast.expr | None]) -> list[str]:
    return [node.value for node in nodes if isinstance(node, ast.Constant) and node.value in NAMES]


@pytest.mark.parametrize(
    "table",
    [rules.SPECS, lexicon.LEXICONS, traits.TRAITS],
    ids=["SPECS", "LEXICONS", "TRAITS"],
)
def test_every_language_has_a_row(table):
    """Grammar, tokens and conventions are given for each language, and for nothing unknown."""
    assert set(languages()) <= set(table) <= NAMES


def test_documents_that_embed_code_have_conventions_and_a_grammar():
    """They have no tokens of their own, but what they are is said."""
    assert set(rules.SPECS) == set(traits.TRAITS) == NAMES


def test_a_row_of_conventions_leaves_nothing_out():
    """No field has a default: who adds a language answers each."""
    missing = dataclasses.MISSING
    fields = dataclasses.fields(traits.LanguageTraits)
    assert [f.name for f in fields if (f.default, f.default_factory) != (missing, missing)] == []


def test_the_page_of_languages_has_a_row_for_each():
    """What is read of each language is told, and nothing is told of others."""
    page = (PACKAGE.parent / "docs" / "languages.md").read_text(encoding="utf-8")
    table = page.partition("| language |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| ([a-z_, ]+) \|", table, re.MULTILINE)
    assert sorted(name for row in rows for name in row.split(", ")) == sorted(languages())


@pytest.mark.parametrize(
    "source",
    [
        'names = {"python", "rust"}',
        'names = ["go", other, "c"]',
        'table = {"go": 1, "ruby": 2}',
        'table = {1: "go", 2: "ruby"}',
        'names = frozenset("go rust swift".split())',
        'pattern = "python|ruby"',
        'if language == "python": ...',
        'if "php" != language: ...',
        'if language in ("cpp", other): ...',
        'match language:\n    case "sql":\n        ...',
    ],
)
def test_names_of_languages_are_found(source):
    """Each way to write down a fact about languages is seen."""
    assert list(findings(source))


@pytest.mark.parametrize(
    "source",
    [
        'language = "python"',
        'parse(source, "html")',
        '"""Python, Go and Rust import by paths, and make goes another way."""',
        'if kind == "function": ...',
        'message = "go to the file and make it shorter"',
    ],
)
def test_other_texts_are_not(source):
    """One name alone is an argument, and prose is no list."""
    assert not list(findings(source))


def test_facts_about_languages_stand_in_syntax_alone():
    """Outside it nothing lists languages or compares with one, but for what has a reason."""
    found: dict[str, list[tuple[int, str]]] = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        path = file.relative_to(PACKAGE).as_posix()
        if not path.startswith("syntax/"):
            found[path] = list(findings(file.read_text(encoding="utf-8")))
    assert {path: each for path, each in found.items() if each and path not in ELSEWHERE} == {}
    assert [path for path in ELSEWHERE if not found.get(path)] == []
