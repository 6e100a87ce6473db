"""The warm engine, and the same work in this process for as long as it cannot be reached.

An editor's server lives for days: it notices an engine that cannot be started, hangs or
died, goes on by itself, and looks in the background whether the engine is well again. A command
notes it in one quiet sentence.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from codebuddy.cancellation import EarlyCancellations
from codebuddy.errors import (
    CodebuddyError,
    EngineBusyError,
    EngineError,
    ModelError,
    SupersededError,
)

if TYPE_CHECKING:
    from codebuddy.datatypes import OnText
    from codebuddy.engine.client import EngineClient
    from codebuddy.service.client import CompletionClient
    from codebuddy.service.in_process_client import InProcessClient
    from codebuddy.service.request import AskRequest, CompletionRequest, SearchRequest
    from codebuddy.service.response import (
        AskResponse,
        CompletionResponse,
        ModelDescription,
        SearchResponse,
    )
    from codebuddy.settings import Settings

T = TypeVar("T")

# After a failure the engine is looked at again, after each further one half as often.
FIRST_PAUSE_S = 15.0
_LONGEST_PAUSE_S = 600.0


def can_use_engine(settings: Settings) -> bool:
    """Whether an engine is wanted, and possible on this system."""
    return settings.engine.enabled and hasattr(socket, "AF_UNIX")


def open_client(settings: Settings, model: str | None) -> CompletionClient:
    """The engine, or this process where there is none or `engine.enabled` is off.

    The engine is started in the background at the first request, not here.
    """
    if not can_use_engine(settings):
        return _open_in_process(model)
    from codebuddy.engine.client import EngineClient

    engine = EngineClient(settings.engine)
    return FailoverClient(engine, model)


class FailoverClient:
    """A `CompletionClient` that answers through the engine, or here.

    Args:
        engine: The client; nothing is connected before the first request.
        model: A name of the catalog, or a path; None leaves it to the settings.
        pause_s: Seconds before an engine that failed is looked at again.
        open_in_process: Makes the client that works here.
        on_failover: Told why the engine is not used; without it responses carry a warning.
        offers_download: Whether the work is done here where the engine misses the model: a
            person at the terminal can be asked whether to download it.
    """

    def __init__(
        self,
        engine: EngineClient,
        model: str | None,
        pause_s: float = FIRST_PAUSE_S,
        *,
        open_in_process: Callable[[], InProcessClient] | None = None,
        on_failover: Callable[[EngineError], None] | None = None,
        offers_download: bool = False,
    ) -> None:
        self._engine = engine
        self._model = model
        self._open_in_process = open_in_process or (lambda: _open_in_process(model))
        self._on_failover = on_failover
        self._offers_download = offers_download
        self._first_pause_s = self._pause_s = pause_s
        self._cancelled_early = EarlyCancellations()
        # Held while what follows is used.
        self._lock = threading.Lock()
        self._local: InProcessClient | None = None
        # Requests that are worked on here: the model is freed when the last one ends.
        self._users = 0
        # Requests that the engine has, also where another one just failed there.
        self._in_engine = 0
        # Why the engine is not used; empty while it is.
        self._last_error = ""
        self._probe_at = 0.0
        self._is_probing = False

    def complete(
        self, request: CompletionRequest, on_text: OnText | None = None
    ) -> CompletionResponse:
        """See `CompletionClient.complete`; `warnings` says so if it was not the engine.

        Raises:
            EngineBusyError: The engine has more to do than it takes.
        """
        response = self._from_engine(lambda engine: engine.complete(request, on_text))
        if response is not None:
            return response
        with self._in_process(request.client, request.request) as (local, last_error):
            response = local.complete(request, on_text)
        if last_error and self._on_failover is None:
            warning = f"{last_error}; completing without the engine"
            response["warnings"] = [*response.get("warnings", []), warning]
        return response

    def search(self, request: SearchRequest) -> SearchResponse:
        """See `CompletionClient.search`."""
        response = self._from_engine(lambda engine: engine.search(request))
        if response is not None:
            return response
        with self._in_process() as (local, _):
            return local.search(request)

    def ask(self, request: AskRequest, on_text: OnText | None = None) -> AskResponse:
        """See `CompletionClient.ask`."""
        response = self._from_engine(lambda engine: engine.ask(request, on_text))
        if response is not None:
            return response
        with self._in_process(request.client) as (local, _):
            return local.ask(request, on_text)

    def cancel(self, client: str, request: str = "") -> None:
        """See `CompletionClient.cancel`, wherever the request is."""
        with self._lock:
            local = self._local
            if local is None:
                self._cancelled_early.add(client, request)
        if local is not None:
            local.cancel(client, request)
        if self._in_engine or not self._last_error:
            self._engine.cancel(client, request)

    def prewarm(self, request: CompletionRequest) -> None:
        """See `CompletionClient.prewarm`."""

        def ask(client: EngineClient | InProcessClient) -> bool:
            client.prewarm(request)
            return True

        if not self._from_engine(ask):
            with self._in_process() as (local, _):
                ask(local)

    def accepted(self, client: str, text: str) -> None:
        """See `CompletionClient.accepted`; only the engine keeps statistics."""
        if not self._last_error:
            self._engine.accepted(client, text)

    def load(self, model: str | None = None) -> ModelDescription:
        """See `CompletionClient.load`."""
        loaded = self._from_engine(lambda engine: engine.load(model))
        if loaded is not None:
            return loaded
        with self._in_process() as (local, _):
            return local.load(model)

    def close(self) -> None:
        """Close the client of this process, if there is one."""
        with self._lock:
            local, self._local = self._local, None
        if local is not None:
            local.close()

    def _from_engine(self, ask: Callable[[EngineClient], T]) -> T | None:
        """What the engine answers; None where the work is to be done here."""
        if self._last_error:
            self._schedule_probe()
            return None
        with self._lock:
            self._in_engine += 1
        try:
            return ask(self._engine)
        except (EngineBusyError, SupersededError):
            raise
        except EngineError as error:
            self._fail_over(error)
        except ModelError:
            if not self._offers_download:
                raise
        finally:
            with self._lock:
                self._in_engine -= 1
        return None

    @contextlib.contextmanager
    def _in_process(
        self, client: str = "", request: str = ""
    ) -> Iterator[tuple[InProcessClient, str]]:
        """The client that works here, and why it does. It is not closed before the end.

        Raises:
            SupersededError: The client's request of that name was cancelled already.
        """
        with self._lock:
            # Looked at together with the client, which hears of later cancellations.
            if self._cancelled_early.take(client, request):
                raise SupersededError("the request was cancelled")
            local = self._local = self._local or self._open_in_process()
            self._users += 1
            last_error = self._last_error
        try:
            yield local, last_error
        finally:
            with self._lock:
                self._users -= 1
            self._close_if_unused()

    def _close_if_unused(self) -> None:
        """Free this process's model where the engine works and no request runs here."""
        with self._lock:
            if self._last_error or self._users:
                return
            local, self._local = self._local, None
        if local is not None:
            local.close()

    def _fail_over(self, error: EngineError) -> None:
        with self._lock:
            is_new = not self._last_error
            if is_new:
                self._last_error = error.message
                self._probe_at = time.monotonic() + self._pause_s
        if is_new and self._on_failover is not None:
            self._on_failover(error)

    def _schedule_probe(self) -> None:
        """Ask for the engine beside the work, so that no keystroke waits for it."""
        with self._lock:
            if not self._last_error or self._is_probing or time.monotonic() < self._probe_at:
                return
            self._is_probing = True
        threading.Thread(target=self._probe, daemon=True, name="engine-watch").start()

    def _probe(self) -> None:
        try:
            # It must be able to answer, and with this model, before it is trusted again.
            self._engine.load(self._model)
        except CodebuddyError:
            with self._lock:
                self._is_probing = False
                self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
                self._probe_at = time.monotonic() + self._pause_s
            return
        with self._lock:
            self._last_error, self._is_probing = "", False
            self._pause_s = self._first_pause_s
        self._close_if_unused()


def _open_in_process(model: str | None) -> InProcessClient:
    from codebuddy.service.in_process_client import InProcessClient

    return InProcessClient(model)
