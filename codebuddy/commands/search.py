"""`codebuddy search`: bring the index up to date, then show the best chunks for a query."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from codebuddy.service.request import SearchRequest
from codebuddy.terminal import StatusLine, answer, answer_json, note, safe_line

if TYPE_CHECKING:
    from codebuddy.index.search import SearchChannel
    from codebuddy.service.response import SearchHit, SearchResponse

# Behind the file of a query that names one.
_PLACE = re.compile(r":[0-9]{1,9}(:[0-9]{0,9})?:?$")
_EXCERPT_LINES = 6
_EXCERPT_LINES_ABOVE = 2
_EXCERPT_COLUMNS = 160
_NEAR = {
    "import": "imported there",
    "package": "beside what is imported there",
    "folder": "in the same folder",
    "elsewhere": "there the name means another definition",
}


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
    type=click.Choice(["lexical", "dense", "symbol", "hybrid"]),
    default="hybrid",
    help="lexical: BM25 over terms; dense: vectors; symbol: names of definitions;"
    " hybrid: fused (default).",
)
@click.option(
    "--near",
    metavar="FILE",
    help="The file that the query comes from; what it imports or changes with comes up. Its"
    " own repository is searched.",
)
@click.option(
    "--per-file",
    type=click.IntRange(0, 1000),
    default=0,
    metavar="N",
    help="Results of one file at most; 0 for any number (0).",
)
@click.option(
    "--embedder",
    metavar="NAME|PATH",
    help="A sentence-transformers model, tried in this call alone, without the engine;"
    " index.embedder is the lasting way.",
)
@click.option("--explain", is_flag=True, help="Show why each result ranks where it does.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@click.option("--no-update", is_flag=True, help="Search the index as it stands.")
@click.option("--no-engine", is_flag=True, help="Do it in this process, without the engine.")
def command(
    query_words: tuple[str, ...],
    top_k: int,
    channel: SearchChannel,
    *,
    near: str | None,
    per_file: int,
    embedder: str | None,
    explain: bool,
    as_json: bool,
    no_update: bool,
    no_engine: bool,
) -> None:
    """Entry point of the verb."""
    from codebuddy.errors import UsageError
    from codebuddy.paths import given_file

    query = " ".join(query_words)
    if not query.strip():
        raise UsageError("the query is empty", hint="give some words or names to look for")
    if len(query_words) == 1:
        place = _PLACE.search(query)
        file = query[: place.start()] if place else query
        query = given_file(file) + query[len(file) :]
    near = near and given_file(near)
    if near and not Path(near).exists():
        note(f"warning: {safe_line(near)} is not there; only its folder counts as near")
    if channel == "dense" and embedder is not None:
        _check_embedder(embedder)
    request = SearchRequest(
        str(Path.cwd()), query, top_k, channel, near or "", per_file, not no_update, embedder
    )
    found = _respond(request, may_use_engine=not no_engine)
    for warning in found.pop("warnings", []):
        note(f"warning: {safe_line(warning)}")
    if as_json:
        answer_json(found)
        return
    if near and not Path.cwd().is_relative_to(found["repository"]):
        note(f"searched {safe_line(found['repository'])}, the repository of {safe_line(near)}")
    items = found["results"]
    if not items:
        note(safe_line(found.get("reason") or "nothing found"))
    shown = [_shown(item, has_reasons=explain) for item in items]
    answer("\n\n".join(shown), newline=bool(items))


def _check_embedder(embedder: str) -> None:
    """Refuse a dense search without vectors to compare.

    Raises:
        IndexingError: The embedder is `none`.
    """
    from codebuddy.errors import IndexingError
    from codebuddy.index.embed import NO_EMBEDDER

    if embedder == NO_EMBEDDER:
        raise IndexingError(
            f"--embedder {NO_EMBEDDER} leaves nothing for --channel dense to compare",
            hint="leave out --embedder, or name another one",
        )


def _respond(request: SearchRequest, *, may_use_engine: bool) -> SearchResponse:
    """The warm engine's response, or this process's where there is no engine to ask."""
    from codebuddy.commands.client import open_client

    # A trial with another embedder loads torch, which would stay with all who use the engine.
    may_use_engine = may_use_engine and request.embedder is None
    return open_client(StatusLine(), may_use_engine=may_use_engine).search(request)


def _shown(item: SearchHit, *, has_reasons: bool) -> str:
    """Place, symbol, channel and score, then the lines around the one that matched."""
    title = f"{item['path']}:{item['line']} ({item['start_line']}-{item['end_line']})"
    if item["symbol"]:
        title += f"  {item['kind']} {item['symbol']}"
    lines = item["text"].split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    above = item["line"] - item["start_line"] - _EXCERPT_LINES_ABOVE
    first = min(above, len(lines) - _EXCERPT_LINES)
    first = max(0, first)
    last = first + _EXCERPT_LINES
    excerpt = [f"    {line[:_EXCERPT_COLUMNS]}".rstrip() for line in lines[first:last]]
    if any(line.strip() for line in lines[:first]):
        excerpt.insert(0, "    ...")
    if last < len(lines):
        excerpt.append("    ...")
    # A newline in a file's name must not look like another result.
    title = safe_line(f"{title}  [{item['channel']} {item['score']:.4f}]")
    return "\n".join([title, *([_reasons(item)] if has_reasons else []), *excerpt])


def _reasons(item: SearchHit) -> str:
    """Each channel's place and score, the factors of the fused score, what --near did."""
    explain = item["explain"]
    parts = [f"{name} #{explain['ranks'][name]} ({s:.3f})" for name, s in item["channels"].items()]
    parts += [f"{name} x{factor:.2f}" for name, factor in explain["factors"].items()]
    if "near" in explain:
        parts.append(f"--near: {_NEAR[explain['near']]}")
    return f"    why: {', '.join(parts)}"
