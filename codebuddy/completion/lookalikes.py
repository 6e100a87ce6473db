"""Code elsewhere that reads like the code at the cursor, and how much alike they are.

Where another file holds nearly the same code, the line behind the resemblance is often the
answer. A window of such a file begins a little before the line that matches and reaches past it
(compare RepoCoder, arXiv 2303.12570, whose windows end where they happen to).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from codebuddy.datatypes import Context

_WORD = re.compile(r"\w+")
_BLANKS = re.compile(r"[ \t]+")
# What is compared: lines before the cursor, each further one counting less, and characters.
_LINES_ALIGNED = 12
_LINE_DECAY = 0.8
_LINES_OF_WORDS = 3
_TAIL_CHARACTERS = 400
_LONGEST_MATCH = 120
# Longer lines are cut: no such line is code that somebody reads.
_LINE_CHARACTERS = 400
_LINES_BEFORE_MATCH, _LINES_FROM_MATCH = 5, 15


@dataclass(frozen=True, slots=True)
class CursorText:
    """The code before the cursor, prepared for comparisons.

    `words` are those of the last lines, `begun` is the cursor's line up to it, `tail` the text
    before the cursor without indentation, `lines` the words of each full line, nearest first.
    """

    words: frozenset[str]
    begun: str
    tail: str
    lines: tuple[frozenset[str], ...]


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike a text and the code before the cursor are, each number rising with it.

    `begun` is the share of the cursor's line that some line of the text begins with, `words` the
    share of the last lines' words that stand in it, `match` the natural logarithm of one more
    than the characters before the cursor that it repeats without a break.
    """

    begun: float
    words: float
    match: float


def cursor_text(context: Context) -> CursorText:
    """What texts are compared with at this cursor."""
    lines = context.prefix[-_LINES_ALIGNED * _LINE_CHARACTERS :].split("\n")
    lines = [line[-_LINE_CHARACTERS:] for line in lines[-_LINES_ALIGNED - 1 :]]
    return CursorText(
        words=_words("\n".join(lines[-_LINES_OF_WORDS - 1 :])),
        begun=lines[-1].strip(),
        tail=_without_indentation(context.prefix[-_TAIL_CHARACTERS:]),
        lines=tuple(_words(line) for line in reversed(lines[:-1])),
    )


def likeness(text: str, cursor: CursorText) -> Likeness:
    """How alike `text`, with any line endings, and the code before the cursor are."""
    text = text.replace("\r\n", "\n")
    begun = 0.0
    if len(cursor.begun) > 1:
        longest = max(_common_start(line.strip(), cursor.begun) for line in text.split("\n"))
        begun = longest / len(cursor.begun)
    shared = len(cursor.words & _words(text)) / len(cursor.words) if cursor.words else 0.0
    return Likeness(begun, shared, math.log1p(_longest_match(text, cursor.tail)))


def aligned_window(
    lines: Sequence[str], first: int, last: int, cursor: CursorText
) -> tuple[int, int]:
    """The window around the line that reads most like the last full line before the cursor.

    Args:
        lines: Of a file.
        first: Index of the first line that may match.
        last: Index of the last one.
        cursor: What is compared.

    Returns:
        The indices of the window's first line, and of the one behind its last.
    """
    known: dict[int, frozenset[str]] = {}
    weights = [_LINE_DECAY**back * len(wanted) for back, wanted in enumerate(cursor.lines)]
    # What a line and those before it can score at most.
    limits = list(accumulate(reversed(weights)))[::-1]
    best, place = -1.0, first
    for line in range(max(0, first), min(last + 1, len(lines))):
        score = 0.0
        for back, wanted in enumerate(cursor.lines[: line + 1]):
            if score + limits[back] <= best:
                break
            there = line - back
            if there not in known:
                known[there] = _words(lines[there][:_LINE_CHARACTERS])
            if shared := len(wanted & known[there]):
                union = len(wanted) + len(known[there]) - shared
                score += weights[back] * shared / union
        if score > best:
            best, place = score, line
    return max(0, place - _LINES_BEFORE_MATCH), min(len(lines), place + _LINES_FROM_MATCH)


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower()))


def _common_start(first: str, second: str) -> int:
    size = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        size += 1
    return size


def _without_indentation(text: str) -> str:
    return _BLANKS.sub(" ", text).replace("\n ", "\n")


def _longest_match(text: str, tail: str) -> int:
    """Of how many characters the longest end of `tail` is that stands in `text`."""
    text = _without_indentation(text)
    low, high = 0, min(_LONGEST_MATCH, len(tail))
    while low < high:
        middle = (low + high + 1) // 2
        if tail[-middle:] in text:
            low = middle
        else:
            high = middle - 1
    return low
