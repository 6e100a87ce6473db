"""The second tier: how a model's similarities and the first tier's scores make one order.

It knows no model and no index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from codebuddy.index.query import QueryKind

# Of a question so many results are scored again.
POOL = 50
# As the first tier's fusion has it.
_RANK_CONSTANT = 20
# Text that people write; a name or a line of code is found by its letters.
_KINDS: frozenset[QueryKind] = frozenset({"sentence", "words", "documentation"})


@dataclass(frozen=True, slots=True)
class Combination:
    """`scores`: the share of the best first score, and `weight` times the similarity.

    `places`: reciprocal ranks, the model's `weight` times; `model`: the similarity alone.
    """

    form: Literal["scores", "places", "model"]
    weight: float


# Measured with `python -m tests.bench.rerank`.
CHOSEN = Combination("scores", 8.0)


def is_reranked(kind: QueryKind) -> bool:
    """Whether a query of that kind is a question."""
    return kind in _KINDS


def combined(scores: Sequence[float], similarities: Sequence[float], how: Combination) -> list[int]:
    """The places (from 0) of the results in their new order.

    Args:
        scores: Of the first tier, from the best down.
        similarities: Of the same results, between -1 and 1.
        how: They are put together.
    """
    if how.form == "places":
        order = sorted(range(len(scores)), key=lambda each: (-similarities[each], each))
        rank_of = {each: rank for rank, each in enumerate(order, 1)}
        totals = [
            1 / (_RANK_CONSTANT + place + 1) + how.weight / (_RANK_CONSTANT + rank_of[place])
            for place in range(len(scores))
        ]
    else:
        best = max(scores, default=0.0) or 1.0
        share = 0.0 if how.form == "model" else 1.0
        totals = [
            share * score / best + how.weight * similarity
            for score, similarity in zip(scores, similarities, strict=True)
        ]
    return sorted(range(len(totals)), key=lambda each: (-totals[each], each))
