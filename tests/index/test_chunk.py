"""Where files are cut: every byte once, whole definitions, statement borders, joined crumbs."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from codebuddy.index.analysis import analyze
from codebuddy.index.chunk import IDEAL_BYTES, MAX_BYTES, cut_by_lines
from codebuddy.syntax.languages import languages
from tests.support.syntax import analysed, mutated, uncovered


def texts(language: str, source: str) -> list[str]:
    """The chunks' texts."""
    data = source.encode()
    return [
        data[each.start_byte : each.end_byte].decode() for each in analysed(language, data).chunks
    ]


def statements(count: int, indent: str = "    ") -> str:
    """So many statements of 50 bytes."""
    return "".join(
        f"{indent}value_{index:04} = compute_{index:04}(value, {index:04})\n"
        for index in range(count)
    )


@given(st.sampled_from(languages()), st.binary(max_size=6000))
@settings(max_examples=150, deadline=None)
def test_random_bytes_are_covered_once(language, source):
    """Whatever the bytes are, the chunks cover each of them exactly once, in order."""
    assert uncovered(source, analysed(language, source)) == ""


@given(st.sampled_from(languages()), st.integers(0, 10**9))
@settings(max_examples=150, deadline=None)
def test_damaged_samples_are_covered_once(language, seed):
    """The same holds for samples damaged at random."""
    name, source = mutated(language, seed)
    assert uncovered(source, analyze(name, source)) == ""


