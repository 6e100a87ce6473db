"""What both protocols complete with: the warm engine, or the same path in this process.

`AsyncCompleter` puts either behind an event loop: a task that is cancelled stops the model.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import secrets
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from codebuddy.errors import CodebuddyError
from codebuddy.service.response import CompletionResponse
from codebuddy.settings import Settings

if TYPE_CHECKING:
    from codebuddy.service.request import CompletionRequest

OnText = Callable[[str], None]

# Requests under way at once; the engine works on one and queues the others.
_THREADS = 16


class Completer(Protocol):
    """Answers calls, from any thread."""

    def complete(
        self, call: CompletionRequest, on_text: OnText | None = None
    ) -> CompletionResponse:
        """The suggestion, with the keys of `codebuddy complete --json`."""
        ...

    def cancel(self, client: str, request: str = "") -> None:
        """End the client's calls, or the one named `request`; they raise SupersededError."""
        ...

    def prewarm(
        self,
        file: str,
        text: str | None,
        line: int,
        column: int | None = None,
        *,
        client: str = "",
        model: str | None = None,
    ) -> None:
        """Make this place's next completion quick, when there is nothing else to do."""
        ...

    def accepted(self, client: str, text: str) -> None:
        """The user took `text`."""
        ...


def open_completer(settings: Settings, model: str | None) -> Completer:
    """The engine, or the path in this process where there is none or `engine.enabled` is off.

    The engine is started in the background at the first call, not here.
    """
    if settings.engine.enabled and hasattr(socket, "AF_UNIX"):
        from codebuddy.engine.client import START_TIMEOUT_S, EngineClient
        from codebuddy.serve.fallback import FallbackCompleter

        engine = EngineClient(settings.engine, may_start=True, timeout_s=START_TIMEOUT_S)
        return FallbackCompleter(engine, model)
    from codebuddy.serve.local import LocalCompleter

    return LocalCompleter(model)


class AsyncCompleter:
    """A completer for an event loop.

    Args:
        completer: Does the work, in threads.
        on_warning: Takes each sentence that answers come with, the same one once only.
    """

    def __init__(
        self, completer: Completer, on_warning: Callable[[str], None] | None = None
    ) -> None:
        self._completer = completer
        self._on_warning = on_warning
        self._warned: set[str] = set()
        self._threads = ThreadPoolExecutor(_THREADS, "completion")

    async def complete(
        self, call: CompletionRequest, on_text: OnText | None = None
    ) -> CompletionResponse:
        """As `Completer.complete`; `on_text` is called in another thread.

        Cancelling the task cancels this call, and no newer one of the same client.
        """
        loop = asyncio.get_running_loop()
        call = dataclasses.replace(call, request=call.request or secrets.token_hex(8))
        try:
            answer = await loop.run_in_executor(
                self._threads, self._completer.complete, call, on_text
            )
        except asyncio.CancelledError:
            self._in_background(self._completer.cancel, call.client, call.request)
            raise
        for warning in answer.get("warnings", ()):
            self._warn(warning)
        return answer

    def prewarm(self, file: str, text: str, client: str, model: str | None) -> None:
        """As `Completer.prewarm` for the document's beginning, without waiting for it."""

        def prewarm() -> None:
            self._completer.prewarm(file, text, 1, client=client, model=model)

        self._in_background(prewarm)

    def accepted(self, client: str, text: str) -> None:
        """As `Completer.accepted`, without waiting for it."""
        self._in_background(self._completer.accepted, client, text)

    def close(self) -> None:
        """Take no more calls; those that run end with the process."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _warn(self, warning: str) -> None:
        if self._on_warning is not None and warning not in self._warned:
            self._warned.add(warning)
            self._on_warning(warning)

    def _in_background(self, work: Callable[..., None], *arguments: object) -> None:
        def quietly() -> None:
            # A completion that follows tells what is wrong; these have nobody to tell.
            with contextlib.suppress(CodebuddyError):
                work(*arguments)

        # Refused once it is closed.
        with contextlib.suppress(RuntimeError):
            self._threads.submit(quietly)
