"""Why a result was found, in one line for a person."""

from __future__ import annotations

from codebuddy.datatypes import SearchResult
from codebuddy.index.match_location import MatchLocation
from codebuddy.index.path_channel import PATH
from codebuddy.index.terms import normalized_name, terms, words

_MAX_NAMED = 4
_MAX_WORDS = 64
_NEAR = {
    "import": "imported by the file that asks",
    "package": "beside what that file imports",
    "folder": "in that file's folder",
}


def reason_of(query: str, result: SearchResult, location: MatchLocation) -> str:
    """What the query and the result have in common, the surest first; never empty."""
    if PATH in result.channels:
        return "the query names this file"
    parts = []
    if "symbol" in result.channels and location.symbol:
        name = location.symbol.rpartition(".")[2]
        is_same = normalized_name("".join(words(query)[:_MAX_WORDS])) == normalized_name(name)
        how = "named as the query says" if is_same else f"{name} is named like it"
        parts.append(how)
    held = _held(query, result.chunk.text) if "lexical" in result.channels else []
    if held:
        more = ", …" if len(held) > _MAX_NAMED else ""
        parts.append(f"holds {', '.join(held[:_MAX_NAMED])}{more}")
    if result.factors.get("verbatim", 1.0) > 1:
        parts.append("in the query's order")
    if "dense" in result.channels:
        parts.append("similar in meaning")
    if result.near in _NEAR:
        parts.append(_NEAR[result.near])
    return "; ".join(parts) or "ranked by a name in it"


def _held(query: str, text: str) -> list[str]:
    """The query's words of which the text has a part, in the query's order."""
    there = set(terms(text))
    asked = dict.fromkeys(words(query)[:_MAX_WORDS])
    return [word for word in asked if not there.isdisjoint(terms(word))]
