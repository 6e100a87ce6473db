"""The model's worker process: takes completions one at a time and runs the path of each.

All of llama.cpp happens here, so that a crash or a hang of it takes this process and not the
engine. It stops at once when told to, inside prefill too. It does not queue: the engine does.
"""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

from codebuddy.assembly import Place, find_place
from codebuddy.cancellation import CancellationToken
from codebuddy.code_index import CodeIndex
from codebuddy.completion.pipeline import complete
from codebuddy.completion.receipt import as_dictionary
from codebuddy.datatypes import Generator, Suggestion
from codebuddy.engine import dependencies
from codebuddy.engine.channel import Channel, open_channel
from codebuddy.engine.protocol import call_from_message
from codebuddy.engine.workplace import Workplace, settings_of
from codebuddy.errors import (
    CodebuddyError,
    GenerationError,
    IndexingError,
    ModelError,
    SupersededError,
)
from codebuddy.service.request import CompletionRequest
from codebuddy.vcs.location import real_folder


class ModelWorker:
    """Runs requests in the main thread, and hears of cancellations in another."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._workplace = Workplace()
        self._waiting: queue.Queue[tuple[dict[str, Any], bytes]] = queue.Queue()
        self._lock = threading.Lock()
        # Of the requests that wait here or run.
        self._tokens: dict[int, CancellationToken] = {}
        self._started = 0.0

    def run(self) -> None:
        """Serve until the engine is gone."""
        self._channel.serve(self._receive)
        while True:
            message, body = self._waiting.get()
            if message["op"] == "quit":
                self._workplace.close_generator()
                return
            request_id, token = int(message["id"]), self._token(message)
            self._started = time.perf_counter()
            try:
                result = self._answer(message, body)
                self._channel.send({"type": "result", "id": request_id, "result": result})
            except Exception as error:  # noqa: BLE001
                told = SupersededError("cancelled") if token.is_cancelled else error
                if isinstance(told, GenerationError | ModelError):
                    self._workplace.forget_remote()
                self._channel.send_error(request_id, told)
            finally:
                with self._lock:
                    self._tokens.pop(request_id, None)

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

    def _token(self, message: dict[str, Any]) -> CancellationToken:
        with self._lock:
            return self._tokens[int(message["id"])]

    def _answer(self, message: dict[str, Any], body: bytes) -> dict[str, Any]:
        if message["op"] == "load":
            flags = {"model.name": message.get("model")}
            settings = settings_of(message["settings"], None, flags).settings
            return self._describe(self._open_generator(settings, self._token(message)))
        call = call_from_message(message["call"], body)
        surroundings, warnings = self._workplace.surroundings(
            call.folder or str(real_folder(call.file, call.name)), message["settings"], call.flags()
        )
        where = (call.file, call.line, call.column)
        place = find_place(surroundings, *where, call.unsaved(), call.name, call.language)
        token = self._token(message)
        generator = self._open_generator(surroundings.settings, token, self._time_left(call))
        # Before the index is asked: what changes from here on makes the answer out of date.
        files = self._workplace.files_behind(surroundings, has_index=place.may_look_up)
        depends_on = dependencies.stamped(files)
        suggestion, more = self._suggest(message, call, place, generator)
        answer = as_dictionary(suggestion) | {"warnings": [*warnings, *more]}
        return answer | {dependencies.KEY: depends_on}

    def _suggest(
        self, message: dict[str, Any], call: CompletionRequest, place: Place, generator: Generator
    ) -> tuple[Suggestion, list[str]]:
        """The suggestion, and what went wrong with the lookups."""
        if message["op"] == "prewarm":
            # The prompt is evaluated, and not a token generated.
            completion = dataclasses.replace(place.surroundings.settings.completion, max_tokens=0)
            settings = dataclasses.replace(place.surroundings.settings, completion=completion)
            surroundings = dataclasses.replace(place.surroundings, settings=settings)
            place = dataclasses.replace(place, surroundings=surroundings)
        request_id, token = int(message["id"]), self._token(message)
        wants_text = bool(message.get("wants_text"))
        warnings: list[str] = []

        def on_text(text: str) -> None:
            if wants_text:
                self._channel.send({"type": "text", "id": request_id, "text": text})

        def ask(index: CodeIndex | None) -> Suggestion:
            heard: Any = generator
            if message.get("wants_pieces"):
                heard = _Heard(generator, self._channel, request_id)
            # One who asks gets what a process of its own would say; one who types, soon.
            is_typing = call.priority != "ask"
            memory = self._workplace.memory(place.surroundings) if is_typing else None
            request = place.request(
                call.alternatives,
                budget_ms=self._time_left(call),
                is_typing=is_typing,
                extras=call.extras,
                takes_back=call.takes_back,
            )
            judge = self._workplace.judge(place.surroundings, generator)
            warnings.extend(judge.warnings)
            workshop = place.workshop(heard, index, memory, judge)
            return complete(request, workshop, on_text, token)

        if not place.may_look_up:
            return ask(None), warnings
        try:
            return ask(self._workplace.index(place.surroundings)), warnings
        except IndexingError as error:
            self._workplace.forget_index(place.surroundings)
            warnings.clear()
            return ask(None), [f"{error.message}; completing without lookups", *warnings]

    def _time_left(self, call: CompletionRequest) -> float:
        """Milliseconds of the call's budget that are left, at least one; 0 without a budget."""
        if call.budget_ms is None:
            return 0.0
        return max(1.0, call.budget_ms - (time.perf_counter() - self._started) * 1000)

    def _open_generator(
        self, settings: Any, token: CancellationToken, budget_ms: float = 0.0
    ) -> Generator:
        started = time.perf_counter()
        generator, is_new = self._workplace.generator(settings, budget_ms, token)
        if is_new:
            load_ms = (time.perf_counter() - started) * 1000
            self._channel.send({"type": "loaded", "load_ms": load_ms, **self._describe(generator)})
        return generator

    def _describe(self, generator: Generator) -> dict[str, Any]:
        return {"model": generator.name, "runtime": generator.runtime}


class _Heard:
    """A generator whose pieces the engine hears, to see whether typed text agrees with them."""

    def __init__(self, generator: Generator, channel: Channel, request_id: int) -> None:
        self._generator = generator
        self._channel = channel
        self._request_id = request_id

    def __getattr__(self, name: str) -> Any:
        return getattr(self._generator, name)

    def generate(self, *arguments: Any, **more: Any) -> Iterator[str]:
        """As the generator's own."""
        pieces = self._generator.generate(*arguments, **more)
        self._channel.send({"type": "begin", "id": self._request_id})
        try:
            for piece in pieces:
                self._channel.send({"type": "piece", "id": self._request_id, "text": piece})
                yield piece
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()


def main() -> None:
    """Serve the engine that started this process."""
    with contextlib.suppress(KeyboardInterrupt, CodebuddyError):
        ModelWorker(open_channel()).run()


if __name__ == "__main__":
    main()
