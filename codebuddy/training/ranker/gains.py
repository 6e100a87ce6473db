"""What pieces of other files teach at a hole, told from texts alone.

Of the text that was cut out, a piece may hold a line that is closer to it than any line of the
file that the prompt holds anyway, and names that the file does not hold. Both together foretell
what a lookup wins (docs/completion.md), and need no model: thousands of holes take minutes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from codebuddy.completion.ranking import informative_lines
from codebuddy.datatypes import Context
from codebuddy.evaluation.metrics import edit_similarity
from codebuddy.syntax import identifiers

# Points of edit similarity for each unit, by least squares over the completions with and without
# a lookup of the decision head's 1,503 holes; intervals of 95%: 37 to 58 and 9 to 18.
_POINTS_PER_LINE, _POINTS_PER_NAMES = 47.0, 13.0
# About what a prompt holds of the file.
_CHARACTERS_BEFORE, _CHARACTERS_AFTER = 2600, 850
_MAX_LINES = 12


@dataclass(frozen=True, slots=True)
class CutText:
    """A text that was cut out, beside what the prompt holds of its file.

    `lines` are its whole lines, the first one with what stands before the cursor; `closest` is for
    each of them the highest similarity (0 to 1) of a line of the file; `names` are identifiers of
    the text that the file does not hold.
    """

    lines: tuple[str, ...]
    closest: tuple[float, ...]
    names: frozenset[str]


def cut_text(text: str, context: Context) -> CutText:
    """The text that stood at the cursor, prepared for `gain_of`."""
    before = context.prefix[-_CHARACTERS_BEFORE:]
    after = context.suffix[:_CHARACTERS_AFTER]
    head, _, begun = before.rpartition("\n")
    lines = informative_lines((begun + text).split("\n")[:_MAX_LINES])
    known = _stripped([head, after.partition("\n")[2]])
    return CutText(
        lines=tuple(lines),
        closest=tuple(_closest(line, known, 0.0) for line in lines),
        names=frozenset(identifiers(text)) - set(identifiers(before + "\n" + after)),
    )


def gain_of(cut: CutText, texts: Iterable[str]) -> float:
    """Points of edit similarity (0 to 100) that pieces with these texts are expected to win."""
    texts = list(texts)
    known = _stripped(texts)
    gains = [
        _closest(line, known, floor) - floor
        for line, floor in zip(cut.lines, cut.closest, strict=True)
    ]
    there = set(identifiers("\n".join(texts)))
    names = len(cut.names & there) / len(cut.names) if cut.names else 0.0
    return _POINTS_PER_LINE * sum(gains) / max(1, len(gains)) + _POINTS_PER_NAMES * names


def _stripped(texts: Iterable[str]) -> list[str]:
    found = dict.fromkeys(line.strip() for text in texts for line in text.split("\n"))
    return [line for line in found if line]


def _closest(line: str, known: Iterable[str], floor: float) -> float:
    """The highest similarity (0 to 1) of a known line to `line`, `floor` at least."""
    best = floor
    for other in known:
        shorter, longer = sorted((len(line), len(other)))
        # No text is closer than its length allows.
        if shorter > best * longer:
            best = max(best, edit_similarity(other, line) / 100)
    return best
