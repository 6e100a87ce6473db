"""Context: what is around the cursor, and how much text the place asks for."""

from __future__ import annotations

import pytest

from tests.support.completion import context_at

PY = "module.py"


def test_prefix_and_suffix_meet_at_the_cursor():
    """Prefix and suffix are the text before and after, with plain line endings."""
    context = context_at("a = 1\r\nb = ‸2\r\nc\r\n")
    assert context.prefix == "a = 1\nb = "
    assert context.suffix == "2\nc\n"
    assert (context.line_before, context.line_after) == ("b = ", "2")


def test_names_near_the_cursor_are_told_apart():
    """Names that the file defines are not unresolved; imported ones are."""
    context = context_at(
        "from shop import price\n\n\ndef total(items):\n    count = len(items)\n"
        "    return price(count) + ‸\n"
    )
    assert context.near[:2] == ("count", "price")
    assert "price" in context.unresolved
    assert "count" not in context.unresolved
    assert "items" not in context.unresolved
    assert "return" not in context.near


def test_the_word_being_typed_is_no_name():
    """The unfinished word at the cursor is left out."""
    assert "unfin" not in context_at("value = compute(other) + unfin‸\n").near


def test_words_in_comments_and_strings_are_no_names():
    """Only code uses names: prose around the cursor calls for no lookup."""
    context = context_at(
        "def area(radius):\n"
        '    """Words of documentation."""\n'
        "    # a remark about price\n"
        "    text = 'some words'\n"
        "    return ‸\n"
    )
    assert set(context.near) == {"area", "radius", "text"}


def test_scope_holds_enclosing_headers():
    """Enclosing definitions are listed outermost first."""
    context = context_at("class Cart:\n    def total(self, tax):\n        return ‸\n")
    assert [header.split("(")[0] for header in context.scope] == ["class Cart:", "def total"]


@pytest.mark.parametrize(
    ("marked", "path", "extent"),
    [
        ("x = foo(‸)\n", PY, "line"),
        ("x = ‸\n", PY, "line"),
        ("x = ‸ + 1\n", PY, "line"),
        ("# says ‸\n", PY, "line"),
        ("x = 'some ‸'\n", PY, "line"),
        ("def f(a):‸\n", PY, "block"),
        ("def f(a):\n    ‸\n", PY, "block"),
        ("def f(a):\n    ‸\n\n\ndef g():\n    pass\n", PY, "block"),
        ("if a:\n    ‸\nelse:\n    pass\n", PY, "block"),
        ("def f(a):\n    ‸\n    return a\n", PY, "statement"),
        ("def f(a):\n    b = a\n    ‸\n", PY, "statement"),
        ("‸", PY, "statement"),
        ("function f(a) {‸\n}\n", "a.js", "block"),
        ("function f(a) {\n  ‸\n}\n", "a.js", "block"),
        ("function f(a) {\n  return ‸;\n}\n", "a.js", "line"),
        ("func main() {\n\t‸\n}\n", "a.go", "block"),
        ("int main(void) {\n    int x = ‸\n}\n", "a.c", "line"),
        ("some words ‸\n", "notes.unknown", "line"),
    ],
)
def test_syntax_decides_how_much_is_wanted(marked, path, extent):
    """The rest of a line, a statement or a block, as the place asks."""
    assert context_at(marked, path).extent == extent


def test_strings_and_comments_are_recognised():
    """Inside a string or comment is not code."""
    assert context_at("x = 'a ‸ b'\n").inside == "string"
    assert context_at("x = 1  # a ‸\n").inside == "comment"
    assert context_at("x = ‸\n").inside == "code"
