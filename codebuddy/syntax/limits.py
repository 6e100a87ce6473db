"""Which sources are not given to a parser, and why: cheap checks over the bytes.

The parsers are C code that no exception leaves; what is known to hurt them stops here.
"""

from __future__ import annotations

import re

from codebuddy.syntax.rules import spec_of

# A tree takes ten to twenty times the source's memory, and a second per 4 to 10 MB.
MAX_SOURCE_BYTES = 8_000_000
MAX_DEPTH = 5000
# Type arguments that never close make some parsers (Java's, C#'s) take seconds for a single
# step, out of the deadline's reach: 16,000 of them 12.7 s, 4,000 of them 0.95 s.
MAX_ANGLE_DEPTH = 1500

# YAML's scanner keeps its open blocks in a buffer of 1,024 bytes and writes past its end:
# 250 nested mappings parse, 300 crash the process.
MAX_INDENT_DEPTH = 200

# In Elixir `a + b` may be a call `a(+b)`: 4,000 signs in one expression take 2 s, 16,000 take 31 s.
MAX_SIGN_RUN = 1500

_BRACKETS = re.compile(rb"[(\[{)\]}]")
_SIGNS = re.compile(rb"[-+]|[,;()\[\]{}=]")
_LINE_BLOCKS = re.compile(rb"^([ \t]*)((?:[-?:>*+][ \t]+)*)(?=[^\s])", re.MULTILINE)
_ANGLES = re.compile(rb"[<>;{}]")
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class OutOfTimeError(Exception):
    """A walk met its deadline; the caller falls back to line windows."""


def is_binary(source: bytes) -> bool:
    """Whether the bytes are no text in an ASCII-compatible encoding: a NUL, or UTF-16's mark.

    A NUL anywhere counts, later than git looks for it: bash's scanner waits for the end of
    the text at one and never comes back.
    """
    return source.startswith(_UTF16_MARKS) or b"\0" in source


def reason_not_to_parse(source: bytes, language: str) -> str:
    """Why `source` must not be parsed as `language`; empty if it may."""
    if is_binary(source):
        return "binary"
    if len(source) > MAX_SOURCE_BYTES:
        return "too large"
    if _bracket_depth(source) > MAX_DEPTH or _angle_depth(source) > MAX_ANGLE_DEPTH:
        return "too deep"
    hazards = spec_of(language).parse_hazards
    if "indentation" in hazards and _indent_depth(source) > MAX_INDENT_DEPTH:
        return "too deep"
    if "signs" in hazards and _sign_run(source) > MAX_SIGN_RUN:
        return "too deep"
    return ""


def _bracket_depth(source: bytes) -> int:
    """An upper estimate of how deep the brackets nest, strings and comments included."""
    if source.count(b"(") + source.count(b"[") + source.count(b"{") <= MAX_DEPTH:
        return 0
    depth = deepest = 0
    for match in _BRACKETS.finditer(source):
        if match[0] in b"([{":
            depth += 1
            deepest = max(deepest, depth)
        elif depth:
            depth -= 1
    return deepest


def _angle_depth(source: bytes) -> int:
    """How many `<` stay open at once within a statement."""
    if source.count(b"<") <= MAX_ANGLE_DEPTH:
        return 0
    depth = deepest = 0
    for match in _ANGLES.finditer(source):
        if match[0] == b"<":
            depth += 1
            deepest = max(deepest, depth)
        elif match[0] == b">":
            depth = max(0, depth - 1)
        else:
            depth = 0
    return deepest


def _indent_depth(source: bytes) -> int:
    """How many blocks begun by indentation and by `- `, `? ` or `: ` are open at once."""
    columns: list[int] = []
    deepest = 0
    for match in _LINE_BLOCKS.finditer(source):
        column = len(match[1])
        while columns and columns[-1] >= column:
            columns.pop()
        columns.append(column)
        for offset, character in enumerate(match[2]):
            if character not in b" \t":
                columns.append(column + offset + 1)
        deepest = max(deepest, len(columns))
    return deepest


def _sign_run(source: bytes) -> int:
    """How many `+` and `-` follow each other with no bracket, comma or `=` between."""
    if source.count(b"+") + source.count(b"-") <= MAX_SIGN_RUN:
        return 0
    run = longest = 0
    for match in _SIGNS.finditer(source):
        run = run + 1 if match[0] in b"+-" else 0
        longest = max(longest, run)
    return longest
