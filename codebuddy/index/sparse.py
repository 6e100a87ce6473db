"""BM25 as `rank_bm25.BM25Okapi` defines it, scored from postings instead of from every document.

The only module that imports rank_bm25. The library keeps the formula's parameters and its
idf; what is ours is that statistics come from the index and that only the query's postings
are touched. It knows nothing of where postings are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# Imports numpy and multiprocessing: 0.15 s, so this module itself is imported late.
from rank_bm25 import BM25Okapi

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CorpusStatistics:
    """What BM25 needs to know of all documents together.

    `histogram` says how many terms of the vocabulary stand in how many documents:
    {document frequency: number of terms}.
    """

    n_documents: int
    n_terms: int
    histogram: Mapping[int, int]


def plain_bm25(documents: list[list[str]]) -> BM25Okapi | None:
    """The library's own BM25 over tokenized documents in memory; None where no one has a word."""
    return BM25Okapi(documents) if any(documents) else None


class SparseBM25(BM25Okapi):  # type: ignore[misc]
    """The library's BM25 (k1 = 1.5, b = 0.75, epsilon = 0.25) over postings.

    Source of the formula: Trotman, Jia and Crane, "Towards an Efficient and Effective
    Search Engine", 2012, as rank_bm25 0.2.2 implements it.
    """

    def __init__(
        self,
        statistics: CorpusStatistics,
        k1: float = 1.5,
        b: float = 0.75,
        epsilon: float = 0.25,
    ) -> None:
        # The library's constructor wants the corpus itself, so its fields are set here.
        self.k1, self.b, self.epsilon = k1, b, epsilon
        self.corpus_size = statistics.n_documents
        self.avgdl = statistics.n_terms / max(1, statistics.n_documents)
        self.doc_freqs: list[dict[str, int]] = []
        self.doc_len: list[int] = []
        self.idf: dict[Any, float] = {}
        self.average_idf = self._average(statistics.histogram)

    def idf_of(self, frequency: int) -> float:
        """The library's idf of a term that stands in `frequency` documents."""
        idf = self._raw_idf([frequency])[frequency]
        return self.epsilon * self.average_idf if idf < 0 else idf

    def normalized_lengths(self, lengths: npt.NDArray[Any]) -> Scores:
        """The part of the formula's denominator that depends on the document alone."""
        ratio = lengths / self.avgdl if self.avgdl else np.zeros(len(lengths))
        return np.asarray(self.k1 * (1 - self.b + self.b * ratio), np.float64)

    def term_scores(self, idf: float, frequency: npt.NDArray[Any], norms: Scores) -> Scores:
        """One term's share of the score of the documents that hold it."""
        return np.asarray(idf * (frequency * (self.k1 + 1) / (frequency + norms)), np.float64)

    def _average(self, histogram: Mapping[int, int]) -> float:
        """The mean idf over the vocabulary, before the floor, as the library takes it."""
        n_terms = sum(histogram.values())
        if not n_terms:
            return 0.0
        raw = self._raw_idf(histogram)
        return sum(raw[frequency] * count for frequency, count in histogram.items()) / n_terms

    def _raw_idf(self, frequencies: Any) -> dict[int, float]:
        """The library's idf of each document frequency, before the floor for negative ones.

        The library applies the floor itself, so it is asked for the rarer side only: the idf
        of a term in f of n documents is that of one in n - f with the sign turned.
        """
        size = self.corpus_size
        rarer = {min(frequency, size - frequency) for frequency in frequencies}
        self.idf = {}
        average = getattr(self, "average_idf", 0.0)
        self._calc_idf({each: each for each in rarer})
        # The library has just averaged over `rarer`, which is not the vocabulary.
        self.average_idf = average
        return {
            frequency: self.idf[frequency] if 2 * frequency <= size else -self.idf[size - frequency]
            for frequency in frequencies
        }
