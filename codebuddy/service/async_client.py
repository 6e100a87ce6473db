"""A completion client for an event loop: work is done in threads, and a cancelled task stops it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from codebuddy.errors import CodebuddyError
from codebuddy.service.client import CompletionClient
from codebuddy.service.request import CompletionRequest, SearchRequest
from codebuddy.service.response import CompletionResponse, ModelDescription, SearchResponse

if TYPE_CHECKING:
    from codebuddy.datatypes import OnText

T = TypeVar("T")

# Requests under way at once; the engine works on one and queues the others.
_THREADS = 16


class AsyncClient:
    """A client for an event loop.

    Args:
        client: Does the work, in threads.
        on_warning: Takes each sentence that responses come with, the same one once only.
    """

    def __init__(
        self, client: CompletionClient, on_warning: Callable[[str], None] | None = None
    ) -> None:
        self._client = client
        self._on_warning = on_warning
        self._warned: set[str] = set()
        self._threads = ThreadPoolExecutor(_THREADS, "completion")

    async def complete(
        self, request: CompletionRequest, on_text: OnText | None = None
    ) -> CompletionResponse:
        """As `CompletionClient.complete`; `on_text` is called in another thread.

        Cancelling the task cancels this request, and no newer one of the same client.
        """
        request = dataclasses.replace(request, request=request.request or secrets.token_hex(8))
        try:
            response = await self._in_thread(lambda: self._client.complete(request, on_text))
        except asyncio.CancelledError:
            self._cancel(request)
            raise
        for warning in response.get("warnings", ()):
            self._warn(warning)
        return response

    async def search(self, request: SearchRequest) -> SearchResponse:
        """As `CompletionClient.search`."""
        return await self._in_thread(lambda: self._client.search(request))

    async def load(self, model: str | None) -> ModelDescription:
        """As `CompletionClient.load`."""
        return await self._in_thread(lambda: self._client.load(model))

    def prewarm(self, request: CompletionRequest) -> None:
        """As `CompletionClient.prewarm`, without waiting for it."""
        self._in_background(lambda: self._client.prewarm(request))

    def accepted(self, client: str, text: str) -> None:
        """As `CompletionClient.accepted`, without waiting for it."""
        self._in_background(lambda: self._client.accepted(client, text))

    def close(self) -> None:
        """Take no more requests, and close the client."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _warn(self, warning: str) -> None:
        if self._on_warning is not None and warning not in self._warned:
            self._warned.add(warning)
            self._on_warning(warning)

    def _cancel(self, request: CompletionRequest) -> None:
        """Cancel in a thread of its own, also once it is closed.

        The others may all wait for what is cancelled here, and so would the end of the process.
        """
        work = partial(self._client.cancel, request.client, request.request)
        threading.Thread(target=_quietly, args=(work,), daemon=True, name="cancellation").start()

    def _in_background(self, work: Callable[[], object]) -> None:
        # Refused once it is closed.
        with contextlib.suppress(RuntimeError):
            self._threads.submit(_quietly, work)


def _quietly(work: Callable[[], object]) -> None:
    # A completion that follows reports the error; these calls have no receiver for it.
    with contextlib.suppress(CodebuddyError, OSError):
        work()
