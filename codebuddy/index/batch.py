"""A batch of files -> rows: read, analyse, count terms. Runs in a worker process or in ours.

It knows neither the database nor what the rows are for.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from codebuddy.index import file_walker
from codebuddy.index.details import MAX_REFERENCES, pack_details
from codebuddy.index.file_role import role_of
from codebuddy.index.file_walker import FileStat, Skipped
from codebuddy.index.packing import pack_text
from codebuddy.index.postings import PostingsColumns
from codebuddy.index.row_checks import can_be_read_back
from codebuddy.index.terms import count_terms, normalized_name

MAX_NAME_LENGTH = 256
# The analysis promises never to raise; one file must not cost the others. An installation that
# is broken raises other errors, which are no fault of a file.
_FAULTS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Batch:
    """Files to analyse: (path, stat as the walk saw it, digest if it was indexed before)."""

    root: bytes
    files: tuple[tuple[bytes, FileStat, bytes], ...]
    max_file_bytes: int
    quarantined: frozenset[bytes] = frozenset()


@dataclass(slots=True)
class AnalysedFile:
    """One file's rows. Chunks are (start_byte, end_byte, start_line, end_line, kind, symbol,
    signature, n_terms, packed text); definitions (squashed, name, qualified, kind, line,
    end_line, signature, chunk's place in the file)."""

    path: bytes
    stat: FileStat
    digest: bytes
    is_racy: bool
    language: str
    fallback: str
    role: str
    n_lines: int
    chunks: list[tuple[Any, ...]]
    definitions: list[tuple[Any, ...]]
    details: bytes

    @property
    def columns(self) -> tuple[Any, ...]:
        """Those of the file's own row, from the path on."""
        kind = (int(self.is_racy), self.language, self.fallback, self.role)
        head = (self.path, *self.stat.numbers, self.digest)
        return (*head, *kind, self.n_lines, len(self.chunks))


@dataclass(slots=True)
class BatchResult:
    """What became of a batch: `unchanged` files have the digest they had, with a new stat.

    `columns` holds the postings of all chunks of `analysed`, numbered through in order.
    """

    analysed: list[AnalysedFile] = field(default_factory=list)
    unchanged: list[tuple[bytes, FileStat, bool]] = field(default_factory=list)
    skipped: list[tuple[bytes, Skipped, bytes]] = field(default_factory=list)
    gone: list[bytes] = field(default_factory=list)
    columns: PostingsColumns | None = None
    source_bytes: int = 0


class _UnreadableError(Exception):
    """A file of a known format that is broken; `reason` says of what kind it is."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def analyze_batch(batch: Batch) -> BatchResult:
    """Read and analyse every file of `batch`."""
    result = BatchResult()
    counts: list[dict[str, int]] = []
    for path, seen, known_digest in batch.files:
        outcome = file_walker.read_file(
            batch.root, path, batch.max_file_bytes, time.time_ns(), known_digest
        )
        if outcome is None:
            result.gone.append(path)
        elif isinstance(outcome, Skipped):
            # A file that could not be opened keeps the stat that the walk saw.
            stat = outcome.stat if outcome.stat.inode else seen
            result.skipped.append((path, Skipped(outcome.reason, stat), b""))
        elif outcome.digest in batch.quarantined:
            result.skipped.append((path, Skipped("crash", outcome.stat), outcome.digest))
        elif outcome.digest == known_digest:
            result.unchanged.append((path, outcome.stat, outcome.is_racy))
        else:
            result.source_bytes += len(outcome.source)
            try:
                analysed, file_counts = _analyse(path, outcome)
            except _UnreadableError as error:
                skip = Skipped(error.reason, outcome.stat)
                result.skipped.append((path, skip, outcome.digest))
                continue
            except _FAULTS:
                result.skipped.append((path, Skipped("crash", outcome.stat), outcome.digest))
                continue
            result.analysed.append(analysed)
            counts.extend(file_counts)
    result.columns = _columns(counts)
    return result


def find_unchanged(batch: Batch) -> BatchResult:
    """Those files of `batch` whose contents are indexed already; the others are left out."""
    result = BatchResult(columns=_columns(()))
    for path, _, known_digest in batch.files:
        outcome = file_walker.read_file(
            batch.root, path, batch.max_file_bytes, time.time_ns(), known_digest
        )
        if isinstance(outcome, file_walker.ReadFile) and outcome.digest == known_digest:
            result.unchanged.append((path, outcome.stat, outcome.is_racy))
    return result


def _analyse(path: bytes, read: file_walker.ReadFile) -> tuple[AnalysedFile, list[dict[str, int]]]:
    from codebuddy.index.analysis import analyze

    analysis = analyze(os.fsdecode(path), read.source)
    if analysis.unreadable:
        raise _UnreadableError(analysis.unreadable)
    source = read.source if analysis.text is None else analysis.text
    chunks: list[tuple[Any, ...]] = []
    counts: list[dict[str, int]] = []
    for span in analysis.chunks:
        piece = source[span.start_byte : span.end_byte]
        terms = count_terms(piece.decode("utf-8", "replace"))
        counts.append(terms)
        place = (span.start_byte, span.end_byte, span.start_line, span.end_line)
        symbol, signature = _clean(span.symbol), _clean(span.signature)
        n_terms = sum(terms.values())
        chunks.append((*place, span.kind, symbol, signature, n_terms, pack_text(piece)))
    starts = [span.start_byte for span in analysis.chunks]
    definitions = []
    for found in analysis.definitions:
        name = _clean(found.name)[:MAX_NAME_LENGTH]
        chunk = max(0, bisect_right(starts, found.start_byte) - 1)
        where = (found.kind, found.line, found.end_line, _clean(found.signature), chunk)
        qualified = _clean(found.qualified)[: 2 * MAX_NAME_LENGTH]
        definitions.append((normalized_name(name), name, qualified, *where))
    details = pack_details(
        [
            (_clean(found.name)[:MAX_NAME_LENGTH], found.kind, found.line)
            for found in analysis.references[:MAX_REFERENCES]
        ],
        map(_clean, analysis.imports),
    )
    analysed = AnalysedFile(
        path=path,
        stat=read.stat,
        digest=read.digest,
        is_racy=read.is_racy,
        language=analysis.language,
        fallback=analysis.fallback,
        role=role_of(os.fsdecode(path), source),
        n_lines=read.source.count(b"\n") + (not read.source.endswith(b"\n") and bool(read.source)),
        chunks=chunks,
        definitions=definitions if chunks else [],
        details=details,
    )
    _check(analysed)
    return analysed, counts


def _check(analysed: AnalysedFile) -> None:
    """Refuse rows that a reader would take for damage of the whole index.

    Raises:
        ValueError: There is such a row.
    """
    if not can_be_read_back(analysed.columns, analysed.chunks, analysed.definitions):
        raise ValueError("its rows could not be read back")


def _clean(text: str) -> str:
    """`text` as UTF-8 can hold it."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _columns(counts: Iterable[dict[str, int]]) -> PostingsColumns:
    ids: dict[str, int] = {}
    term: list[int] = []
    frequency: list[int] = []
    sizes: list[int] = []
    for terms in counts:
        term.extend([ids.setdefault(each, len(ids)) for each in terms])
        frequency.extend(terms.values())
        sizes.append(len(terms))
    return PostingsColumns(
        terms=list(ids),
        term=np.array(term, np.uint32),
        document=np.repeat(np.arange(len(sizes), dtype=np.uint32), np.array(sizes, np.int64)),
        frequency=np.array(frequency, np.uint32),
    )


def lengths_of(result: BatchResult) -> npt.NDArray[np.uint32]:
    """The number of terms of each chunk of a result, in order."""
    return np.array(
        [chunk[7] for analysed in result.analysed for chunk in analysed.chunks], np.uint32
    )
