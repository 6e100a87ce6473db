"""The model's worker process: takes completions one at a time and runs the path of each.

All of llama.cpp happens here, so that a crash or a hang of it takes this process and not the
engine. Cancellation works at once, in prefill too. It does not queue: the engine does.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

from codebuddy.cancellation import CancellationToken
from codebuddy.datatypes import Generator
from codebuddy.engine.protocol import ask_from_message, call_from_message
from codebuddy.engine.worker_connection import WorkerConnection, open_connection
from codebuddy.errors import CodebuddyError, SupersededError
from codebuddy.service.completion_service import CompletionService
from codebuddy.service.models import ModelCache
from codebuddy.service.repositories import RepositoryCache
from codebuddy.service.request import SettingsSources, TuningCall


class ModelWorker:
    """Runs requests in the main thread and receives cancellations in another."""

    def __init__(self, connection: WorkerConnection) -> None:
        self._connection = connection
        models = ModelCache(
            persists_kv_state=True,
            on_loaded=self._report_loaded,
            while_loading=self._report_loading,
        )
        self._service = CompletionService(models, RepositoryCache(), "external")
        self._waiting: queue.Queue[tuple[dict[str, Any], bytes]] = queue.Queue()
        self._lock = threading.Lock()
        # Of the requests that wait here or run.
        self._tokens: dict[int, CancellationToken] = {}

    def run(self) -> None:
        """Serve until the engine is gone."""
        self._connection.serve(self._receive)
        while True:
            message, body = self._waiting.get()
            if message["op"] == "quit":
                self._service.close()
                return
            request_id = int(message["id"])
            with self._lock:
                token = self._tokens[request_id]
            try:
                result = self._answer(message, body, token)
                self._connection.send({"type": "result", "id": request_id, "result": result})
            except Exception as error:  # noqa: BLE001
                failure = SupersededError("cancelled") if token.is_cancelled else error
                self._connection.send_error(request_id, failure)
            finally:
                with self._lock:
                    del self._tokens[request_id]

    def _receive(self, message: dict[str, Any], body: bytes) -> None:
        request_id = int(message.get("id", 0))
        if message.get("op") == "cancel":
            with self._lock:
                token = self._tokens.get(request_id)
            if token is not None:
                token.cancel()
            return
        with self._lock:
            self._tokens[request_id] = CancellationToken()
        self._waiting.put((message, body))

    def _answer(self, message: dict[str, Any], body: bytes, token: CancellationToken) -> Any:
        arrived_s = time.perf_counter()
        sources = SettingsSources.from_message(message["settings"])
        if message["op"] == "load":
            return self._service.load_model(message.get("model"), sources, token)
        if message["op"] == "tune":
            return self._service.tune(
                TuningCall.from_message(message),
                sources,
                token,
                lambda step: self._connection.send(
                    {"type": "measured", "id": int(message["id"]), "step": step}
                ),
            )
        observer = _EngineObserver(self._connection, int(message["id"]))
        on_text = observer.text if message.get("wants_text") else None
        if message["op"] == "ask":
            asked = ask_from_message(message["ask"], body)
            return self._service.ask(asked, sources, token, on_text)
        request = call_from_message(message["call"], body)
        if message["op"] == "prewarm":
            return self._service.prewarm(request, sources, token)
        if message["op"] == "ahead":
            return self._service.read_ahead(request, sources, token, message.get("named", ()))
        return self._service.complete(
            request,
            sources,
            token,
            arrived_s=arrived_s,
            on_text=on_text,
            observer=observer if message.get("wants_pieces") else None,
        )

    @contextlib.contextmanager
    def _report_loading(self) -> Iterator[None]:
        """Around work that no cancellation ends, so that the engine waits for its end."""
        self._connection.send({"type": "loading", "is_over": False})
        try:
            yield
        finally:
            self._connection.send({"type": "loading", "is_over": True})

    def _report_loaded(self, generator: Generator, load_ms: float) -> None:
        loaded = {"model": generator.name, "runtime": generator.runtime, "load_ms": load_ms}
        self._connection.send({"type": "loaded", **loaded})


class _EngineObserver:
    """Tells the engine of a request's texts, and of pieces that typed text may agree with."""

    def __init__(self, connection: WorkerConnection, request_id: int) -> None:
        self._connection = connection
        self._id = request_id

    def text(self, text: str) -> None:
        self._connection.send({"type": "text", "id": self._id, "text": text})

    def began(self) -> None:
        self._connection.send({"type": "begin", "id": self._id})

    def piece(self, text: str) -> None:
        self._connection.send({"type": "piece", "id": self._id, "text": text})


def main() -> None:
    """Serve the engine that started this process."""
    with contextlib.suppress(KeyboardInterrupt, CodebuddyError):
        ModelWorker(open_connection()).run()


if __name__ == "__main__":
    main()
