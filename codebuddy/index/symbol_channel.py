"""The symbol channel: names in a query -> the chunks that define them, scored in (0, 1].

The forms of a name are tried from the surest down: as written, qualified, without regard to
case and underscores, several words as one name, a beginning, and names made of the query's
words. It reads inside the caller's snapshot.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from codebuddy.datatypes import Definition
from codebuddy.index.store import Store
from codebuddy.index.terms import squashed, terms, words

# Kinds that name a value or a place in data rather than a piece of code.
SMALL_KINDS = frozenset("variable field constant property prototype key".split())

_EXACT, _SAME_WORD, _JOINED, _PREFIX, _PARTS = 1.0, 0.9, 0.85, 0.6, 0.5
_SMALL_FACTOR = 0.9
_MAX_NAMES = 32
_MAX_JOINED = 4
_MIN_PREFIX_LENGTH = 3
_PER_NAME = 50
_PARTS_POOL = 30
# Possessive, and begun at a word's start only: a word of a megabyte is gone through once.
_QUALIFIED = re.compile(r"\b\w++(?:(?:\.|::|->|#|/)\w++)+")


class SymbolRanker:
    """Looks names up in one state of the index."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def ranked(
        self, query: str, lexical: Sequence[tuple[int, float]], limit: int
    ) -> list[tuple[int, float]]:
        """(chunk id, score) from the best down; `lexical` is what BM25 found for the query."""
        best: dict[int, float] = {}
        for definition, score in self._matches(query):
            weight = score * (_SMALL_FACTOR if definition.kind in SMALL_KINDS else 1.0)
            best[definition.chunk_id] = max(weight, best.get(definition.chunk_id, 0.0))
        for chunk_id, score in self._by_parts(query, lexical):
            best[chunk_id] = max(score, best.get(chunk_id, 0.0))
        return sorted(best.items(), key=lambda item: (-item[1], item[0]))[:limit]

    def _matches(self, query: str) -> Iterator[tuple[Definition, float]]:
        names = list(dict.fromkeys(words(query)))[:_MAX_NAMES]
        # One word of several says less than all of them together.
        share = max(1, len(names)) ** -0.5
        for qualified in list(dict.fromkeys(_QUALIFIED.findall(query)))[:_MAX_NAMES]:
            yield from self._qualified(qualified)
        for name in names:
            for found in self._store.definitions_named(name, squashed(name), _PER_NAME):
                yield found, _EXACT * share
            if len(squashed(name)) > 1:
                for found in self._store.definitions(squashed(name), limit=_PER_NAME):
                    yield found, share * (_EXACT if found.name == name else _SAME_WORD)
        for size in range(2, _MAX_JOINED + 1):
            for start in range(len(names) - size + 1):
                joined = squashed("".join(names[start : start + size]))
                for found in self._store.definitions(joined, limit=_PER_NAME):
                    yield found, _JOINED * (0.5 + 0.5 * size / len(names))
        for name in names if len(names) <= _MAX_JOINED else ():
            beginning = squashed(name)
            if len(beginning) >= _MIN_PREFIX_LENGTH:
                for found in self._store.definitions(beginning, is_prefix=True, limit=_PER_NAME):
                    yield found, _PREFIX * len(beginning) / max(1, len(squashed(found.name)))

    def _qualified(self, written: str) -> Iterator[tuple[Definition, float]]:
        """`Store.open` names the `open` whose qualified name ends so."""
        parts = words(written)
        for found in self._store.definitions_named(parts[-1], squashed(parts[-1]), _PER_NAME):
            if words(found.qualified)[-len(parts) :] == parts:
                yield found, _EXACT

    def _by_parts(
        self, query: str, lexical: Sequence[tuple[int, float]]
    ) -> Iterator[tuple[int, float]]:
        """Chunks that BM25 found and whose symbol is made of the query's words."""
        wanted = set(terms(" ".join(words(query)[:_MAX_NAMES])))
        for chunk_id, _ in lexical[:_PARTS_POOL]:
            (chunk,) = self._store.chunks([chunk_id])
            parts = set(terms(re.split(r"\W+", chunk.symbol)[-1]))
            shared = len(parts & wanted)
            if shared:
                yield chunk_id, _PARTS * shared / len(parts | wanted)
