"""Find and replace in a buffer: plain text or a regular expression, bounded in time.

It takes as long as the text is long, so it is for a thread. Regular expressions are the
`regex` library's: it stops at a deadline where Python's own `re` tries every combination, and
lets other threads run meanwhile.
"""

from __future__ import annotations

import time
import warnings
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codebuddy.tui.text.buffer import Location, end_column

if TYPE_CHECKING:
    import regex

# More matches than this are counted as "many" and not kept.
MAX_MATCHES = 10_000
# A sane expression takes 0.1 s for 50,000 lines.
_TIME_LIMIT_S = 5.0
_TIME_LIMIT_PER_LINE_S = 0.5
TOO_LONG = "this expression takes too long here; a simpler one may not"

Match = tuple[Location, Location]


class BadPatternError(ValueError):
    """The regular expression is none, or takes too long; the message says which and why."""


class UnwantedError(Exception):
    """The search was cancelled."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for, within single lines."""

    text: str
    is_regex: bool = False
    is_case_sensitive: bool | None = None

    def pattern(self) -> regex.Pattern[str]:
        """The compiled query; by default, capitals in it make case matter.

        Raises:
            BadPatternError: It is no regular expression.
        """
        import regex  # 15 ms

        is_sensitive = self.is_case_sensitive
        if is_sensitive is None:
            is_sensitive = self.text != self.text.lower()
        source = self.text if self.is_regex else regex.escape(self.text)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return regex.compile(source, 0 if is_sensitive else regex.IGNORECASE)
        except (regex.error, OverflowError, RecursionError, MemoryError) as error:
            raise BadPatternError(str(error) or "this expression is too large") from error


class _Clock:
    """How long a search may still take."""

    def __init__(self, is_wanted: Callable[[], bool]) -> None:
        self._ends_s = time.monotonic() + _TIME_LIMIT_S
        self._is_wanted = is_wanted

    def left_s(self) -> float:
        """For the next line; raises if there is none."""
        if not self._is_wanted():
            raise UnwantedError
        left_s = min(self._ends_s - time.monotonic(), _TIME_LIMIT_PER_LINE_S)
        if left_s <= 0:
            raise BadPatternError(TOO_LONG)
        return left_s


def find_all(
    lines: Sequence[str], query: Query, is_wanted: Callable[[], bool] = lambda: True
) -> list[Match]:
    """Every match, in order, up to `MAX_MATCHES`; empty matches are none, line ends no text.

    Args:
        lines: The text.
        query: What to look for.
        is_wanted: Asked between lines; the search ends once it says no.

    Raises:
        BadPatternError: The query is no regular expression, or takes too long.
        UnwantedError: `is_wanted` said no.
    """
    if not query.text:
        return []
    pattern = query.pattern()
    clock = _Clock(is_wanted)
    found: list[Match] = []
    try:
        for number, line in enumerate(lines):
            end = end_column(lines, number)
            matches = pattern.finditer(line, endpos=end, timeout=clock.left_s(), concurrent=True)
            for match in matches:
                if match.end() > match.start():
                    found.append((Location(number, match.start()), Location(number, match.end())))
                    if len(found) == MAX_MATCHES:
                        return found
    except TimeoutError as error:
        raise BadPatternError(TOO_LONG) from error
    return found


def next_match(matches: list[Match], place: Location) -> Match | None:
    """The first match that begins at or after `place`, around the end if need be."""
    if not matches:
        return None
    index = bisect_left(matches, (place,))
    return matches[index % len(matches)]


def previous_match(matches: list[Match], place: Location) -> Match | None:
    """The last match that begins before `place`, around the beginning if need be."""
    if not matches:
        return None
    return matches[bisect_left(matches, (place,)) - 1]


def matches_on(matches: list[Match], line: int) -> list[Match]:
    """Those on one line."""
    first = bisect_left(matches, (Location(line, 0),))
    last = bisect_right(matches, Location(line + 1, 0), key=lambda match: match[0])
    return [match for match in matches[first:last] if match[0].line == line]


def replacements(
    lines: Sequence[str], matches: Sequence[Match], query: Query, by: str
) -> list[tuple[Location, Location, str]]:
    """What stands in each match's place afterwards; groups of a regular expression count.

    Raises:
        BadPatternError: The replacement names a group that is not there, or it takes too long.
    """
    if not query.is_regex:
        return [(*match, by) for match in matches]
    import regex

    pattern = query.pattern()
    clock = _Clock(lambda: True)
    edits: list[tuple[Location, Location, str]] = []
    try:
        for start, end in matches:
            line, last = lines[start.line], end_column(lines, start.line)
            found = pattern.match(line, start.column, last, timeout=clock.left_s(), concurrent=True)
            edits.append((start, end, by if found is None else found.expand(by)))
    except TimeoutError as error:
        raise BadPatternError(TOO_LONG) from error
    except (regex.error, IndexError) as error:
        raise BadPatternError(str(error)) from error
    return edits
