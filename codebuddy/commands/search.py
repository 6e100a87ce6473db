"""`codebuddy search`: bring the index up to date, then show the best chunks for a query."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from codebuddy.terminal import answer, answer_json, note, safe_line

if TYPE_CHECKING:
    from codebuddy.index.search import RepositoryIndex, SearchChannel
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
    wish = _Wish(query, top_k, channel, near or "", per_file, embedder)
    # A trial with another embedder loads torch, which would stay with all who use the engine.
    uses_engine = not no_engine and embedder is None
    found = _from_engine(wish, should_update=not no_update) if uses_engine else None
    if found is None:
        found = _from_here(wish, should_update=not no_update)
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


@dataclass(frozen=True, slots=True)
class _Wish:
    """What was asked for on the command line."""

    query: str
    top_k: int
    channel: SearchChannel
    near: str
    per_file: int
    embedder: str | None


def _from_engine(wish: _Wish, *, should_update: bool) -> SearchResponse | None:
    """The warm engine's answer; None where there is none to ask."""
    from codebuddy.engine.fallback import ask_engine

    return ask_engine(
        lambda engine: engine.search(
            str(Path.cwd()),
            wish.query,
            top_k=wish.top_k,
            channel=wish.channel,
            near=wish.near,
            max_per_file=wish.per_file,
            should_update=should_update,
        )
    )


def _from_here(wish: _Wish, *, should_update: bool) -> SearchResponse:
    """The answer found in this process."""
    from codebuddy.assembly import surroundings_of_folder, with_index
    from codebuddy.errors import IndexingError
    from codebuddy.index.answer import found_answer, path_beneath
    from codebuddy.index.embed import NO_EMBEDDER
    from codebuddy.vcs.location import folder_to_search

    if wish.channel == "dense" and wish.embedder == NO_EMBEDDER:
        raise IndexingError(
            f"--embedder {NO_EMBEDDER} leaves nothing for --channel dense to compare",
            hint="leave out --embedder, or name another one",
        )
    folder = folder_to_search(Path.cwd(), wish.near)
    surroundings = surroundings_of_folder(folder, {"index.embedder": wish.embedder})
    root = surroundings.repository.root
    near = path_beneath(root, wish.near, Path.cwd()) if wish.near else ""
    timings_ms: dict[str, float] = {}
    started = time.perf_counter()

    def ask(index: RepositoryIndex) -> dict[str, Any]:
        opened = time.perf_counter()
        timings_ms["update"] = (opened - started) * 1000
        found = found_answer(
            index, wish.query, wish.top_k, wish.channel, near=near, max_per_file=wish.per_file
        )
        timings_ms["search"] = (time.perf_counter() - opened) * 1000
        return found

    answered = with_index(surroundings, ask, should_update=should_update)
    timings_ms["total"] = (time.perf_counter() - started) * 1000
    return cast("SearchResponse", answered | {"repository": str(root), "timings_ms": timings_ms})


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
