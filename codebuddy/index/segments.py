"""Segments as a reader or writer holds them: documents, lengths, the dead ones, statistics.

It turns stored rows into arrays and back, and says which segments to merge. It runs no SQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from codebuddy.index.postings import (
    Flags,
    Numbers,
    pack_flags,
    pack_numbers,
    unpack_flags,
    unpack_numbers,
)
from codebuddy.index.row_checks import MAX_ID
from codebuddy.index.schema import DamagedIndexError
from codebuddy.index.store import StoredSegment

# As many segments of about one size are merged into one.
_MERGE_WIDTH = 4
# A segment with this share of dead documents is written anew.
_DEAD_SHARE = 0.3
# A query that has to look into so many segments is slower than the merge that it waits for.
_VERY_MANY = 24
# k different document frequencies take k * k / 2 postings.
_MAX_FREQUENCIES = 400_000
_MAX_TERMS = 1 << 31


@dataclass(slots=True)
class Segment:
    """`document_ids[n]` is the chunk's id of document n, ascending."""

    id: int
    document_ids: npt.NDArray[np.int64]
    lengths: Numbers
    is_dead: Flags
    norms: Any = field(default=None)

    @property
    def n_live(self) -> int:
        """Documents that still count."""
        return len(self.lengths) - int(self.is_dead.sum())

    @property
    def n_live_terms(self) -> int:
        """The sum of the live documents' lengths."""
        return int(self.lengths[~self.is_dead].sum())

    def stored(self) -> StoredSegment:
        """The row that keeps it."""
        assert bool(np.all(np.diff(self.document_ids) > 0)), "document ids must ascend"
        return StoredSegment(
            self.id,
            len(self.lengths),
            pack_numbers(np.diff(self.document_ids, prepend=0)),
            pack_numbers(self.lengths),
            pack_flags(self.is_dead),
        )


def unpack_segment(row: StoredSegment) -> Segment:
    """The arrays of a row.

    Raises:
        DamagedIndexError: The columns do not fit together.
    """
    gaps = unpack_numbers(row.document_ids, row.n_documents)
    lengths = unpack_numbers(row.lengths, row.n_documents)
    is_whole = len(gaps) == row.n_documents == len(lengths)
    if not is_whole or not gaps[1:].all():
        raise DamagedIndexError(f"the index is damaged: segment {row.id} does not fit together")
    ids = np.cumsum(gaps.astype(np.int64))
    if len(ids) and int(ids[-1]) > MAX_ID:
        raise DamagedIndexError(f"the index is damaged: segment {row.id} holds impossible ids")
    return Segment(row.id, ids, lengths, unpack_flags(row.dead, row.n_documents))


def pack_histogram(histogram: dict[int, int]) -> bytes:
    """{document frequency: number of terms}, small."""
    pairs = sorted(item for item in histogram.items() if item[0] > 0 and item[1] > 0)
    return pack_numbers(np.array(pairs, np.uint32).reshape(-1))


def unpack_histogram(data: bytes | None) -> dict[int, int]:
    """The value of `pack_histogram`.

    Raises:
        DamagedIndexError: `data` is none.
    """
    if not data:
        return {}
    numbers = unpack_numbers(data, _MAX_FREQUENCIES).tolist()
    frequencies, counts = numbers[::2], numbers[1::2]
    is_whole = len(frequencies) == len(counts) == len(set(frequencies))
    if not is_whole or max(counts, default=0) > _MAX_TERMS or 0 in numbers:
        raise DamagedIndexError("the index is damaged: its statistics do not fit together")
    return dict(zip(frequencies, counts, strict=True))


def segments_to_merge(segments: Sequence[Segment], max_documents: int) -> list[Segment]:
    """Segments worth merging now: several of about one size, or one that is largely dead.

    Sizes are compared by powers of four, so that a document is rewritten a logarithmic
    number of times and a query meets a logarithmic number of segments.

    Args:
        segments: All there are.
        max_documents: How many documents may be rewritten, so that a small update does not
            pay for a large merge; it no longer counts when there are very many segments.
    """
    candidates = [
        [segment]
        for segment in segments
        if len(segment.lengths) - segment.n_live > _DEAD_SHARE * len(segment.lengths)
    ]
    tiers: dict[int, list[Segment]] = {}
    for segment in segments:
        tiers.setdefault(max(segment.n_live, 16).bit_length() // 2, []).append(segment)
    candidates += [tiers[size] for size in sorted(tiers) if len(tiers[size]) >= _MERGE_WIDTH]
    for candidate in candidates:
        if len(segments) > _VERY_MANY or sum(each.n_live for each in candidate) <= max_documents:
            return candidate
    return []
