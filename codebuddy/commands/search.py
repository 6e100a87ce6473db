"""`codebuddy search`: bring the index up to date, then show the best chunks for a query."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from codebuddy.commands.search_view import by_files, note_readings, shown_hit
from codebuddy.service.request import SearchRequest
from codebuddy.terminal import (
    StatusLine,
    answer_json,
    answer_styled,
    counted,
    note,
    safe_line,
    wants_color,
)

if TYPE_CHECKING:
    from codebuddy.index.search import SearchChannel
    from codebuddy.service.response import SearchResponse

# Behind the file of a query that names one.
_PLACE = re.compile(r":[0-9]{1,9}(:[0-9]{0,9})?:?$")

# Repositories that were not searched are named up to this number.
_LEFT_OUT_SHOWN = 5


@click.command(
    "search",
    help="Search the repository for words, names or code. `lang:NAME`, `path:PART` and"
    " `kind:NAME` in the query say where.",
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
@click.option(
    "-w",
    "--word",
    "whole_words",
    is_flag=True,
    help="Only where each word (or phrase in double quotes) stands as it is written.",
)
@click.option("--files", "by_file", is_flag=True, help="Group the results by file.")
@click.option(
    "--open",
    "opened",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Open result N in $VISUAL or $EDITOR.",
)
@click.option(
    "--best",
    "is_best",
    is_flag=True,
    help="Order a question's results by the model of search.reranker; takes longer.",
)
@click.option(
    "--fleet",
    "is_fleet",
    is_flag=True,
    help="Search all repositories of your list ('codebuddy fleet add'), as they are indexed.",
)
@click.option(
    "--fleet-list",
    metavar="FILE",
    help="Another list, with --fleet: a text file with one path a line.",
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
    whole_words: bool,
    by_file: bool,
    opened: int | None,
    is_best: bool,
    is_fleet: bool,
    fleet_list: str | None,
    explain: bool,
    as_json: bool,
    no_update: bool,
    no_engine: bool,
) -> None:
    """Entry point of the verb."""
    from codebuddy.commands.client import warn_of_near
    from codebuddy.errors import UsageError
    from codebuddy.paths import given_file

    query = _query(query_words)
    near = near and given_file(near)
    warn_of_near(near or "")
    _check_embedder(embedder if channel == "dense" else None)
    editor = None
    if opened is not None:
        from codebuddy.commands.editor import editor_command

        if as_json:
            raise UsageError("--open starts an editor, and --json prints: give one of them")
        editor = editor_command(os.environ)
        top_k = max(top_k, opened)
    request = SearchRequest(
        str(Path.cwd()),
        query,
        top_k,
        channel,
        near or "",
        per_file,
        not no_update,
        embedder,
        whole_words,
        is_best,
        _list_of(fleet_list, is_fleet=is_fleet),
    )
    found = _respond(request, may_use_engine=not no_engine)
    for warning in found.pop("warnings", []):
        note(f"warning: {safe_line(warning)}")
    if as_json:
        answer_json(found)
        return
    _note_repository(found, near)
    if editor is not None and opened is not None:
        _open(editor, found, opened)
        return
    _print(found, explain=explain, by_file=by_file)


def _query(query_words: tuple[str, ...]) -> str:
    """The words as one text; a file may be named in any of the forms that a person sees."""
    from codebuddy.errors import UsageError
    from codebuddy.paths import given_file

    query = " ".join(query_words)
    if not query.strip():
        raise UsageError("the query is empty", hint="give some words or names to look for")
    if len(query_words) == 1:
        place = _PLACE.search(query)
        file = query[: place.start()] if place else query
        query = given_file(file) + query[len(file) :]
    return query


def _print(found: SearchResponse, *, explain: bool, by_file: bool) -> None:
    items = found["results"]
    if not items:
        note(safe_line(found.get("reason") or "nothing found"))
    if by_file:
        shown = by_files(items, has_colour=wants_color(sys.stdout))
    else:
        shown = "\n\n".join(shown_hit(item, explain=explain, on=sys.stdout) for item in items)
    answer_styled(shown, newline=bool(items))


def _open(editor: list[str], found: SearchResponse, number: int) -> None:
    """Open that result (from 1) at its line.

    Raises:
        UsageError: There are not so many, or the editor cannot be started.
    """
    from codebuddy.commands.editor import open_in_editor
    from codebuddy.errors import UsageError

    items = found["results"]
    if number > len(items):
        there = f"the search found {counted(len(items), 'result')}"
        raise UsageError(f"there is no result {number} to open: {there}")
    item = items[number - 1]
    note(f"opening {safe_line(item['path'])}:{item['line']}")
    root = Path(item.get("repository") or found["repository"])
    code = open_in_editor(editor, root / item["path"], item["line"])
    if code:
        note(f"the editor ended with exit code {code}")
        click.get_current_context().exit(1)


def _list_of(fleet_list: str | None, *, is_fleet: bool) -> str:
    """The absolute path of the list of repositories; empty where one repository is searched."""
    from codebuddy.errors import UsageError

    if fleet_list is not None and not is_fleet:
        raise UsageError("--fleet-list is for --fleet", hint="give both")
    if not is_fleet:
        return ""
    from codebuddy.commands.fleet_work import list_of

    return str(list_of(fleet_list))


def _note_repository(found: SearchResponse, near: str | None) -> None:
    """Say what was read, which other repository was searched, of a list which not, and why."""
    note_readings(found)
    if near and not Path.cwd().is_relative_to(found["repository"]):
        note(f"searched {safe_line(found['repository'])}, the repository of {safe_line(near)}")
    left_out = found["repositories"]["left_out"] if "repositories" in found else {}
    for root, why in list(left_out.items())[:_LEFT_OUT_SHOWN]:
        note(f"warning: {safe_line(root)} is not searched: {safe_line(why)}")
    if len(left_out) > _LEFT_OUT_SHOWN:
        note(f"and {len(left_out) - _LEFT_OUT_SHOWN} more")


def _check_embedder(embedder: str | None) -> None:
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
