"""The chunks of a ranking that a caller wants, from the best down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice

from codebuddy.datatypes import Chunk, SearchResult
from codebuddy.index.ranker import Ranked
from codebuddy.index.store import Store

# Candidates looked at, for each result asked for, before a filter has had its say.
LOOKED_AT_PER_RESULT = 50


def results(
    store: Store,
    ranked: Iterable[Ranked],
    top_k: int,
    exclude: Callable[[Chunk], bool] | None,
    max_per_file: int,
) -> list[SearchResult]:
    """The first `top_k` that are not excluded, `max_per_file` of one file at most (0: any number).

    Reads inside the caller's snapshot.
    """
    found: list[SearchResult] = []
    per_file: Counter[str] = Counter()
    # A filter that wants nothing must not make one query read the whole index.
    for each in islice(ranked, LOOKED_AT_PER_RESULT * top_k):
        if len(found) >= top_k:
            break
        (chunk,) = store.chunks([each.chunk_id])
        if max_per_file and per_file[chunk.path] >= max_per_file:
            continue
        if exclude is not None and exclude(chunk):
            continue
        per_file[chunk.path] += 1
        found.append(
            SearchResult(chunk, each.score, each.channels, each.ranks, each.factors, each.near)
        )
    return found
