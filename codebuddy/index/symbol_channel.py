"""The symbol channel: names in a query -> the chunks that define them, scored in (0, 1].

The forms of a name are tried from the surest down: as written, qualified, without regard to
case and underscores, several words as one name, a beginning, and names made of the query's
words. It reads inside the caller's snapshot.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from codebuddy.datatypes import Definition, DefinitionRoute, ResolvedDefinition
from codebuddy.index.forms import other_forms
from codebuddy.index.query import kind_of
from codebuddy.index.store import Store
from codebuddy.index.terms import normalized_name, terms, words
from codebuddy.syntax.spec import VALUE_KINDS

if TYPE_CHECKING:
    from codebuddy.index.definition_finder import DefinitionFinder

# By chunk, how the file that a query comes from led to it, or that it means another of the name.
Near = dict[int, str]

_EXACT, _SAME_WORD, _JOINED, _OTHER_FORM, _PREFIX, _PARTS = 1.0, 0.9, 0.85, 0.75, 0.6, 0.5
# What a part of a name counts that is another form of a word of the query.
_FORM_SHARE = 0.8
_FORMS_TRIED = 6
# What led from the file of the query to a definition of a name in it.
_ROUTE_SCORES: dict[DefinitionRoute, float] = {
    "import": 0.95,
    "package": 0.8,
    "folder": 0.7,
    "name": 0.0,
}
# What another definition of the one name that is asked for counts beside one that the file's
# routes lead to. In a line of several names it does not pay (docs/log.md).
_ELSEWHERE: dict[DefinitionRoute, float] = {
    "import": 0.6,
    "package": 0.6,
    "folder": 0.8,
    "name": 1.0,
}
_PER_ROUTE = 3
# Of several definitions that a name may mean, each next one is that much less likely.
_NEXT_FACTOR = 0.9
# Beside calls, what is not called is a parameter or a local more often than not.
_NOT_CALLED = 0.6
_VALUE_FACTOR = 0.9
_MAX_NAMES = 32
_MAX_JOINED = 4
_MAX_WORDS_WITH_FORMS = 6
_MAX_SCANNED = 10_000
_MIN_PREFIX_LENGTH = 3
_PER_NAME = 50
_PARTS_POOL = 30
# Possessive, and begun at a word's start only: a word of a megabyte is gone through once.
_CALLED = re.compile(r"(?<!\w)(\w++)(?:::)?(?:<[^<>()]{0,60}>)?[!?]?\(|\bnew\s+(\w++)")
_QUALIFIED = re.compile(r"\b\w++(?:(?:\.|::|->|#|/)\w++)+")


class SymbolRanker:
    """Looks names up in one state of the index."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def ranked(
        self,
        query: str,
        lexical: Sequence[tuple[int, float]],
        limit: int,
        finder: DefinitionFinder | None = None,
    ) -> tuple[list[tuple[int, float]], Near]:
        """(chunk id, score) from the best down, and by chunk what the query's file made of it.

        Args:
            query: What is looked for.
            lexical: What BM25 found for it.
            limit: How many at most.
            finder: Of the file that the query comes from, if it comes from one.
        """
        best: dict[int, float] = {}
        near: Near = {}
        meant = _RouteFactors()
        for found, score in self._led_to(query, finder) if finder is not None else ():
            near.setdefault(found.definition.chunk_id, found.via)
            best[found.definition.chunk_id] = max(score, best.get(found.definition.chunk_id, 0.0))
            if kind_of(query) == "name":
                meant.add(found)
        for definition, score in self._matches(query):
            weight = score * (_VALUE_FACTOR if definition.kind in VALUE_KINDS else 1.0)
            factor = meant.factor(definition)
            if factor != 1:
                near.setdefault(definition.chunk_id, "elsewhere")
            weight *= factor
            best[definition.chunk_id] = max(weight, best.get(definition.chunk_id, 0.0))
        for chunk_id, score in self._by_parts(query, lexical):
            best[chunk_id] = max(score, best.get(chunk_id, 0.0))
        return sorted(best.items(), key=lambda item: (-item[1], item[0]))[:limit], near

    def _matches(self, query: str) -> Iterator[tuple[Definition, float]]:
        names = list(dict.fromkeys(words(query)))[:_MAX_NAMES]
        # One word of several says less than all of them together.
        share = max(1, len(names)) ** -0.5
        weights = _call_weights(query, names)
        for qualified in list(dict.fromkeys(_QUALIFIED.findall(query)))[:_MAX_NAMES]:
            parts = words(qualified)
            for found in self._store.definitions_qualified(
                parts, normalized_name(parts[-1]), _PER_NAME
            ):
                yield found, _EXACT
        for name in names:
            known = self._store.definitions_named(name, normalized_name(name), _PER_NAME)
            weight = share * weights[name] * _rarity(known, names)
            for found in known:
                yield found, _EXACT * weight
            if len(normalized_name(name)) > 1:
                alike = self._store.definitions(normalized_name(name), limit=_PER_NAME)
                weight = share * weights[name] * _rarity(alike, names)
                for found in alike:
                    yield found, weight * (_EXACT if found.name == name else _SAME_WORD)
        for size in range(2, _MAX_JOINED + 1):
            for start in range(len(names) - size + 1):
                joined = normalized_name("".join(names[start : start + size]))
                for found in self._store.definitions(joined, limit=_PER_NAME):
                    yield found, _JOINED * (0.5 + 0.5 * size / len(names))
        yield from self._in_other_forms(names)
        for name in names if len(names) <= _MAX_JOINED else ():
            beginning = normalized_name(name)
            if len(beginning) >= _MIN_PREFIX_LENGTH:
                for found in self._store.definitions(beginning, is_prefix=True, limit=_PER_NAME):
                    yield found, _PREFIX * len(beginning) / max(1, len(normalized_name(found.name)))

    def _in_other_forms(self, names: Sequence[str]) -> Iterator[tuple[Definition, float]]:
        """All words as one name, one of them in another form."""
        if not 1 < len(names) <= _MAX_WORDS_WITH_FORMS:
            return
        if self._store.definitions(normalized_name("".join(names)), limit=1):
            return
        for place, name in enumerate(names):
            for form in other_forms(name.lower())[:_FORMS_TRIED]:
                joined = normalized_name("".join([*names[:place], form, *names[place + 1 :]]))
                for found in self._store.definitions(joined, limit=_PER_NAME):
                    yield found, _OTHER_FORM

    def _led_to(
        self, query: str, finder: DefinitionFinder
    ) -> Iterator[tuple[ResolvedDefinition, float]]:
        """What the query's names mean in the file that it comes from, as far as that is known."""
        names = list(dict.fromkeys(words(query)))[:_MAX_NAMES]
        weights = _call_weights(query, names)
        for name in names:
            if finder.defines_itself(name):
                continue
            for place, found in enumerate(finder.find(name, _PER_ROUTE)):
                score = _ROUTE_SCORES[found.via] * weights[name] * _NEXT_FACTOR**place
                if score:
                    small = found.definition.kind in VALUE_KINDS
                    yield found, score * (_VALUE_FACTOR if small else 1.0)

    def _by_parts(
        self, query: str, lexical: Sequence[tuple[int, float]]
    ) -> Iterator[tuple[int, float]]:
        """Chunks that BM25 found and whose symbol is made of the query's words."""
        wanted = set(terms(" ".join(words(query)[:_MAX_NAMES])))
        forms = {form for each in wanted for form in other_forms(each)} - wanted
        for chunk_id, _ in lexical[:_PARTS_POOL]:
            (chunk,) = self._store.chunks([chunk_id])
            parts = set(terms(re.split(r"\W+", chunk.symbol)[-1]))
            same, alike = len(parts & wanted), len(parts & forms)
            if shared := same + _FORM_SHARE * alike:
                # A part and the word that it is a form of are one.
                yield chunk_id, _PARTS * shared / max(1, len(parts | wanted) - alike)


