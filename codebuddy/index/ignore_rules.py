"""Patterns in gitignore syntax, matched in time that grows with pattern and path alone.

A pattern becomes an expression whose parts, once matched, are not tried another way: `*`
takes as little as lets the next piece follow, which is right wherever any choice is. So a
pattern that comes with a repository cannot make a match take for ever. Bytes are compared,
as git compares them. It reads no file.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

# The patterns of a repository that anybody wrote by hand are fewer, and shorter.
MAX_PATTERNS = 5_000
MAX_PATTERN_BYTES = 1_000
# A million files are matched with some hundred patterns in this time.
_TIMEOUT_S = 60.0
_CLOCK_INTERVAL = 256

_CLASSES = {
    b"alnum": rb"0-9A-Za-z",
    b"alpha": rb"A-Za-z",
    b"blank": rb" \t",
    b"cntrl": rb"\x00-\x1f\x7f",
    b"digit": rb"0-9",
    b"graph": rb"\x21-\x7e",
    b"lower": rb"a-z",
    b"print": rb"\x20-\x7e",
    b"punct": rb"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    b"space": rb"\x09-\x0d\x20",
    b"upper": rb"A-Z",
    b"xdigit": rb"0-9A-Fa-f",
}
_NOTHING = rb"(?!)"
_IN_SEGMENT = rb"[^/]"
_SEGMENT_ENDS = rb"(?=/|\Z)"


class TooManyPatternsError(Exception):
    """More, or longer, patterns than anybody writes; the message says which limit."""


class MatchingTimeoutError(Exception):
    """Matching all files takes too long."""


@dataclass(frozen=True, slots=True)
class _Pattern:
    """`is_name` where it is compared with the last part of a path alone."""

    is_exclusion: bool
    is_for_folders: bool
    is_name: bool
    expression: bytes


@dataclass(frozen=True, slots=True)
class _Run:
    """Patterns that follow each other and say the same; of several the order does not matter."""

    is_exclusion: bool
    of_file: tuple[re.Pattern[bytes] | None, re.Pattern[bytes] | None]
    of_folder: tuple[re.Pattern[bytes] | None, re.Pattern[bytes] | None]


class IgnoreRules:
    """The patterns of one file.

    Raises:
        TooManyPatternsError: There are more than can be looked at.
    """

    def __init__(self, content: bytes) -> None:
        patterns = [each for each in map(_parsed, _lines(content)) if each is not None]
        if len(patterns) > MAX_PATTERNS:
            raise TooManyPatternsError(f"it has more than {MAX_PATTERNS:,} patterns")
        # The last pattern that matches decides.
        self._runs = [
            _run(is_exclusion, list(run))
            for is_exclusion, run in groupby(patterns[::-1], key=lambda each: each.is_exclusion)
        ]
        self._folders: dict[bytes, bool | None] = {b"": None}
        self._deadline = time.monotonic() + _TIMEOUT_S
        self._n_asked = 0

    @property
    def has_negations(self) -> bool:
        """Whether some pattern brings files back (`!`)."""
        return not all(run.is_exclusion for run in self._runs)

    def match(self, path: bytes) -> bool | None:
        """True for a file that is taken away, False for one that is brought back, else `None`.

        What lies in a folder that is taken away cannot be brought back.

        Raises:
            MatchingTimeoutError: All that was asked took longer than a minute.
        """
        self._n_asked += 1
        if self._n_asked % _CLOCK_INTERVAL == 0 and time.monotonic() > self._deadline:
            raise MatchingTimeoutError
        of_folder = self._of_folder(path.rpartition(b"/")[0])
        if of_folder:
            return True
        own = self._matched(path, is_folder=False)
        return of_folder if own is None else own

    def _of_folder(self, folder: bytes) -> bool | None:
        """As `match`, for all that lies in a folder."""
        missing = []
        while folder not in self._folders:
            missing.append(folder)
            folder = folder.rpartition(b"/")[0]
        known = self._folders[folder]
        for each in reversed(missing):
            if not known:
                own = self._matched(each, is_folder=True)
                known = known if own is None else own
            self._folders[each] = known
        return known

    def _matched(self, path: bytes, *, is_folder: bool) -> bool | None:
        name = path[path.rfind(b"/") + 1 :]
        for run in self._runs:
            of_name, of_path = run.of_folder if is_folder else run.of_file
            if of_name is not None and of_name.match(name):
                return run.is_exclusion
            if of_path is not None and of_path.match(path):
                return run.is_exclusion
        return None


def _lines(content: bytes) -> list[bytes]:
    return content.removeprefix(b"\xef\xbb\xbf").split(b"\n")


def _parsed(line: bytes) -> _Pattern | None:
    """A line's pattern; `None` for a comment, an empty line, or one that means nothing."""
    text = _without_spaces(line.removesuffix(b"\r"))
    if text.startswith(b"#"):
        return None
    is_exclusion = not text.startswith(b"!")
    text = text if is_exclusion else text[1:]
    is_for_folders = text.endswith(b"/")
    text = text.removesuffix(b"/")
    if not text:
        return None
    if len(text) > MAX_PATTERN_BYTES:
        raise TooManyPatternsError(f"it has a pattern of more than {MAX_PATTERN_BYTES:,} bytes")
    is_name = b"/" not in text
    expression = _glob(text) if is_name else _path_expression(text.removeprefix(b"/"))
    return _Pattern(is_exclusion, is_for_folders, is_name, expression)


