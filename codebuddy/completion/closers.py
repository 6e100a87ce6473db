"""Closers that the text behind the cursor has already: brackets, quotes, tags, words like `end`.

Editors close what a person opens. A model often does not see it and closes it again. The balance
decides what may be closed: of what is open before the cursor, the text behind it closes
the innermost; a closer in a completion is right where fewer things than before are left open
or closed twice. Knows the context and the text so far, neither model nor index.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from codebuddy.datatypes import Context
from codebuddy.syntax import UNKNOWN
from codebuddy.syntax.brackets import Frame, Scanner
from codebuddy.syntax.lexicon import lexicon_of

# Text read on each side of the cursor.
_MAX_CHARACTERS = 200_000
_MAX_WORD = 30
# Deeper brackets are not counted: they are none of a person's.
_MAX_FRAMES = 500
# Characters behind the cursor in which what a statement opened is closed, if it is.
_MAX_STATEMENT = 50_000
_WORD_END = re.compile(r"[A-Za-z_]{1,30}\Z")
# Words and signs behind a closed block with which the same statement goes on.
_GOES_ON = ("else", "catch", "except", "finally", "while", "elif", "elsif", "rescue", "ensure")


@dataclass(frozen=True, slots=True)
class Doubled:
    """Where a closer begins that the document has already, or a line that breaks a string.

    `is_certain` is false while more text may show that it is right after all.
    """

    start: int
    is_certain: bool


def find_doubled(text: str, context: Context) -> Doubled | None:
    """The first closer in `text` that the text behind the cursor has already."""
    balance = _balance(*context.code, context.language, context.inside)
    if not balance.frames or not text:
        return None
    return balance.find_doubled(text)


def missing_closers(text: str, context: Context) -> int:
    """How many brackets of the cursor's statement are open behind `text` that nothing closes.

    Those of blocks do not count: whoever writes a function has its end still before them.
    """
    return _balance(*context.code, context.language, context.inside).missing_closers(text)


def ends_in_string(text: str, context: Context) -> bool:
    """Whether `text` ends in a string of several lines that begins in it."""
    balance = _balance(*context.code, context.language, context.inside)
    opened = balance.frames_behind(text)[len(balance.frames) :]
    # A plain quote is as often one in words, or was never closed.
    return any(_is_long_string(each) and each.closer not in ("'", '"') for each in opened)


def is_balanced(text: str, context: Context) -> bool:
    """Whether all that `text` closes was open; what it opens it may leave open."""
    balance = _balance(*context.code, context.language, context.inside)
    scanner = Scanner(context.language, balance.frames)
    scanner.scan(balance.before + text, len(balance.before), is_recovering=False)
    return scanner.cost == 0


@dataclass(slots=True)
class _Balance:
    """What is open at a cursor, and how well what follows closes it."""

    before: str
    after: str
    language: str
    frames: tuple[Frame, ...]
    _costs: dict[int, int] = field(default_factory=dict)
    _end: int = -1
    _missing: int = -1

    def find_doubled(self, text: str) -> Doubled | None:
        """As the function of the same name."""
        whole, begin = self.before + text, len(self.before)
        # A word that the text completes may be one that opens a block: `de` and `f total`.
        word = _WORD_END.search(self.before[-_MAX_WORD:])
        start_at = begin if word is None or self.opens(word[0]) else begin - len(word[0])
        depth = len(self.frames)
        found: list[Doubled] = []

        def watch(start: int, end: int, left: int) -> bool:
            nonlocal depth
            frame = self.frames[left]
            if whole[start] == "\n":
                # Type arguments that were none and comments end with the line; a string must not.
                if any(each.mode.kind == "string" for each in self.frames[left:]):
                    found.append(Doubled(max(0, start - begin), is_certain=True))
                depth = left
                return bool(found)
            if self._is_left_open(frame) or self._cost(left) <= self._cost(depth):
                depth = left
                return False
            state = _goes_on(whole, start, end, frame, scanner)
            if state != "yes":
                found.append(Doubled(max(0, start - begin), state == "no"))
                return True
            depth = left
            return False

        scanner = Scanner(self.language, self.frames)
        scanner.scan(whole, start_at, watch=watch, is_recovering=False)
        return found[0] if found else None

    def frames_behind(self, text: str) -> tuple[Frame, ...]:
        """What is open behind `text`."""
        scanner = Scanner(self.language, self.frames)
        scanner.scan(self.before + text, len(self.before), is_recovering=False)
        return tuple(scanner.frames)

    def missing_closers(self, text: str) -> int:
        """As the function of the same name."""
        if self._missing < 0:
            self._missing = self._count_missing()
        if not self._missing:
            return 0
        return max(
            0, self._missing + _n_brackets(self.frames_behind(text)) - _n_brackets(self.frames)
        )

    def _count_missing(self) -> int:
        if len(self.frames) > _MAX_FRAMES:
            return 0
        statement = list(itertools.takewhile(_is_of_statement, reversed(self.frames)))
        first = len(self.frames) - len(statement)
        closed: set[int] = set()

        def watch(start: int, _end: int, left: int) -> bool:
            frame = self.frames[left]
            if document[start] != "\n" and not (
                frame.is_value and _is_of_another(document, start, frame)
            ):
                closed.add(left)
            return left <= first

        if statement:
            document = self.before + self.after[:_MAX_STATEMENT]
            Scanner(self.language, self.frames).scan(document, len(self.before), watch=watch)
        return sum(each not in closed for each in range(first, len(self.frames)))

    def opens(self, word: str) -> bool:
        """Whether `word` opens or closes a block by itself."""
        words = lexicon_of(self.language).words
        return word in words or word in words.values()

    def _is_left_open(self, frame: Frame) -> bool:
        """Whether `frame` is a comment that nothing behind the cursor closes.

        The next closer belongs to the next comment where that one begins before it.
        """
        if frame.mode.kind != "comment" or frame.in_line or frame.mode.forms[0].nested:
            return False
        opener = rf"(?:^|\s)(?:{frame.mode.forms[0].opener})"
        found = re.search(frame.closer, self.after, re.MULTILINE)
        return found is not None and bool(
            re.search(opener, self.after[: found.start()], re.MULTILINE)
        )

    def _cost(self, left: int) -> int:
        """What is open or closed once too often where `left` frames are open at the cursor."""
        if self._end < 0:
            self._settle(len(self.frames))
        if left not in self._costs:
            self._settle(left)
        return self._costs[left]

    def _settle(self, left: int) -> None:
        """Read what follows the cursor, to where the outermost frame is closed at first.

        In a string, to the end of the line, or of the text where the string may have more
        lines: the quote that seems to close it may open the next one, which only the end shows.
        """
        is_first = left == len(self.frames)
        strings = [frame for frame in self.frames if frame.mode.kind == "string"]
        has_long_string = any(map(_is_long_string, strings))
        before = self.before
        if self.after.startswith(">"):
            # Behind a blank it would be taken for an operator.
            before = before.rstrip(" ")
        elif _is_in_word(before, self.after):
            # Whatever is inserted ends the one word and begins the other.
            before += " "
        document = before + self.after

        def watch(_start: int, end: int, still: int) -> bool:
            is_over = is_first and still == 0 and not has_long_string
            if is_over:
                line_end = document.find("\n", end) if strings else end
                stops.append(end)
                self._end = (len(document) if line_end < 0 else line_end) - len(before)
            return is_over

        stops: list[int] = []

        stop = len(document) if is_first else len(before) + self._end
        self._end = len(self.after) if is_first else self._end
        scanner = Scanner(self.language, self.frames[:left])
        scanner.scan(document, len(before), stop, watch)
        if stops:
            scanner.scan(document, stops[0], len(before) + self._end)
        open_frames = sum(not each.is_soft and each.closer != "\n" for each in scanner.frames)
        self._costs[left] = scanner.cost + open_frames


def _n_brackets(frames: Sequence[Frame]) -> int:
    """What is open, without what ends with the line or may be no bracket."""
    return sum(not each.in_line and not each.is_soft for each in frames)


def _is_of_statement(frame: Frame) -> bool:
    """Whether it is a bracket that a statement opens for values, as a call's."""
    return frame.mode.kind == "code" and (frame.closer in (")", "]") or frame.is_value)


