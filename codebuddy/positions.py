"""Places in text: `FILE:LINE[:COL]`, code point columns, code units. Converted only here."""

from __future__ import annotations

import re
from typing import Literal

from codebuddy.datatypes import Position
from codebuddy.errors import UsageError

# How an editor counts characters; the names are those of the Language Server Protocol.
Encoding = Literal["utf-8", "utf-16", "utf-32"]

_TARGET = re.compile(r"(?P<file>.+?):(?P<line>\d{1,9})(?::(?P<column>\d{1,9}))?", re.DOTALL)
_EXAMPLE = "give it as FILE:LINE or FILE:LINE:COLUMN, for example src/app.py:42:9"


def parse_target(target: str) -> tuple[str, int, int | None]:
    """Split `FILE:LINE[:COL]`; FILE may hold colons itself.

    Returns:
        File, 1-based line, and 1-based column or `None` for the end of the line.

    Raises:
        UsageError: It has another form, or a number below 1.
    """
    if "\0" in target:
        raise UsageError("a position cannot contain a NUL character", hint=_EXAMPLE)
    match = _TARGET.fullmatch(target)
    if match is None:
        raise UsageError(f"{_shortened(target)} is not a position", hint=_EXAMPLE)
    line = int(match["line"])
    column = int(match["column"]) if match["column"] else None
    if line < 1 or column == 0:
        raise UsageError(f"{_shortened(target)}: lines and columns start at 1", hint=_EXAMPLE)
    return match["file"], line, column


def resolve(text: str, line: int, column: int | None, name: str) -> tuple[Position, int]:
    """The position and its offset in code points.

    Args:
        text: The document; lines end with `\\n` or `\\r\\n`.
        line: 1-based line.
        column: 1-based column, or `None` for the end of the line.
        name: The document's name, for errors.

    Raises:
        UsageError: The place is outside the text.
    """
    start = 0
    for number in range(1, line):
        end = text.find("\n", start)
        if end < 0:
            count = f"{number} line{'s' if number > 1 else ''}"
            raise UsageError(
                f"{name} has {count}, so there is no line {line}",
                hint=f"give a line from 1 to {number}",
            )
        start = end + 1
    found = text.find("\n", start)
    end = len(text) if found < 0 else found
    ends_in_return = end > start and text[end - 1] == "\r"
    length = end - start - ends_in_return
    if column is None:
        column = length + 1
    # For an editor a carriage return at the end of the text ends a line, and the next one is empty.
    if column > length + 1 + (ends_in_return and found < 0):
        raise UsageError(
            f"line {line} of {name} has {length} characters, so there is no column {column}",
            hint=f"give a column from 1 to {length + 1}, or none for the end of the line",
        )
    return Position(line, column), start + column - 1


def position_at(text: str, offset: int) -> Position:
    """The position of an offset in code points; the opposite of `resolve`."""
    return Position(text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))


def count_units(text: str, encoding: Encoding) -> int:
    """How many code units `text` takes; a lone surrogate counts as what replaces it."""
    if encoding == "utf-32" or text.isascii():
        return len(text)
    if encoding == "utf-16":
        return len(text) + sum(character > "\uffff" for character in text)
    return sum(_utf8_units(character) for character in text)


def count_code_points(line: str, units: int, encoding: Encoding) -> int:
    """How many characters of `line` fit into its first `units` code units.

    Past the end it is the whole line, and inside a character the place before it.
    """
    if encoding == "utf-32" or line.isascii():
        return min(units, len(line))
    taken = 0
    for index, character in enumerate(line):
        taken += 1 + (character > "\uffff") if encoding == "utf-16" else _utf8_units(character)
        if taken > units:
            return index
    return len(line)


def _utf8_units(character: str) -> int:
    return 1 + (character > "\x7f") + (character > "\u07ff") + (character > "\uffff")


def indent_width(line: str) -> int:
    """How many blanks and tabs `line` begins with."""
    return len(line) - len(line.lstrip(" \t"))


def _shortened(target: str) -> str:
    return repr(target) if len(target) <= 80 else repr(target[:77] + "...")
