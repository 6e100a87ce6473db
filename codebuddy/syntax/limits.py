"""Which sources are not given to a parser, and why: cheap checks over the bytes.

The parsers are C code that no exception leaves; what is known to hurt them stops here.
"""

from __future__ import annotations

import re

# A tree takes ten to twenty times the source's memory, and a second per 4 to 10 MB.
MAX_SOURCE_BYTES = 8_000_000
MAX_DEPTH = 5000
_HEAD_BYTES = 8192

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def is_binary(source: bytes) -> bool:
    """Whether the bytes are no text in an ASCII-compatible encoding (as git judges: a NUL)."""
    head = source[:_HEAD_BYTES]
    return b"\0" in head or head.startswith(_UTF16_MARKS)


def reason_not_to_parse(source: bytes) -> str:
    """Why `source` must not be parsed; empty if it may."""
    if is_binary(source):
        return "binary"
    if len(source) > MAX_SOURCE_BYTES:
        return "too large"
    if _bracket_depth(source) > MAX_DEPTH:
        return "too deep"
    return ""


def _bracket_depth(source: bytes) -> int:
    """An upper estimate of how deep the brackets nest, strings and comments included."""
    opening = source.count(b"(") + source.count(b"[") + source.count(b"{")
    if opening <= MAX_DEPTH:
        return 0
    depth = deepest = 0
    for match in _BRACKETS.finditer(source):
        if match[0] in b"([{":
            depth += 1
            deepest = max(deepest, depth)
        elif depth:
            depth -= 1
    return deepest


_BRACKETS = re.compile(rb"[(\[{)\]}]")
