"""Inputs that hurt parsers: each is analysed, covered, and refused where that is safer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from codebuddy import syntax
from codebuddy.index.analysis import analyze
from codebuddy.index.chunk import MAX_BYTES
from tests.support.interrupts import interrupted_in
from tests.support.syntax import analysed, uncovered

DEEP = 100_000

# name -> language, source, what the fallback must be; `None` where either way is right.
HOSTILE: dict[str, tuple[str, bytes, str | None]] = {
    "open parentheses": ("python", b"(" * DEEP, "too deep"),
    "balanced parentheses": ("python", b"(" * DEEP + b")" * DEEP, "too deep"),
    "open braces": ("javascript", b"{" * DEEP, "too deep"),
    "nested arrays": ("json", b"[" * DEEP + b"]" * DEEP, "too deep"),
    "nested calls": ("typescript", b"f(" * DEEP, "too deep"),
    "nested type arguments": ("java", b"T<" * DEEP, "too deep"),
    "nested type arguments on lines": ("java", b"T<\n" * 40_000, "too deep"),
    "nested templates": ("c_sharp", b"template<" * 20_000, "too deep"),
    "signs without end": ("elixir", b"a +\n" * 20_000, "too deep"),
    "nested YAML sequences": ("yaml", b"- " * 5000, "too deep"),
    "bytes that no lexer takes": ("lua", b"\xff" * 64_000, None),
    "backticks before code": ("scala", b"`" * 36_000 + b"=>" * 2000 + b"`" * 12_000, None),
    "NUL late in a scanner": ("bash", b"x=1\n" * 5000 + b"\0", "binary"),
    "shallow brackets": ("python", b"f(" * 4000 + b")" * 4000, ""),
    "negations": ("python", b"-" * DEEP + b"1", None),
    "attribute chain": ("python", b"a" + b".b()" * 20_000, None),
    "nested blocks": ("python", b"".join(b" " * n + b"if x:\n" for n in range(2000)), None),
    "quotes": ("javascript", b"\"'" * 50_000, None),
    "backticks": ("bash", b"`" * 20_000, None),
    "nested quotes": ("markdown", b"> " * 20_000, None),
    "nested lists": ("markdown", b"".join(b" " * (2 * n) + b"- a\n" for n in range(500)), None),
    "nested mappings": ("yaml", b"".join(b" " * n + b"a:\n" for n in range(2000)), "too deep"),
    "mappings nested less": ("yaml", b"".join(b" " * n + b"a:\n" for n in range(180)), ""),
    "nested tags": ("html", b"<div>" * 20_000, None),
    "open comment": ("c", b"/*" * DEEP, None),
    "open conditionals": ("c", b"#if 1\n" * 20_000, None),
    "a line of 50 MB": ("python", b"a" * 50_000_000, "too large"),
    "a line of 3 MB": ("python", b"x = '" + b"a" * 3_000_000 + b"'", ""),
    "NUL at the beginning": ("c", b"\0" * 5000, "binary"),
    "NUL at the end": ("bash", b"x=1\n" * 5000 + b"\0" * 100_000, "binary"),
    "UTF-16": ("python", "x = 1\n".encode("utf-16") * 2000, "binary"),
    "UTF-16 without NUL": ("python", b"\xff\xfe" + b"\x01\x4e" * 2000, "binary"),
    "no UTF-8": ("python", b"x = '\xff\xfe\xe9'\n" * 500, ""),
    "cut-off character": ("rust", 'fn f() { "é" }'.encode()[:-4], ""),
    "byte order mark and CRLF": ("python", b"\xef\xbb\xbfx = 1\r\n" * 500, ""),
    "lone carriage returns": ("python", b"x = 1\r" * 5000, None),
    "control characters": ("go", bytes(range(1, 32)) * 500, None),
    "blank lines": ("python", b"\n" * 100_000, ""),
    "nothing but spaces": ("go", b" " * 100_000, ""),
    "one line break": ("ruby", b"\n", ""),
    "many definitions": ("c", b"int f(int a) { return g(a); }\n" * 5000, None),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_covered(name):
    """No input crashes the analysis; the chunks cover it, and none is longer than allowed."""
    language, source, fallback = HOSTILE[name]
    analysis = analysed(language, source)
    assert uncovered(source, analysis) == ""
    assert max(each.end_byte - each.start_byte for each in analysis.chunks) <= MAX_BYTES
    if fallback is not None:
        assert analysis.fallback == fallback


@pytest.mark.parametrize("name", HOSTILE)
def test_completion_survives_a_hostile_file(name):
    """Names, places, errors and blocks of the same inputs are answered too."""
    language, source, _ = HOSTILE[name]
    middle = len(source) // 2
    assert syntax.syntax_at(source, language, middle).inside in ("code", "comment", "string")
    assert isinstance(syntax.names_in(source, language).defined, frozenset)
    assert syntax.count_errors(source, language) >= -1
    assert (syntax.block_end(source, language, middle) or middle) >= middle


def test_a_deadline_that_has_passed_means_no_tree():
    """Parsing stops when its time is over, and says so with nothing."""
    source = b"x = [1, 2, 3]\n" * 50_000
    assert syntax.parse(source, "python", budget_ms=0) is None
    assert syntax.parse(b"x = 1\n", "python") is not None


@pytest.mark.parametrize("callback", ["read", "is_late"])
@pytest.mark.parametrize("character", ["x", "\u00e9"])
def test_ctrl_c_inside_a_callback_of_the_parser_is_ctrl_c(callback, character):
    """It ends the parse, and is neither lost nor an error of the interpreter."""
    source = f"{character} = [1, 2, 3]\n".encode() * 50_000
    with interrupted_in(callback, call=5), pytest.raises(KeyboardInterrupt):
        syntax.parse(source, "python", budget_ms=60_000)
    assert syntax.parse(source, "python", budget_ms=60_000) is not None


def test_a_file_without_time_falls_back(monkeypatch):
    """A file that cannot be parsed in its time is cut by lines, and the reason is told."""
    source = b"x = [1, 2, 3]\n" * 50_000
    monkeypatch.setattr("codebuddy.index.parts.PARSE_BUDGET_MS", 0)
    analysis = analyze("a.py", source)
    assert analysis.fallback == "deadline"
    assert uncovered(source, analysis) == ""


@pytest.mark.process
@pytest.mark.slow
def test_a_slice_of_the_fuzzing_holds():
    """Samples of every language damaged at random neither crash nor stay uncovered."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.fuzz_syntax", "--count", "9", "--first", "500"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stdout.splitlines()[-1]
    assert last == f"{9 * len(syntax.languages())} files, 0 languages failed", done.stdout
