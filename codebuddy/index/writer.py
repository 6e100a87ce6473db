"""Writing the index: one transaction takes files away, puts files in, and keeps BM25 exact.

Only one writer exists at a time (build.py holds the lock). Every commit leaves a whole
index: its rows, its postings and its statistics agree, so that a killed writer's successor
goes on from the last commit. It knows neither git nor how files are analysed.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from codebuddy.index import file_checksum, schema
from codebuddy.index.batch import AnalysedFile, BatchResult, lengths_of
from codebuddy.index.file_walker import FileStat, Skipped
from codebuddy.index.postings import SegmentBuilder, columns_of_rows, decode_postings
from codebuddy.index.row_checks import check_number
from codebuddy.index.schema import DamagedIndexError, checksum
from codebuddy.index.segments import (
    Segment,
    pack_histogram,
    segments_to_merge,
    unpack_histogram,
    unpack_segment,
)
from codebuddy.index.store import Store, StoredFile, VectorSpace
from codebuddy.index.terms import count_terms

# Documents that an update may rewrite to merge segments: 60,000 take about 4 s.
_MERGED_AT_LEAST = 5_000
_MERGED_PER_WRITTEN = 10
# Below this size a Python loop beats numpy's overhead.
_SHORT_BYTES = 64
# Above this number of affected terms, reading every term at once is quicker than one by one.
_MANY_TERMS = 20_000
# Far more than 8 MB of source take, however small the database still is.
_STEPS_OF_A_COMMIT = 5_000_000_000


class IndexWriter(Store):
    """The one writer of a database."""

    def __init__(self, file: Path, connection: sqlite3.Connection) -> None:
        super().__init__(file, connection)
        with schema.translated(file):
            self._segments = {row.id: unpack_segment(row) for row in self.segments()}
            self._histogram = unpack_histogram(self.meta("histogram"))
            self._next_chunk = 1 + max(
                [self._largest("chunks", "id")]
                + [
                    int(each.document_ids[-1])
                    for each in self._segments.values()
                    if len(each.lengths)
                ]
            )
            self._next_file = 1 + self._largest("files", "id")
            self._next_segment = 1 + self._largest("segments", "id")
            self._next_definition = 1 + self._largest("definitions", "id")
        self._has_checksum = True
        # Documents that came or went through this writer.
        self._n_written = 0
        # In how many live documents each term stands; complete once it is not None.
        self._frequencies: dict[str, int] | None = {} if not self._segments else None

    def _largest(self, table: str, column: str) -> int:
        row = self._row(f"SELECT max({column}) FROM {table}", ())  # noqa: S608
        return check_number(row[0] or 0, f"an id of {table}")

    def check_everything(self) -> None:
        """Read every row and compare SQLite's trees, as after a writer that was killed.

        Raises:
            DamagedIndexError: Something is not as it was written.
        """
        with schema.translated(self.file):
            schema.check_structure(self.connection)
            for stored in self.files():
                self.chunks_of(stored)
                self.definitions_of(stored)
                self.imports_of(stored.id)
            for segment in self.segments():
                for _ in self.all_postings(segment.id):
                    pass
            for _ in self.skipped():
                pass
            for _ in self.vectors():
                pass

    def write_checksum_and_close(self) -> None:
        """Close the database; what a later reader finds changed is then known to be damage."""
        try:
            schema.write_checksum(self.connection, self.file)
        finally:
            self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing.

        The first one deletes the file checksum. SQLite journals no free page that it reuses, so a
        killed writer can leave the recorded change counter and size with other bytes.
        """
        with schema.translated(self.file):
            self.connection.execute("BEGIN IMMEDIATE")
            schema.limit_steps(self.connection, _STEPS_OF_A_COMMIT)
            if self._has_checksum:
                file_checksum.remove(self.file)
                self._has_checksum = False
            try:
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self.connection.execute("ROLLBACK")
                raise

    def put_meta(self, key: str, value: bytes) -> None:
        """Keep `value` under `key`."""
        self.connection.execute(
            "INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", (key, value, checksum(key, value))
        )

    def expect_vectors(self, key: str, dim: int) -> None:
        """Vectors of any other encoder or dimension go away, in a transaction of its own."""
        if self.vector_space() != VectorSpace(key, dim):
            with self.transaction():
                self.connection.execute("DELETE FROM vectors")
                self.put_meta("embedder", f"{key} {dim}".encode())

    def files_without_vectors(self) -> list[StoredFile]:
        """Files with chunks that have no row of vectors, or not one for each chunk."""
        rows = self.connection.execute(
            "SELECT id FROM files LEFT JOIN vectors ON file_id = id"
            " WHERE files.n_chunks <> coalesce(vectors.n_chunks, 0) ORDER BY id"
        )
        return [self.file_by_id(file_id) for (file_id,) in rows.fetchall()]

    def put_vectors(self, rows: Iterable[tuple[int, int, int, bytes]]) -> None:
        """Keep rows of (file, first chunk, number of chunks, packed vectors)."""
        self.connection.executemany(
            "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?, ?)", map(_with_crc, rows)
        )

    def put_skipped(self, rows: Iterable[tuple[bytes, Skipped, bytes]]) -> None:
        """Remember files that are not indexed."""
        self.connection.executemany(
            "INSERT OR REPLACE INTO skipped VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                _with_crc((path, skip.reason, *skip.stat.numbers, digest))
                for path, skip, digest in rows
            ],
        )

    def drop_skipped(self, paths: Iterable[bytes]) -> None:
        """Forget skipped files."""
        self.connection.executemany(
            "DELETE FROM skipped WHERE path = ?", [(path,) for path in paths]
        )

    def put_stat(self, stored: StoredFile, stat: FileStat, is_racy: bool) -> None:  # noqa: FBT001
        """Note a file's new stat; its content is as it was."""
        row = (
            stored.id,
            stored.path,
            *stat.numbers,
            stored.digest,
            int(is_racy),
            stored.language,
        )
        self._put_file((*row, stored.fallback, stored.role, stored.n_lines, stored.n_chunks))

    def apply(self, removed: Sequence[StoredFile], results: Sequence[BatchResult]) -> None:
        """Take `removed` out and put the files of `results` in, inside a transaction.

        Raises:
            DamagedIndexError: A row that must be undone is damaged.
        """
        dead, lost = self._documents_of(removed)
        builder = SegmentBuilder()
        for result in results:
            assert result.columns is not None
            builder.add(result.columns, lengths_of(result))
        rows = builder.columns().rows()
        gained = {term: _n_documents(data) for term, data in rows}
        # Asked before anything changes: what is dead is not counted.
        before = self._frequencies_of(gained.keys() | lost.keys())
        self._remove(removed, dead)
        analysed = [each for result in results for each in result.analysed]
        ids = [chunk_id for each in analysed for chunk_id in self._insert_file(each)]
        self._n_written += len(ids) + len(dead)
        if ids:
            no_dead = np.zeros(len(ids), bool)
            segment_id, self._next_segment = self._next_segment, self._next_segment + 1
            segment = Segment(segment_id, np.array(ids, np.int64), builder.lengths(), no_dead)
            self._insert_segment(segment, rows)
        self._count(before, lost, gained)

    def merge_once(self) -> bool:
        """Merge segments where it is worth it, inside a transaction; whether any was."""
        segments = list(self._segments.values())
        budget = max(_MERGED_AT_LEAST, _MERGED_PER_WRITTEN * self._n_written)
        if len(segments) > 1 and 2 * self._n_written >= sum(each.n_live for each in segments):
            # After a build one segment makes every later query quicker.
            chosen = segments
        else:
            chosen = segments_to_merge(segments, budget)
        if not chosen:
            return False
        builder = SegmentBuilder()
        ids: list[Any] = []
        for segment in chosen:
            columns = columns_of_rows(list(self.all_postings(segment.id)), len(segment.lengths))
            is_live = ~segment.is_dead
            kept = is_live[columns.document]
            renumbered = (np.cumsum(is_live) - 1).astype(np.uint32)
            columns.term = columns.term[kept]
            columns.document = renumbered[columns.document[kept]]
            columns.frequency = columns.frequency[kept]
            builder.add(columns, segment.lengths[is_live])
            ids.append(segment.document_ids[is_live])
            self._drop_segment(segment.id)
        document_ids = np.concatenate(ids)
        if len(document_ids):
            # Merged segments hold older chunks than their neighbours, so ids may interleave.
            order = np.argsort(document_ids)
            columns = builder.columns().reordered(order)
            segment_id, self._next_segment = self._next_segment, self._next_segment + 1
            no_dead = np.zeros(len(document_ids), bool)
            merged = Segment(segment_id, document_ids[order], builder.lengths()[order], no_dead)
            self._insert_segment(merged, columns.rows())
        return True

    def _documents_of(self, removed: Sequence[StoredFile]) -> tuple[list[int], Counter[str]]:
        """The chunks that go away, and in how many of them each term stands."""
        dead: list[int] = []
        lost: Counter[str] = Counter()
        for stored in removed:
            for chunk in self.chunks_of(stored):
                lost.update(count_terms(chunk.text).keys())
                dead.append(chunk.id)
        return dead, lost

    def _remove(self, removed: Sequence[StoredFile], dead: Sequence[int]) -> None:
        for stored in removed:
            for table in ("chunks", "definitions", "details", "vectors"):
                self.connection.execute(
                    f"DELETE FROM {table} WHERE file_id = ?",  # noqa: S608
                    (stored.id,),
                )
            self.connection.execute("DELETE FROM files WHERE id = ?", (stored.id,))
            self._files.pop(stored.id, None)
        dead_ids = np.array(dead, np.int64)
        n_buried = 0
        for segment in self._segments.values() if dead else ():
            hit = np.isin(segment.document_ids, dead_ids) & ~segment.is_dead
            if hit.any():
                n_buried += int(hit.sum())
                segment.is_dead = segment.is_dead | hit
                self._put_segment(segment)
        if n_buried != len(dead):
            raise DamagedIndexError("the index is damaged: a chunk stands in no segment")

    def _insert_file(self, analysed: AnalysedFile) -> list[int]:
        """Insert a file's rows; returns its chunks' ids, in order."""
        file_id, self._next_file = self._next_file, self._next_file + 1
        first, self._next_chunk = self._next_chunk, self._next_chunk + len(analysed.chunks)
        self._put_file((file_id, *analysed.columns))
        self.connection.execute(
            "INSERT INTO details VALUES (?, ?, ?)",
            (file_id, analysed.details, checksum(file_id, analysed.details)),
        )
        self.connection.executemany(
            "INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                _with_crc((first + place, file_id, *chunk))
                for place, chunk in enumerate(analysed.chunks)
            ],
        )
        self._insert_definitions(file_id, first, analysed.definitions)
        return list(range(first, first + len(analysed.chunks)))

    def _insert_definitions(
        self, file_id: int, first_chunk: int, definitions: Iterable[tuple[Any, ...]]
    ) -> None:
        rows = []
        for place, definition in enumerate(definitions, self._next_definition):
            rows.append(_with_crc((place, file_id, *definition[:-1], first_chunk + definition[-1])))
        self._next_definition += len(rows)
        self.connection.executemany(
            "INSERT INTO definitions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows
        )

    def _put_file(self, row: tuple[Any, ...]) -> None:
        self.connection.execute(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            _with_crc(row),
        )
        self._files.pop(row[0], None)

    def _insert_segment(self, segment: Segment, rows: Sequence[tuple[str, bytes]]) -> None:
        self._segments[segment.id] = segment
        self._put_segment(segment)
        self.connection.executemany(
            "INSERT INTO postings VALUES (?, ?, ?, ?)",
            [_with_crc((segment.id, term, data)) for term, data in rows],
        )

    def _put_segment(self, segment: Segment) -> None:
        row = segment.stored()
        self.connection.execute(
            "INSERT OR REPLACE INTO segments VALUES (?, ?, ?, ?, ?, ?)",
            _with_crc((row.id, row.n_documents, row.document_ids, row.lengths, row.dead)),
        )

    def _drop_segment(self, segment_id: int) -> None:
        self.connection.execute("DELETE FROM segments WHERE id = ?", (segment_id,))
        self.connection.execute("DELETE FROM postings WHERE segment = ?", (segment_id,))
        del self._segments[segment_id]

    def _forget_terms(self, terms: Iterable[str]) -> None:
        """Delete the rows of terms that stand in no live document any more."""
        gone = [(segment_id, term) for term in terms for segment_id in self._segments]
        self.connection.executemany("DELETE FROM postings WHERE segment = ? AND term = ?", gone)

    def _frequencies_of(self, terms: Iterable[str]) -> dict[str, int]:
        """In how many live documents each of `terms` stands now."""
        wanted = list(terms)
        if self._frequencies is None and len(wanted) > _MANY_TERMS:
            self._frequencies = {}
            for segment in self._segments.values():
                _add_frequencies(self._frequencies, segment, self.all_postings(segment.id))
        if self._frequencies is not None:
            return {term: self._frequencies.get(term, 0) for term in wanted}
        found: dict[str, int] = {}
        for segment in self._segments.values():
            _add_frequencies(found, segment, self.postings(segment.id, wanted).items())
        return {term: found.get(term, 0) for term in wanted}

    def _count(self, before: dict[str, int], lost: Counter[str], gained: dict[str, int]) -> None:
        """Move the affected terms within the histogram of document frequencies."""
        for term, old in before.items():
            new = old + gained.get(term, 0) - lost[term]
            if new < 0:
                raise DamagedIndexError(f"the index is damaged: term {term!r} has lost postings")
            self._histogram[old] = self._histogram.get(old, 0) - 1
            self._histogram[new] = self._histogram.get(new, 0) + 1
            if self._frequencies is not None:
                self._frequencies[term] = new
        self._forget_terms(t for t in lost if before[t] + gained.get(t, 0) == lost[t])
        self._histogram.pop(0, None)
        if any(count < 0 for count in self._histogram.values()):
            raise DamagedIndexError("the index is damaged: its statistics do not add up")
        self.put_meta("histogram", pack_histogram(self._histogram))


def _add_frequencies(
    found: dict[str, int], segment: Segment, rows: Iterable[tuple[str, bytes]]
) -> None:
    has_dead = bool(segment.is_dead.any())
    for term, data in rows:
        if has_dead:
            documents, _ = decode_postings(data, len(segment.lengths))
            count = len(documents) - int(segment.is_dead[documents].sum())
        else:
            count = _n_documents(data)
        found[term] = found.get(term, 0) + count


def _n_documents(data: bytes) -> int:
    """How many documents a postings blob names: half as many as bytes that end a number."""
    if len(data) < _SHORT_BYTES:
        return sum(byte < 0x80 for byte in data) // 2
    return int((np.frombuffer(data, np.uint8) < 0x80).sum()) // 2


def _with_crc(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*row, checksum(*row))
