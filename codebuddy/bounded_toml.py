"""TOML of files that others wrote, read in a time that grows with their length alone.

`tomllib` takes time with the cube of a dotted key's parts, so that one line of a megabyte
keeps it busy for an hour. What is larger or deeper than any settings need is refused before
`tomllib` sees it. It knows no settings.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

# The deepest keys of real projects have six parts, the deepest lists three levels.
MAX_KEY_PARTS = 16
MAX_NESTING = 64
# TOML asks for 64 bits; Python itself refuses to show a number of more than 4,300 digits.
_MAX_INTEGER = 1 << 63

# What stands in a text between the marks that are counted. Each match is one look at each of
# its letters: no alternative can match what another could, and none is tried twice.
_PASSED = re.compile(r"[^\"'#.\[\]{}\n\r,=]+")
_BASIC = re.compile(r'"(?:[^"\\\n]|\\.)*+"')
_LITERAL = re.compile(r"'[^'\n]*+'")
_BASIC_LINES_END = re.compile(r'(?:[^"\\]|\\.|"(?!""))*+"""', re.DOTALL)


class TomlError(ValueError):
    """The text is not TOML, or larger or deeper than is read here."""


def parse(text: str) -> dict[str, Any]:
    """The content of a TOML document.

    Raises:
        TomlError: It is none, or its keys or values are nested deeper than any settings are.
    """
    _check_depth(text)
    try:
        content = tomllib.loads(text)
    # Besides its own error: of numbers and dates that Python cannot hold.
    except (ValueError, OverflowError, RecursionError) as error:
        raise TomlError(f"{error}"[:200]) from error
    _check_integers(content)
    return content


def _check_depth(text: str) -> None:
    """Refuse keys of too many parts and values nested too deeply, in one pass over the text.

    Dots are counted between other marks, whatever they stand in: a number has one, and a text
    in quotes counts as one part. A text without an end is left for the parser to name.
    """
    at, end, parts, depth = 0, len(text), 1, 0
    while at < end:
        mark = text[at]
        if mark == ".":
            parts += 1
            if parts > MAX_KEY_PARTS:
                raise TomlError(
                    f"a key has more than {MAX_KEY_PARTS} parts (at line {_line(text, at)})"
                )
            at += 1
        elif mark in "\"'":
            passed = _behind_string(text, at, mark)
            if passed is None:
                return
            at = passed
        elif mark == "#":
            at = text.find("\n", at)
            if at < 0:
                return
        elif passed_over := _PASSED.match(text, at):
            at = passed_over.end()
        else:
            parts = 1
            depth += (mark in "[{") - (mark in "]}")
            if depth > MAX_NESTING:
                raise TomlError(
                    f"values are nested more than {MAX_NESTING} deep (at line {_line(text, at)})"
                )
            at += 1


def _behind_string(text: str, at: int, quote: str) -> int | None:
    """Where the text in quotes that begins at `at` has ended; `None` where it never does."""
    if not text.startswith(quote * 3, at):
        found = _BASIC.match(text, at) if quote == '"' else _LITERAL.match(text, at)
        return found.end() if found else None
    if quote == "'":
        closed = text.find("'''", at + 3)
        behind = closed + 3
    else:
        ended = _BASIC_LINES_END.match(text, at + 3)
        closed, behind = (-1, 0) if ended is None else (0, ended.end())
    if closed < 0:
        return None
    # Up to two more quotes belong to the text.
    while behind < len(text) and text[behind] == quote:
        behind += 1
    return behind


def _check_integers(content: Any) -> None:
    """Refuse whole numbers of more than 64 bits, which may be too long even to be shown."""
    left = [content]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
        elif isinstance(value, int) and not -_MAX_INTEGER <= value < _MAX_INTEGER:
            raise TomlError("a whole number has more than 64 bits")


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
