"""How much of a query stands in a chunk as it is: pairs of words in a row.

A message, a pasted line and a half-remembered comment are found by their order, which BM25 and
vectors do not see. It knows texts alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise

from codebuddy.index.terms import words

# Pairs of a query that are looked at; fewer words than three say nothing by their order.
_MAX_WORDS = 64
_MIN_WORDS = 3


def verbatim_shares(
    query: str, ids: Iterable[int], text_of: Callable[[int], str]
) -> Mapping[int, float]:
    """By id, the share of the query's pairs of neighbouring words that its text has in a row.

    Args:
        query: What is looked for; with fewer than three words nothing is compared.
        ids: Whose texts are read.
        text_of: The text of an id.
    """
    wanted = _pairs(words(query)[:_MAX_WORDS])
    if len(wanted) < _MIN_WORDS - 1:
        return {}
    return {each: len(wanted & _pairs(words(text_of(each)))) / len(wanted) for each in ids}


def _pairs(found: list[str]) -> set[tuple[str, str]]:
    lowered = [word.lower() for word in found]
    return set(pairwise(lowered))
