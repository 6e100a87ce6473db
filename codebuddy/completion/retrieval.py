"""Step 3: chunks of other places in the repository that may help at the cursor.

Two lists, fused by reciprocal rank: BM25 over the words around the cursor, and the
definitions of names in use there. It knows the index only as `CodeIndex`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from codebuddy.datatypes import Chunk, CodeIndex, Context, SearchResult
from codebuddy.index.fusion import reciprocal_rank_fusion
from codebuddy.index.terms import terms

_QUERY_LINES_BEFORE = 20
_QUERY_LINES_AFTER = 4
_CANDIDATES = 40
_MAX_PER_FILE = 2
_NAMES_LOOKED_UP = 24
_DEFINITIONS_PER_NAME = 2
# A chunk of which this share of lines stands at the cursor already teaches nothing new.
_NEAR_COPY_SHARE = 0.6
_TRIVIAL_LINE_LENGTH = 4
# Lines of the document that every prompt holds anyway.
_WINDOW_LINES = 60


def retrieve(context: Context, index: CodeIndex, top_k: int) -> list[SearchResult]:
    """The best chunks for the place, at most two of a file.

    Never the text at the cursor itself, nor a near-copy of it.
    """
    window = _lines_at_cursor(context)

    def is_unwanted(chunk: Chunk) -> bool:
        return _is_at_cursor(chunk, context) or _is_near_copy(chunk.text, window)

    lexical = index.lexical(query_terms(context), _CANDIDATES, is_unwanted)
    defined = [r for r in _definitions(context, index) if not is_unwanted(r.chunk)]
    return _limit_per_file(fuse({"lexical": lexical, "symbol": defined}), top_k)


def query_terms(context: Context) -> list[str]:
    """Words around the cursor: the lines just before it, the next ones, the enclosing headers."""
    before = context.prefix.split("\n")[-_QUERY_LINES_BEFORE:]
    after = context.suffix.split("\n")[: _QUERY_LINES_AFTER + 1]
    return list(dict.fromkeys(terms("\n".join([*before, *after, *context.scope]))))


def fuse(channels: dict[str, list[SearchResult]]) -> list[SearchResult]:
    """Reciprocal rank fusion of ranked lists; each hit keeps what every channel scored it."""
    chunks = {r.chunk.id: r.chunk for results in channels.values() for r in results}
    rankings = {name: [(r.chunk.id, r.score) for r in found] for name, found in channels.items()}
    return [
        SearchResult(chunks[each], score, scores)
        for each, score, scores in reciprocal_rank_fusion(rankings)
    ]


def _definitions(context: Context, index: CodeIndex) -> list[SearchResult]:
    """Chunks that define names in use near the cursor, the nearest name's first."""
    names = context.unresolved[:_NAMES_LOOKED_UP]
    if not names:
        return []
    found = index.definitions(names, _DEFINITIONS_PER_NAME)
    ids: dict[int, float] = {}
    for rank, name in enumerate(names):
        for definition in found.get(name, ()):
            if definition.path != context.document.path:
                ids.setdefault(definition.chunk_id, 1 / (1 + rank))
    return [SearchResult(c, ids[c.id], {"symbol": ids[c.id]}) for c in index.chunks(list(ids))]


def _limit_per_file(results: Iterable[SearchResult], top_k: int) -> list[SearchResult]:
    taken: Counter[str] = Counter()
    kept = []
    for result in results:
        if taken[result.chunk.path] < _MAX_PER_FILE:
            taken[result.chunk.path] += 1
            kept.append(result)
        if len(kept) == top_k:
            break
    return kept


def _is_at_cursor(chunk: Chunk, context: Context) -> bool:
    """Whether the chunk overlaps the part of this document that the prompt may hold."""
    if chunk.path != context.document.path:
        return False
    first = context.position.line - _WINDOW_LINES
    last = context.position.line + _WINDOW_LINES
    return chunk.start_line <= last and chunk.end_line >= first


def _lines_at_cursor(context: Context) -> set[str]:
    before = context.prefix.split("\n")[-_WINDOW_LINES:]
    after = context.suffix.split("\n")[:_WINDOW_LINES]
    return set(_telling_lines([*before, *after]))


def _is_near_copy(text: str, window: set[str]) -> bool:
    lines = _telling_lines(text.split("\n"))
    if not lines:
        return True
    return sum(line in window for line in lines) >= _NEAR_COPY_SHARE * len(lines)


def _telling_lines(lines: Iterable[str]) -> list[str]:
    return [s for line in lines if len(s := line.strip()) >= _TRIVIAL_LINE_LENGTH]