class _RouteFactors:
    """What names mean in the file that a query comes from, by the surest route to each."""

    def __init__(self) -> None:
        self._by_name: dict[str, tuple[DefinitionRoute, set[int]]] = {}

    def add(self, found: ResolvedDefinition) -> None:
        """Keep what a route leads to; a name's first one is the surest."""
        route, chunks = self._by_name.setdefault(found.definition.name, (found.via, set()))
        if found.via == route:
            chunks.add(found.definition.chunk_id)

    def factor(self, definition: Definition) -> float:
        """Less than 1 for a definition of a name that means another one there."""
        route, chunks = self._by_name.get(definition.name, ("name", set()))
        return 1.0 if definition.chunk_id in chunks else _ELSEWHERE[route]


def _call_weights(query: str, names: Sequence[str]) -> dict[str, float]:
    """What each name counts: all alike, unless some are called and others are not."""
    called = {name for pair in _CALLED.findall(query[:_MAX_SCANNED]) for name in pair if name}
    return {name: _NOT_CALLED if called and name not in called else 1.0 for name in names}


def _rarity(known: Sequence[Definition], names: Sequence[str]) -> float:
    """Beside other names, one that is defined everywhere says little."""
    return max(1, len(known)) ** -0.5 if len(names) > 1 else 1.0
