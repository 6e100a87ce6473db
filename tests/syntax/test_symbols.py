"""Definitions and references: qualified names, headers, documentation, what is left out."""

from __future__ import annotations

import pytest

from codebuddy.index.analysis import FileAnalysis
from tests.support.syntax import analysed


def found(language: str, source: str) -> FileAnalysis:
    """The analysis of a text."""
    return analysed(language, source.encode())


@pytest.mark.parametrize(
    ("language", "source", "qualified"),
    [
        (
            "python",
            "class A:\n    class B:\n        def f(self):\n            def g(): pass\n",
            "A.B.f.g",
        ),
        ("cpp", "namespace n { void A<T>::f() {} }", "n.A.f"),
        ("go", "package p\nfunc (t *T[K]) M() {}", "T.M"),
        ("rust", "mod m { impl<T> Tr for S<T> { fn f() {} } }", "m.S.f"),
        ("java", "class A { class B { void m() {} } }", "A.B.m"),
        ("lua", "function M.sub:f() end", "M.sub.f"),
        ("ruby", "module A\n  class B::C\n    def self.f; end\n  end\nend", "A.B.C.f"),
        ("php", "<?php class A { function f() {} }", "A.f"),
        ("hcl", 'resource "aws_x" "y" { a = 1 }', "aws_x.y"),
        ("typescript", "namespace N { export class A { m = () => { go(); } } }", "N.A.m"),
        ("toml", "[tool.ruff]\nx = 1\n", "tool.ruff"),
    ],
)
def test_names_are_qualified_by_what_is_around(language, source, qualified):
    """The innermost definition's qualified name is the path of names from the outside."""
    definitions = found(language, source).definitions
    assert qualified in [each.qualified for each in definitions]
    (definition,) = [each for each in definitions if each.qualified == qualified]
    assert definition.name == qualified.rsplit(".", 1)[-1]


def test_a_name_knows_its_own_place():
    """Line and byte are the name's own, not the decorator's or the type's above it."""
    source = "@cached\n@other(1)\ndef\\\n  name(): pass\n"
    (definition,) = found("python", source).definitions
    assert (definition.name, definition.line, definition.end_line) == ("name", 4, 4)
    assert source[definition.start_byte :].startswith("name()")


@pytest.mark.parametrize(
    ("language", "source", "signature"),
    [
        (
            "python",
            "@d\nasync def f(\n    a,  # first\n    b=1,\n) -> T:\n    pass\n",
            "async def f(",
        ),
        ("python", "def f(\n    a,\n    b=1,\n) -> T:\n    pass\n", "def f( a, b=1, ) -> T:"),
        (
            "typescript",
            "export async function f<T>(a: T): P<T> {\n}",
            "async function f<T>(a: T): P<T>",
        ),
        ("c", "static int\nf(int a)\n{\n}\n", "static int f(int a)"),
        ("rust", "pub fn f<T>(a: T) -> U\nwhere T: V {\n}", "pub fn f<T>(a: T) -> U where T: V"),
        ("go", "package p\nfunc F[K any](a K) (b, error) {\n}", "func F[K any](a K) (b, error)"),
    ],
)
def test_a_signature_is_the_header_on_one_line(language, source, signature):
    """The header reaches to the body, without decorators, comments and line breaks."""
    (definition,) = [
        each for each in found(language, source).definitions if each.kind == "function"
    ]
    assert definition.signature.startswith(signature)
    assert "\n" not in definition.signature


def test_a_signature_is_cut_at_its_limit():
    """A header of any length becomes at most 300 characters, in a chunk 200."""
    parameters = ", ".join(f"parameter_{index}" for index in range(100))
    analysis = found("python", f"def f({parameters}):\n    pass\n")
    assert len(analysis.definitions[0].signature) == 300
    assert len(analysis.chunks[0].signature) == 200


