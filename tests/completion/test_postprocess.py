"""Filters: what each takes away, and what it must leave."""

from __future__ import annotations

import pytest

from codebuddy import syntax
from codebuddy.completion import postprocess
from codebuddy.completion.postprocess import clean
from tests.support.completion import context_at


def cleaned(marked: str, text: str, path: str = "module.py") -> str:
    """`clean` at a marked place."""
    return clean(text, context_at(marked, path))[0]


@pytest.mark.parametrize(
    "token",
    ["<|fim_middle|>", "<|endoftext|>", "<|file_sep|>", "<fim_prefix>", "<|im_end|>", "<file_sep>"],
)
def test_special_tokens_are_cut(token):
    """No special token is ever shown."""
    assert cleaned("x = ‸\n", f"1 + 2{token}junk") == "1 + 2"


@pytest.mark.parametrize("closer", [",", ";", ")"])
def test_a_text_that_ends_in_hundreds_of_closers_is_parsed_a_few_times(monkeypatch, closer):
    """Each parse is of the whole file, and no budget holds while they run."""
    parsed = []
    count = syntax.count_errors

    def counted(source, language):
        parsed.append(source)
        return count(source, language)

    monkeypatch.setattr(syntax, "count_errors", counted)
    found = cleaned("total = ‸\nprint(total)\n", "compute(1, 2)" + closer * 300)
    assert found in ("compute(1, 2)", "")
    assert len(parsed) < 40


def test_special_tokens_of_the_document_are_left():
    """A document about such tokens may spell them."""
    assert "<|fim_suffix|>" in cleaned("A = '<|fim_suffix|>'\nB = ‸\n", "'<|fim_suffix|>'")


def test_control_characters_are_cut():
    """Escape sequences from a model do not get into code."""
    assert cleaned("x = ‸\n", "1\x1b[31m2") == "1"


@pytest.mark.parametrize(
    ("marked", "text", "expected"),
    [
        ("def f():\n    ‸\n", "    return 1", "return 1"),
        ("def f():\n    ‸\n", "    a = 1\n    return a", "a = 1\n    return a"),
        ("def f():\n    ‸\n", "a = 1\n    return a", "a = 1\n    return a"),
        ("x = ‸\n", " 1", "1"),
        ("x =‸\n", " 1", " 1"),
    ],
)
def test_indentation_is_not_doubled(marked, text, expected):
    """Indentation or a space that stands there already is not repeated."""
    assert cleaned(marked, text) == expected


@pytest.mark.parametrize(
    ("marked", "text", "expected"),
    [
        ("x = call(‸)\n", "a, b)", "a, b"),
        ("x = call(‸)\n", "g(a)", "g(a)"),
        ("x = [‸]\n", "1, 2]", "1, 2"),
        ("print('‸')\n", "hello')", "hello"),
        ("x = ‸ + offset\n", "base + offset", "base"),
        ("def f():\n    ‸\n    return total\n", "total = 1\n    return total", "total = 1"),
        (
            "def f():\n    ‸\n    b = compute_b()\n    return b\n",
            "a = 1\n    b = compute_b()\n    return b",
            "a = 1",
        ),
    ],
)
def test_what_follows_is_not_repeated(marked, text, expected):
    """Text that stands after the cursor is cut, brackets that the text opened itself are not."""
    assert cleaned(marked, text) == expected


def test_one_line_of_what_follows_may_stand_deeper_in_the_text():
    """An `else` or a `raise` of an inner block is not that of the outer one behind the cursor."""
    text = "try:\n            return load(data)\n        except ValueError:\n"
    text += "            raise LoadError(\n                data\n            )"
    marked = "def f(data):\n    if data:\n        ‸\n\n    raise LoadError(\n        None\n    )\n"
    assert cleaned(marked, text) == text


def test_what_follows_is_cut_in_other_indentation_too():
    """A text with spaces in a document with tabs, or at the margin, repeats it all the same."""
    marked = "def f():\n\t‸\n\treturn total\n"
    assert cleaned(marked, "y = compute(x)\n    return total\n    more = 1") == "y = compute(x)"
    marked = "class A:\n    def f(self):\n‸\n        return self.value\n"
    assert "return" not in cleaned(marked, "b = 2\nreturn self.value\nc = 3")


@pytest.mark.parametrize(
    ("marked", "text", "expected"),
    [("x = foo(1, ‸\n", "2))", "2)"), ("x = (\n\ny = {‸\n", "2: 3}}", "2: 3}")],
)
def test_more_closers_than_are_open_are_dropped(marked, text, expected):
    """Also where the document lacks one."""
    assert cleaned(marked, text) == expected


