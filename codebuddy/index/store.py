"""Reading the index: every row is checked against its checksum before it is believed.

It knows rows, not ranking. One transaction (`snapshot`) sees one state of the index, however
many queries it takes; a writer only ever blocks it for the moment of a commit.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codebuddy.datatypes import Chunk, Definition
from codebuddy.index import row_checks, schema
from codebuddy.index.details import Reference, unpack_imports, unpack_references
from codebuddy.index.file_walker import FileStat, Skipped
from codebuddy.index.packing import unpack_text
from codebuddy.index.schema import DamagedIndexError

_SELECT_FILE = (
    "SELECT id, path, size, mtime_ns, ctime_ns, inode, digest, is_racy, language, fallback,"
    " role, n_lines, n_chunks, crc FROM files"
)
_SELECT_CHUNK = (
    "SELECT id, file_id, start_byte, end_byte, start_line, end_line, kind, symbol, signature,"
    " n_terms, text, crc FROM chunks"
)
_SELECT_DEFINITION = (
    "SELECT id, file_id, squashed, name, qualified, kind, line, end_line, signature, chunk_id,"
    " crc FROM definitions"
)
# A chunk's own row takes more; of dead chunks there are never many more than of live ones.
_LEAST_DOCUMENT_BYTES = 16


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A row of `files`."""

    id: int
    path: bytes
    stat: FileStat
    digest: bytes
    is_racy: bool
    language: str
    fallback: str
    role: str
    n_lines: int
    n_chunks: int


@dataclass(frozen=True, slots=True)
class StoredSegment:
    """A row of `segments`; columns are packed as postings.py packs them."""

    id: int
    n_documents: int
    document_ids: bytes
    lengths: bytes
    dead: bytes


@dataclass(frozen=True, slots=True)
class StoredVectors:
    """A row of `vectors`: those of a file's chunks, whose ids follow each other."""

    file_id: int
    first_chunk: int
    n_chunks: int
    data: bytes


@dataclass(frozen=True, slots=True)
class VectorSpace:
    """Which encoder the vectors are of (`key`), and how many numbers they have."""

    key: str
    dim: int


