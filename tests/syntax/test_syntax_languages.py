"""Which language a file is in, and what its grammar says of its words."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from codebuddy import syntax
from codebuddy.syntax.documentation import comment_above
from codebuddy.syntax.rules import LOADERS


@pytest.mark.parametrize(
    ("path", "head", "language"),
    [
        ("a/b.py", b"", "python"),
        ("A.PY", b"", "python"),
        ("x.test.tsx", b"", "tsx"),
        ("src/Makefile", b"", "make"),
        ("Gemfile", b"", "ruby"),
        ("Cargo.lock", b"", "toml"),
        (".gitignore", b"", "text"),
        (".py", b"", "text"),
        ("README", b"", "text"),
        ("notes.unknown", b"#!/bin/sh\n", "text"),
        ("tool", b"#!/usr/bin/env python3.12\n", "python"),
        ("tool", b"#!/usr/bin/env -S FOO=1 node --x\n", "javascript"),
        ("tool", b"#! /usr/local/bin/bash -e\n", "bash"),
        ("tool", b"#!\n", "text"),
        ("tool", b"\xff\xfe\x00", "text"),
        ("a.h", b"int f(void);\n", "c"),
        ("a.h", b"#include <vector>\nclass A;\n", "cpp"),
        ("a.h", b"@interface A\n@end\n", "objc"),
        ("a.m", b"function y = f(x)\n", "text"),
        ("a.m", b"f[x_] := x -> 1\n", "text"),
        ("a.m", b"// A\n#import <A.h>\n", "objc"),
        ("a.m", b"", "objc"),
        ("", b"", "text"),
    ],
)
def test_a_file_is_in_the_language_that_its_name_or_first_line_says(path, head, language):
    """Names count before extensions, extensions before the first line."""
    assert syntax.language_for(path, head) == language


def test_every_installed_grammar_is_used():
    """Each grammar that the project depends on belongs to a language."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    wheels = {
        match[1].replace("-", "_")
        for line in project["project"]["dependencies"]
        if (match := re.match(r"tree-sitter-([\w-]+)", line))
    }
    used = {
        LOADERS.get(name, (f"tree_sitter_{name}",))[0].removeprefix("tree_sitter_")
        for name in syntax.languages()
    }
    assert used == wheels


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("python", {"def", "class", "None", "True", "lambda"}),
        ("javascript", {"function", "const", "this", "null", "async"}),
        ("go", {"func", "nil", "range"}),
        ("rust", {"fn", "impl", "self", "match"}),
        ("sql", {"SELECT", "select", "FROM"}),
    ],
)
def test_keywords_come_from_the_grammar(language, words):
    """A language's reserved words are known, and nothing of the grammar's inside is."""
    found = syntax.keywords(language)
    assert words <= found
    assert not {word for word in found if word.endswith(("_repeat1", "_statement", "_token1"))}


def test_an_unknown_language_has_no_keywords():
    """Where there is no grammar there are no words, and no error."""
    assert syntax.keywords("text") == frozenset()


def test_identifiers_come_in_order_with_repetitions():
    """Names are found in any script; numbers and operators are none."""
    assert syntax.identifiers("größe = a.b(3, _x1) + a # 2nd 0xff") == [
        "größe",
        "a",
        "b",
        "_x1",
        "a",
    ]


@pytest.mark.parametrize(
    ("sign", "line"),
    [
        ("//", "/// Adds two."),
        ("#", "# Adds two."),
        ("--", "-- | Adds two."),
        ("!", "!! Adds two."),
        ("%", "% Adds two."),
    ],
)
def test_a_comment_above_is_documentation_whatever_its_sign(sign, line):
    """A language whose sign no other has needs nothing but its `line_comment`."""
    source = f"x\n\n{line}\nadd(a, b)\n".encode()
    assert comment_above(source, source.index(b"add("), sign) == "Adds two."
    assert comment_above(source, source.index(b"add("), "") == ""
