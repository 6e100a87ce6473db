"""Extent: where a generation has said enough."""

from __future__ import annotations

import pytest

from codebuddy.completion.closers import missing_closers
from codebuddy.completion.extent import bracket_depth, take_extent
from tests.support.completion import context_at


def taken(marked: str, text: str, path: str = "module.py", max_lines: int = 0) -> tuple[str, bool]:
    """`take_extent` at a marked place."""
    return take_extent(text, context_at(marked, path), max_lines)


def test_a_line_ends_with_its_line():
    """On a line being typed, the first line is enough, and certain once it is whole."""
    assert taken("x = ‸\n", "1 + 2\ny = 3\n") == ("1 + 2", True)
    assert taken("x = ‸\n", "1 + 2") == ("1 + 2", False)


def test_an_open_bracket_carries_a_line_on():
    """A line that opens a bracket goes on until it is closed."""
    text = "call(\n    a,\n    b,\n)\nnext = 1\n"
    assert taken("x = ‸\n", text) == ("call(\n    a,\n    b,\n)", True)
    assert taken("x = call(‸\n", "\n    a,\n    b,\n)\nnext = 1\n")[0] == "\n    a,\n    b,\n)"
    assert taken("x = call(‸)\n", "a\n)") == ("a", True)


def test_a_block_ends_where_the_indentation_falls():
    """A body ends before the first line that stands further left."""
    text = "if n:\n        return 1\n\n    return 2\n\n\ndef g():\n    pass\n"
    expected = "if n:\n        return 1\n\n    return 2\n\n"
    assert taken("def f(n):\n    ‸\n", text) == (expected, True)


def test_a_body_may_begin_on_the_next_line():
    """At the end of the header, the text begins with the line break."""
    text = "\n        return 3\n\n    def other(self):\n        pass\n"
    assert taken("class A:\n    def f(self):‸\n", text) == ("\n        return 3\n", True)


def test_the_closing_line_belongs_to_the_block():
    """A brace that closes the body is kept, unless the document has it already."""
    text = "\n  return a;\n}\n\nfunction g() {\n"
    assert taken("function f(a) {‸\n", text, "a.js") == ("\n  return a;\n}", True)
    assert taken("function f(a) {‸\n}\n", text, "a.js") == ("\n  return a;", True)


def test_statements_on_a_blank_line_end_at_a_blank_line():
    """On a blank line inside a body, a group of statements is enough."""
    text = "a = 1\n    b = 2\n\n    c = 3\n"
    assert taken("def f():\n    x = 0\n    ‸\n    return x\n", text) == ("a = 1\n    b = 2", True)


def test_a_statement_after_a_finished_line_is_one():
    """After a finished line, the next statement with its body is enough."""
    text = "\n    for x in xs:\n        use(x)\n    more()\n"
    expected = "\n    for x in xs:\n        use(x)"
    assert taken("def f(xs):\n    start()‸\n", text) == (expected, True)


def test_no_second_line_in_comments():
    """A comment or string is completed within its line."""
    assert taken("# a ‸\n", "word\n# more\n") == ("word", True)
    assert taken("# a ‸\n", "\nx = 1\n") == ("", True)


@pytest.mark.parametrize("limit", [1, 2])
def test_the_users_limit_holds(limit):
    """`--max-lines` counts lines, without the break that a text may begin with."""
    text = "a = 1\n    b = 2\n    c = 3\n"
    assert taken("def f():\n    ‸\n", text, max_lines=limit)[0].count("\n") == limit - 1
    text = "\n    a = 1\n    b = 2\n    c = 3\n"
    assert taken("def f():‸\n", text, max_lines=limit)[0].count("\n") == limit


def test_endless_blank_lines_are_enough_of_nothing():
    """A model that only breaks lines is stopped."""
    assert taken("x = 1‸\n", "\n\n\n\n\n")[1] is True