@given(st.text(max_size=4000), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_long_lines_are_cut_between_characters(text, blanks):
    """Cuts inside a line fall between UTF-8 characters, and no chunk is longer than allowed."""
    source = (text.replace("\n", "") * 4 + "\n" * blanks).encode()
    pieces = [source[cut.start_byte : cut.end_byte] for cut in cut_by_lines(source)]
    assert b"".join(pieces) == source
    assert [piece.decode() for piece in pieces] == [
        piece.decode("utf-8", "strict") for piece in pieces
    ]
    assert all(0 < len(piece) <= MAX_BYTES for piece in pieces)


def test_an_empty_file_has_no_chunks():
    """Nothing is cut from nothing."""
    assert analysed("python", b"").chunks == ()


def test_a_small_file_is_one_chunk():
    """A file up to the ideal size stays whole."""
    source = "import os\n\nX = 1\n\n\ndef f():\n    return X\n"
    assert texts("python", source) == [source]


def test_a_file_of_several_functions_is_not_one_chunk():
    """Above the ideal size a file is cut at its functions, even where it would fit a chunk."""
    body = statements(16)
    head = f'"""{"What this module does. " * 10}"""\n\n'
    source = f"{head}def f():\n{body}\n\ndef g():\n{body}\n\ndef h():\n{body}"
    assert IDEAL_BYTES < len(source) <= MAX_BYTES
    assert texts("python", source) == [
        head,
        f"def f():\n{body}\n\n",
        f"def g():\n{body}\n\n",
        f"def h():\n{body}",
    ]


def test_a_file_that_is_one_definition_stays_whole_up_to_the_maximum():
    """One class or one function is not cut because the file holds nothing else."""
    for source in (
        f"def f():\n{statements(50)}",
        f"class A:\n    def f(self):\n{statements(40, ' ' * 8)}\n    x = 1\n",
    ):
        assert IDEAL_BYTES < len(source) <= MAX_BYTES
        assert texts("python", source) == [source]


def test_functions_are_chunks_of_their_own():
    """Each function that is worth finding is a whole chunk, the imports before them another."""
    body = statements(24)
    imports = "".join(f"import module_{index}\n" for index in range(10))
    source = f"{imports}\n\ndef f():\n{body}\n\ndef g():\n{body}\n\ndef h():\n{body}"
    assert texts("python", source) == [
        f"{imports}\n\n",
        f"def f():\n{body}\n\n",
        f"def g():\n{body}\n\n",
        f"def h():\n{body}",
    ]
    chunks = analysed("python", source.encode()).chunks
    assert [(each.kind, each.symbol, each.signature) for each in chunks] == [
        ("imports", "", ""),
        ("function", "f", "def f():"),
        ("function", "g", "def g():"),
        ("function", "h", "def h():"),
    ]


def test_a_large_class_is_its_header_then_its_methods():
    """A class that does not fit is cut into header with fields, then methods, each named."""
    body = statements(26, " " * 8)
    header = (
        'class A(B):\n    """What its objects are is said here, in more words than needed."""\n'
        "\n    x: int = 1\n    y: int = 2\n    z: int = 3\n\n"
    )
    source = (
        f"{header}    def f(self):\n{body}\n"
        f"    @property\n    def g(self):\n{body}\n    def h(self):\n{body}"
    )
    chunks = analysed("python", source.encode()).chunks
    assert [(each.kind, each.symbol, each.signature) for each in chunks] == [
        ("class", "A", "class A(B):"),
        ("method", "A.f", "def f(self):"),
        ("method", "A.g", "def g(self):"),
        ("method", "A.h", "def h(self):"),
    ]
    assert texts("python", source)[2].startswith("    @property\n    def g(self):\n")


def test_a_long_function_is_cut_at_statements():
    """What does not fit is cut between statements, and each part knows its function."""
    source = f"def f(value):\n{statements(200)}    return value\n"
    chunks = analysed("python", source.encode()).chunks
    parts = texts("python", source)
    assert [(each.kind, each.symbol, each.signature) for each in chunks] == [
        ("function", "f", "def f(value):")
    ] + [("block", "f", "def f(value):")] * (len(chunks) - 1)
    assert parts[0].startswith("def f(value):\n    value_0000 = compute_0000")
    assert all(part.startswith("    value_") and part.endswith(")\n") for part in parts[1:-1])
    assert all(IDEAL_BYTES // 2 < len(part) <= IDEAL_BYTES for part in parts[:-1])


@pytest.mark.parametrize(
    ("language", "source", "start"),
    [
        ("python", "# About g.\n# More.\n@cached\ndef g():\n", "# About g."),
        ("javascript", "/** About g. */\nfunction g() {\n", "/** About g. */"),
        ("rust", "/// About g.\n#[inline]\nfn g() {\n", "/// About g."),
        ("go", "// g does.\nfunc g() {\n", "// g does."),
        ("c", "/* About g. */\nint g(void) {\n", "/* About g. */"),
    ],
)
def test_a_comment_stays_with_what_follows(language, source, start):
    """Comments and decorators directly above a definition are in its chunk."""
    filler = {
        "python": "x_{0} = {0}\n",
        "go": "var x_{0} = {0}\n",
        "rust": "const X_{0}: u8 = {0};\n",
    }
    line = filler.get(
        language, "const int x_{0} = {0};\n" if language == "c" else "let x_{0} = {0};\n"
    )
    close = "    return 1\n" if language == "python" else "}\n"
    body = statements(20)
    above = "".join(line.format(index) for index in range(160))
    parts = texts(language, above + "\n" + source + body + close + "\n" + above)
    assert sum(part.startswith(start) and body in part for part in parts) == 1


def test_a_comment_apart_does_not_stay_with_what_follows():
    """A blank line between a comment and a definition keeps them apart."""
    body = statements(30)
    comment = "# A section.\n" * 20
    parts = texts(
        "python", f"def f():\n{body}\n\n{comment}\n\ndef g():\n{body}\n\ndef h():\n{body}"
    )
    assert f"def g():\n{body}\n\n" in parts


def test_small_neighbours_join():
    """Constants join into chunks of about the ideal size, getters likewise."""
    source = "".join(f"CONSTANT_{index:03} = {index:03}\n" for index in range(300))
    parts = texts("python", source)
    assert all(IDEAL_BYTES // 2 < len(part) <= IDEAL_BYTES for part in parts[:-1])
    getters = "".join(
        f"    int get_{index:03}() {{ return value_{index:03}; }}\n" for index in range(100)
    )
    sizes = [len(part) for part in texts("java", f"class A {{\n{getters}}}\n")]
    assert max(sizes) <= IDEAL_BYTES + 10
    assert len(sizes) < 8


def test_markdown_is_cut_by_headings():
    """Sections of a document are chunks that know the heading they stand under."""
    text = "Words about the thing at hand. " * 60 + "\n\n"
    source = f"# Guide\n\n{text}## Install\n\n{text}## Use\n\n{text}"
    chunks = analysed("markdown", source.encode()).chunks
    assert [(each.kind, each.symbol) for each in chunks] == [
        ("section", "Guide"),
        ("section", "Guide.Install"),
        ("section", "Guide.Use"),
    ]


def test_data_is_cut_by_top_level_keys():
    """Large keys of a JSON object are chunks that know their key."""
    members = ",\n".join(f'    "name-{index}": "value-{index}"' for index in range(80))
    source = f'{{\n  "first": {{\n{members}\n  }},\n  "second": {{\n{members}\n  }}\n}}\n'
    chunks = analysed("json", source.encode()).chunks
    assert [(each.kind, each.symbol) for each in chunks] == [("key", "first"), ("key", "second")]


def test_line_endings_do_not_move_borders():
    """A file with CRLF is cut at the same lines as with LF."""
    source = f"import a\n\n\ndef f():\n{statements(30)}\n\ndef g():\n{statements(30)}"
    unix = analysed("python", source.encode()).chunks
    windows = analysed("python", source.replace("\n", "\r\n").encode()).chunks
    assert [(each.start_line, each.symbol) for each in windows] == [
        (each.start_line, each.symbol) for each in unix
    ]


def test_an_unknown_language_is_cut_into_windows_of_lines():
    """Without a grammar chunks are whole lines, and the analysis says why."""
    source = "".join(f"line {index}\n" for index in range(1000)).encode()
    analysis = analyze("notes.unknown", source)
    assert (analysis.language, analysis.fallback) == ("text", "no grammar")
    assert uncovered(source, analysis) == ""
    assert all(source[each.end_byte - 1 : each.end_byte] == b"\n" for each in analysis.chunks)
