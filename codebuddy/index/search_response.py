"""The search response: each result with the matching line and definition, as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from codebuddy.datatypes import SearchResult
from codebuddy.errors import UsageError, warned
from codebuddy.index.empty_search import why_empty
from codebuddy.index.hit_reason import reason_of
from codebuddy.index.match_location import MatchLocation, locate_within
from codebuddy.index.path_channel import beneath
from codebuddy.index.query import kind_of
from codebuddy.index.query_filters import QueryFilters, split_filters
from codebuddy.index.rerank import POOL, is_reranked
from codebuddy.index.search import RepositoryIndex, SearchChannel
from codebuddy.index.second_tier import SecondTier
from codebuddy.index.spelling import Reading
from codebuddy.service.request import SearchRequest
from codebuddy.service.response import ExplainResponse, MissingWord, SearchHit
from codebuddy.settings import Settings

MAX_QUERY_CHARACTERS = 1_000_000


def search_response(
    index: RepositoryIndex,
    request: SearchRequest,
    near: str,
    settings: Settings | None = None,
    folder: str = "",
) -> dict[str, Any]:
    """What `search --json` says, but for the times; the best result first.

    `embedder` names whose vectors the dense channel compares; `reason` is there only where
    nothing is found, and it is not for the words alone. A result's `explain` says at which place
    each channel had it (`ranks`), by what its fused score was multiplied (`factors`), and what
    the file `near` made of it, if anything (`near`); `why` says it for a person. Filters in the
    query hold, and are no part of what is looked for (`query_filters`). `read_as` says which
    words were taken for slips of the keyboard, and of what.

    Args:
        index: Of the repository.
        request: What is wanted there.
        near: The request's file, as a path of the repository; empty without one.
        settings: Of the request, which name the second tier: an index that is kept open was opened
            with those of an older one, which count by default.
        folder: The request's, as a path of the repository: where a file that the query names is
            looked for first.

    Raises:
        UsageError: The query is empty, or names a language or kind that there is not.
        ModelError: The second tier is wanted, and off or not to be had.
        IndexingError: The index is damaged or busy.
    """
    channel = cast("SearchChannel", request.channel)
    filters = split_filters(
        request.query[:MAX_QUERY_CHARACTERS], has_whole_words=request.whole_words
    )
    reading, filters = _as_read(index, filters)
    query = reading.text
    tier = _second_tier(index, settings, filters) if request.is_best else None
    is_question = tier is not None and channel == "hybrid" and is_reranked(kind_of(query))
    results, similarities = _results(
        index, request, filters, near, folder, tier if is_question else None
    )
    items = _items(index, filters, results[: request.top_k], similarities)
    found: dict[str, Any] = {
        "query": request.query,
        "channel": channel,
        "embedder": index.embedder,
        "results": items,
    }
    if request.wants_missing:
        found |= _missing(index, query, items)
    if tier is not None:
        found["reranker"] = tier.name if is_question else None
    found |= {"read_as": dict(reading.read_as)} if reading.read_as else {}
    notes = [*filters.notes, *_missing_file(index, query, channel, folder, has_any=bool(items))]
    found |= {"warnings": notes} if notes else {}
    reason = "" if items else why_empty(index, filters)
    return found | {"reason": reason} if reason else found


def _results(
    index: RepositoryIndex,
    request: SearchRequest,
    filters: QueryFilters,
    near: str,
    folder: str,
    tier: SecondTier | None,
) -> tuple[list[SearchResult], dict[int, float]]:
    """What is found, and where there is a tier that orders it, its similarities by chunk."""
    results = index.search(
        filters.text,
        request.top_k if tier is None else max(request.top_k, POOL),
        cast("SearchChannel", request.channel),
        near=near,
        max_per_file=request.max_per_file,
        filters=None if filters.is_empty else filters,
        is_read=True,
        folder=folder,
    )
    if tier is None:
        return results, {}
    with warned(filters.notes):
        return tier.order(filters.text, results)


def _second_tier(
    index: RepositoryIndex, settings: Settings | None, filters: QueryFilters
) -> SecondTier:
    tier = index.second_tier(settings)
    with warned(filters.notes):
        tier.check()
    return tier


def _as_read(index: RepositoryIndex, filters: QueryFilters) -> tuple[Reading, QueryFilters]:
    """The query as it is read; whole words are wanted as they are written."""
    reading = Reading(filters.text) if filters.words else index.read(filters.text)
    return reading, replace(filters, text=reading.text)


def _missing(index: RepositoryIndex, query: str, items: list[SearchHit]) -> dict[str, Any]:
    texts = [f"{each['path']} {each['symbol']}\n{each['text']}" for each in items]
    words = index.absent_words(query, texts)
    missing = [MissingWord(word=each, in_index=False) for each in words.nowhere]
    missing += [MissingWord(word=each, in_index=True) for each in words.unseen]
    found = {"missing": missing, "is_about_missing": words.is_decisive}
    return found | {"is_far": True} if words.is_far else found


def _missing_file(
    index: RepositoryIndex, query: str, channel: SearchChannel, folder: str, *, has_any: bool
) -> list[str]:
    """A sentence where the query is `FILE:LINE` and there is no such file."""
    file = index.missing_file(query, folder) if channel == "hybrid" else ""
    if not file:
        return []
    reason = index.reason_skipped(beneath(folder, file))
    said = f"{file} is not indexed: {reason}" if reason else f"there is no file {file}"
    return [said + ("; these results are for the words of its name" if has_any else "")]


def paths_beneath(root: Path, request: SearchRequest) -> tuple[str, str]:
    """The request's file and its folder as paths of the repository at `root`.

    Empty are a file that is not given, and a folder that is the root or lies outside.

    Raises:
        UsageError: The file lies outside.
    """
    asked_in = Path(request.folder)
    near = path_beneath(root, request.near, asked_in) if request.near else ""
    try:
        folder = path_beneath(root, "", asked_in)
    except UsageError:
        folder = ""
    return near, "" if folder == "." else folder


def path_beneath(root: Path, file: str, folder: Path) -> str:
    """The path of `file`, which need not exist, in the repository at `root`.

    Args:
        root: The repository's.
        file: Absolute, or relative to `folder`.
        folder: Where the caller stands.

    Raises:
        UsageError: It lies outside.
    """
    try:
        return (folder / file).resolve().relative_to(root.resolve()).as_posix()
    except (OSError, RuntimeError, ValueError):
        raise UsageError(f"{file} is outside the repository {root}") from None


def _items(
    index: RepositoryIndex,
    filters: QueryFilters,
    results: Sequence[SearchResult],
    similarities: Mapping[int, float],
) -> list[SearchHit]:
    items = []
    for result in results:
        chunk = result.chunk
        # Of a file with thousands the chunk's own, and those around it.
        near = index.definitions_of(chunk.path, (chunk.start_line, chunk.end_line))
        location = locate_within(filters.text, result, near, filters)
        item = _item(result, location, reason_of(filters.text, result, location))
        if result.chunk.id in similarities:
            item["similarity"] = similarities[result.chunk.id]
        items.append(item)
    return items


def _item(result: SearchResult, location: MatchLocation, reason: str) -> SearchHit:
    chunk = result.chunk
    explain: ExplainResponse = {"ranks": result.ranks, "factors": result.factors}
    if result.near:
        explain["near"] = result.near
    return {
        "path": chunk.path,
        "line": location.line,
        "start_line": chunk.start_line,
        "end_line": chunk.end_line,
        "kind": location.kind,
        "symbol": location.symbol,
        "score": result.score,
        "channel": result.channel,
        "channels": result.channels,
        "explain": explain,
        "why": reason,
        "text": chunk.text,
    }
