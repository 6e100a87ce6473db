"""A file's bytes -> its chunks, definitions, references and imports.

Pure: it opens no file and keeps nothing between calls, so that worker processes can run it.
Whatever the bytes are, the chunks cover each of them exactly once; where syntax cannot be
used, `fallback` says why and the chunks are windows of lines.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from codebuddy.index.cells import moved_definition, read_cells
from codebuddy.index.chunk import Cut
from codebuddy.index.parts import read_document, read_part
from codebuddy.index.symbols import FoundDefinition, FoundReference
from codebuddy.syntax.embedded import embeds_code
from codebuddy.syntax.languages import NOTEBOOK, language_for
from codebuddy.syntax.notebook import NotebookError

__all__ = ["ChunkSpan", "FileAnalysis", "FoundDefinition", "FoundReference", "analyze"]

# To be raised when the same bytes give other rows: indexes of an older one are built anew.
ANALYSIS_VERSION = 4

MAX_SIGNATURE_CHARACTERS = 200
# The promise is 2 s a file, fallback included; what is left is for the lines and the slack
# of the checks. Ordinary files take milliseconds.
TOTAL_BUDGET_MS = 1500


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
    """What is in a file; `fallback` is empty, or why its chunks are windows of lines.

    Of a notebook `text` holds the cells, which the chunks' bytes count in; their lines are the
    file's. `unreadable` says why there is nothing at all.
    """

    language: str
    chunks: tuple[ChunkSpan, ...]
    definitions: tuple[FoundDefinition, ...] = ()
    references: tuple[FoundReference, ...] = ()
    imports: tuple[str, ...] = ()
    fallback: str = ""
    text: bytes | None = None
    unreadable: str = ""


def analyze(path: str, source: bytes, language: str = "") -> FileAnalysis:
    """Analyse the file `path` with the content `source`; never raises for any content.

    `language` is that of `source` where the path does not say.
    """
    language = language or language_for(path, source[:4096])
    deadline = time.monotonic() + TOTAL_BUDGET_MS / 1000
    if language == NOTEBOOK:
        return _of_notebook(source, deadline)
    read = read_document if embeds_code(language) else read_part
    part = read(source, language, deadline)
    return FileAnalysis(
        language=language,
        chunks=tuple(_spans(source, list(part.cuts), part.places)),
        definitions=part.definitions,
        references=part.references,
        imports=part.imports,
        fallback=part.fallback,
    )


def _of_notebook(source: bytes, deadline: float) -> FileAnalysis:
    try:
        language, cells = read_cells(source, deadline)
    except NotebookError:
        return FileAnalysis(NOTEBOOK, (), unreadable="broken notebook")
    chunks: list[ChunkSpan] = []
    definitions: list[FoundDefinition] = []
    references: list[FoundReference] = []
    n_bytes = 0
    for cell in cells:
        chunks += [
            replace(
                span,
                start_byte=span.start_byte + n_bytes,
                end_byte=span.end_byte + n_bytes,
                start_line=cell.line(span.start_line),
                end_line=cell.line(span.end_line),
            )
            for span in _spans(cell.source, list(cell.part.cuts), cell.part.places)
        ]
        definitions += [moved_definition(each, cell, n_bytes) for each in cell.part.definitions]
        references.extend(replace(each, line=cell.line(each.line)) for each in cell.part.references)
        n_bytes += len(cell.source)
    return FileAnalysis(
        language=language,
        chunks=tuple(chunks),
        definitions=tuple(definitions),
        references=tuple(references),
        imports=tuple(dict.fromkeys(each for cell in cells for each in cell.part.imports)),
        fallback=next((c.part.fallback for c in cells if c.part.fallback == "deadline"), ""),
        text=b"".join(cell.source for cell in cells),
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