def test_brackets_in_strings_do_not_count():
    """The rough count skips quoted brackets."""
    assert bracket_depth("f(')', [1, 2]") == 1
    assert bracket_depth('"(((" + x') == 0


def test_an_endless_line_is_looked_at_near_the_cursor_alone():
    """It is counted for each token: a bracket that opened a page before carries no line on."""
    text = "a,\nb\n)\nnext = 1\n"
    assert taken("x = call(" + 100 * "y, " + "‸\n", text) == ("a,\nb\n)", True)
    assert taken("x = call(" + 10_000 * "y, " + "‸\n", text) == ("a,", True)


@pytest.mark.parametrize(
    ("marked", "text", "expected"),
    [
        ("send(\n    data=make(‸\n\nother()\n", "error),\n)\nmore()\n", "error),\n)"),
        ("send(\n    data=make(‸\n)\n\nother()\n", "error),\n)\nmore()\n", "error),"),
        ("send(\n    make(‸\n", "a),\n    b,\n)\n", "a),"),
        ("send([\n    make(‸\n", "a),\n])\n)\n", "a),\n])"),
        ("send([\n    make(‸\n)\n", "a),\n]\n)\n", "a),\n]"),
        ("send(\n    make(‸\n", "a),\n\n)\n", "a),"),
        ("send(\n    x + ‸\n", "a\n)\n", "a\n)"),
    ],
)
def test_a_line_goes_on_with_what_closes_its_statement(marked, text, expected):
    """Lines of closers belong to it as far as nothing behind the cursor closes the same."""
    assert taken(marked, text) == (expected, True)


def test_closers_are_waited_for_until_their_line_is_whole():
    """What follows a closer shows only with the line's end."""
    marked = "send(\n    make(‸\n\nother()\n"
    for text in ("a),\n", "a),\n  ", "a),\n)"):
        assert taken(marked, text) == (text, False)
    assert taken(marked, "a),\n)\n") == ("a),\n)", True)
    assert taken(marked, "a),\n) + b") == ("a),", True)
    assert taken(marked, "a),\n)\n", max_lines=1) == ("a),", True)


def test_blocks_are_not_closed_with_a_line():
    """The braces of a function are for later; those of values belong to the statement."""
    function = "function f() {\n  call(‸\n"
    assert taken(function, "a)\n}\n", "a.js") == ("a)", True)
    nested = "test('x', () => {\n  call({\n    a: f(‸\n"
    text = "1),\n  });\n});\n"
    assert taken(nested, text, "a.js") == ("1),\n  });", True)


def test_a_chain_of_calls_belongs_to_its_statement():
    """In a language whose statements end with a semicolon, a line without one may go on."""
    marked = "fn f() {\n    let x = Thing::‸\n    done();\n}\n"
    text = (
        "new(a)\n        .map(|b| {\n            b\n        })\n        .unwrap();\n    done();\n"
    )
    whole = text.removesuffix("\n    done();\n")
    assert taken(marked, text, "a.rs") == (whole, True)
    assert taken(marked, "new(a)\n   ", "a.rs") == ("new(a)\n   ", False)
    assert taken(marked, "new(a);\n", "a.rs") == ("new(a);", True)
    assert taken(marked, "new(a)\n    done();\n", "a.rs") == ("new(a)", True)
    there = marked.replace("‸\n", "‸\n        .unwrap();\n")
    assert taken(there, text, "a.rs") == ("new(a)", True)
    assert taken("x = thing.‸\n", "new(a)\n    .unwrap()\n") == ("new(a)", True)


def test_an_expression_goes_on_after_and_before_operators():
    """Where statements end with a semicolon; in a script that is seen by the code above."""
    above = "f();\ng();\nh();\nconst x = ‸\n"
    assert taken(above, "a ??\n  b;\nc();\n", "a.ts") == ("a ??\n  b;", True)
    choice = "a\n  ? b\n  : c;\nd();\n"
    assert taken(above, choice, "a.ts") == ("a\n  ? b\n  : c;", True)
    assert taken("const x = ‸\n", choice, "a.ts") == ("a", True)


