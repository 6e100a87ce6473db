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

from codebuddy.assembly import Surroundings
from codebuddy.engine.channel import Channel, open_channel
from codebuddy.engine.workplace import Workplace, index_key
from codebuddy.errors import CodebuddyError, IndexingError
from codebuddy.index.schema import DATABASE_NAME, DamagedIndexError
from codebuddy.vcs.location import folder_to_search

# While somebody types, an index looked at so lately is taken as fresh: git and a walk cost
# 0.1 s in a small repository and seconds in a large one.
_FRESH_FOR_S = 2.0
# Behind another process that updates the index, as in `assembly`.
_LOCK_TIMEOUT_S = 30.0
_THREADS = 4


class IndexWorker:
    """Answers `refresh` and `search`, several at a time."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._workplace = Workplace()
        self._lock = threading.Lock()
        self._searches = ThreadPoolExecutor(_THREADS, thread_name_prefix="search")
        self._updates = ThreadPoolExecutor(_THREADS, thread_name_prefix="update")
        self._running: dict[tuple[Path, str], Future[str]] = {}
        self._updated_at: dict[tuple[Path, str], float] = {}
        self._first_builds: set[tuple[Path, str]] = set()

    def run(self) -> None:
        """Serve until the engine is gone."""
        self._channel.serve(self._receive)
        threading.Event().wait()

    def _receive(self, message: dict[str, Any], body: bytes) -> None:
        if message["op"] == "quit":
            # An update that is cut off leaves a whole index; SQLite sees to that.
            os._exit(0)
        self._searches.submit(self._serve, message, body)

    def _serve(self, message: dict[str, Any], body: bytes) -> None:
        try:
            result = self._answer(message, body)
            self._channel.send({"type": "result", "id": message["id"], "result": result})
        except Exception as error:  # noqa: BLE001
            self._channel.send_error(message["id"], error)

    def _answer(self, message: dict[str, Any], body: bytes) -> dict[str, Any]:
        wish = message["wish"]
        with self._lock:
            folder = str(folder_to_search(Path(wish["folder"]), wish.get("near", "")))
            surroundings, warnings = self._workplace.surroundings(folder, message["settings"], {})
        started = time.perf_counter()
        found = list(warnings)
        if message["op"] == "refresh" and surroundings.found is None:
            return {"warnings": found, "timings_ms": {"update": 0.0}}
        if wish.get("should_update", True):
            wait_s = float(wish.get("wait_s", _LOCK_TIMEOUT_S))
            found += self._refresh(surroundings, wait_s, may_be_old=wish.get("may_be_old", False))
        refreshed = time.perf_counter()
        timings_ms = {"update": (refreshed - started) * 1000}
        if message["op"] == "refresh":
            return {"warnings": found, "timings_ms": timings_ms}
        query = body.decode("utf-8", "replace")
        answer = self._search(surroundings, query, wish)
        ended = time.perf_counter()
        timings_ms |= {"search": (ended - refreshed) * 1000, "total": (ended - started) * 1000}
        where = {"repository": str(surroundings.repository.root)}
        return answer | where | {"timings_ms": timings_ms, "warnings": found}

    def _search(
        self, surroundings: Surroundings, query: str, wish: dict[str, Any]
    ) -> dict[str, Any]:
        from codebuddy.index.answer import found_answer, path_beneath

        near = ""
        if wish["near"]:
            near = path_beneath(surroundings.repository.root, wish["near"], Path(wish["folder"]))

        def ask() -> dict[str, Any]:
            with self._lock:
                index = self._workplace.index(surroundings)
            return found_answer(
                index,
                query,
                wish["top_k"],
                wish["channel"],
                near=near,
                max_per_file=wish["max_per_file"],
            )

        try:
            return ask()
        except DamagedIndexError:
            # It was noted as damaged, so the next update builds it anew.
            with self._lock:
                self._workplace.forget_index(surroundings)
                self._updated_at.pop(index_key(surroundings), None)
            if not wish.get("should_update", True):
                raise
        self._refresh(surroundings, _LOCK_TIMEOUT_S)
        return ask()

    def _refresh(
        self, surroundings: Surroundings, wait_s: float, *, may_be_old: bool = False
    ) -> list[str]:
        """Bring the index up to date with the files as they are now.

        Args:
            surroundings: Whose index.
            wait_s: How long to wait, unless there is no index at all yet.
            may_be_old: Whether an update that began a little earlier will do.

        Returns:
            One sentence if it failed.
        """
        key = index_key(surroundings)
        with self._lock:
            # One that is being built for the first time is there, and is none yet.
            has_index = key not in self._first_builds and _has_index(surroundings)
            deadline = time.monotonic() + (wait_s if has_index else max(wait_s, _LOCK_TIMEOUT_S))
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
                    if not _has_index(surroundings):
                        self._first_builds.add(key)
                    running = self._updates.submit(self._update, surroundings)
                    self._running[key] = running
            warning = running.result(timeout=max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            return []
        return [warning] if warning else []

    def _update(self, surroundings: Surroundings) -> str:
        from codebuddy.index.build import update_index

        key = index_key(surroundings)
        try:
            update_index(
                surroundings.repository, surroundings.settings, lock_timeout_s=_LOCK_TIMEOUT_S
            )
        except CodebuddyError as error:
            if isinstance(error, IndexingError):
                return f"{error.message}; using the index as it is"
            return error.message
        finally:
            with self._lock:
                self._updated_at[key] = time.monotonic()
                self._first_builds.discard(key)
                del self._running[key]
        return ""


def _has_index(surroundings: Surroundings) -> bool:
    return (surroundings.repository.index_folder / DATABASE_NAME).exists()


def main() -> None:
    """Serve the engine that started this process."""
    with contextlib.suppress(KeyboardInterrupt):
        IndexWorker(open_channel()).run()


if __name__ == "__main__":
    main()
