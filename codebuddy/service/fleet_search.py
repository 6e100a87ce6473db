"""Searches over a list of repositories: the open indexes kept from one search to the next.

Nothing is brought up to date for a search: `codebuddy fleet index` does that, and each
repository's own commands. Settings are the user's; no repository of the list has a say.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from codebuddy.errors import IndexingError, UsageError
from codebuddy.service.context import settings_of
from codebuddy.service.dependencies import file_identity
from codebuddy.service.request import SearchRequest, SettingsSources
from codebuddy.service.response import SearchResponse

if TYPE_CHECKING:
    from codebuddy.index.fleet_index import FleetIndex


class FleetSearches:
    """Answers fleet searches, one at a time; the indexes of one list stay open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: tuple[object, ...] = ()
        self._index: FleetIndex | None = None

    def search(self, request: SearchRequest, sources: SettingsSources) -> SearchResponse:
        """The best chunks of all repositories of the list `request.fleet`.

        The keys are those of `search --json`; a result names its `repository`, and
        `repositories` says how many were searched, of how many, and why the others were not.

        Raises:
            UsageError: The list cannot be read or is empty, or something was asked that is
                answered in one repository only.
            IndexingError: None of them has an index that can be read.
            ConfigError: A setting is wrong.
        """
        _check(request)
        started = time.perf_counter()
        flags = {} if request.embedder is None else {"index.embedder": request.embedder}
        loaded = settings_of(sources, None, flags)
        with self._lock:
            index = self._opened(Path(request.fleet), loaded.settings)
            opened = time.perf_counter()
            found = _found(index, request)
            ended = time.perf_counter()
        steps_s = {"update": opened - started, "search": ended - opened, "total": ended - started}
        found |= {
            "repository": request.folder,
            "timings_ms": {step: seconds * 1000 for step, seconds in steps_s.items()},
            "warnings": list(loaded.warnings),
        }
        return cast("SearchResponse", found)

    def close(self) -> None:
        """Close every index."""
        with self._lock:
            if self._index is not None:
                self._index.close()
            self._index, self._key = None, ()

    def _opened(self, file: Path, settings: Any) -> FleetIndex:
        from codebuddy.fleet.listing import read_members
        from codebuddy.fleet.shards import look_again, shards_of
        from codebuddy.index.fleet_index import FleetIndex

        key = (file, file_identity(file), settings.index.embedder)
        if self._index is None or key != self._key:
            members = read_members(file, needs_some=True)
            if self._index is not None:
                self._index.close()
            self._index, self._key = FleetIndex(shards_of(members), settings), key
        else:
            look_again(self._index.shards)
        return self._index


def _check(request: SearchRequest) -> None:
    if request.near:
        raise UsageError(
            "--near is about one repository's files", hint="leave it out, or leave out --fleet"
        )
    if request.is_best:
        raise UsageError(
            "--best orders the results of one repository", hint="leave out --best or --fleet"
        )


def _found(index: FleetIndex, request: SearchRequest) -> dict[str, Any]:
    from codebuddy.index.search_response import search_response

    found = index.ask(request.query, lambda: search_response(index, request, ""))
    left_out = {str(each.root): each.problem for each in index.shards if each.problem}
    n_searched = len(index.shards) - len(left_out)
    if not n_searched:
        root, why = next(iter(left_out.items()))
        raise IndexingError(
            f"none of the {len(index.shards)} repositories can be searched; {root}: {why}",
            hint="'codebuddy fleet index' builds their indexes",
        )
    for item in found["results"]:
        shard, item["path"] = index.shard_of(item["path"])
        item["repository"], item["name"] = str(shard.root), shard.name
    if not found["results"]:
        found.setdefault("reason", f"nothing found in {n_searched} repositories")
    found["repositories"] = {
        "searched": n_searched,
        "listed": len(index.shards),
        "left_out": left_out,
    }
    return found
