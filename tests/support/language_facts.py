"""What codebuddy takes for granted of each language, by asking the code that uses it.

`python -m tests.support.language_facts` prints all of `language_facts.toml`,
`... language_facts NAME` what it lacks of one language: its row, and where imports of its family
lead if no language of that family is there yet.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from codebuddy.code_index import CodeIndex
from codebuddy.completion import candidates
from codebuddy.completion.context import find_extent
from codebuddy.completion.expression import Expression
from codebuddy.completion.postprocess import cut_code_fence
from codebuddy.datatypes import Chunk, Context, Definition, Document, Position, ResolvedDefinition
from codebuddy.evaluation.callees import definitions_elsewhere
from codebuddy.evaluation.sites import CallSite, Sites
from codebuddy.index.file_role import subject_of_test
from codebuddy.index.modules import ModuleMap, family_of
from codebuddy.index.outline import signature_form
from codebuddy.index.query import kind_of
from codebuddy.syntax import UNKNOWN, CursorSyntax, grammar, limits, notebook
from codebuddy.syntax.imported import is_same_family
from codebuddy.syntax.languages import (
    EDITOR_IDS,
    KERNEL_NAMES,
    TAG_NAMES,
    extensions,
    languages,
)
from codebuddy.syntax.lexicon import LEXICONS, lexicon_of
from codebuddy.syntax.rules import SPECS, spec_of
from codebuddy.syntax.traits import traits_of

DOCUMENTS = ("notebook", "vue", "svelte", "astro")
NAMES = (*languages(), *DOCUMENTS, UNKNOWN)

FILE = Path(__file__).parents[1] / "syntax" / "language_facts.toml"
_LINE_LENGTH = 80

# A small repository, in files of one suffix, and what a file of it may import.
FILES = """
    pkg/user pkg/util pkg/sub/__init__ pkg/sub/index pkg/sub/mod pkg/sub/part src/main src/lib
    src/deep/inner other/pkg/util lone/thing a/b/src/c
