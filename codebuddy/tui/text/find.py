"""Find and replace in a buffer: plain text or a regular expression, bounded in time."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from codebuddy.tui.text.buffer import Location, TextBuffer

# More matches than this are counted as "many" and not kept.
MAX_MATCHES = 10_000


class BadPatternError(ValueError):
    """The regular expression cannot be compiled; the message says why."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for, within single lines."""

    text: str
    is_regex: bool = False
    is_case_sensitive: bool | None = None

    def pattern(self) -> re.Pattern[str]:
        """The compiled query; without a wish, capitals in it make case matter.

        Raises:
            BadPatternError: It is no regular expression.
        """
        is_sensitive = self.is_case_sensitive
        if is_sensitive is None:
            is_sensitive = self.text != self.text.lower()
        source = self.text if self.is_regex else re.escape(self.text)
        try:
            return re.compile(source, 0 if is_sensitive else re.IGNORECASE)
        except (re.error, OverflowError, RecursionError) as error:
            raise BadPatternError(str(error)) from error


def find_all(lines: list[str], query: Query) -> list[tuple[Location, Location]]:
    """Every match, in order, up to `MAX_MATCHES`; empty matches are none.

    Raises:
        BadPatternError: The query is no regular expression.
    """
    if not query.text:
        return []
    pattern = query.pattern()
    found: list[tuple[Location, Location]] = []
    for number, line in enumerate(lines):
        found.extend(
            (Location(number, match.start()), Location(number, match.end()))
            for match in pattern.finditer(line)
            if match.end() > match.start()
        )
        if len(found) >= MAX_MATCHES:
            return found[:MAX_MATCHES]
    return found


def next_match(
    matches: list[tuple[Location, Location]], place: Location
) -> tuple[Location, Location] | None:
    """The first match that begins at or after `place`, around the end if need be."""
    if not matches:
        return None
    index = bisect_left(matches, (place,))
    return matches[index % len(matches)]


def previous_match(
    matches: list[tuple[Location, Location]], place: Location
) -> tuple[Location, Location] | None:
    """The last match that begins before `place`, around the beginning if need be."""
    if not matches:
        return None
    return matches[bisect_left(matches, (place,)) - 1]


def matches_on(
    matches: list[tuple[Location, Location]], line: int
) -> list[tuple[Location, Location]]:
    """Those on one line."""
    first = bisect_left(matches, (Location(line, 0),))
    last = bisect_right(matches, Location(line + 1, 0), key=lambda match: match[0])
    return [match for match in matches[first:last] if match[0].line == line]


def replacement(buffer: TextBuffer, match: tuple[Location, Location], query: Query, by: str) -> str:
    """What stands in the match's place afterwards; groups of a regular expression count.

    Raises:
        BadPatternError: The replacement names a group that is not there.
    """
    if not query.is_regex:
        return by
    line = buffer.lines[match[0].line]
    found = query.pattern().match(line, match[0].column)
    if found is None:
        return by
    try:
        return found.expand(by)
    except (re.error, IndexError) as error:
        raise BadPatternError(str(error)) from error