@pytest.mark.parametrize(
    ("path", "marked", "text"),
    [
        ("a.rs", "// The ‸\n", "value of it\n"),
        ("a.rs", "fn f() {\n    foo‸\n", "(); // note\n"),
        ("a.rs", "#![al‸\n", "low(dead_code)]\n"),
        ("a.rs", "fn f() {\n    let a = ‸\n", "b(c)\n"),
        ("A.java", "class A {\n    @Over‸\n", "ride\n"),
        ("A.java", "class A {\n    @Over‸\n", "ride // a ||\n"),
        ("a.js", "f();\ng();\nh();\nimport x ‸\n", "from 'foo'\n"),
        ("a.js", "f();\ng();\nh();\nx = `‸\n`;\n", "some\n"),
        ("a.md", "Some **‸\n", "bold**\n"),
        ("a.sh", "foo ‸\n", "&\n"),
        ("a.py", "# ‸\n", "====\n"),
        ("a.py", "from foo import ‸\n", "*\n"),
        ("a.py", "send(\n    make(‸\n", "a),\n"),
    ],
)
def test_a_line_ends_at_a_blank_line_whatever_it_ends_with(path, marked, text):
    """A rule that waits for more may not run on: the end is certain where a blank line follows."""
    assert taken(marked, text + "\n\nmore\n" * 20, path) == (text[:-1], True)


@pytest.mark.parametrize(
    ("path", "marked", "text", "expected"),
    [
        ("a.rb", "def f\n  foo(\n    bar(‸\n", "a)\n  end\n", "a)"),
        ("a.py", "x = {\n    'a': f(‸\n    'b': 2,\n    }\n", "1),\n    }\n", "1),"),
        ("a.py", "x = dict(a={\n      'b': f(‸\n      })\n", "1)\n      })\n", "1)"),
        ("a.js", "switch (a) {\n  case 1: {\n    foo(‸\n", "a);\n  }\n", "a);"),
        ("a.scala", "def f(x: Int) = {\n    foo(‸\n", "a)\n  }\n", "a)"),
        ("a.py", "foo(\n    bar(‸\n", "a),\n]\n]\n}\n", "a),"),
        ("a.py", "foo(\n    make(‸)\n", "a\n)\n", "a"),
        ("a.js", "function f() {\n  send(‸\n", "a); // done\n}\n", "a); // done"),
        ("a.py", "call(‸\n", "a)  # b\n)\n", "a)  # b"),
        ("a.py", "send(\n    make(‸\n", "a),  # b\n)\n", "a),  # b\n)"),
        ("a.rs", "fn f() {\n    ‸\n}\n", 'let x = "abc;\n' + "g();\n" * 18, 'let x = "abc;'),
        ("a.sh", "f() {\n  ‸\n}\n", "echo don't\n}\n\ng() {\n", "echo don't"),
    ],
)
def test_closers_of_others_are_left_to_them(path, marked, text, expected):
    """Of blocks, of a person who indents in another way, of another kind, of an apostrophe."""
    assert taken(marked, text, path)[0] == expected


def test_a_deep_document_costs_no_more_for_each_token():
    """Thousands of open brackets are none of a statement's; nothing is counted then."""
    context = context_at(20_000 * "(" + "\n‸\n", "a.py")
    assert missing_closers("a)", context) == 0


def test_a_string_of_several_lines_does_not_end_a_block():
    """Lines of a raw string may stand at the margin, and blank ones among them."""
    marked = "fn f() {\n    ‸\n}\n"
    text = 'let cfg = r#"\nrules:\n\n  a: 1\n"#;\n    use_it(cfg);\n}\n'
    assert taken(marked, text, "a.rs")[0].startswith(text.removesuffix("\n}\n"))
    python = 'text = """\nrules\n\n"""\n    use(text)\n\n    more()\n'
    assert taken("def f():\n    a = 1\n    ‸\n", python) == (python[:-13], True)
