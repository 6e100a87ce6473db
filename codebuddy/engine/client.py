"""The thin end of the engine: connects or starts it, asks, and reads the answer. Standard library.

Each call opens a connection of its own, so that one client may be used from many threads:
a language server completes in one and cancels from another. Nothing heavy is imported, for
a command's start is most of what a person waits for when the engine is warm.
"""

from __future__ import annotations

import dataclasses
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import codebuddy
from codebuddy import __version__, paths
from codebuddy.cancellation import EarlyCancellations
from codebuddy.config import load_settings, own_variables, variable_of
from codebuddy.engine import address, launcher
from codebuddy.engine.exchange import EngineExitedError, IdentityMismatchError, exchange
from codebuddy.engine.protocol import (
    ask_to_message,
    call_to_message,
    error_from_wire,
    identity,
    search_to_message,
)
from codebuddy.engine.status import EngineStatus
from codebuddy.errors import EngineError, SupersededError
from codebuddy.service.request import AskRequest, CompletionRequest, SearchRequest, TuningCall
from codebuddy.service.response import (
    AskResponse,
    CompletionResponse,
    ModelDescription,
    ResponseFormError,
    SearchResponse,
    TuningResponse,
    checked,
)
from codebuddy.settings import EngineSettings

if TYPE_CHECKING:
    from codebuddy.datatypes import OnText

_START_TIMEOUT_S = 10.0
_CONNECT_TIMEOUT_S = 2.0
_DRAIN_TIMEOUT_S = 30.0
# As it is; with today's settings; with an engine of our own.
_TRIES = 3
# An engine that does not even answer this is killed.
_STOP_ANSWER_S = 3.0

T = TypeVar("T")
OnEvent = Callable[[Mapping[str, Any]], None]