def test_a_closer_is_kept_in_a_statement_that_lacks_another():
    """The document has an error already, and the tree would count fewer without the closer."""
    marked = "log(a, {\n  error: ‸\n  throw error\n}\n"
    assert (
        cleaned(marked, "wrap(error, `${name} failed`),", "a.ts")
        == "wrap(error, `${name} failed`),"
    )


def test_the_line_above_is_not_repeated():
    """A copy of the previous line is no suggestion."""
    assert cleaned("total = compute_total(items)\n‸\n", "total = compute_total(items)") == ""


def test_similar_lines_are_left():
    """A line that only resembles the one above stays."""
    assert cleaned("first = compute(1)\n‸\n", "second = compute(2)") == "second = compute(2)"


def test_loops_are_cut_to_one_round():
    """A text that repeats itself is shown once."""
    text = "a = step(1)\nb = step(2)\n" * 4
    shown, filters = clean(text, context_at("start()\n‸\n"))
    assert shown == "a = step(1)\nb = step(2)"
    assert "loop" in filters


def test_two_equal_lines_are_no_loop():
    """Twice the same is legitimate code."""
    assert cleaned("start()\n‸\n", "advance()\nadvance()") == "advance()\nadvance()"


def test_brackets_are_not_closed_twice():
    """Closing brackets that the following lines have already are dropped."""
    marked = "values = [\n    compute(a),\n    ‸\n]\n"
    assert cleaned(marked, "compute(b),\n]").rstrip(",") == "compute(b)"


def test_a_cut_that_keeps_the_syntax_whole_is_preferred():
    """A half statement at the end is cut where the part before it is sound."""
    marked = "def f(a):\n    ‸\n\n\ndef g():\n    pass\n"
    shown, filters = clean("b = a + 1\n    return g(b, [", context_at(marked))
    assert shown == "b = a + 1"
    assert "breaks the syntax" in filters


def test_sound_text_is_left_alone():
    """A text that needs no cleaning passes unchanged, and no filter claims otherwise."""
    marked = "def f(a):\n    ‸\n"
    assert clean("return a + 1", context_at(marked)) == ("return a + 1", ())


def test_blank_text_is_no_text():
    """White space alone is no suggestion."""
    assert cleaned("x = 1‸\n", "\n   \n") == ""


def test_every_filter_takes_any_text():
    """No filter fails on odd texts and places."""
    texts = ["", "\n", " ", ")))", "'''", "\\", "a\n" * 50, "\t\tif x:\n\t\t\ty", "😀", "}\n}\n}"]
    places = ["‸", "x = (‸)\n", "‸\n\n}", "    ‸", "'‸'", "def f():\n‸"]
    for place in places:
        for path in ("a.py", "a.js", "a.unknown"):
            context = context_at(place, path)
            for text in texts:
                for name, each in postprocess.FILTERS:
                    changed = each(text, context)
                    assert name == "indentation" or len(changed) <= len(text)


def test_a_brace_that_the_text_opened_is_kept():
    """A closing line is no repetition where it closes what the text itself opened."""
    marked = "function f(users) {\n  return users.slice().sort((a, b) => ‸);\n}\n"
    text = "{\n    const x = a.id;\n    return x - b.id;\n  }"
    assert cleaned(marked, text, "users.js") == text


def test_brackets_are_not_closed_twice_inside_a_call():
    """Closers for which the rest of the line has the brackets already are dropped."""
    marked = "catalog.register(Article(‸, replace=True)\n"
    assert cleaned(marked, '"1", "Tea", Money(450)))') == '"1", "Tea", Money(450))'


def test_a_markdown_fence_ends_the_text():
    """The fence with which chat models end code is cut, but stays in Markdown."""
    assert cleaned("x = 1\n‸\n", "y = 2\n```\nDone.") == "y = 2"
    assert cleaned("Text\n\n‸\n", "```\ny = 2\n```", "notes.md").startswith("```")


def test_a_header_does_not_stay_without_its_body():
    """Where a filter cuts a body away, its header goes too, unless the document has the body."""
    marked = "x = [1, 2, 3]\nfor i in x:\n    print(i, i * 2)\n‸\n"
    assert cleaned(marked, "for i in range(4):\n    print(i, i * 2)") == ""
    assert cleaned("‸\n    print(i, i * 2)\n", "y = 1\nfor i in y:\n    print(i, i * 2)") == (
        "y = 1\nfor i in y:"
    )


def test_a_body_that_begins_at_the_margin_is_indented():
    """A model that forgets the indentation of an empty body gets it back, in all lines."""
    marked = "class A:\n    def pop(self):\n‸\n    def other(self):\n        pass\n"
    text = "if not self.items:\n    return None\nreturn 1"
    expected = "        if not self.items:\n            return None\n        return 1"
    assert cleaned(marked, text) == expected
    assert cleaned(marked, "        return 1") == "        return 1"
