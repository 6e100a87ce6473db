"""The second tier: how a model's similarities and the first tier's scores make one order.

It knows no model and no index.
"""

from __future__ import annotations

from collections.abc import Sequence

from codebuddy.index.query import QueryKind

# Of a question so many results are scored again.
POOL = 50
# Text that people write; a name or a line of code is found by its letters.
_KINDS: frozenset[QueryKind] = frozenset({"sentence", "words", "documentation"})
# Of those, so many are read a second time: what they say, not only what they are called.
BODY_POOL = 20
# How often the similarity of a chunk's name and documentation, and that of its beginning, count
# beside the share of the best first score: measured with `python -m tests.bench.rerank`.
HEAD_WEIGHT = 1.0
BODY_WEIGHT = 3.0


def is_reranked(kind: QueryKind) -> bool:
    """Whether a query of that kind is a question."""
    return kind in _KINDS


def combined(scores: Sequence[float], similarities: Sequence[float], weight: float) -> list[int]:
    """The places (from 0) of the results in their new order.

    Args:
        scores: Of the first tier, from the best down.
        similarities: Of the same results, between -1 and 1.
        weight: Of a similarity, beside a score's share of the best one.
    """
    best = max(scores, default=0.0) or 1.0
    totals = [
        score / best + weight * similarity
        for score, similarity in zip(scores, similarities, strict=True)
    ]
    return sorted(range(len(totals)), key=lambda each: (-totals[each], each))