class EngineClient:
    """One front door's way to the engine. Safe to use from several threads.

    Make one with `connect`.
    """

    def __init__(
        self,
        engine_settings: EngineSettings,
        *,
        may_start: bool = True,
        timeout_s: float = _START_TIMEOUT_S,
    ) -> None:
        self._may_start = may_start
        self._timeout_s = timeout_s
        self._cancelled_early = EarlyCancellations()
        self._identity = identity(dataclasses.asdict(engine_settings))
        # What the engine resolves a repository's settings with, in the place of its own
        # environment: flags and variables are this process's.
        variables = own_variables(os.environ)
        if (named := variable_of("model.name")) in variables:
            variables[named] = paths.whole_model_name(variables[named])
        self._settings = {
            "environment": variables,
            "user_file": str(paths.user_config_file()),
        }

    @classmethod
    def connect(
        cls, *, may_start: bool = True, timeout_s: float = _START_TIMEOUT_S
    ) -> EngineClient:
        """A client of the engine that runs, or of one started now.

        Args:
            may_start: Whether to start one where none runs, now or at a later call.
            timeout_s: How long a start may take.

        Raises:
            EngineError: None runs and none may or can be started.
            ConfigError: A setting is wrong.
        """
        client = cls(load_settings().settings.engine, may_start=may_start, timeout_s=timeout_s)
        client._connected().close()
        return client

    def complete(
        self, call: CompletionRequest, on_text: OnText | None = None
    ) -> CompletionResponse:
        """The suggestion, with the keys of `codebuddy complete --json`, and `engine`: its own.

        `engine` holds `queue_ms`, `total_ms` (from the request's arrival to its answer),
        `is_cached` and `request_id`.

        Args:
            call: Where and how.
            on_text: Called with the text so far while it grows, then with the final one.

        Raises:
            SupersededError: Cancelled, or a newer request of the same client came.
            EngineBusyError: The queue is full.
            EngineError: The engine died, hangs or cannot be started.
            CodebuddyError: As `completion.pipeline.complete` and what it stands on.
        """
        head, body = call_to_message(call)
        message = {"call": head, "settings": self._settings, "wants_text": on_text is not None}

        def check() -> None:
            if self._cancelled_early.take(call.client, call.request):
                raise SupersededError("the request was cancelled")

        def on_event(event: Mapping[str, Any]) -> None:
            check()
            if on_text is not None and event.get("type") == "text":
                on_text(str(event.get("text", "")))

        return self._answer(CompletionResponse, "/v1/complete", message, body, on_event, check)

    def search(self, request: SearchRequest) -> SearchResponse:
        """The best chunks of the repository around the folder, with the keys of `search --json`.

        Raises:
            EngineError: As for `complete`.
            UsageError: It names an embedder, which would stay with all who use the engine.
            CodebuddyError: As `index.search` and what it stands on.
        """
        options, body = search_to_message(request)
        head = {"wish": options, "settings": self._settings}
        return self._answer(SearchResponse, "/v1/search", head, body)

    def ask(self, request: AskRequest, on_text: OnText | None = None) -> AskResponse:
        """The model's answer from the request's sources, and `engine` as for `complete`.

        Raises:
            SupersededError: It was cancelled; closing the connection does.
            EngineBusyError: The queue is full.
            EngineError: As for `complete`.
            CodebuddyError: As `answering.answer.answer`.
        """
        head, body = ask_to_message(request)
        message = {"ask": head, "settings": self._settings, "wants_text": on_text is not None}

        def on_event(event: Mapping[str, Any]) -> None:
            if on_text is not None and event.get("type") == "text":
                on_text(str(event.get("text", "")))

        return self._answer(AskResponse, "/v1/ask", message, body, on_event)

    def cancel(self, client: str, request: str = "") -> None:
        """End requests, running or waiting; they answer SupersededError.

        Args:
            client: Whose.
            request: The call's own `request`: that one alone ends, also if it is still on its
                way. Empty for all that the client has there now.
        """
        connection = address.connect(_CONNECT_TIMEOUT_S)
        if connection is None:
            # None is started for this; the call may be waiting for one that starts.
            self._cancelled_early.add(client, request)
            return
        head = {"client": client, "request": request}
        list(exchange(connection, "POST", "/v1/cancel", head, b"", ""))

    def prewarm(self, request: CompletionRequest) -> None:
        """Evaluate the prompt of this place when the engine has nothing else to do.

        For a client that takes text back those of both texts. Returns at once; what goes wrong
        goes unsaid.
        """
        head, body = call_to_message(request)
        self._send("/v1/prewarm", {"call": head, "settings": self._settings}, body)

    def accepted(self, client: str, text: str) -> None:
        """Say that the user took `text`, a suggestion or a part of one, for the statistics."""
        self._send("/v1/accepted", {"client": client, "characters": len(text)})

    def load(self, model: str | None = None) -> ModelDescription:
        """Load the model that the settings name, unless it is loaded; what it uses.

        Raises:
            ModelError: It is missing, damaged or does not fit.
        """
        named = None if model is None else paths.whole_model_name(model)
        head = {"model": named, "settings": self._settings}
        return self._answer(ModelDescription, "/v1/load", head, b"")

    def tune(self, call: TuningCall, on_event: OnEvent) -> TuningResponse:
        """Measure how the model runs best.

        Raises:
            SupersededError: Somebody asked the engine for something meanwhile.
            EngineError: This is no time for it: full load, or battery.
            ModelError: There is no model to measure.
            GenerationError: Measuring failed.
        """
        head = dataclasses.asdict(call)
        if call.model is not None:
            head["model"] = paths.whole_model_name(call.model)
        head["settings"] = self._settings
        return self._answer(TuningResponse, "/v1/tune", head, b"", on_event)

    def status(self) -> EngineStatus:
        """What the engine is and did.

        Raises:
            EngineError: None runs, or one runs and does not answer.
        """
        found = engine_status()
        if found is None:
            raise EngineError("no engine runs", hint="codebuddy engine start")
        return found

    def close(self) -> None:
        """Nothing: each request has a connection of its own."""

    def stop(self, *, timeout_s: float = _DRAIN_TIMEOUT_S) -> bool:
        """End the engine: see `stop_engine`."""
        return stop_engine(timeout_s=timeout_s)

    def _send(self, path: str, head: Mapping[str, Any], body: bytes = b"") -> None:
        list(self._exchange("POST", path, head, body))

    def _answer(
        self,
        kind: type[T],
        path: str,
        head: Mapping[str, Any],
        body: bytes,
        on_event: OnEvent | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> T:
        """The `result` of an exchange whose answer is lines, of the form `kind`."""
        for event in self._exchange("POST", path, head, body, check):
            if on_event is not None:
                on_event(event)
            if event.get("type") == "error":
                raise error_from_wire(event)
            if event.get("type") == "result":
                return _read(event.get("result"), kind)
        raise EngineError("the engine ended its answer before the result")

    def _exchange(
        self,
        method: str,
        path: str,
        head: Mapping[str, Any],
        body: bytes,
        check: Callable[[], None] = lambda: None,
    ) -> Iterator[dict[str, Any]]:
        """Lines of the answer; `check` is called before anything is sent.

        An engine of another version or other settings is replaced, and one that left before it
        answered (its idle time was over, or it was stopped) is started again; once.
        """
        has_left = False
        for _ in range(_TRIES):
            connection = self._connected()
            try:
                # The engine may have been starting all the while: what is cancelled by now
                # would take the place of a newer request of the same client.
                check()
            except BaseException:
                connection.close()
                raise
            try:
                yield from exchange(connection, method, path, head, body, self._identity)
            except IdentityMismatchError:
                self._end_other_engine()
            except EngineExitedError:
                if has_left or not self._may_start:
                    raise
                has_left = True
            else:
                return
        raise EngineError(
            "the engine is replaced again and again, since two programs want other settings of it",
            hint="give both the same CODEBUDDY_ENGINE_ variables",
        )

    def _end_other_engine(self) -> None:
        """After a refusal: take up today's settings, or end the engine that has others.

        This program may have lived for days in an editor: after an upgrade it is the one that
        is old, and must not end the engine of all others with each of its requests.
        """
        today = identity(dataclasses.asdict(load_settings().settings.engine))
        if today != self._identity:
            self._identity = today
            return
        if not self._may_start:
            raise EngineError(
                "the engine that runs is of another version or has other settings",
                hint="codebuddy engine stop",
            )
        installed = _installed_version()
        if installed != __version__:
            raise EngineError(
                f"codebuddy {installed} was installed since this program, {__version__}, started",
                hint="start it again",
            )
        stop_engine()

    def _connected(self) -> socket.socket:
        connection = address.connect(_CONNECT_TIMEOUT_S)
        if connection is None:
            if not self._may_start:
                raise EngineError("no engine runs", hint="codebuddy engine start")
            connection = launcher.start(self._timeout_s)
        return connection


def stop_engine(*, timeout_s: float = _DRAIN_TIMEOUT_S) -> bool:
    """End the engine, of whatever version, after its running requests; kill one that is silent.

    Returns:
        Whether one ran.

    Raises:
        EngineError: It still lives after `timeout_s`.
    """

    def ask(connection: socket.socket) -> None:
        list(exchange(connection, "POST", "/v1/stop", {}, b"", "", _STOP_ANSWER_S))

    return launcher.stop(ask, timeout_s)


def engine_status() -> EngineStatus | None:
    """What the engine is and did, whatever its version; `None` where none runs.

    Raises:
        EngineError: One runs and does not answer.
    """
    connection = address.connect(_CONNECT_TIMEOUT_S)
    if connection is None:
        return None
    (answer,) = exchange(connection, "GET", "/v1/status", {}, b"", "")
    return _read(answer, EngineStatus)


def _read(value: object, kind: type[T]) -> T:
    try:
        return checked(value, kind)
    except ResponseFormError as error:
        raise EngineError(f"the engine's answer cannot be read: {error}") from error


def _installed_version() -> str:
    """The version that a program started now would have, as its own file says."""
    try:
        text = Path(codebuddy.__file__).read_text(encoding="utf-8")
    except OSError:
        return __version__
    found = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    return found[1] if found else __version__
