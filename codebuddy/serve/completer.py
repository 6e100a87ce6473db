"""What both protocols complete with: the warm engine, or the same path in this process.

`AsyncCompleter` puts either behind an event loop: a task that is cancelled stops the model.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

from codebuddy.errors import CodebuddyError
from codebuddy.settings import Settings

if TYPE_CHECKING:
    from codebuddy.engine.protocol import CompletionCall

OnText = Callable[[str], None]

# Requests under way at once; the engine works on one and queues the others.
_THREADS = 16


class Completer(Protocol):
    """Answers calls, from any thread."""

    def complete(self, call: CompletionCall, on_text: OnText | None = None) -> dict[str, Any]:
        """The suggestion, with the keys of `codebuddy complete --json`."""
        ...

    def cancel(self, client: str) -> None:
        """End the client's requests; they raise SupersededError."""
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
    """The engine's client, or the path in this process where `engine.enabled` is off.

    The engine is started in the background at the first call, not here.
    """
    if settings.engine.enabled:
        from codebuddy.engine.client import START_TIMEOUT_S, EngineClient

        return EngineClient(settings.engine, may_start=True, timeout_s=START_TIMEOUT_S)
    from codebuddy.serve.local import LocalCompleter

    return LocalCompleter(model)


class AsyncCompleter:
    """A completer for an event loop."""

    def __init__(self, completer: Completer) -> None:
        self._completer = completer
        self._threads = ThreadPoolExecutor(_THREADS, "completion")
        self._cancels: dict[str, Future[None]] = {}

    async def complete(self, call: CompletionCall, on_text: OnText | None = None) -> dict[str, Any]:
        """As `Completer.complete`; `on_text` is called in another thread.

        Cancelling the task cancels the call's client.
        """
        loop = asyncio.get_running_loop()
        if (earlier := self._cancels.pop(call.client, None)) is not None:
            # One that is still on its way was not meant for this call.
            await asyncio.wrap_future(earlier)
        try:
            return await loop.run_in_executor(
                self._threads, self._completer.complete, call, on_text
            )
        except asyncio.CancelledError:
            cancel = self._in_background(self._completer.cancel, call.client)
            if cancel is not None:
                self._cancels[call.client] = cancel
                cancel.add_done_callback(lambda _: self._cancels.pop(call.client, None))
            raise

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

    def _in_background(self, work: Callable[..., None], *arguments: object) -> Future[None] | None:
        def quietly() -> None:
            # A completion that follows tells what is wrong; these have nobody to tell.
            with contextlib.suppress(CodebuddyError):
                work(*arguments)

        try:
            return self._threads.submit(quietly)
        except RuntimeError:
            # Closed already.
            return None