@pytest.mark.parametrize(
    ("language", "source", "doc"),
    [
        ("python", 'def f():\n    r"""\n    First line.\n\n    More.\n    """\n', "First line."),
        ("python", "# About.\ndef f():\n    'One.'\n", "One."),
        ("python", "def f():\n    return 'no'\n", ""),
        ("javascript", "/**\n * First.\n * @param a\n */\nfunction f(a) {}\n", "First."),
        ("java", "class A {\n  /** First. */\n  @Override\n  void f() {}\n}\n", "First."),
        ("rust", "/// First.\n/// Second.\n#[inline]\nfn f() {}\n", "First."),
        ("c", "// First.\n// Second.\nint f(void) {}\n", "First."),
        ("c", "#include <a.h>\nint f(void) {}\n", ""),
        ("c", "// Apart.\n\nint f(void) {}\n", ""),
        ("lua", "--- First.\nfunction f() end\n", "First."),
        ("haskell", "module A where\n-- | First.\nf x = x\n", "First."),
        ("ocaml", "(** First. *)\nlet f x = x\n", "First."),
    ],
)
def test_documentation_is_its_first_line(language, source, doc):
    """The docstring or the comment directly above is documentation, by its first line."""
    (definition,) = [each for each in found(language, source).definitions if each.name == "f"]
    assert definition.doc == doc


def test_local_variables_are_no_definitions():
    """Variables count at module and class level only."""
    source = "X = 1\nclass A:\n    y = 2\n    def f(self):\n        z = 3\n        self.w = 4\n"
    assert [(each.kind, each.qualified) for each in found("python", source).definitions] == [
        ("variable", "X"),
        ("class", "A"),
        ("field", "A.y"),
        ("method", "A.f"),
    ]


def test_a_reference_is_kept_once_a_line():
    """The same use of a name on a line counts once, on another line again."""
    references = found("python", "f(f(1))\nf(2)\n").references
    assert [(each.name, each.kind, each.line) for each in references] == [
        ("f", "call", 1),
        ("f", "call", 2),
    ]


def test_a_definition_is_no_reference_to_itself():
    """The name in a type's own declaration is not a use of the type."""
    references = found("rust", "struct A { b: B }\nfn f(a: A) {}\n").references
    assert [(each.name, each.line) for each in references] == [("B", 1), ("A", 2)]


def test_callees_are_named_by_their_last_part():
    """Chains, type arguments and subscripts do not hide which function is called."""
    source = "a.b(c).d<E>(f)(g)[0](new H.I(j))"
    names = {each.name for each in found("typescript", source).references if each.kind == "call"}
    assert names == {"b", "d", "I"}


def test_equations_of_one_function_are_one_definition():
    """Haskell's signature and equations, and Elixir's clauses, are a single function."""
    haskell = "module A where\nf :: Int -> Int\nf 0 = 1\nf n = n\ng = 2\n"
    assert [
        (each.name, each.kind, each.line, each.end_line)
        for each in found("haskell", haskell).definitions
    ] == [("f", "function", 2, 4), ("g", "function", 5, 5)]
    elixir = "defmodule A do\n  def f(0), do: 1\n  def f(n), do: n\nend\n"
    assert [each.qualified for each in found("elixir", elixir).definitions] == ["A", "A.f"]


def test_broken_code_keeps_its_definitions():
    """An error in one function hides neither itself nor the next."""
    source = "def f(:\n    x = 1\n\n\ndef g(a):\n    return h(a)\n"
    analysis = found("python", source)
    assert "g" in [each.name for each in analysis.definitions]
    assert ("h", "call") in [(each.name, each.kind) for each in analysis.references]


def test_names_outside_ascii_are_whole():
    """Names in other scripts keep their letters."""
    (definition,) = found("python", "def größe_漢(): pass\n").definitions
    assert definition.name == "größe_漢"


def test_a_byte_order_mark_is_no_part_of_the_first_name():
    """A file that begins with a mark is analysed as without it."""
    analysis = analysed("python", b"\xef\xbb\xbfdef f(): pass\r\n")
    assert [(each.name, each.line, each.start_byte) for each in analysis.definitions] == [
        ("f", 1, 7)
    ]
