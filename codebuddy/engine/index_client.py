"""The engine's side of the index worker: queries, and refreshes as a request allows.

It knows the worker's messages, and nothing of models. No sockets, no native code.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from codebuddy.engine.protocol import error_from_wire
from codebuddy.engine.supervisor import WorkerProcess
from codebuddy.errors import CodebuddyError, IndexingError, UsageError
from codebuddy.service.refresh import BUDGET_SHARE
from codebuddy.service.request import CompletionRequest
from codebuddy.vcs.location import real_folder

_INDEX_MODULE = "codebuddy.engine.indexer"
# A request that asks waits so long for an update of an index that there is.
_UPDATE_WAIT_S = 1.0
# While the user types, updates of a folder's index start at most this often.
_TYPING_UPDATES_EVERY_S = 2.0
_REFRESH_LIMIT_S = 40.0
_MAX_FOLDERS = 64

_log = logging.getLogger("codebuddy.engine")


class IndexClient:
    """Asks the index worker.

    Args:
        hang_s: Seconds without a sign of life that cost the worker its life.
        counts: Gets `refreshes_failed`.
    """

    def __init__(self, hang_s: float, counts: Counter[str]) -> None:
        self.worker = WorkerProcess("index", _INDEX_MODULE, hang_s, self._on_message, self._on_exit)
        self._counts = counts
        self._pending: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._query_ids = itertools.count(1)
        self._refreshed_at: dict[str, float] = {}
        self._tasks: set[asyncio.Task[object]] = set()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is asked."""
        return not self._pending

    async def refresh(
        self, call: CompletionRequest, head: Mapping[str, Any], arrived: float | None = None
    ) -> list[str]:
        """Bring the index up to date as the call's priority and its budget allow.

        Args:
            call: What is wanted.
            head: The request's `settings`.
            arrived: When it arrived, on the monotonic clock; now by default.

        Returns:
            What went wrong, one sentence each.
        """
        if call.retrieve == "never" or not call.should_update:
            return []
        if call.priority != "ask":
            self.refresh_beside(call, head)
            return []
        options: dict[str, Any] = {"folder": _folder_of(call), "wait_s": _UPDATE_WAIT_S}
        limit_s = None
        if call.budget_ms is not None:
            spent_s = 0.0 if arrived is None else time.monotonic() - arrived
            limit_s = max(0.0, (call.budget_ms / 1000 - spent_s) * BUDGET_SHARE)
            options["limit_s"] = limit_s
        work = asyncio.ensure_future(self.query("refresh", options, head, b"", _REFRESH_LIMIT_S))
        try:
            answer = await self._within(work, limit_s)
        except IndexingError as error:
            return [f"{error.message}; using the index as it is"]
        except (CodebuddyError, TimeoutError):
            # What is wrong with the repository, the model's worker says.
            return []
        warnings: list[str] = answer["warnings"]
        return warnings

    async def _within(
        self, work: asyncio.Future[dict[str, Any]], limit_s: float | None
    ) -> dict[str, Any]:
        """What `work` gives; with a limit it goes on if that takes longer.

        Raises:
            TimeoutError: It takes longer than `limit_s`.
        """
        if limit_s is None:
            return await work
        self._run_in_background(work)
        return await asyncio.wait_for(asyncio.shield(work), limit_s)

    def refresh_beside(self, call: CompletionRequest, head: Mapping[str, Any]) -> None:
        """Begin to bring the index up to date, unless that was done a moment ago."""
        folder = _folder_of(call)
        now = time.monotonic()
        if now - self._refreshed_at.get(folder, float("-inf")) < _TYPING_UPDATES_EVERY_S:
            return
        if len(self._refreshed_at) >= _MAX_FOLDERS:
            self._refreshed_at.clear()
        self._refreshed_at[folder] = now
        options = {"folder": folder, "wait_s": 0.0, "may_be_old": True}
        self._run_in_background(self.query("refresh", options, head, b"", _REFRESH_LIMIT_S))

    async def query(
        self,
        op: str,
        options: Mapping[str, Any],
        head: Mapping[str, Any],
        body: bytes,
        timeout_s: float,
    ) -> dict[str, Any]:
        """What the index worker answers.

        Raises:
            TimeoutError: Nothing came in time.
            IndexingError: The worker ended.
            CodebuddyError: What it says is wrong.
        """
        query_id = next(self._query_ids)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._pending[query_id] = future
        try:
            message = {"op": op, "id": query_id, "wish": options, "settings": head.get("settings")}
            await self.worker.send(message, body)
            return await asyncio.wait_for(future, timeout_s)
        finally:
            self._pending.pop(query_id, None)

    def _on_message(self, message: dict[str, Any]) -> None:
        if message.get("type") == "log":
            _log.error("index worker: %s", message.get("text"))
            return
        future = self._pending.get(int(message.get("id", 0)))
        if future is None or future.done():
            return
        if message.get("type") == "result":
            self.worker.succeeded()
            future.set_result(message["result"])
        elif message.get("type") == "error":
            future.set_exception(error_from_wire(message))

    def _on_exit(self, reason: str) -> None:
        for future in self._pending.values():
            if not future.done():
                future.set_exception(
                    IndexingError(
                        f"the index's process ended while it worked on this: {reason}",
                        hint="try again; 'codebuddy engine logs' tells more",
                    )
                )

    def _run_in_background(self, work: Any) -> None:
        async def quietly() -> None:
            try:
                await work
            except (CodebuddyError, TimeoutError):
                self._counts["refreshes_failed"] += 1

        task: asyncio.Task[object] = asyncio.ensure_future(quietly())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _folder_of(call: CompletionRequest) -> str:
    """The folder whose repository is asked; where a link leads nowhere, that of its path."""
    try:
        return call.folder or str(real_folder(call.file))
    except UsageError:
        # The worker says what is wrong.
        return call.file.rpartition("/")[0] or "/"
