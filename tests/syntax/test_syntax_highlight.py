"""Colours by syntax: what each piece of a line is, and that typing keeps it right."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from codebuddy.syntax.highlight import MAX_HIGHLIGHTED_BYTES, Highlighter
from codebuddy.syntax.languages import languages

SAMPLES = Path(__file__).parent / "samples"


def tokens(source, language):
    """(text, token) of every span of a source."""
    text, _ = Highlighter(language).update(source.encode())
    assert text is not None
    lines = source.split("\n")
    return [
        (line[span.start : span.end], span.token)
        for line, spans in zip(lines, text.spans(0, len(lines) - 1), strict=True)
        for span in spans
    ]


def test_python_is_told_apart():
    """Keywords, functions, types, strings, numbers and comments of a Python function."""
    found = tokens(
        'def area(side: Length) -> float:\n    return math.pow(side, 2)  # "x"\n\nNAME = "é"\n',
        "python",
    )
    for expected in (
        ("def", "keyword"),
        ("area", "function"),
        ("Length", "type"),
        ("return", "keyword"),
        ("pow", "function"),
        ("2", "number"),
        ('# "x"', "comment"),
        ("NAME", "constant"),
        ("é", "string"),
    ):
        assert expected in found


@pytest.mark.parametrize("language", [each for each in languages() if each != "markdown"])
def test_every_language_has_colours(language):
    """A sample of each language has several kinds of tokens, in order and without overlap."""
    source = (SAMPLES / f"{language}.txt").read_bytes()
    text, _ = Highlighter(language).update(source)
    assert text is not None
    lines = source.decode().split("\n")
    kinds = set()
    for line, spans in zip(lines, text.spans(0, len(lines) - 1), strict=True):
        end = 0
        for span in spans:
            assert end <= span.start < span.end <= len(line)
            end = span.end
            kinds.add(span.token)
    assert len(kinds) >= 3


@pytest.mark.parametrize("language", ["python", "rust", "typescript", "markdown", "yaml"])
def test_colours_after_edits_are_those_of_a_fresh_look(language):
    """After each of many edits, the kept tree gives the spans that a new one gives."""
    chance = random.Random(7)
    source = (SAMPLES / f"{language}.txt").read_text()[:1500]
    kept = Highlighter(language)
    kept.update(source.encode())
    for _ in range(25):
        start = chance.randrange(len(source))
        end = min(len(source), start + chance.choice([0, 0, 1, 5]))
        source = source[:start] + chance.choice(["", "x", "(", "é\n", '"', "中 "]) + source[end:]
        one, _ = kept.update(source.encode())
        other, _ = Highlighter(language).update(source.encode())
        assert one is not None
        assert other is not None
        last = source.count("\n")
        assert one.spans(0, last) == other.spans(0, last)


def test_a_line_alone_has_the_spans_that_it_has_among_others():
    """Asking for one line gives what asking for all gives."""
    source = (SAMPLES / "python.txt").read_bytes()
    text, _ = Highlighter("python").update(source)
    assert text is not None
    last = source.count(b"\n")
    assert [text.spans(n, n)[0] for n in range(last + 1)] == text.spans(0, last)


def test_keywords_keep_their_colour_while_a_line_is_half_typed():
    """A definition below an open bracket is still seen as one."""
    assert ("def", "keyword") in tokens("x = f(\n\ndef g():\n    pass\n", "python")


def test_what_must_not_be_parsed_is_plain():
    """Unknown languages, binary, hostile and very large sources have no spans."""
    assert Highlighter("text").update(b"a b")[0] is None
    assert Highlighter("python").update(b"a\0b")[0] is None
    assert Highlighter("python").update(b"(" * 9000)[0] is None
    assert Highlighter("python").update(b"#" * (MAX_HIGHLIGHTED_BYTES + 1))[0] is None


def test_a_line_of_minified_code_is_plain_and_its_neighbours_are_not():
    """Only the long line goes without colours."""
    source = b"let a = 1\n" + b"f(1);" * 2000 + b"\nlet b = 2\n"
    text, _ = Highlighter("javascript").update(source)
    assert text is not None
    first, long, third = text.spans(0, 2)
    assert (bool(first), bool(long), bool(third)) == (True, False, True)
