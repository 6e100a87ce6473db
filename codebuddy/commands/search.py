"""`codebuddy search`: bring the index up to date, then show the best chunks for a query."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from codebuddy.terminal import answer, answer_json, note, safe_line

if TYPE_CHECKING:
    from codebuddy.datatypes import Definition, SearchResult
    from codebuddy.index.hit import Hit
    from codebuddy.index.search import RepositoryIndex, SearchChannel

_EXCERPT_LINES = 6
_EXCERPT_LINES_ABOVE = 2
_EXCERPT_COLUMNS = 160
_MAX_QUERY_CHARACTERS = 1_000_000


@click.command(
    "search",
    help="Search the repository for words, names or code.",
    epilog="Example: codebuddy search parse config file -k 5",
)
@click.argument("query_words", metavar="QUERY...", nargs=-1, required=True)
@click.option(
    "-k",
    "top_k",
    type=click.IntRange(1, 1000),
    default=10,
    metavar="N",
    help="Results at most (10).",
)
@click.option(
    "--channel",
    type=click.Choice(["lexical", "symbol", "hybrid"]),
    default="hybrid",
    help="lexical: BM25 over terms; symbol: names of definitions; hybrid: both (default).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@click.option("--no-update", is_flag=True, help="Search the index as it stands.")
def command(
    query_words: tuple[str, ...],
    top_k: int,
    channel: SearchChannel,
    *,
    as_json: bool,
    no_update: bool,
) -> None:
    """Entry point of the verb."""
    from codebuddy.assembly import open_surroundings, with_index
    from codebuddy.errors import UsageError

    query = " ".join(query_words)
    if not query.strip():
        raise UsageError("the query is empty", hint="give some words or names to look for")
    surroundings = open_surroundings()
    timings_ms: dict[str, float] = {}
    started = time.perf_counter()

    def ask(index: RepositoryIndex) -> list[tuple[SearchResult, Hit]]:
        opened = time.perf_counter()
        timings_ms["update"] = (opened - started) * 1000
        found = _located(index, query[:_MAX_QUERY_CHARACTERS], top_k, channel)
        timings_ms["search"] = (time.perf_counter() - opened) * 1000
        return found

    results = with_index(surroundings, ask, should_update=not no_update)
    timings_ms["total"] = (time.perf_counter() - started) * 1000
    if as_json:
        items = [_item(result, hit) for result, hit in results]
        answer_json(
            {"query": query, "channel": channel, "results": items, "timings_ms": timings_ms}
        )
        return
    if not results:
        note("nothing found")
    answer("\n\n".join(_shown(result, hit) for result, hit in results), newline=bool(results))


def _located(
    index: RepositoryIndex, query: str, top_k: int, channel: SearchChannel
) -> list[tuple[SearchResult, Hit]]:
    """The results, each with the line and the definition that matched."""
    from codebuddy.index.hit import locate

    definitions: dict[str, list[Definition]] = {}
    found: list[tuple[SearchResult, Hit]] = []
    for result in index.search(query, top_k, channel):
        path = result.chunk.path
        if path not in definitions:
            definitions[path] = index.definitions_of(path)
        found.append((result, locate(query, result, definitions[path])))
    return found


def _item(result: SearchResult, hit: Hit) -> dict[str, object]:
    chunk = result.chunk
    return {
        "path": chunk.path,
        "line": hit.line,
        "start_line": chunk.start_line,
        "end_line": chunk.end_line,
        "kind": hit.kind,
        "symbol": hit.symbol,
        "score": result.score,
        "channel": result.channel,
        "channels": result.channels,
        "text": chunk.text,
    }


def _shown(result: SearchResult, hit: Hit) -> str:
    """Place, symbol, channel and score, then the lines around the one that matched."""
    chunk = result.chunk
    title = f"{chunk.path}:{hit.line} ({chunk.start_line}-{chunk.end_line})"
    if hit.symbol:
        title += f"  {hit.kind} {hit.symbol}"
    lines = chunk.text.split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    first = min(hit.line - chunk.start_line - _EXCERPT_LINES_ABOVE, len(lines) - _EXCERPT_LINES)
    first = max(0, first)
    last = first + _EXCERPT_LINES
    excerpt = [f"    {line[:_EXCERPT_COLUMNS]}".rstrip() for line in lines[first:last]]
    if any(line.strip() for line in lines[:first]):
        excerpt.insert(0, "    ...")
    if last < len(lines):
        excerpt.append("    ...")
    # A newline in a file's name must not look like another result.
    title = safe_line(f"{title}  [{result.channel} {result.score:.4f}]")
    return "\n".join([title, *excerpt])