def _without_spaces(text: bytes) -> bytes:
    """Without the spaces at the end, unless a backslash keeps one."""
    stripped = text.rstrip(b" ")
    n_slashes = len(stripped) - len(stripped.rstrip(b"\\"))
    return text[: len(stripped) + 1] if n_slashes % 2 and stripped != text else stripped


def _run(is_exclusion: bool, patterns: Sequence[_Pattern]) -> _Run:  # noqa: FBT001
    of_file = [each for each in patterns if not each.is_for_folders]
    return _Run(is_exclusion, _alternatives(of_file), _alternatives(patterns))


def _alternatives(
    patterns: Sequence[_Pattern],
) -> tuple[re.Pattern[bytes] | None, re.Pattern[bytes] | None]:
    """What matches any of the patterns: those of names, and those of whole paths."""
    return (
        _compiled([each.expression for each in patterns if each.is_name]),
        _compiled([each.expression for each in patterns if not each.is_name]),
    )


def _compiled(expressions: Sequence[bytes]) -> re.Pattern[bytes] | None:
    if not expressions:
        return None
    return re.compile(b"(?:" + b"|".join(dict.fromkeys(expressions)) + rb")\Z", re.DOTALL)


def _path_expression(text: bytes) -> bytes:
    """Of a pattern with a slash: folders between two `**` are found at their first place."""
    groups: list[list[bytes]] = [[]]
    for segment in _segments(text):
        if len(segment) > 1 and not segment.strip(b"*"):
            groups.append([])
        else:
            groups[-1].append(_glob(segment))
    *before, last = groups
    found = b""
    for place, group in enumerate(before):
        inside = b"".join(each + b"/" for each in group)
        # Anchored where no `**` stands before it.
        found += inside if place == 0 else rb"(?>(?:[^/]*+/)*?" + inside + b")"
    if not before:
        return b"/".join(last)
    if not last:
        # `**` at the end is anything inside.
        return found + rb".*+"
    return found + rb"(?:[^/]*+/)*?" + b"/".join(last) + rb"(?=\Z)"


def _segments(text: bytes) -> list[bytes]:
    """The parts between slashes; one in brackets belongs to its part."""
    found, start, at = [], 0, 0
    while at < len(text):
        end = _element_end(text, at)
        if text[at:end] in (b"/", b"\\/"):
            segment = text[start:at]
            if text[at:end] == b"\\/" and len(segment) > 1 and not segment.strip(b"*"):
                # To git, `**` before such a slash is one folder or more.
                found.append(b"*")
            found.append(segment)
            start = end
        at = end
    return [*found, text[start:]]


def _element_end(text: bytes, at: int) -> int:
    """Where the element ends that begins at `at`: a byte, an escape, or a set in brackets."""
    if text[at : at + 1] == b"\\":
        return min(at + 2, len(text))
    if text[at : at + 1] != b"[":
        return at + 1
    return _bracket(text, at)[1]


def _glob(text: bytes) -> bytes:
    """Of one part of a path: pieces between stars, each found at its first place."""
    pieces: list[bytes] = [b""]
    at = 0
    while at < len(text):
        end = _element_end(text, at)
        element = text[at:end]
        if element == b"*":
            pieces.append(b"")
        else:
            pieces[-1] += _element(element)
        at = end
    first, *rest = pieces
    if not rest:
        return first + _SEGMENT_ENDS
    *middle, last = rest
    stars = b"".join(rb"(?>" + _IN_SEGMENT + b"*?" + piece + b")" for piece in middle if piece)
    ending = _IN_SEGMENT + (b"*" if last else b"*+") + last
    return first + stars + b"(?>" + ending + _SEGMENT_ENDS + b")"


def _element(element: bytes) -> bytes:
    if element == b"?":
        return _IN_SEGMENT
    if element.startswith(b"["):
        return _bracket(element, 0)[0]
    if element.startswith(b"\\"):
        # A backslash at the end means nothing, and neither does its pattern.
        return re.escape(element[1:]) if len(element) > 1 else _NOTHING
    return re.escape(element)


def _bracket(text: bytes, at: int) -> tuple[bytes, int]:
    """The expression of the set that begins at `at`, and where it ends.

    One that has no end matches nothing, and takes the rest of the pattern.
    """
    start = at + 1
    is_negated = text[start : start + 1] in (b"!", b"^")
    start += is_negated
    members, at, is_first = b"", start, True
    while at < len(text):
        byte = text[at : at + 1]
        if byte == b"]" and not is_first:
            # A slash is never in a set.
            if is_negated:
                return b"[^/" + members + b"]", at + 1
            return (b"(?!/)[" + members + b"]" if members else _NOTHING), at + 1
        is_first = False
        if text.startswith(b"[:", at):
            end = text.find(b"]", at + 2)
            name = text[at + 2 : end - 1]
            if end > at + 2 and text[end - 1 : end] == b":":
                if name not in _CLASSES:
                    return _NOTHING, len(text)
                members += _CLASSES[name]
                at = end + 1
                continue
        low, at = _member(text, at)
        is_range = text[at : at + 1] == b"-" and text[at + 1 : at + 2] not in (b"]", b"")
        high = low
        if is_range:
            high, at = _member(text, at + 1)
        # As git has it, a range that runs backwards still holds the byte that it begins with.
        if low and high:
            members += b"\\x%02x-\\x%02x" % (low[0], high[0] if low <= high else low[0])
    return _NOTHING, len(text)


def _member(text: bytes, at: int) -> tuple[bytes, int]:
    """One byte of a set, and where the next begins; a backslash takes the next as it is."""
    if text[at : at + 1] == b"\\":
        at += 1
    return text[at : at + 1], at + 1
