"""A file's bytes -> its chunks, definitions, references and imports.

Pure: it opens no file and keeps nothing between calls, so that worker processes can run it.
Whatever the bytes are, the chunks cover each of them exactly once; where syntax cannot be
used, `fallback` says why and the chunks are windows of lines.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from codebuddy.index.chunk import Cut, cut_by_lines, cut_by_syntax
from codebuddy.index.symbols import (
    FoundDefinition,
    FoundReference,
    find_symbols,
)
from codebuddy.syntax.grammar import grammar_for, parse
from codebuddy.syntax.languages import language_for
from codebuddy.syntax.limits import OutOfTimeError, reason_not_to_parse

__all__ = ["ChunkSpan", "FileAnalysis", "FoundDefinition", "FoundReference", "analyze"]

# To be raised when the same bytes give other rows: indexes of an older one are built anew.
ANALYSIS_VERSION = 3

MAX_SIGNATURE_CHARACTERS = 200
# The promise is 2 s a file, fallback included; what is left is for the lines and the slack
# of the checks. Ordinary files take milliseconds.
PARSE_BUDGET_MS = 1000
TOTAL_BUDGET_MS = 1500

# Kinds that are no places of their own in a file: many share one line or one statement.
_SMALL_KINDS = frozenset(["variable", "field", "constant", "property", "prototype"])


@dataclass(frozen=True, slots=True)
class ChunkSpan:
    """A chunk of a file: bytes are 0-based and half-open, lines 1-based and inclusive.

    `symbol` is the qualified name of the definition that the chunk is or lies in, empty at
    module level; `signature` that definition's header on one line.
    """

    start_byte: int
    end_byte: int
    start_line: int
    end_line: int
    kind: str
    symbol: str
    signature: str


@dataclass(frozen=True, slots=True)
class FileAnalysis:
    """What is in a file; `fallback` is empty, or why its chunks are windows of lines."""

    language: str
    chunks: tuple[ChunkSpan, ...]
    definitions: tuple[FoundDefinition, ...] = ()
    references: tuple[FoundReference, ...] = ()
    imports: tuple[str, ...] = ()
    fallback: str = ""


def analyze(path: str, source: bytes) -> FileAnalysis:
    """Analyse the file `path` with the content `source`; never raises for any content."""
    language = language_for(path, source[:4096])
    grammar = grammar_for(language)
    reason = "no grammar" if grammar is None else ""
    reason = reason_not_to_parse(source, language) or reason
    if reason or grammar is None:
        return _by_lines(language, source, reason)
    deadline = time.monotonic() + TOTAL_BUDGET_MS / 1000
    tree = parse(source, language, PARSE_BUDGET_MS)
    if tree is None:
        return _by_lines(language, source, "deadline")
    try:
        symbols = find_symbols(tree, source, grammar, deadline)
        places = [each for each in symbols.definitions if each.kind not in _SMALL_KINDS]
        places.sort(key=lambda each: (each.extent[0], -each.extent[1]))
        cuts = cut_by_syntax(tree, source, grammar, [each.extent for each in places], deadline)
    except OutOfTimeError:
        return _by_lines(language, source, "deadline")
    return FileAnalysis(
        language=language,
        chunks=tuple(_spans(source, cuts, places)),
        definitions=symbols.definitions,
        references=symbols.references,
        imports=symbols.imports,
    )


def _by_lines(language: str, source: bytes, reason: str) -> FileAnalysis:
    return FileAnalysis(
        language=language,
        chunks=tuple(_spans(source, cut_by_lines(source), [])),
        fallback=reason,
    )


def _spans(source: bytes, cuts: list[Cut], places: list[FoundDefinition]) -> list[ChunkSpan]:
    """Give the cuts their lines and the definitions that they are or lie in."""
    spans: list[ChunkSpan] = []
    line = 1
    enclosing: list[FoundDefinition] = []
    index = 0
    for cut in cuts:
        start, end = cut.start_byte, cut.end_byte
        while enclosing and enclosing[-1].extent[1] <= start:
            enclosing.pop()
        outer = enclosing[-1] if enclosing else None
        inside: list[FoundDefinition] = []
        while index < len(places) and places[index].extent[0] < end:
            place = places[index]
            index += 1
            while enclosing and enclosing[-1].extent[1] <= place.extent[0]:
                enclosing.pop()
            inside.append(place)
            enclosing.append(place)
        kind, owner = _owner(cut, inside, outer)
        newlines = source.count(b"\n", start, end)
        ends_line = source[end - 1 : end] == b"\n"
        spans.append(
            ChunkSpan(
                start_byte=start,
                end_byte=end,
                start_line=line,
                end_line=max(line, line + newlines - ends_line),
                kind=kind,
                symbol=owner.qualified if owner else "",
                signature=owner.signature[:MAX_SIGNATURE_CHARACTERS] if owner else "",
            )
        )
        line += newlines
    return spans


def _owner(
    cut: Cut, inside: list[FoundDefinition], outer: FoundDefinition | None
) -> tuple[str, FoundDefinition | None]:
    """The chunk's kind, and the definition that it is or lies in.

    That is the largest whole definition that makes up most of it, else one that begins in
    it and goes on after it (a class whose header this is).
    """
    whole = [each for each in inside if each.extent[1] <= cut.end_byte]
    for candidates in (whole, inside):
        if candidates:
            largest = max(candidates, key=lambda each: each.extent[1] - each.extent[0])
            covered = min(largest.extent[1], cut.end_byte) - largest.extent[0]
            if 2 * covered > cut.end_byte - cut.start_byte:
                return largest.kind, largest
    if outer is not None:
        return "block", outer
    return cut.kind or "code", None
