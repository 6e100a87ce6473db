"""`codebuddy search`: bring the index up to date, then show the best chunks for a query."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from codebuddy.terminal import answer, answer_json, note

if TYPE_CHECKING:
    from codebuddy.datatypes import SearchResult
    from codebuddy.index.search import RepositoryIndex, SearchChannel

_EXCERPT_LINES = 6
_EXCERPT_COLUMNS = 160
_MAX_QUERY_CHARACTERS = 1_000_000


@click.command(
    "search",
    help="Search the repository for words, names or code.",
    epilog="Example: codebuddy search 'parse config file' -k 5",
)
@click.argument("query")
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
    query: str,
    top_k: int,
    channel: SearchChannel,
    *,
    as_json: bool,
    no_update: bool,
) -> None:
    """Entry point of the verb."""
    from codebuddy.assembly import open_surroundings, with_index
    from codebuddy.errors import UsageError

    if not query.strip():
        raise UsageError("the query is empty", hint="give some words or names to look for")
    surroundings = open_surroundings()
    timings_ms: dict[str, float] = {}
    started = time.perf_counter()

    def ask(index: RepositoryIndex) -> list[SearchResult]:
        opened = time.perf_counter()
        timings_ms["update"] = (opened - started) * 1000
        found = index.search(query[:_MAX_QUERY_CHARACTERS], top_k, channel)
        timings_ms["search"] = (time.perf_counter() - opened) * 1000
        return found

    results = with_index(surroundings, ask, should_update=not no_update)
    timings_ms["total"] = (time.perf_counter() - started) * 1000
    if as_json:
        items = [_item(result) for result in results]
        answer_json(
            {"query": query, "channel": channel, "results": items, "timings_ms": timings_ms}
        )
        return
    if not results:
        note("nothing found")
    answer("\n\n".join(_shown(result) for result in results), newline=bool(results))


def _item(result: SearchResult) -> dict[str, object]:
    chunk = result.chunk
    return {
        "path": chunk.path,
        "start_line": chunk.start_line,
        "end_line": chunk.end_line,
        "kind": chunk.kind,
        "symbol": chunk.symbol,
        "score": result.score,
        "channel": result.channel,
        "channels": result.channels,
        "text": chunk.text,
    }


def _shown(result: SearchResult) -> str:
    """Place, symbol, channel and score, then the first lines."""
    chunk = result.chunk
    title = f"{chunk.path}:{chunk.start_line}-{chunk.end_line}"
    if chunk.symbol:
        title += f"  {chunk.kind} {chunk.symbol}"
    lines = chunk.text.strip("\r\n").splitlines()
    excerpt = [f"    {line[:_EXCERPT_COLUMNS]}".rstrip() for line in lines[:_EXCERPT_LINES]]
    if len(lines) > _EXCERPT_LINES:
        excerpt.append("    ...")
    return "\n".join([f"{title}  [{result.channel} {result.score:.4f}]", *excerpt])
