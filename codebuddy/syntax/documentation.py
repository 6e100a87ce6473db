"""The first line of documentation: of a string literal, or of the comment above a place.

Works on text alone, so that no tree is asked for siblings (which costs the whole list).
"""

from __future__ import annotations

import re
from functools import cache

MAX_DOC_CHARACTERS = 200
_MAX_LINES_ABOVE = 80

_LITERAL_OPENING = re.compile(r"""^[rRbBuUfF]*("{3}|'{3}|"|')""")
_LINE_COMMENTS = {
    "//": re.compile(rb"^\s*+//[/!]*\s?(.*)"),
    "#": re.compile(rb"^\s*+#(?!!)#*\s?(.*)"),
    "--": re.compile(rb"^\s*+---*\s?[|^]?\s?(.*)"),
}
_ATTRIBUTE = re.compile(rb"\s*(?:@\w|#!?\[|\[\w|template\s*<)")
_COMMENT_MARKS = re.compile(
    rb"^\s*(?:/\*+!?|\(\*+|\{-\s*\|?|<!--|\*(?!/))\s?|(?<!\s)\s*+(?:(?<!\*)\*++[/)]|-\}|-->)\s*$"
)


def first_line_of_literal(literal: bytes) -> str:
    """The first line with text in a string literal, without its quotes."""
    text = literal.decode("utf-8", "replace").strip()
    opening = _LITERAL_OPENING.match(text)
    if opening:
        text = text[opening.end() :].removesuffix(opening[1])
    return _first_line(text)


def comment_above(source: bytes, byte: int, line_comment: str) -> str:
    """The first line of the comment that stands directly above the line of `byte`.

    `line_comment` is what begins a comment that ends with its line; attributes and
    decorators may stand between.
    """
    line_pattern = _line_pattern(line_comment)
    found: list[bytes] = []
    in_block = False
    end = source.rfind(b"\n", 0, byte)
    for _ in range(_MAX_LINES_ABOVE):
        if end < 0:
            break
        start = source.rfind(b"\n", max(0, end - 1000), end) + 1
        line = source[start:end].rstrip(b"\r")
        stripped = line.strip()
        if in_block:
            found.append(line)
            in_block = not stripped.startswith((b"/*", b"(*", b"{-", b"<!--"))
            if not in_block:
                break
        elif stripped.endswith((b"*/", b"*)", b"-}", b"-->")):
            if found:
                break
            found.append(line)
            in_block = not stripped.startswith((b"/*", b"(*", b"{-", b"<!--"))
            if not in_block:
                break
        elif line_pattern.fullmatch(line):
            found.append(line)
        elif found or not _ATTRIBUTE.match(line):
            break
        end = start - 1
    for line in reversed(found):
        match = line_pattern.fullmatch(line)
        text = match[1] if match else _COMMENT_MARKS.sub(b"", _COMMENT_MARKS.sub(b"", line))
        words = _first_line(text.decode("utf-8", "replace"))
        if words:
            return words
    return ""


@cache
def _line_pattern(line_comment: str) -> re.Pattern[bytes]:
    """A line that is a comment, with its text in the first group."""
    if not line_comment:
        return re.compile(rb"(?!)()")
    sign = re.escape(line_comment).encode()
    return _LINE_COMMENTS.get(line_comment) or re.compile(rb"^\s*+(?:" + sign + rb")+\s?(.*)")


def _first_line(text: str) -> str:
    for line in text.splitlines():
        stripped = line.strip(" \t*=-#/")
        if stripped:
            return stripped[:MAX_DOC_CHARACTERS]
    return ""
