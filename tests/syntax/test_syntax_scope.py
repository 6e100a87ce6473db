"""Where a cursor is in unfinished code, which names a file knows, where a statement ends."""

from __future__ import annotations

import pytest

from codebuddy import syntax

CLASS_A = ("class A:", "def f(self):")


def place(language: str, text: str) -> syntax.CursorSyntax:
    """The place of the `|` in the text."""
    before, _, after = text.partition("|")
    return syntax.syntax_at((before + after).encode(), language, len(before.encode()))


@pytest.mark.parametrize(
    ("language", "text", "scope"),
    [
        ("python", "class A:\n    def f(self):\n        |\n\nx = 1\n", CLASS_A),
        (
            "python",
            "class A:\n    def f(self):\n        x = [1,\n        |\n\n    y = 2\n",
            CLASS_A,
        ),
        ("python", "class A:\n    def f(self):  # why\n        return self.|\n", CLASS_A),
        ("python", "def f():\n    pass\n\n|\n", ()),
        ("python", "def f(x):\n    if x == 1:\n        pass\n    elif |\n", ("def f(x):",)),
        (
            "typescript",
            "class A {\n  m(x: T) {\n    foo(|\n  }\n  n() {}\n}",
            ("class A", "m(x: T)"),
        ),
        ("javascript", "function f(a) {\n  if (a) {\n    g(\n    |\n", ("function f(a)",)),
        ("go", "func (t *T) M() {\n\tfor {\n\t\tx := |\n\t}\n}\n", ("func (t *T) M()",)),
        (
            "rust",
            "impl A {\n    fn f(&self) {\n        let x = |\n    }\n}",
            ("impl A", "fn f(&self)"),
        ),
        ("cpp", "class A {\n  void m() {\n    |\n  }\n};\n", ("class A", "void m()")),
        ("cpp", "void A::m() {\n    |\n", ("void A::m()",)),
        ("c", "int f(int a) {\n  return |;\n}\n", ("int f(int a)",)),
        ("java", "class A {\n  void m() {\n    |\n  }\n}\n", ("class A", "void m()")),
        ("ruby", "class A\n  def m\n    |\n  end\nend\n", ("class A", "def m")),
        ("dart", "class A {\n  int m() {\n    |\n  }\n}\n", ("class A", "int m()")),
        ("elixir", "defmodule A do\n  def f(x) do\n    |\n  end\nend", ("defmodule A", "def f(x)")),
        ("text", "a |\n", ()),
    ],
)
def test_the_scope_is_the_headers_around_the_cursor(language, text, scope):
    """Enclosing definitions are found outermost first, in whole and in broken code."""
    assert place(language, text).scope == scope


@pytest.mark.parametrize(
    ("language", "text", "inside"),
    [
        ("python", "x = 'ab|c'", "string"),
        ("python", 'def f():\n    x = "abc |\n    y = 2\n', "string"),
        ("python", "def f():\n    '''Doc |\n    '''\n", "string"),
        ("python", "x = 1  # why |", "comment"),
        ("python", "# it's |\nx = 1\n", "comment"),
        ("python", "x = f'a {|} b'", "code"),
        ("python", "x = 'a' + |", "code"),
        ("javascript", "const s = `a ${|} b`;", "code"),
        ("javascript", "const s = `a |`;", "string"),
        ("javascript", "// don't |", "comment"),
        ("c", "int f() {\n  /* x | */\n}\n", "comment"),
        ("rust", "fn f<'a>(x: &'a str) { let y = | }", "code"),
        ("text", "'|'", "code"),
    ],
)
def test_a_place_is_in_code_a_comment_or_a_string(language, text, inside):
    """Comments and strings are told from code, interpolated code from its string."""
    assert place(language, text).inside == inside


@pytest.mark.parametrize(
    ("language", "text", "opens", "ends"),
    [
        ("python", "def f():\n    |\n\nx = 1\n", True, True),
        ("python", "def f():\n    x = 1\n    |\n\ny = 1\n", False, True),
        ("python", "def f():\n    |\n    x = 1\n", True, False),
        ("python", "def f():\n    for i in |:\n        pass\n", False, False),
        ("go", "func F() {\n\tif err != nil {\n\t\t|\n\t}\n\treturn\n}\n", True, True),
        ("typescript", "function f() {\n  g(|);\n}\n", False, True),
        ("typescript", "function f() {\n  g(|);\n  h();\n}\n", False, False),
        ("elixir", "defmodule A do\n  def f(x) do\n    |\n  end\nend\n", True, True),
    ],
)
def test_a_place_knows_the_ends_of_its_block(language, text, opens, ends):
    """A block that the cursor begins, and one that it finishes, are told by the syntax."""
    found = place(language, text)
    assert (found.opens_block, found.ends_block) == (opens, ends)