def _is_of_another(document: str, start: int, frame: Frame) -> bool:
    """Whether a closer begins its line further left than the line that opened `frame`."""
    head = document[document.rfind("\n", 0, start) + 1 : start]
    return not head.strip() and len(head) < frame.indent


def _is_in_word(before: str, after: str) -> bool:
    return before[-1:].isalnum() and after[:1].isalnum()


def _goes_on(whole: str, start: int, end: int, frame: Frame, scanner: Scanner) -> str:
    """Whether a block that the text closes is opened again on the same line: `} else {`.

    Returns:
        `yes`, `no`, or `open` while the line is not whole.
    """
    line = whole.rfind("\n", 0, start) + 1
    if frame.closer not in ("}", "end") or whole[line:start].strip():
        return "no"
    rest, newline, _ = whole[end:].partition("\n")
    word = rest.strip()
    if word and not any(each.startswith(word[:9]) or word.startswith(each) for each in _GOES_ON):
        return "no"
    if not newline:
        return "open"
    after = Scanner(scanner.language, tuple(scanner.frames))
    after.scan(whole, end, end + len(rest))
    return "yes" if len(after.frames) > len(scanner.frames) and word else "no"


@lru_cache(maxsize=4)
def _balance(prefix: str, suffix: str, language: str, inside: str) -> _Balance:
    before, after = prefix, suffix[:_MAX_CHARACTERS]
    if len(before) > _MAX_CHARACTERS:
        before = before[before.find("\n", len(before) - _MAX_CHARACTERS) + 1 :]
    opening = lexicon_of(language).code_opening
    begin = before.index(opening) + len(opening) if opening and opening in before else 0
    frames = _frames(before, begin, language)
    if language != UNKNOWN and not _agrees(frames, inside):
        # A token was misread further up, or a string is not closed yet: the cursor's own line says
        # what it can, but not by its quotes, where it may lie in a string of several lines.
        line = before.rfind("\n") + 1
        is_in_long_string = any(map(_is_long_string, _frames(before[:line], begin, language)))
        frames = _frames(before, line, language)
        if is_in_long_string:
            frames = tuple(itertools.takewhile(lambda each: each.mode.kind != "string", frames))
        if inside != "code" and not _agrees(frames, inside):
            frames = ()
    return _Balance(before, after, language, frames)


def _is_long_string(frame: Frame) -> bool:
    return frame.mode.kind == "string" and not frame.in_line


def _frames(before: str, begin: int, language: str) -> tuple[Frame, ...]:
    scanner = Scanner(language)
    scanner.scan(before, begin)
    return tuple(scanner.frames)


def _agrees(frames: tuple[Frame, ...], inside: str) -> bool:
    """Whether frames and syntax tree agree on the cursor: in code, string or comment."""
    if not frames:
        return inside == "code"
    top = frames[-1]
    if top.mode.kind == "code" and inside != "code":
        return any(each.mode.kind in ("string", "element", "tag") for each in frames)
    return not (top.mode.kind == "string" and inside == "code" and not top.in_line)