""".split()
IMPORTS = (
    "pkg.util", "pkg/util", "./util", "../pkg/util", "util", ".util", ".", "..sub", "pkg::util",
    "crate::deep::inner", "self::sub", "super::util", "pkg.sub", "pkg.sub.part.Name", "pkg\\util",
    "example.com/me/pkg/sub", "@me/it/pkg/sub", "thing", "lone/thing", "util.h", "package:x/util",
)  # fmt: skip


class SmallIndex:
    """A document `a/main` with a file beside it, which defines a function and a member."""

    def __init__(self, suffix: str) -> None:
        self.beside = f"a/other.{suffix}"
        self.known = {
            "wanted": Definition("wanted", "wanted", "function", self.beside, 1, 2, "wanted", 1),
            "m": Definition("m", "T.m", "method", self.beside, 4, 5, "m", 1),
        }

    def imports(self, _path: str) -> tuple[str, ...]:
        return ()

    def imported_files(self, *_arguments: object) -> list[str]:
        return []

    def sibling_files(self, _path: str) -> list[str]:
        return [self.beside]

    def definitions_of(self, _path: str) -> list[Definition]:
        return list(self.known.values())

    def usage_counts(self, _names: object) -> dict[str, int]:
        return {}

    def definitions(self, _names: object, _per_name: int = 3) -> dict[str, list[Definition]]:
        return {"wanted": [self.known["wanted"]]}

    def definitions_for(self, *_arguments: object) -> dict[str, list[ResolvedDefinition]]:
        return {"wanted": [ResolvedDefinition(self.known["wanted"], "name")]}


def facts_of(language: str) -> dict[str, object]:
    """Every fact of a language, by asking the code that uses it."""
    return {
        **_facts_of_completion(language),
        **_facts_of_calls(language),
        **_facts_of_syntax(language),
        **_facts_of_the_index(language),
        **_facts_of_the_hook(language),
        **_names_elsewhere(language),
    }


def _suffix(language: str) -> str:
    return (extensions(language) or ("unknown",))[0]


def _facts_of_completion(language: str) -> dict[str, object]:
    suffix = _suffix(language)
    document = Document(f"a/main.{suffix}", "", Path(f"/a/main.{suffix}"))
    context = Context(document, Position(1, 1), language, "", "", unresolved=("wanted",))
    found = candidates.find_candidates(context, Expression(), cast("CodeIndex", SmallIndex(suffix)))
    return {
        "is_block_opened_by_words": find_extent(
            "then", "", language, CursorSyntax(opens_block=True, ends_block=True)
        )[0]
        == "block",
        "names_beside": sorted(each.name for each in found["beside"]),
        "defines_names": bool(found["name"]),
        "keeps_code_fences": cut_code_fence("a\n```\nb", context) != "a",
    }


def _facts_of_calls(language: str) -> dict[str, object]:
    index = SmallIndex(_suffix(language))
    call = CallSite("wanted", "", 0, 7, 8)
    sites = Sites(calls=[call])
    return {
        "has_call_sites": traits_of(language).category == "code",
        "knows_names_of_folder": bool(definitions_elsewhere("a/x", language, sites, (), index)),
        "knows_names_of_program": bool(definitions_elsewhere("b/x", language, sites, (), index)),
    }


def _facts_of_syntax(language: str) -> dict[str, object]:
    deep = "".join(f"{' ' * depth}a:\n" for depth in range(300)).encode()
    signs = b"a" + b" + a" * 2000
    spec, lexicon = spec_of(language), lexicon_of(language)
    return {
        "has_grammar": language in SPECS,
        "has_lexicon": language in LEXICONS,
        "line_comment": grammar.line_comment(language),
        "has_single_quoted_strings": spec.single_quoted_strings,
        "needs_statement_end": spec.needs_statement_end,
        "has_string_keys": spec.string_keys,
        "is_indentation_limited": bool(limits.reason_not_to_parse(deep, language)),
        "are_signs_limited": bool(limits.reason_not_to_parse(signs, language)),
        "keyword_prefix": spec.keyword_prefix,
        "has_notebook_magics": notebook.parsable("%magic", language) != "%magic",
        "code_begins_after": lexicon.code_opening,
        "has_words_in_any_case": lexicon.has_any_case,
    }


def _facts_of_the_index(language: str) -> dict[str, object]:
    text = 'def f():\n    """Of f."""\n    return 1'
    chunk = Chunk(1, "a", language, "function", "f", "def f():", 1, 3, 0, len(text), text)
    definition = Definition("f", "f", "function", "a", 1, 3, "def f():", 1)
    return {
        "has_docstrings": "Of f." in signature_form(chunk, [definition]),
        "import_families": _by_suffix(language, lambda suffix: family_of(f"x.{suffix}")),
        "named_as_files": [each for each in extensions(language) if _is_file_name(each)],
    }


def _by_suffix(language, answer):
    found = {suffix: answer(suffix) for suffix in extensions(language)}
    return [f"{suffix} {value}" for suffix, value in found.items() if value]


def _is_file_name(suffix: str) -> bool:
    return kind_of(f"query.{suffix}") == "path"


def _facts_of_the_hook(language: str) -> dict[str, object]:
    traits = traits_of(language)
    return {
        "imports_resolved": traits.import_syntax != "",
        "signatures_compared": "signatures" in traits.analyses,
        "stubs_filled": "stubs" in traits.analyses,
        "functions_importable": traits.has_importable_functions,
        "imports_like": [
            each for each in NAMES if each != language and is_same_family(language, each)
        ],
    }


def _names_elsewhere(language: str) -> dict[str, object]:
    tables = {
        "editor_ids": EDITOR_IDS,
        "kernel_names": KERNEL_NAMES,
        "embedded_names": TAG_NAMES,
    }
    return {
        fact: sorted(name for name, meant in table.items() if meant == language)
        for fact, table in tables.items()
    }


def resolved(family_suffix: str) -> list[str]:
    """Where each of the imports leads, from three files of the small repository."""
    paths = [f"{file}.{family_suffix}" for file in FILES]
    modules = ModuleMap([*paths, "pkg/util.h", "README.md"])
    return [
        f"{importer}: {each} -> {' '.join(found)}"
        for importer in ("pkg/user", "src/lib", "lone/thing")
        for each in IMPORTS
        if (found := modules.resolve([each], f"{importer}.{family_suffix}", ["part"]))
    ]


def as_toml(table: str, facts: Mapping[str, object]) -> str:
    """A row as it would stand in the file."""
    lines = [f"{name} = {_value(value)}" for name, value in facts.items()]
    return "\n".join([f"[{table}]", *lines, ""])


def _value(value: object) -> str:
    written = json.dumps(value)
    if not isinstance(value, list) or len(written) < _LINE_LENGTH:
        return written
    return "\n".join(["[", *(f"    {json.dumps(each)}," for each in value), "]"])


def _missing_rows(language: str) -> str:
    there = tomllib.loads(FILE.read_text(encoding="utf-8"))
    rows = []
    if language not in there["language"]:
        rows.append(as_toml(f"language.{language}", facts_of(language)))
    known = {family_of(f"x.{suffix}") for suffix in there["imports"]}
    for suffix in extensions(language):
        if family_of(f"x.{suffix}") not in known:
            known.add(family_of(f"x.{suffix}"))
            rows.append(as_toml(f"imports.{suffix}", {"leads": resolved(suffix)}))
    return "".join(f"\n{row}" for row in rows)


def _whole_file() -> str:
    suffixes = {family_of(f"x.{s}"): s for name in languages() for s in extensions(name)[::-1]}
    parts = [as_toml(f"language.{name}", facts_of(name)) for name in NAMES]
    parts += [
        as_toml(f"imports.{suffix}", {"leads": resolved(suffix)})
        for suffix in sorted(suffixes.values())
    ]
    names = """test_price.py price_test.go price_benchmark_test.go price_spec.rb PriceTest.java
        PriceTests.cs PriceSpec.scala price.test.ts price.spec.js tests_price.py cost.py
        price.test.helper.ts test.py test_ latest.py PriceTestCase.java pricetest.go""".split()
    rows = [f"{json.dumps(n)} = {json.dumps(subject_of_test(n))}" for n in names]
    parts.append("\n".join(["[test_subjects]", *rows, ""]))
    return "\n".join(parts)


if __name__ == "__main__":
    names = sys.argv[1:]
    print("".join(map(_missing_rows, names)) if names else _whole_file(), end="")
