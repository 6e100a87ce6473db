"""Positions: how they are written, and where they may be."""

from __future__ import annotations

import pytest

from codebuddy.datatypes import Position
from codebuddy.errors import UsageError
from codebuddy.positions import parse_target, resolve


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("a.py:3", ("a.py", 3, None)),
        ("a.py:3:7", ("a.py", 3, 7)),
        ("odd:name.py:3:7", ("odd:name.py", 3, 7)),
        ("folder/ä b.py:12", ("folder/ä b.py", 12, None)),
        ("-x.py:1", ("-x.py", 1, None)),
    ],
)
def test_target_is_split(target, expected):
    """A target is file, line and column, and the file may hold colons."""
    assert parse_target(target) == expected


@pytest.mark.parametrize(
    "target",
    ["a.py", "a.py:", "a.py:x", ":3", "a.py:0", "a.py:3:0", "a.py:-1", "a\0b:1", "x" * 9999],
)
def test_bad_target_is_refused(target):
    """What is no target is refused with an example of one."""
    with pytest.raises(UsageError) as caught:
        parse_target(target)
    assert "FILE:LINE" in caught.value.hint
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("text", "line", "column", "expected"),
    [
        ("ab\ncd\n", 1, 1, (Position(1, 1), 0)),
        ("ab\ncd\n", 1, None, (Position(1, 3), 2)),
        ("ab\ncd\n", 2, 2, (Position(2, 2), 4)),
        ("ab\ncd\n", 3, 1, (Position(3, 1), 6)),
        ("ab\r\ncd", 1, None, (Position(1, 3), 2)),
        ("ab\r\ncd", 2, None, (Position(2, 3), 6)),
        ("", 1, None, (Position(1, 1), 0)),
        ("ä😀x", 1, 3, (Position(1, 3), 2)),
        # A last, empty line for an editor to which a carriage return ends a line.
        ("a\rb\r", 1, 5, (Position(1, 5), 4)),
        ("a\rb\r", 1, None, (Position(1, 4), 3)),
    ],
)
def test_place_is_found(text, line, column, expected):
    """Columns count code points, and the end of a line is before its line ending."""
    assert resolve(text, line, column, "f") == expected


@pytest.mark.parametrize(("line", "column"), [(4, None), (999, 1), (1, 4), (3, 2)])
def test_place_outside_is_refused(line, column):
    """A place outside the text is refused, and the hint says what there is."""
    with pytest.raises(UsageError) as caught:
        resolve("ab\ncd\n", line, column, "f.py")
    assert "f.py" in caught.value.message
    assert "from 1 to" in caught.value.hint
