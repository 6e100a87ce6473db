"""Locates the match in a found chunk: its line and the definition around it.

Chunks are ranked as wholes; this looks at the one chunk again, by the same terms. It reads
nothing but what it is given, and knows neither scores nor how results are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from codebuddy.datatypes import Chunk, Definition, SearchResult
from codebuddy.index.path_channel import PATH, line_asked
from codebuddy.index.query_filters import QueryFilters, whole_word
from codebuddy.index.terms import normalized_name, terms, words
from codebuddy.syntax.spec import VALUE_KINDS

_MIN_PREFIX_LENGTH = 3
# The name's beginning says less than a word that a line holds.
_PREFIX_SHARE = 0.75
# Longer queries are pieces of code, whose words name many things.
_MAX_WORDS = 32
_MAX_TERMS = 1000
# How a line between a definition's documentation or decorators and its name begins.
_ABOVE_MARKS = ("#", "//", "/*", "*", "@", "--", ";;", "%", "[")


@dataclass(frozen=True, slots=True)
class MatchLocation:
    """The best line (1-based, of the file), and what is defined there.

    `kind` and `symbol` name the innermost definition around the line; `symbol` is empty
    where there is none.
    """

    line: int
    kind: str
    symbol: str


def locate(query: str, result: SearchResult, definitions: Sequence[Definition]) -> MatchLocation:
    """The line of the chunk that holds most of the query's terms, and its definition.

    Where the query names the file, it is the line that it names, or the first one with text.

    Args:
        query: What was searched for.
        result: One of its results.
        definitions: Those of the chunk's file.
    """
    wanted = _Wanted(query)
    chunk = result.chunk
    # As lines are counted: other line breaks of Unicode are characters of a line.
    lines = chunk.text.split("\n")[: chunk.end_line - chunk.start_line + 1]
    is_file = PATH in result.channels
    held = [0 if is_file else wanted.held_by(text) for text in lines]
    inside = [each for each in definitions if each.chunk_id == chunk.id]
    headers = {each.line - chunk.start_line for each in inside if each.kind not in VALUE_KINDS}
    best = max(range(len(held)), key=lambda place: (held[place], place in headers))
    line, named = chunk.start_line + best, None
    if not held[best]:
        # Nothing but the definitions' names can have been met; else the first line with text.
        line = chunk.start_line + next((i for i, text in enumerate(lines) if text.strip()), 0)
    if is_file and chunk.start_line <= line_asked(query) <= chunk.end_line:
        line = line_asked(query)
    if inside and "symbol" in result.channels:
        likeliest = max(inside, key=wanted.preference)
        if wanted.named_by(likeliest) >= max(held[best], _PREFIX_SHARE):
            line, named = likeliest.line, likeliest
    line = min(max(line, chunk.start_line), chunk.end_line)
    around = named or _around(line, lines[line - chunk.start_line :], definitions, wanted)
    if around is None:
        return MatchLocation(line, chunk.kind, "")
    has_begun_before = around.line < chunk.start_line
    return MatchLocation(line, chunk.kind if has_begun_before else around.kind, around.qualified)


def locate_within(
    query: str, result: SearchResult, definitions: Sequence[Definition], filters: QueryFilters
) -> MatchLocation:
    """As `locate`, at a line that the filters ask for.

    That is the first line with most of the whole words, and a definition of the kinds.
    """
    if filters.words:
        return _at_words(result.chunk, definitions, filters)
    location = locate(query, result, definitions)
    if not filters.kinds or location.kind in filters.kinds:
        return location
    chunk = result.chunk
    fitting = [each for each in definitions if filters.takes_definition(each, chunk)]
    if not fitting:
        return MatchLocation(location.line, chunk.kind, location.symbol)
    best = max(fitting, key=_Wanted(query).preference)
    return MatchLocation(best.line, best.kind, best.qualified)


def _at_words(
    chunk: Chunk, definitions: Sequence[Definition], filters: QueryFilters
) -> MatchLocation:
    lines = chunk.text.split("\n")[: chunk.end_line - chunk.start_line + 1]
    patterns = [whole_word(each) for each in filters.words]
    held = [sum(bool(each.search(line)) for each in patterns) for line in lines]
    line = chunk.start_line + max(range(len(held)), key=lambda place: (held[place], -place))
    around = innermost(definitions, line)
    if around is None or (filters.kinds and around.kind not in filters.kinds):
        fitting = [each for each in definitions if filters.takes_definition(each, chunk)]
        around = max(fitting, key=lambda each: -abs(each.line - line), default=around)
    if around is None or (filters.kinds and around.kind not in filters.kinds):
        return MatchLocation(line, chunk.kind, around.qualified if around else "")
    return MatchLocation(line, around.kind, around.qualified)


class _Wanted:
    """A query's terms, and how many of them a line or a name has."""

    def __init__(self, query: str) -> None:
        query_words = words(query)
        self._terms = frozenset(terms(query)[:_MAX_TERMS])
        self._words = query_words[:_MAX_WORDS] if len(query_words) <= _MAX_WORDS else []
        self._names = {normalized_name(word): len(set(terms(word))) for word in self._words}
        for first, second in pairwise(self._words):
            size = len(set(terms(first)) | set(terms(second)))
            self._names.setdefault(normalized_name(first + second), size)
        joined = normalized_name("".join(self._words))
        self._names.setdefault(joined, len(self._terms))

    def held_by(self, text: str) -> int:
        """How many of the terms `text` holds."""
        return len(self._terms.intersection(terms(text)))

    def named_by(self, definition: Definition) -> float:
        """How many of the terms the definition's name stands for, in any spelling."""
        name = normalized_name(definition.name)
        exact = self._names.get(name, 0)
        prefix = max(
            (
                _PREFIX_SHARE * size
                for beginning, size in self._names.items()
                if len(beginning) >= _MIN_PREFIX_LENGTH and name.startswith(beginning)
            ),
            default=0.0,
        )
        own = self.held_by(definition.name)
        # The outer names count only along with the own one: `Store.open` is not all of Store.
        whole = self.held_by(definition.qualified) if own or exact else 0
        return max(exact, prefix, whole)

    def preference(self, definition: Definition) -> tuple[float, float, bool, int]:
        """Sorts definitions: most terms, the shortest name, code before values, the first."""
        return (
            self.named_by(definition),
            -len(definition.name),
            definition.kind not in VALUE_KINDS,
            -definition.line,
        )


def _around(
    line: int, lines: Sequence[str], definitions: Sequence[Definition], wanted: _Wanted
) -> Definition | None:
    """The innermost definition around `line`, or the one that its comment stands above.

    `lines` are the chunk's from `line` on.
    """
    for below, text in enumerate(lines):
        begun = [each for each in definitions if each.line == line + below]
        if begun:
            return max(begun, key=wanted.preference)
        if not text.lstrip().startswith(_ABOVE_MARKS):
            break
    return innermost(definitions, line)


def innermost(definitions: Iterable[Definition], line: int) -> Definition | None:
    """The innermost definition around `line`."""
    around = [each for each in definitions if each.line <= line <= each.end_line]
    return max(around, key=lambda each: (each.line, -each.end_line), default=None)