def test_a_position_outside_the_source_is_brought_inside():
    """A cursor before the beginning or after the end is taken as standing there."""
    assert syntax.syntax_at(b"def f():\n    ", "python", 10**9).scope == ("def f():",)
    assert syntax.syntax_at(b" # x", "python", -5).inside == "code"


@pytest.mark.parametrize(
    ("language", "source", "defined", "imported"),
    [
        (
            "python",
            "import os.path as p\nfrom a import b as c\n"
            "def f(x, *args, y: int = 1):\n"
            "    for i, j in x: z = i\n    with g() as h: self.q = [k for k in h]\n",
            {"f", "x", "args", "y", "i", "j", "z", "h", "q", "k"},
            {"os", "path", "p", "a", "b", "c"},
        ),
        (
            "typescript",
            "import {a as b} from './m';\nfunction f({x, y: [z]}: T) { const w = (v) => v; }",
            {"f", "x", "z", "w", "v"},
            {"a", "b", "m"},
        ),
        (
            "go",
            'package p\nimport q "a/b"\nfunc (t *T) M(x int) { y := 1; for i, v := range z {} }',
            {"M", "t", "x", "y", "i", "v"},
            {"q", "a", "b"},
        ),
        (
            "rust",
            "use a::{b, c as d};\nfn f(x: T) { let (y, z) = w(|v| v); for i in u {} }",
            {"f", "x", "y", "z", "v", "i"},
            {"a", "b", "c", "d"},
        ),
        (
            "c",
            "#include <m.h>\nstatic int *f(char **x) { struct s *y = 0; int z[3]; }",
            {"f", "x", "y", "z"},
            {"m", "h"},
        ),
        (
            "java",
            "import a.B;\nclass C { int f; void m(D x) { for (E y : z) {} } }",
            {"C", "f", "m", "x", "y"},
            {"a", "B"},
        ),
    ],
)
def test_the_names_that_a_file_knows(language, source, defined, imported):
    """Functions, classes, parameters and variables are defined, imported names are imported."""
    names = syntax.names_in(source.encode(), language)
    assert (names.defined, names.imported) == (defined, imported)


def test_names_of_types_and_uses_are_not_defined():
    """A name that the file only uses is none of its own."""
    names = syntax.names_in(b"def f(x: Foo) -> Bar:\n    return g(x.h, y=z)\n", "python")
    assert names.defined == {"f", "x"}


@pytest.mark.parametrize(
    ("source", "errors"),
    [
        ("def f():\n    return 1\n", 0),
        ("def f(:\n    return (1\n", 2),
        ("x = [1, 2\n", 1),
        ("", 0),
    ],
)
def test_errors_are_counted(source, errors):
    """A sound tree has no error, each break in a text counts."""
    assert syntax.count_errors(source.encode(), "python") == errors


def test_errors_that_cannot_be_known_are_minus_one():
    """Without a grammar, and where parsing is refused, the count says so."""
    assert syntax.count_errors(b"x", "text") == -1
    assert syntax.count_errors(b"(" * 100_000, "python") == -1


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        (
            "python",
            "def f(x):\n    |if x:\n        return 1\n    return 2\n\ny = 3\n",
            "if x:\n        return 1\n    return 2",
        ),
        (
            "python",
            "def f(x):\n    y = x\n    |if x:\n        return 1\n    return 2\n",
            "if x:\n        return 1",
        ),
        ("python", "def f(x):\n    a = |b + c\n    return 2\n", "b + c"),
        (
            "python",
            "def f(x):|\n    a = 1\n    return 2\n\nz = 1\n",
            "\n    a = 1\n    return 2",
        ),
        ("c", "void f() {\n  w();\n  |if (x) {\n    y;\n  }\n  z();\n}", "if (x) {\n    y;\n  }"),
        ("javascript", "f(|a, b);\ng();", "a, b);"),
    ],
)
def test_a_block_ends_where_its_syntax_ends(language, text, expected):
    """What begins at a place is followed to the end of its statement or block."""
    before, _, after = text.partition("|")
    source, start = (before + after).encode(), len(before.encode())
    end = syntax.block_end(source, language, start)
    assert end is not None
    assert source[start:end].decode() == expected


def test_a_block_that_cannot_be_found_has_no_end():
    """At the end of a file, and without a grammar, nothing is claimed."""
    assert syntax.block_end(b"x = 1\n", "python", 6) is None
    assert syntax.block_end(b"x = 1\n", "text", 0) is None
