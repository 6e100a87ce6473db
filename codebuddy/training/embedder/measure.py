"""How well vectors find what they should, and how they lie in space.

Ranking: the place of the one right document, and NDCG@10 of it. Space: whether vectors use
all directions (isotropy) and whether texts that mean the same lie closer than others
(discrimination), the two things that ContraCLM reports. It knows nothing of files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from codebuddy.evaluation.statistics import auroc
from codebuddy.index.sparse import CorpusStatistics, SparseBM25
from codebuddy.index.terms import count_terms
from codebuddy.training.embedder.tasks import Task

Floats = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]


def ranks(scores: npt.NDArray[np.floating], answers: Sequence[int]) -> npt.NDArray[np.int64]:
    """The 1-based place of each query's answer.

    Args:
        scores: `[queries, documents]`. Of equal scores the answer's comes last but one half.
        answers: The right document of each query.
    """
    right = scores[np.arange(len(answers)), list(answers)][:, None]
    before = (scores > right).sum(axis=1)
    ties = (scores == right).sum(axis=1) - 1
    return np.asarray(1 + before + ties // 2, np.int64)


def ndcg_at_10(places: npt.NDArray[np.int64]) -> Floats:
    """NDCG@10 where one document is right: `1 / log2(1 + place)` within the first ten."""
    return np.where(places <= 10, 1 / np.log2(1.0 + places), 0.0)


def bm25_scores(task: Task) -> Floats:
    """`[queries, documents]`, by the index's own terms and formula."""
    documents = [count_terms(text) for text in task.documents]
    postings: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for number, counts in enumerate(documents):
        for term, count in counts.items():
            postings[term].append((number, count))
    lengths = np.array([sum(counts.values()) for counts in documents])
    histogram: dict[int, int] = defaultdict(int)
    for entries in postings.values():
        histogram[len(entries)] += 1
    bm25 = SparseBM25(CorpusStatistics(len(documents), int(lengths.sum()), histogram))
    norms = bm25.normalized_lengths(lengths)
    scores = np.zeros((len(task.queries), len(documents)))
    for line, query in zip(scores, task.queries, strict=True):
        for term, times in count_terms(query).items():
            if term in postings:
                found = np.array(postings[term])
                numbers, frequency = found[:, 0], found[:, 1]
                idf = bm25.idf_of(len(found))
                line[numbers] += times * bm25.term_scores(idf, frequency, norms[numbers])
    return scores


def isotropy(vectors: Vectors) -> float:
    """IsoScore* of `vectors`: 1 when all directions are used alike, 0 when one is.

    After Rudman et al. (2022): from the spread of the covariance's eigenvalues.
    """
    values = np.clip(np.linalg.eigvalsh(np.cov(vectors.T.astype(np.float64))), 0, None)
    dim = len(values)
    values = np.sqrt(dim) * values / np.linalg.norm(values)
    defect = np.linalg.norm(values - 1) / np.sqrt(2 * (dim - np.sqrt(dim)))
    share = (dim - defect**2 * (dim - np.sqrt(dim))) ** 2 / dim**2
    return float((dim * share - 1) / (dim - 1))


def mean_cosine(vectors: Vectors) -> float:
    """The mean cosine between different texts' vectors: near 0 when they spread."""
    count = len(vectors)
    total = np.square(vectors.sum(axis=0, dtype=np.float64)).sum()
    return float((total - np.square(vectors, dtype=np.float64).sum()) / (count * (count - 1)))


def discrimination(queries: Vectors, documents: Vectors, seed: int) -> float:
    """The chance that a query is nearer to its document than another query to that document.

    Args:
        queries: `[pairs, dim]`.
        documents: `[pairs, dim]`, the one of each query in the same line.
        seed: Of the order in which documents are dealt to other queries.
    """
    dealt = np.random.default_rng(seed).permutation(len(documents))
    same = np.einsum("ij,ij->i", queries, documents)
    other = np.einsum("ij,ij->i", queries, documents[dealt])[dealt != np.arange(len(documents))]
    scores = np.concatenate([same, other]).tolist()
    return auroc(scores, [True] * len(same) + [False] * len(other)) or 0.0
