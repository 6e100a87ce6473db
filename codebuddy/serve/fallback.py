"""The warm engine, and the same path in this process for as long as it cannot be reached.

An editor's server lives for days: it notices an engine that cannot be started, hangs or
died, goes on by itself, and looks in the background whether the engine is well again.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from codebuddy.engine.unwanted import UnwantedCalls
from codebuddy.errors import CodebuddyError, EngineBusyError, EngineError, SupersededError
from codebuddy.service.response import CompletionResponse

if TYPE_CHECKING:
    from codebuddy.engine.client import EngineClient
    from codebuddy.serve.completer import OnText
    from codebuddy.serve.local import LocalCompleter
    from codebuddy.service.request import CompletionRequest

# After a failure the engine is looked at again, after each further one half as often.
FIRST_PAUSE_S = 15.0
_LONGEST_PAUSE_S = 600.0


class FallbackCompleter:
    """Answers through the engine, or here.

    Args:
        engine: The client; nothing is connected before the first call.
        model: A name of the catalog, or a path; None leaves it to the settings.
        pause_s: Seconds before an engine that failed is looked at again.
    """

    def __init__(
        self, engine: EngineClient, model: str | None, pause_s: float = FIRST_PAUSE_S
    ) -> None:
        self._engine = engine
        self._model = model
        self._first_pause_s = self._pause_s = pause_s
        self._unwanted = UnwantedCalls()
        # Held while what follows is used.
        self._lock = threading.Lock()
        self._local: LocalCompleter | None = None
        # Calls that are worked on here: the model is freed when the last one ends.
        self._users = 0
        # Why the engine is not used; empty while it is.
        self._trouble = ""
        self._look_at = 0.0
        self._is_looking = False

    def complete(
        self, call: CompletionRequest, on_text: OnText | None = None
    ) -> CompletionResponse:
        """As `Completer.complete`; `warnings` says so if it was not the engine.

        Raises:
            SupersededError: Cancelled, or a newer request of the same client came.
            EngineBusyError: The engine has more to do than it takes.
            CodebuddyError: What the work itself raises, wherever it is done.
        """
        if not self._trouble:
            try:
                return self._engine.complete(call, on_text)
            except (EngineBusyError, SupersededError):
                raise
            except EngineError as error:
                self._give_up(error)
        self._look_again()
        with self._here(call.client, call.request) as (local, trouble):
            answer = local.complete(call, on_text)
        if trouble:
            warning = f"{trouble}; completing without the engine"
            answer["warnings"] = [*answer.get("warnings", []), warning]
        return answer

    def cancel(self, client: str, request: str = "") -> None:
        """As `Completer.cancel`, wherever the call is."""
        with self._lock:
            local = self._local
            if local is None:
                self._unwanted.add(client, request)
        if local is not None:
            local.cancel(client, request)
        if not self._trouble:
            self._engine.cancel(client, request)

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
        """As `Completer.prewarm`."""
        if not self._trouble:
            try:
                self._engine.prewarm(file, text, line, column, client=client, model=model)
            except EngineError as error:
                self._give_up(error)
            else:
                return
        with self._here() as (local, _):
            local.prewarm(file, text, line, column, client=client, model=model)

    def accepted(self, client: str, text: str) -> None:
        """As `Completer.accepted`; only the engine keeps statistics."""
        if not self._trouble:
            self._engine.accepted(client, text)

    @contextlib.contextmanager
    def _here(self, client: str = "", request: str = "") -> Iterator[tuple[LocalCompleter, str]]:
        """The completer of this process, and why it is used. It is not closed before the end.

        Raises:
            SupersededError: The client's request of that name was cancelled already.
        """
        from codebuddy.serve.local import LocalCompleter

        with self._lock:
            # Looked at together with the completer, which hears of later cancellations.
            if self._unwanted.take(client, request):
                raise SupersededError("the request was cancelled")
            local = self._local = self._local or LocalCompleter(self._model)
            self._users += 1
            trouble = self._trouble
        try:
            yield local, trouble
        finally:
            with self._lock:
                self._users -= 1
            self._close_if_unused()

    def _close_if_unused(self) -> None:
        """Free the model of this process where the engine works and nobody is here any more."""
        with self._lock:
            if self._trouble or self._users:
                return
            local, self._local = self._local, None
        if local is not None:
            local.close()

    def _give_up(self, error: EngineError) -> None:
        with self._lock:
            if not self._trouble:
                self._trouble = error.message
                self._look_at = time.monotonic() + self._pause_s

    def _look_again(self) -> None:
        """Ask for the engine beside the work, so that no keystroke waits for it."""
        with self._lock:
            if not self._trouble or self._is_looking or time.monotonic() < self._look_at:
                return
            self._is_looking = True
        threading.Thread(target=self._look, daemon=True, name="engine-watch").start()

    def _look(self) -> None:
        try:
            # It must be able to answer, and with this model, before it is trusted again.
            self._engine.load(self._model)
        except CodebuddyError:
            with self._lock:
                self._is_looking = False
                self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
                self._look_at = time.monotonic() + self._pause_s
            return
        with self._lock:
            self._trouble, self._is_looking = "", False
            self._pause_s = self._first_pause_s
        self._close_if_unused()
