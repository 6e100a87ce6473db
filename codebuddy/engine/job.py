"""A request inside the engine, from arrival to its last event. No sockets."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from codebuddy.completion.cache import CacheKey
from codebuddy.engine.protocol import error_to_wire
from codebuddy.errors import CodebuddyError, DocumentError, UsageError
from codebuddy.positions import resolve
from codebuddy.service.request import CompletionRequest
from codebuddy.source_text import decode

_ids = itertools.count(1)


@dataclass(eq=False, slots=True)
class Job:
    """One request for the model worker.

    Args:
        op: `complete`, `prewarm`, `ahead`, `ask`, `load` or `tune`.
        head: The worker's message.
        body: Its raw bytes.
        client: Whose it is.
        priority: One of `protocol.PRIORITIES`.
        call: The completion request, where the job has one.
        place: Where in which text, if the suggestion may be kept and found again.
    """

    op: str
    head: Mapping[str, Any]
    body: bytes = b""
    client: str = ""
    priority: str = "ask"
    call: CompletionRequest | None = None
    cache_key: CacheKey | None = None
    id: int = field(default_factory=lambda: next(_ids))
    arrived: float = field(default_factory=time.monotonic)
    started: float | None = None
    cancelled: float | None = None
    raw: str = ""
    followers: list[Job] = field(default_factory=list)
    events: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    is_finished: bool = False

    @property
    def request(self) -> str:
        """What its client calls it; empty where it has no name."""
        return "" if self.call is None else self.call.request

    def message(self, now: float) -> dict[str, Any]:
        """What the worker is sent: of a budget, what the waiting has left."""
        message = {**self.head, "op": self.op, "id": self.id}
        if self.call is not None and self.call.budget_ms is not None:
            left_ms = max(1, self.call.budget_ms - int((now - self.arrived) * 1000))
            message["call"] = {**message["call"], "budget_ms": left_ms}
        return message

    def emit(self, event: dict[str, Any]) -> None:
        """An event on the way; nothing after the last one."""
        if not self.is_finished:
            self.events.put_nowait(event)

    def succeed(self, result: dict[str, Any]) -> None:
        """The last word: the answer."""
        self.emit({"type": "result", "result": result})
        self.is_finished = True

    def fail(self, error: CodebuddyError) -> None:
        """The last word: an error."""
        self.emit({"type": "error", **error_to_wire(error)})
        self.is_finished = True


def cache_key_of(call: CompletionRequest, fingerprint: str) -> CacheKey | None:
    """The cache key of a request that carries its text; `None` where there is none."""
    unsaved = call.unsaved()
    # A place in a notebook's JSON is none in the text that is completed.
    if unsaved is None or (call.file.endswith(".ipynb") and not call.language):
        return None
    try:
        text, _ = decode(unsaved, call.file)
        _, offset = resolve(text, call.line, call.column, call.file)
    except (DocumentError, UsageError):
        # The worker says what is wrong.
        return None
    return CacheKey(text[:offset], text[offset:], fingerprint)


def position_after(prefix: str) -> tuple[int, int]:
    """Line and column, 1-based, of the end of `prefix`."""
    last = prefix.rpartition("\n")[2]
    return prefix.count("\n") + 1, len(last) + 1
