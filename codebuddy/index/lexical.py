"""The lexical channel: query terms -> chunk ids ranked by BM25, from the query's postings alone.

It knows nothing of what a chunk is. Everything here reads inside the caller's snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from codebuddy.index.postings import Numbers, decode_postings
from codebuddy.index.schema import DamagedIndexError
from codebuddy.index.segments import Segment, unpack_histogram, unpack_segment
from codebuddy.index.sparse import CorpusStatistics, SparseBM25
from codebuddy.index.store import Store

# Terms beyond this number are left out of a query, the first ones being kept.
MAX_QUERY_TERMS = 1000
# Terms of one beginning, in each segment.
_MAX_BEGINNING_ALIKE = 200
# Decoded postings kept in memory by a warm process.
_CACHE_BYTES = 64 << 20
# Ranked this many at a time: sorting all candidates would cost more than the scoring.
_FIRST_CUT = 64

_Postings = tuple[Numbers, Numbers]


class LexicalRanker:
    """BM25 over one state of the index; make a new one when the state changes.

    Args:
        store: The index.
        segments: Those of the index; read from it by default.
    """

    def __init__(self, store: Store, segments: list[Segment] | None = None) -> None:
        self._store = store
        if segments is None:
            segments = [unpack_segment(row) for row in store.segments()]
        self._segments = segments
        statistics = CorpusStatistics(
            n_documents=sum(each.n_live for each in self._segments),
            n_terms=sum(each.n_live_terms for each in self._segments),
            histogram=unpack_histogram(store.meta("histogram")),
        )
        if max(statistics.histogram, default=0) > statistics.n_documents:
            raise DamagedIndexError("the index is damaged: its statistics are of more documents")
        self.bm25 = SparseBM25(statistics)
        for segment in self._segments:
            segment.norms = self.bm25.normalized_lengths(segment.lengths)
        self._cache: dict[tuple[int, str], _Postings | None] = {}
        self._cached_bytes = 0

    @property
    def n_documents(self) -> int:
        """Chunks that can be found."""
        return int(self.bm25.corpus_size)

    def ranked(self, weights: Mapping[str, float]) -> Iterator[tuple[int, float]]:
        """(chunk id, score) from the best down, of all chunks that hold any of the terms.

        `weights` says how often each term counts. Equal scores come in the order of ids.
        """
        ids, scores = self._scores(weights)
        cut = _FIRST_CUT
        done = 0
        while done < len(ids):
            if cut < len(ids):
                top = np.argpartition(-scores, cut)[:cut]
                # All that equal the last one belong to the cut, or ties would fall by chance.
                top = np.flatnonzero(scores >= scores[top].min())
            else:
                top = np.arange(len(ids))
            order = top[np.lexsort((ids[top], -scores[top]))]
            for place in order[done:].tolist():
                yield int(ids[place]), float(scores[place])
            done = len(order)
            cut *= 8

    def frequencies(self, terms: Sequence[str]) -> dict[str, int]:
        """In how many chunks each of `terms` stands."""
        known = list(dict.fromkeys(terms))
        return self._frequencies(known, [self._postings(each, known) for each in self._segments])

    def terms_beginning(self, beginning: str) -> list[str]:
        """Terms that begin so and stand in a chunk, some of them where there are many."""
        found: dict[str, None] = {}
        for segment in self._segments:
            terms = self._store.terms_beginning(segment.id, beginning, _MAX_BEGINNING_ALIKE)
            found.update(dict.fromkeys(terms))
        # This also checks the rows, and leaves out what stands in removed chunks alone.
        return [term for term, times in self.frequencies(list(found)).items() if times]

    def chunks_with(self, term: str) -> list[int]:
        """The ids of the chunks that hold `term`, ascending."""
        found: list[int] = []
        for segment in self._segments:
            for documents, _ in self._postings(segment, [term]).values():
                live = documents[~segment.is_dead[documents]]
                found += segment.document_ids[live].tolist()
        return sorted(found)

    def _scores(
        self, weights: Mapping[str, float]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        terms = list(weights)[:MAX_QUERY_TERMS]
        postings = [self._postings(segment, terms) for segment in self._segments]
        idf = {
            term: self.bm25.idf_of(frequency)
            for term, frequency in self._frequencies(terms, postings).items()
            if frequency
        }
        ids: list[Any] = [np.zeros(0, np.int64)]
        scores: list[Any] = [np.zeros(0, np.float64)]
        for segment, found in zip(self._segments, postings, strict=True):
            total = np.zeros(len(segment.lengths))
            touched = np.zeros(len(segment.lengths), bool)
            for term, (documents, frequency) in found.items():
                if term in idf:
                    share = self.bm25.term_scores(
                        weights[term] * idf[term], frequency, segment.norms[documents]
                    )
                    total[documents] += share
                    touched[documents] = True
            touched &= ~segment.is_dead
            ids.append(segment.document_ids[touched])
            scores.append(total[touched])
        return np.concatenate(ids), np.concatenate(scores)

    def _frequencies(
        self, terms: list[str], postings: list[dict[str, _Postings]]
    ) -> dict[str, int]:
        """In how many live documents each term stands."""
        counts = dict.fromkeys(terms, 0)
        for segment, found in zip(self._segments, postings, strict=True):
            has_dead = bool(segment.is_dead.any())
            for term, (documents, _) in found.items():
                dead = int(segment.is_dead[documents].sum()) if has_dead else 0
                counts[term] += len(documents) - dead
        return counts

    def _postings(self, segment: Segment, terms: list[str]) -> dict[str, _Postings]:
        missing = [term for term in terms if (segment.id, term) not in self._cache]
        if missing:
            rows = self._store.postings(segment.id, missing)
            if self._cached_bytes > _CACHE_BYTES:
                self._cache.clear()
                self._cached_bytes = 0
                missing, rows = terms, self._store.postings(segment.id, terms)
            for term in missing:
                data = rows.get(term)
                decoded = None if data is None else decode_postings(data, len(segment.lengths))
                self._cache[segment.id, term] = decoded
                self._cached_bytes += 200 + (decoded[0].nbytes * 2 if decoded else 0)
        found = {}
        for term in terms:
            known = self._cache[segment.id, term]
            if known is not None:
                found[term] = known
        return found
