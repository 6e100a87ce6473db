"""Where the cursor goes: words, indentation, brackets. It changes nothing."""

from __future__ import annotations

import re

from codebuddy.positions import indent_width
from codebuddy.syntax.traits import INDENTING_ENDS
from codebuddy.tui.text.buffer import Location, TextBuffer

_RIGHT = re.compile(r"\s*(?:\w+|[^\w\s]+|$)")
# Of a line read backwards: a search for the end of the line takes quadratic time.
_LEFT = re.compile(r"\s*(?:\w+|[^\w\s]+)?")
_WORD = re.compile(r"\w+")
_PAIRS = {"(": ")", "[": "]", "{": "}"}
_CLOSERS = {closer: opener for opener, closer in _PAIRS.items()}
# Brackets farther away than this are not looked for.
_MAX_BRACKET_LINES = 2000


def word_right(buffer: TextBuffer, place: Location) -> Location:
    """The end of the next word; at the end of a line, the next line's beginning."""
    line, end = buffer.lines[place.line], buffer.end_of_line(place.line)
    if place.column >= end:
        is_last = place.line + 1 >= len(buffer.lines)
        return place if is_last else Location(place.line + 1, 0)
    match = _RIGHT.match(line, place.column, end)
    return Location(place.line, match.end() if match else end)


def word_left(buffer: TextBuffer, place: Location) -> Location:
    """The beginning of the word before; at the beginning of a line, the end of the one above."""
    if place.column == 0:
        above = place.line - 1
        return place if above < 0 else Location(above, buffer.end_of_line(above))
    match = _LEFT.match(buffer.lines[place.line][: place.column][::-1])
    return Location(place.line, place.column - (match.end() if match else 0))


def word_at(buffer: TextBuffer, place: Location) -> tuple[Location, Location] | None:
    """The word that holds or touches `place`."""
    for match in _WORD.finditer(buffer.lines[place.line]):
        if match.start() <= place.column <= match.end():
            return Location(place.line, match.start()), Location(place.line, match.end())
        if match.start() > place.column:
            break
    return None


def line_start(buffer: TextBuffer, place: Location) -> Location:
    """The first character of the line that is no blank; from there, the line's beginning."""
    indent = indent_width(buffer.lines[place.line])
    return Location(place.line, 0 if place.column == indent else indent)


def indentation_unit(buffer: TextBuffer) -> str:
    """What one level of indentation is in this text: a tab, or the least usual blanks."""
    counts: dict[int, int] = {}
    for line in buffer.lines[:2000]:
        if line.startswith("\t"):
            return "\t"
        width = indent_width(line)
        if 1 < width <= 16 and line.strip():
            counts[width] = counts.get(width, 0) + 1
    if not counts:
        return "    "
    best = max((2, 3, 4, 8), key=lambda unit: sum(n for w, n in counts.items() if w % unit == 0))
    larger = [unit for unit in (4, 8) if unit > best and _all_even(counts, unit)]
    return " " * (larger[-1] if larger else best)


def _all_even(counts: dict[int, int], unit: int) -> bool:
    """Whether nearly every indented line is a multiple of `unit`."""
    even = sum(n for width, n in counts.items() if width % unit == 0)
    return even * 10 >= sum(counts.values()) * 9


def indentation_after(buffer: TextBuffer, place: Location) -> str:
    """What a new line begins with when the line is broken at `place`."""
    line = buffer.lines[place.line][: place.column]
    indent = line[: indent_width(line)]
    if line.rstrip().endswith(INDENTING_ENDS):
        return indent + indentation_unit(buffer)
    return indent


def matching_bracket(buffer: TextBuffer, place: Location) -> Location | None:
    """The partner of the bracket at or before `place`, by counting; strings count too."""
    for column in (place.column, place.column - 1):
        line = buffer.lines[place.line]
        if 0 <= column < len(line) and line[column] in "()[]{}":
            return _partner(buffer, Location(place.line, column))
    return None


def _partner(buffer: TextBuffer, place: Location) -> Location | None:
    bracket = buffer.lines[place.line][place.column]
    is_opener = bracket in _PAIRS
    other = _PAIRS[bracket] if is_opener else _CLOSERS[bracket]
    pattern = re.compile(f"[{re.escape(bracket + other)}]")
    step = 1 if is_opener else -1
    depth = 0
    last = place.line + step * _MAX_BRACKET_LINES
    number = place.line
    while 0 <= number < len(buffer.lines) and number != last:
        matches = list(pattern.finditer(buffer.lines[number]))
        for match in matches if is_opener else reversed(matches):
            column = match.start()
            if number == place.line and (column - place.column) * step < 0:
                continue
            depth += 1 if match[0] == bracket else -1
            if depth == 0:
                return Location(number, column)
        number += step
    return None
