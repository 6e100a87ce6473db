"""A document that an editor owns: edits by range, in each way of counting characters."""

from __future__ import annotations

import random

import pytest

from codebuddy.errors import DocumentError, UsageError
from codebuddy.positions import count_code_points, count_units, position_at, resolve
from codebuddy.serve.text_document import EditorPosition, TextDocument

ENCODINGS = ["utf-8", "utf-16", "utf-32"]
ODD = "a\tä中😀\u2028\x0c🂡é"


def opened(text: str, encoding: str = "utf-16") -> TextDocument:
    return TextDocument("file:///x.py", "python", text, encoding)  # type: ignore[arg-type]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_units_are_what_the_encoding_takes(encoding):
    """Counting code units agrees with Python's own encoders."""
    size = {"utf-8": 1, "utf-16": 2, "utf-32": 4}[encoding]
    codec = encoding if encoding == "utf-8" else f"{encoding}-le"
    assert count_units(ODD, encoding) == len(ODD.encode(codec)) // size
    for index in range(len(ODD) + 1):
        assert count_code_points(ODD, count_units(ODD[:index], encoding), encoding) == index


def test_inside_a_surrogate_pair_is_the_place_before_it():
    """Half an emoji is no place, so the whole one stays together."""
    assert count_code_points("x😀y", 2, "utf-16") == 1
    assert count_code_points("x😀y", 3, "utf-16") == 2
    assert count_code_points("ä", 1, "utf-8") == 0


def test_past_the_end_of_a_line_is_its_end():
    """The protocol says that too large a character means the line's length."""
    for text in ("ab", "ä😀"):
        assert count_code_points(text, 10**9, "utf-16") == 2


def test_position_at_is_the_opposite_of_resolve():
    """An offset and its position lead to each other, at each place of a text."""
    text = "one\r\ntwo 😀\n\nlast"
    for offset in range(len(text) + 1):
        place = position_at(text, offset)
        if text[offset - 1 : offset + 1] != "\r\n":
            assert resolve(text, place.line, place.column, "x") == (place, offset)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_edit_lands_where_the_editor_meant(encoding):
    """A range given in the editor's units replaces those characters and no others."""
    document = opened("x = '😀'  # ä\r\ny = 2\r\n", encoding)
    before = count_units("x = '", encoding)
    document.replace(
        EditorPosition(0, before),
        EditorPosition(0, before + count_units("😀", encoding)),
        "中",
    )
    document.replace(EditorPosition(1, 4), EditorPosition(1, 5), "3")
    assert document.text == "x = '中'  # ä\r\ny = 3\r\n"


def test_lines_end_as_the_protocol_says():
    """A form feed or a line separator is a character; a lone carriage return ends a line."""
    document = opened("a\x0cb\u2028c\rd\r\ne\n")
    assert [document.offset_at(EditorPosition(line, 0)) for line in range(4)] == [0, 6, 9, 11]
    assert document.offset_at(EditorPosition(0, 99)) == 5
    assert document.position_at(8) == EditorPosition(1, 2)


@pytest.mark.parametrize("seed", range(20))
def test_random_edits_equal_edits_of_the_whole_text(seed):
    """Any run of incremental edits gives the text that plain slicing gives."""
    source = random.Random(seed)
    encoding = source.choice(ENCODINGS)
    text = ""
    document = opened(text, encoding)
    for _ in range(60):
        first, last = sorted(source.randint(0, len(text)) for _ in range(2))
        if any(text[i - 1 : i + 1] == "\r\n" for i in (first, last)):
            continue  # The protocol cannot name the place inside a line ending.
        new = "".join(source.choices([*ODD, "\n", "\r\n", "word "], k=source.randint(0, 6)))
        document.replace(document.position_at(first), document.position_at(last), new)
        text = text[:first] + new + text[last:]
        assert document.text == text


def test_an_impossible_range_changes_nothing():
    """Ranges that begin after the text or run backwards are refused, and the text is kept."""
    document = opened("one\ntwo\n")
    for start, end in [((3, 0), (3, 1)), ((99, 0), (100, 0)), ((1, 1), (0, 0)), ((0, 2), (0, 1))]:
        with pytest.raises(UsageError):
            document.replace(EditorPosition(*start), EditorPosition(*end), "x")
    assert document.text == "one\ntwo\n"


def test_an_end_past_the_last_line_means_the_end():
    """Editors that replace everything give an end that is large enough."""
    document = opened("one\ntwo\n")
    document.replace(EditorPosition(0, 0), EditorPosition(10**9, 0), "new")
    assert document.text == "new"


def test_a_text_that_grows_too_large_is_refused():
    """Beyond 32 MiB a change is refused and the document stays."""
    document = opened("x" * (32 << 20))
    with pytest.raises(DocumentError):
        document.replace(EditorPosition(0, 0), EditorPosition(0, 0), "y")
    assert len(document.text) == 32 << 20
