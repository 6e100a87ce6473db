"""The index's worker process: keeps indexes up to date and searches them.

Parsers are native code, so a crash takes this process and not the engine; a search never
waits for a generation, because it is not made where the model is. An update runs in one
thread for each repository at a time, searches run beside it on the index as it stands.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from codebuddy.engine.worker_connection import WorkerConnection, open_connection
from codebuddy.errors import CodebuddyError, EngineBusyError, IndexingError, warned
from codebuddy.index.schema import DATABASE_NAME, DamagedIndexError
from codebuddy.index.seeding import can_be_seeded
from codebuddy.service.context import RepositoryContext
from codebuddy.service.fleet_search import FleetSearches
from codebuddy.service.refresh import LOCK_TIMEOUT_S
from codebuddy.service.repositories import IndexKey, RepositoryCache, index_key
from codebuddy.service.request import SearchRequest, SettingsSources
from codebuddy.vcs.location import folder_to_search

# While the user types, an index checked this recently counts as fresh: git and a walk cost
# 0.1 s in a small repository and seconds in a large one.
_FRESH_FOR_S = 2.0
# Builds from nothing take all cores each; updates of what is there take moments.
_BUILDING_THREADS = 2
_UPDATE_THREADS = 16
# Requests at once. Most of them wait for an update, which takes nothing but a thread.
_MAX_REQUESTS = 256


class IndexWorker:
    """Answers `refresh` and `search`, each in a thread of its own.

    Waiting takes no place from others: a search waits for the update of its own repository
    and for nothing that is done in another one. An index answers one search at a time.
    """

    def __init__(self, connection: WorkerConnection) -> None:
        self._connection = connection
        self._repositories = RepositoryCache()
        self._fleet = FleetSearches()
        self._lock = threading.Lock()
        self._builds = ThreadPoolExecutor(_BUILDING_THREADS, thread_name_prefix="build")
        self._updates = ThreadPoolExecutor(_UPDATE_THREADS, thread_name_prefix="update")
        self._n_requests = 0
        self._running: dict[IndexKey, Future[str]] = {}
        self._updated_at: dict[IndexKey, float] = {}
        self._first_builds: set[IndexKey] = set()
        # Why the last update of an index failed.
        self._failures: dict[IndexKey, CodebuddyError] = {}

    def run(self) -> None:
        """Serve until the engine is gone."""
        self._connection.serve(self._receive)
        threading.Event().wait()

    def _receive(self, message: dict[str, Any], body: bytes) -> None:
        if message["op"] == "quit":
            # An update that is cut off leaves a whole index; SQLite sees to that.
            os._exit(0)
        with self._lock:
            has_room = self._n_requests < _MAX_REQUESTS
            self._n_requests += has_room
        if has_room:
            threading.Thread(target=self._serve, args=(message, body), daemon=True).start()
        else:
            busy = f"the engine is busy: {_MAX_REQUESTS} requests wait for an index already"
            error = EngineBusyError(busy, hint="try again in a moment")
            self._connection.send_error(message["id"], error)

    def _serve(self, message: dict[str, Any], body: bytes) -> None:
        try:
            result = self._answer(message, body)
            self._connection.send({"type": "result", "id": message["id"], "result": result})
        except Exception as error:  # noqa: BLE001
            self._connection.send_error(message["id"], error)
        finally:
            with self._lock:
                self._n_requests -= 1

    def _answer(self, message: dict[str, Any], body: bytes) -> dict[str, Any]:
        options = message["wish"]
        sources = SettingsSources.from_message(message["settings"])
        if options.get("fleet"):
            asked = SearchRequest(query=_query_of(body), **options)
            return dict(self._fleet.search(asked, sources))
        folder = str(folder_to_search(Path(options["folder"]), options.get("near", "")))
        repository_context, warnings = self._repositories.repository_context(folder, sources, {})
        started = time.perf_counter()
        found = list(warnings)
        if message["op"] == "refresh" and repository_context.found is None:
            return {"warnings": found, "timings_ms": {"update": 0.0}}
        if options.get("should_update", True):
            wait_s = float(options.get("wait_s", LOCK_TIMEOUT_S))
            found += self._refresh(
                repository_context,
                wait_s,
                may_be_old=options.get("may_be_old", False),
                limit_s=options.get("limit_s"),
            )
        refreshed = time.perf_counter()
        timings_ms = {"update": (refreshed - started) * 1000}
        if message["op"] == "refresh":
            return {"warnings": found, "timings_ms": timings_ms}
        request = SearchRequest(query=_query_of(body), **options)
        with warned(found):
            answer = self._search(repository_context, request)
        ended = time.perf_counter()
        timings_ms |= {"search": (ended - refreshed) * 1000, "total": (ended - started) * 1000}
        where = {"repository": str(repository_context.repository.root)}
        found += answer.pop("warnings", [])
        return answer | where | {"timings_ms": timings_ms, "warnings": found}

    def _search(
        self, repository_context: RepositoryContext, request: SearchRequest
    ) -> dict[str, Any]:
        from codebuddy.index.search_response import paths_beneath, search_response

        root = repository_context.repository.root
        near, folder = paths_beneath(root, request)

        def ask() -> dict[str, Any]:
            with self._repositories.lease_index(repository_context) as index:
                return search_response(index, request, near, repository_context.settings, folder)

        try:
            return ask()
        except DamagedIndexError:
            # It was noted as damaged, so the next update builds it anew.
            self._repositories.forget_index(repository_context)
            with self._lock:
                self._updated_at.pop(index_key(repository_context), None)
            if not request.should_update:
                raise
        except IndexingError:
            failure = self._failures.get(index_key(repository_context))
            if failure is not None and not _has_index(repository_context):
                # More than that there is no index: why there is none.
                raise failure from None
            raise
        self._refresh(repository_context, LOCK_TIMEOUT_S)
        return ask()

    def _refresh(
        self,
        repository_context: RepositoryContext,
        wait_s: float,
        *,
        may_be_old: bool = False,
        limit_s: float | None = None,
    ) -> list[str]:
        """Bring the index up to date with the files as they are now.

        Args:
            repository_context: Whose index.
            wait_s: How long to wait, unless there is no index at all yet.
            may_be_old: Whether an update that began a little earlier will do.
            limit_s: How long to wait at most, also where there is no index yet.

        Returns:
            One sentence if it failed.
        """
        key = index_key(repository_context)
        with self._lock:
            # One that is being built for the first time is there, and is none yet.
            has_index = key not in self._first_builds and _has_index(repository_context)
            wait_s = wait_s if has_index else max(wait_s, LOCK_TIMEOUT_S)
            deadline = time.monotonic() + (wait_s if limit_s is None else min(wait_s, limit_s))
            running = self._running.get(key)
            age_s = time.monotonic() - self._updated_at.get(key, float("-inf"))
        if may_be_old and running is None and age_s < _FRESH_FOR_S:
            return []
        try:
            if running is not None and not may_be_old:
                # It may have passed a file before that was changed.
                running.result(timeout=max(0.0, deadline - time.monotonic()))
            with self._lock:
                running = self._running.get(key)
                if running is None:
                    threads = self._updates
                    if not _has_index(repository_context):
                        self._first_builds.add(key)
                        if not can_be_seeded(repository_context.repository):
                            threads = self._builds
                    running = self._running[key] = threads.submit(self._update, repository_context)
            warning = running.result(timeout=max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            return []
        return [warning] if warning else []

    def _update(self, repository_context: RepositoryContext) -> str:
        from codebuddy.index.build import update_index

        key = index_key(repository_context)
        try:
            update_index(
                repository_context.repository,
                repository_context.settings,
                lock_timeout_s=LOCK_TIMEOUT_S,
            )
        except CodebuddyError as error:
            with self._lock:
                self._failures[key] = error
            if not isinstance(error, IndexingError):
                return error.message
            remedy = f" ({error.hint})" if error.hint else ""
            has_index = _has_index(repository_context)
            left = "using the index as it is" if has_index else "there is none yet"
            return f"{error.message}; {left}{remedy}"
        else:
            with self._lock:
                self._failures.pop(key, None)
        finally:
            with self._lock:
                self._updated_at[key] = time.monotonic()
                self._first_builds.discard(key)
                del self._running[key]
        return ""


def _query_of(body: bytes) -> str:
    try:
        # It may name a path that is not UTF-8.
        return body.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return body.decode("utf-8", "replace")


def _has_index(repository_context: RepositoryContext) -> bool:
    return (repository_context.repository.index_folder / DATABASE_NAME).exists()


def main() -> None:
    """Serve the engine that started this process."""
    with contextlib.suppress(KeyboardInterrupt):
        IndexWorker(open_connection()).run()


if __name__ == "__main__":
    main()
