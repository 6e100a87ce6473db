"""Postings as bytes: which chunks hold a term, and how often, in immutable segments.

A segment numbers its documents (chunks) from 0. A term's postings are one blob of
variable-length integers (7 bits a byte, low bits first): the gaps between its document
numbers, then as many term frequencies. Everything works on whole segments at once in
numpy. It knows neither SQL nor scores.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from codebuddy.index.packing import unpack_bytes
from codebuddy.index.schema import DamagedIndexError

Numbers = npt.NDArray[np.uint32]
Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

# 32 bits take five bytes of 7; the last one has 4 of them.
_MAX_WIDTH, _MAX_LAST = 5, 0x0F
# Where the count has no known bound.
_MAX_COUNT = 1 << 24


def encode_numbers(values: npt.NDArray[Any]) -> tuple[Bytes, npt.NDArray[np.int64]]:
    """Variable-length integers, with the byte position where each value ends."""
    values = values.astype(np.uint32, copy=False)
    widths = np.ones(len(values), np.int64)
    for bits in (7, 14, 21, 28):
        widths += values >= np.uint32(1 << bits)
    ends = np.cumsum(widths)
    out = np.zeros(int(ends[-1]) if len(ends) else 0, np.uint8)
    starts = ends - widths
    for place in range(5):
        has = np.flatnonzero(widths > place)
        if not len(has):
            break
        septet = (values[has] >> np.uint32(7 * place)).astype(np.uint8) & 0x7F
        more = (widths[has] > place + 1).astype(np.uint8) << 7
        out[starts[has] + place] = septet | more
    return out, ends


def decode_numbers(data: bytes) -> Numbers:
    """The values of `encode_numbers`.

    Raises:
        DamagedIndexError: `data` is not of that.
    """
    raw = np.frombuffer(data, np.uint8)
    is_end = raw < 0x80
    if is_end.all():
        return raw.astype(np.uint32)
    if not is_end[-1]:
        raise _damaged("a number has no end")
    ends = np.flatnonzero(is_end)
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))
    widths = ends - starts + 1
    if int(widths.max()) > _MAX_WIDTH or (raw[ends[widths == _MAX_WIDTH]] > _MAX_LAST).any():
        raise _damaged("a number is too large")
    place = np.arange(len(raw)) - np.repeat(starts, widths)
    septets = (raw & 0x7F).astype(np.uint32) << (7 * place).astype(np.uint32)
    return np.add.reduceat(septets, starts).astype(np.uint32)


def pack_numbers(values: npt.NDArray[Any]) -> bytes:
    """A column of integers, small."""
    return zlib.compress(encode_numbers(values)[0].tobytes(), 1)


def unpack_numbers(data: bytes, max_count: int = _MAX_COUNT) -> Numbers:
    """The values of `pack_numbers`.

    Raises:
        DamagedIndexError: `data` is not of that, or of more values than `max_count`.
    """
    values = decode_numbers(unpack_bytes(data, _MAX_WIDTH * max_count))
    if len(values) > max_count:
        raise _damaged("a column is too long")
    return values


def pack_flags(flags: Flags) -> bytes:
    """Flags, small; empty when none is set."""
    return zlib.compress(np.packbits(flags).tobytes(), 1) if flags.any() else b""


def unpack_flags(data: bytes, count: int) -> Flags:
    """The values of `pack_flags`.

    Raises:
        DamagedIndexError: `data` is not of so many flags.
    """
    if not data:
        return np.zeros(count, bool)
    packed = np.frombuffer(unpack_bytes(data, (count + 7) // 8), np.uint8)
    if len(packed) != (count + 7) // 8:
        raise _damaged("flags are missing")
    return np.unpackbits(packed, count=count).astype(bool)


def decode_postings(data: bytes, n_documents: int = _MAX_COUNT) -> tuple[Numbers, Numbers]:
    """A term's document numbers, ascending, and its frequencies in them.

    Args:
        data: A row of `PostingsColumns.rows`.
        n_documents: How many documents the segment has.

    Raises:
        DamagedIndexError: `data` is no such row, or names a document that is not there.
    """
    values = decode_numbers(data)
    half = len(values) // 2
    if len(values) != 2 * half or half > n_documents:
        raise _damaged("postings do not fit together")
    documents = np.cumsum(values[:half], dtype=np.uint64)
    if half and (int(documents[-1]) >= n_documents or not values[1:half].all()):
        raise _damaged("postings name a document that is not there")
    if not values[half:].all():
        raise _damaged("a term stands nowhere in its document")
    return documents.astype(np.uint32), values[half:]


def _damaged(what: str) -> DamagedIndexError:
    return DamagedIndexError(f"the index is damaged: {what}")


@dataclass(slots=True)
class PostingsColumns:
    """Postings of many terms side by side: entry i says that `terms[term[i]]` is in `document[i]`.

    Entries of one term come in the order of their documents.
    """

    terms: list[str]
    term: Numbers
    document: Numbers
    frequency: Numbers

    def reordered(self, order: npt.NDArray[np.int64]) -> PostingsColumns:
        """The same postings when document `order[n]` becomes document n."""
        number = np.empty(len(order), np.uint32)
        number[order] = np.arange(len(order), dtype=np.uint32)
        document = number[self.document]
        by_document = np.argsort(document, kind="stable")
        return PostingsColumns(
            self.terms,
            self.term[by_document],
            document[by_document],
            self.frequency[by_document],
        )

    def rows(self) -> list[tuple[str, bytes]]:
        """(term, postings blob), sorted by term; terms without entries are left out."""
        order = sorted(range(len(self.terms)), key=self.terms.__getitem__)
        rank = np.empty(len(order), np.uint32)
        rank[np.array(order, np.int64)] = np.arange(len(order), dtype=np.uint32)
        ranked = rank[self.term] if len(order) else self.term
        by_term = np.argsort(ranked, kind="stable")
        ranked = ranked[by_term]
        counts = np.bincount(ranked, minlength=len(order))
        present = np.flatnonzero(counts)
        counts = counts[present]
        starts = np.cumsum(counts) - counts
        values = self._values(by_term, starts, counts)
        encoded, ends = encode_numbers(values)
        data = encoded.tobytes()
        cuts = np.concatenate((np.zeros(1, np.int64), ends[2 * (starts + counts) - 1])).tolist()
        return [
            (self.terms[order[index]], data[cuts[row] : cuts[row + 1]])
            for row, index in enumerate(present.tolist())
        ]

    def _values(
        self,
        by_term: npt.NDArray[np.int64],
        starts: npt.NDArray[np.int64],
        counts: npt.NDArray[np.int64],
    ) -> Numbers:
        """For each term its gaps, then its frequencies, one term after the other."""
        document = self.document[by_term].astype(np.int64)
        gaps = np.diff(document, prepend=0)
        gaps[starts] = document[starts]
        # Entry j of a term that starts at s moves to 2s + j, its frequency to 2s + count + j.
        place = np.arange(len(document)) + np.repeat(starts, counts)
        values = np.empty(2 * len(document), np.uint32)
        values[place] = gaps
        values[place + np.repeat(counts, counts)] = self.frequency[by_term]
        return values


def columns_of_rows(
    rows: Sequence[tuple[str, bytes]], n_documents: int = _MAX_COUNT
) -> PostingsColumns:
    """The columns that `PostingsColumns.rows` wrote, decoded all at once.

    Raises:
        DamagedIndexError: A row is none of those, or names a document that is not there.
    """
    terms = [term for term, _ in rows]
    if not rows:
        empty = np.zeros(0, np.uint32)
        return PostingsColumns([], empty, empty, empty)
    if not all(blob and blob[-1] < 0x80 for _, blob in rows):
        raise _damaged("a number has no end")
    data = b"".join(blob for _, blob in rows)
    byte_ends = np.cumsum([len(blob) for _, blob in rows])
    values = decode_numbers(data)
    value_ends = np.cumsum(np.frombuffer(data, np.uint8) < 0x80)[byte_ends - 1]
    widths = np.diff(value_ends, prepend=0)
    counts = widths // 2
    if (widths != 2 * counts).any():
        raise _damaged("postings do not fit together")
    starts = np.cumsum(counts) - counts
    place = np.arange(int(counts.sum())) + np.repeat(starts, counts)
    gaps = values[place].astype(np.int64)
    running = np.cumsum(gaps)
    before = np.repeat(running[starts] - gaps[starts], counts)
    documents, frequencies = running - before, values[place + np.repeat(counts, counts)]
    gaps[starts] = 1
    if int(documents.max()) >= n_documents or not gaps.all() or not frequencies.all():
        raise _damaged("postings name a document that is not there")
    return PostingsColumns(
        terms,
        np.repeat(np.arange(len(terms), dtype=np.uint32), counts),
        documents.astype(np.uint32),
        frequencies,
    )


@dataclass(slots=True)
class SegmentBuilder:
    """Collects documents in order, then gives the segment's rows."""

    _ids: dict[str, int] = field(default_factory=dict)
    _parts: list[tuple[Numbers, Numbers, Numbers]] = field(default_factory=list)
    _lengths: list[Numbers] = field(default_factory=list)
    n_documents: int = 0

    def add(self, columns: PostingsColumns, lengths: Numbers) -> None:
        """Append documents: `columns` numbers them from 0, `lengths` counts their terms."""
        ids = self._ids
        mapping = np.array([ids.setdefault(term, len(ids)) for term in columns.terms], np.uint32)
        term = mapping[columns.term] if len(columns.term) else columns.term
        document = columns.document + np.uint32(self.n_documents)
        self._parts.append((term, document, columns.frequency))
        self._lengths.append(lengths)
        self.n_documents += len(lengths)

    def lengths(self) -> Numbers:
        """The number of terms of each document."""
        return np.concatenate(self._lengths) if self._lengths else np.zeros(0, np.uint32)

    def columns(self) -> PostingsColumns:
        """All that was added."""
        empty = [np.zeros(0, np.uint32)]
        return PostingsColumns(
            list(self._ids),
            *(
                np.concatenate([part[column] for part in self._parts] or empty)
                for column in range(3)
            ),
        )