class Store:
    """The rows of one open database."""

    def __init__(self, file: Path, connection: sqlite3.Connection) -> None:
        self.file = file
        self.connection = connection
        self._files: dict[int, StoredFile] = {}
        self._data_version = -1

    @classmethod
    def open(cls, file: Path) -> Store:
        """Open an existing index for reading.

        Raises:
            IndexingError: It is missing, damaged, busy or a newer codebuddy's.
        """
        return cls(file, schema.connect(file, is_writer=False))

    def close(self) -> None:
        """Close the database."""
        self.connection.close()

    @contextmanager
    def snapshot(self) -> Iterator[bool]:
        """One state of the index for all reads inside; yields whether it changed since the last.

        Raises:
            IndexingError: The index is damaged or stays busy.
        """
        with schema.translated(self.file):
            self.connection.execute("BEGIN")
            try:
                # The first read takes the shared lock; only then is the version that of the state.
                self.connection.execute("SELECT 1 FROM meta LIMIT 1").fetchone()
                schema.limit_steps(self.connection)
                version = self.connection.execute("PRAGMA data_version").fetchone()[0]
                has_changed = version != self._data_version
                self._data_version = version
                if has_changed:
                    self._files.clear()
                yield has_changed
            finally:
                with suppress(sqlite3.Error):
                    self.connection.execute("ROLLBACK")

    def meta(self, key: str) -> bytes | None:
        """The value kept under `key`."""
        row = self._row("SELECT value, crc FROM meta WHERE key = ?", (key,))
        if row is None:
            return None
        row_checks.check("meta", f"meta {key}", (key, *row))
        return bytes(row[0])

    def files(self) -> Iterator[StoredFile]:
        """Every file."""
        for row in self.connection.execute(_SELECT_FILE):
            yield _file(row)

    def file_by_id(self, file_id: int) -> StoredFile:
        """One file, by id."""
        known = self._files.get(file_id)
        if known is None:
            row = self._row(f"{_SELECT_FILE} WHERE id = ?", (file_id,))
            if row is None:
                raise DamagedIndexError(f"the index is damaged: file {file_id} is missing")
            known = self._files[file_id] = _file(row)
        return known

    def file_of(self, path: bytes) -> StoredFile | None:
        """One file, by path."""
        row = self._row(f"{_SELECT_FILE} WHERE path = ?", (path,))
        return None if row is None else _file(row)

    def files_with(self, digest: bytes) -> list[StoredFile]:
        """The files of this content; every row is looked at."""
        rows = self.connection.execute(f"{_SELECT_FILE} WHERE digest = ?", (digest,))
        return [_file(row) for row in rows]

    def paths(self) -> list[bytes]:
        """Every file's path.

        Answered from the path index alone, which carries no checksums: paths only lead to
        rows, which are checked.
        """
        found = [path for (path,) in self.connection.execute("SELECT path FROM files")]
        if not all(map(row_checks.is_path, found)):
            raise DamagedIndexError("the index is damaged: a path leads nowhere")
        return found

    def file_ids(self, paths: Sequence[bytes]) -> dict[bytes, int]:
        """The ids of those of `paths` that are indexed; unchecked, as `paths`."""
        statement = "SELECT id FROM files WHERE path = ?"
        rows = [(path, self._row(statement, (path,))) for path in paths]
        return {path: row[0] for path, row in rows if row is not None}

    def skipped(self) -> Iterator[tuple[bytes, Skipped, bytes]]:
        """Every skipped file: path, reason with stat, and digest if it was read."""
        for row in self.connection.execute(
            "SELECT path, reason, size, mtime_ns, ctime_ns, inode, digest, crc FROM skipped"
        ):
            row_checks.check("skipped", "a skipped file", row)
            path, reason, *numbers, digest, _ = row
            yield path, Skipped(reason, FileStat(*numbers)), digest

    def imports_of(self, file_id: int) -> tuple[str, ...]:
        """What the file imports, in its own words."""
        return unpack_imports(self._details(file_id))

    def references_of(self, file_id: int, name: str) -> list[Reference]:
        """Where the file uses `name`."""
        return unpack_references(self._details(file_id), name)

    def _details(self, file_id: int) -> bytes:
        row = self._row("SELECT data, crc FROM details WHERE file_id = ?", (file_id,))
        if row is None:
            raise DamagedIndexError(f"the index is damaged: details of file {file_id} are missing")
        row_checks.check("details", f"details of file {file_id}", (file_id, *row))
        return bytes(row[0])

    def segments(self) -> list[StoredSegment]:
        """Every segment, oldest first; together of no more documents than the file can hold."""
        found = []
        left = schema.size_of(self.connection) // _LEAST_DOCUMENT_BYTES
        for row in self.connection.execute(
            "SELECT id, n_documents, document_ids, lengths, dead, crc FROM segments ORDER BY id"
        ):
            row_checks.check("segments", f"segment {row[0]}", row)
            left -= row_checks.check_number(row[1], f"segment {row[0]}", left)
            found.append(StoredSegment(*row[:-1]))
        return found

    def postings(self, segment: int, terms: Sequence[str]) -> dict[str, bytes]:
        """The postings of those of `terms` that the segment holds."""
        found: dict[str, bytes] = {}
        statement = "SELECT data, crc FROM postings WHERE segment = ? AND term = ?"
        for term in terms:
            row = self._row(statement, (segment, term))
            if row is not None:
                what = f"term {term!r} of segment {segment}"
                row_checks.check("postings", what, (segment, term, *row))
                found[term] = row[0]
        return found

    def terms_beginning(self, segment: int, beginning: str, limit: int) -> list[str]:
        """Terms of a segment that begin so, `limit` at most; unchecked, as `paths`."""
        statement = "SELECT term FROM postings WHERE segment = ? AND term >= ? AND term < ? LIMIT ?"
        bounds = (segment, beginning, beginning + "\U0010ffff", limit)
        return [str(term) for (term,) in self.connection.execute(statement, bounds)]

    def all_postings(self, segment: int) -> Iterator[tuple[str, bytes]]:
        """Every term of a segment with its postings, sorted."""
        for term, data, crc in self.connection.execute(
            "SELECT term, data, crc FROM postings WHERE segment = ? ORDER BY term", (segment,)
        ):
            what = f"term {term!r} of segment {segment}"
            row_checks.check("postings", what, (segment, term, data, crc))
            yield term, data

    def vector_space(self) -> VectorSpace | None:
        """Whose vectors the index holds, if any."""
        value = self.meta("embedder")
        return None if value is None else VectorSpace(*row_checks.check_space(value))

    def vectors(self) -> Iterator[StoredVectors]:
        """Every row of vectors, by file."""
        for row in self.connection.execute(
            "SELECT file_id, first_chunk, n_chunks, data, crc FROM vectors ORDER BY file_id"
        ):
            row_checks.check_vectors(row)
            yield StoredVectors(*row[:-1])

    def chunks(self, ids: Sequence[int], *, may_miss: bool = False) -> list[Chunk]:
        """The chunks of these ids, in this order.

        Raises:
            DamagedIndexError: One is damaged, or missing though it may not be.
        """
        found: list[Chunk] = []
        statement = f"{_SELECT_CHUNK} WHERE id = ?"
        for chunk_id in ids:
            row = self._row(statement, (chunk_id,))
            if row is not None:
                found.append(self._chunk(row))
            elif not may_miss:
                raise DamagedIndexError(f"the index is damaged: chunk {chunk_id} is missing")
        return found

    def file_id_of(self, chunk_id: int) -> int:
        """The file of a chunk; unchecked, since the chunk itself is checked before it is shown."""
        row = self._row("SELECT file_id FROM chunks WHERE id = ?", (chunk_id,))
        if row is None:
            raise DamagedIndexError(f"the index is damaged: chunk {chunk_id} is missing")
        return row_checks.check_number(row[0], f"chunk {chunk_id}")

    def chunks_of(self, stored: StoredFile) -> list[Chunk]:
        """A file's chunks in their order."""
        statement = f"{_SELECT_CHUNK} WHERE file_id = ? ORDER BY start_byte"
        found = [self._chunk(row) for row in self.connection.execute(statement, (stored.id,))]
        if len(found) != stored.n_chunks:
            raise DamagedIndexError(
                f"the index is damaged: {len(found)} of {stored.n_chunks} chunks of file"
                f" {stored.id} are left"
            )
        return found

    def chunk_spans(self, file_id: int) -> list[tuple[int, int, int]]:
        """(id, first line, last line) of a file's chunks in their order; unchecked, as `paths`."""
        statement = "SELECT id, start_line, end_line FROM chunks WHERE file_id = ?"
        rows = self.connection.execute(f"{statement} ORDER BY start_byte", (file_id,))
        what = f"a chunk of file {file_id}"
        return [
            (chunk_id, row_checks.check_number(first, what), row_checks.check_number(last, what))
            for chunk_id, first, last in rows
        ]

    def count_files(self) -> int:
        """How many files there are."""
        # The short form counts in one step, which nothing would end.
        return int(self._row("SELECT sum(id > 0) FROM files", ())[0] or 0)

    def count_vectors(self) -> int:
        """How many chunks have a vector, of whatever encoder."""
        count = self.connection.execute("SELECT sum(n_chunks) FROM vectors").fetchone()[0]
        return row_checks.check_number(count or 0, "the number of vectors")

    def definitions(
        self, normalized: str, *, is_prefix: bool = False, limit: int = 100
    ) -> list[Definition]:
        """Definitions by name without case and underscores."""
        if is_prefix:
            bounds = (normalized, normalized + "\U0010ffff")
            return self._definitions("squashed >= ? AND squashed < ?", bounds, limit)
        return self._definitions("squashed = ?", (normalized,), limit)

    def definitions_named(self, name: str, normalized: str, limit: int) -> list[Definition]:
        """Definitions of exactly this name."""
        return self._definitions("squashed = ? AND name = ?", (normalized, name), limit)

    def definitions_qualified(self, parts: Sequence[str], key: str, limit: int) -> list[Definition]:
        """Definitions whose qualified name ends in `parts`; `key` is the last one squashed."""
        whole = ".".join(parts)
        where = "squashed = ? AND name = ? AND (qualified = ? OR substr(qualified, ?) = ?)"
        values = (key, parts[-1], whole, -len(whole) - 1, f".{whole}")
        return self._definitions(where, values, limit)

    def definitions_in(
        self, name: str, normalized: str, file_ids: Sequence[int]
    ) -> list[Definition]:
        """Definitions of exactly this name in some files."""
        if not file_ids:
            return []
        marks = ", ".join("?" * len(file_ids))
        where = f"squashed = ? AND name = ? AND file_id IN ({marks})"
        return self._definitions(where, (normalized, name, *file_ids), -1)

    def definitions_of(
        self, stored: StoredFile, lines: tuple[int, int] | None = None
    ) -> list[Definition]:
        """A file's definitions in their order, of `lines` (first, last) those that touch them."""
        where = "file_id = ?" if lines is None else "file_id = ? AND end_line >= ? AND line <= ?"
        return self._definitions(where, (stored.id, *(lines or ())), -1)

    def count_definitions(self, names: Iterable[tuple[str, str]], outside: int) -> dict[str, int]:
        """In how many files other than `outside` each (name, squashed) is defined; unchecked."""
        statement = (
            "SELECT count(DISTINCT file_id) FROM definitions"
            " WHERE squashed = ? AND name = ? AND file_id <> ?"
        )
        return {
            name: self.connection.execute(statement, (normalized, name, outside)).fetchone()[0]
            for name, normalized in names
        }

    def _definitions(self, where: str, values: tuple[Any, ...], limit: int) -> list[Definition]:
        found = []
        for row in self.connection.execute(
            f"{_SELECT_DEFINITION} WHERE {where} ORDER BY squashed, name, file_id, line LIMIT ?",
            (*values, limit),
        ):
            row_checks.check_definition(row)
            _, file_id, _, name, qualified, kind, line, end_line, signature, chunk_id, _ = row
            path = os.fsdecode(self.file_by_id(file_id).path)
            found.append(
                Definition(name, qualified, kind, path, line, end_line, signature, chunk_id)
            )
        return found

    def _chunk(self, row: tuple[Any, ...]) -> Chunk:
        row_checks.check_chunk(row)
        id_, file_id, start_byte, end_byte, start_line, end_line, kind, symbol, signature = row[:9]
        stored = self.file_by_id(file_id)
        row_checks.check_lines(row, stored.path)
        return Chunk(
            id=id_,
            path=os.fsdecode(stored.path),
            language=stored.language,
            kind=kind,
            symbol=symbol,
            signature=signature,
            start_line=start_line,
            end_line=end_line,
            start_byte=start_byte,
            end_byte=end_byte,
            text=unpack_text(row[10], end_byte - start_byte),
        )

    def _row(self, statement: str, values: tuple[Any, ...]) -> Any:
        return self.connection.execute(statement, values).fetchone()


def _file(row: tuple[Any, ...]) -> StoredFile:
    row_checks.check_file(row)
    id_, path, size, mtime_ns, ctime_ns, inode, digest, is_racy, *rest, _ = row
    return StoredFile(
        id_, path, FileStat(size, mtime_ns, ctime_ns, inode), digest, bool(is_racy), *rest
    )
