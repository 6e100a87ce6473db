"""Model servers that are silent, stall or never come to an end: budgets and cancelling hold.

Nothing here measures a time: without the limits each of these calls would take minutes, so
that what does not come back within one has not kept them.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from codebuddy.cancellation import CancellationToken
from codebuddy.completion.pipeline import complete
from codebuddy.completion.pipeline_run import PipelineRequest, PipelineResources
from codebuddy.datatypes import GenerationSettings, GenerationStats
from codebuddy.engine.client import EngineClient
from codebuddy.engine.protocol import CompletionCall
from codebuddy.errors import (
    CodebuddyError,
    GenerationError,
    ModelError,
    SupersededError,
    TimeLimitError,
)
from codebuddy.inference import http_stream
from codebuddy.inference.remote import connect
from codebuddy.service.async_client import AsyncClient
from codebuddy.service.in_process_client import InProcessClient
from codebuddy.settings import CompletionSettings, ModelSettings
from codebuddy.tui.backend import SuggestionRequest
from tests.support.backends import OwnBackend
from tests.support.completion import document_at
from tests.support.engine import wait_until
from tests.support.model_server import PIECES, serving

KINDS = ["llama-server", "ollama"]
GENERATE = {"llama-server": "/completion", "ollama": "/api/generate"}
PATIENCE_S = 60.0
BUDGET_MS = 700


def settings(url: str, **more: Any) -> ModelSettings:
    return ModelSettings(name="qwen2.5-coder:1.5b", url=url, **more)


@contextmanager
def in_background(work: Callable[[], Any]) -> Iterator[Future[Any]]:
    """What `work` does beside the test; whoever awaits it has limited patience."""
    with ThreadPoolExecutor(1) as threads:
        yield threads.submit(work)


def in_time(work: Callable[[], Any]) -> Any:
    """What `work` returns or raises; a test that waits longer fails."""
    result: Future[Any] = Future()

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return result.result(PATIENCE_S)


def generated(
    generator: Any, token: CancellationToken | None = None, **how: Any
) -> tuple[str, GenerationStats]:
    stats = GenerationStats()
    asked = GenerationSettings(**{"max_tokens": 2000, **how})
    return "".join(generator.generate(generator.tokenize("x"), asked, stats, token)), stats


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["is silent", "has slow headers", "has endless headers"])
def test_a_budget_ends_a_prompt_that_is_never_answered(kind, way):
    """Nothing came: an empty text, whose reason is the budget, and the server is let go."""
    with serving(kind, f"{GENERATE[kind]} {way}") as server:
        generator = connect(settings(server.url))
        text, stats = in_time(lambda: generated(generator, budget_ms=BUDGET_MS))
        assert (text, stats.finish_reason) == ("", "budget")
        assert stats.prefill_ms >= BUDGET_MS
        assert server.is_client_gone.wait(PATIENCE_S)
        # The next request of the same generator is not harmed by it.
        server.faults.clear()
        assert generated(generator)[0] == "".join(PIECES)
        generator.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", ["stalls", "blank lines"])
def test_a_budget_ends_an_answer_that_stalls(kind, fault):
    """What there is stays; lines that say nothing are no progress."""
    with serving(kind, fault) as server:
        generator = connect(settings(server.url))
        text, stats = in_time(lambda: generated(generator, budget_ms=BUDGET_MS))
        assert (text, stats.finish_reason) == (PIECES[0], "budget")
        assert server.is_client_gone.wait(PATIENCE_S)
        generator.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", ["stalls", "blank lines", "is silent"])
def test_without_a_budget_a_server_that_stalls_is_given_up(kind, fault, monkeypatch):
    """Silence before the first piece is given long, silence after it not; both end."""
    monkeypatch.setattr(http_stream, "_PREFILL_TIMEOUT_S", 0.5)
    monkeypatch.setattr(http_stream, "_STALL_TIMEOUT_S", 0.5)
    faults = f"{GENERATE[kind]} is silent" if fault == "is silent" else fault
    with serving(kind, faults) as server:
        generator = connect(settings(server.url))
        with pytest.raises(GenerationError, match="took too long") as caught:
            in_time(lambda: generated(generator))
        assert not isinstance(caught.value, TimeLimitError)
        assert server.url in caught.value.message
        generator.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", ["is silent", "has slow headers", "stalls", "blank lines"])
def test_cancelling_ends_a_silent_server(kind, fault):
    """The connection is closed from the side; what follows works."""
    is_head = fault in ("is silent", "has slow headers")
    with serving(kind, f"{GENERATE[kind]} {fault}" if is_head else fault) as server:
        generator = connect(settings(server.url))

        token = CancellationToken()

        def cancel_once_it_hangs() -> None:
            assert wait_until(lambda: server.hanging, PATIENCE_S)
            token.cancel()

        with in_background(cancel_once_it_hangs) as cancelling:
            with pytest.raises(SupersededError, match="cancelled"):
                in_time(lambda: generated(generator, token))
            cancelling.result()
        assert server.is_client_gone.wait(PATIENCE_S)
        server.faults.clear()
        assert generated(generator)[0] == "".join(PIECES)
        generator.close()


@pytest.mark.parametrize("way", ["is silent", "has slow headers", "has endless headers"])
def test_a_silent_tokenizer_keeps_to_the_budget(way):
    """Tokens have to be asked for too: the whole path ends, without a text."""
    document, position = document_at("def double(price):\n    ‸\n")
    with serving("llama-server") as server:
        generator = connect(settings(server.url))
        server.faults.add(f"/tokenize {way}")
        resources = PipelineResources(
            generator, None, CompletionSettings(prefix_tokens=100), "shop"
        )
        request = PipelineRequest(document, position, "python", "never", budget_ms=BUDGET_MS)
        suggestion = in_time(lambda: complete(request, resources))
        assert (suggestion.text, suggestion.receipt.finish_reason) == ("", "budget")
        # Without a budget it is an error, in a time that a person waits.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(http_stream, "_ASK_TIMEOUT_S", 0.5)
            with pytest.raises(ModelError, match="took too long"):
                in_time(
                    lambda: complete(
                        PipelineRequest(document, position, "python", "never"), resources
                    )
                )
        server.faults.clear()
        assert complete(request, resources).text == "return price * 2"
        generator.close()


@pytest.mark.parametrize("way", ["is silent", "has slow headers", "has endless headers"])
def test_a_server_that_does_not_say_what_it_is_keeps_to_the_budget(way):
    """The first question counts as well."""
    with serving("llama-server", f"/props {way}") as server, pytest.raises(TimeLimitError):
        in_time(lambda: connect(settings(server.url), BUDGET_MS))


def test_questions_that_are_each_quick_enough_end_together(monkeypatch):
    """A score of questions has one end, and not one each."""
    monkeypatch.setattr("codebuddy.inference.remote._RECOGNIZE_MS", 500.0)
    with (
        serving("llama-server", "/tokenize is silent") as server,
        pytest.raises(TimeLimitError, match="did not answer within the time"),
    ):
        in_time(lambda: connect(settings(server.url)))


@contextmanager
def full_listener() -> Iterator[int]:
    """A port that takes no more connections: an attempt is neither accepted nor refused."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        waiting = []
        try:
            for _ in range(8):
                one = socket.socket()
                one.settimeout(0.3)
                waiting.append(one)
                try:
                    one.connect(("127.0.0.1", port))
                except TimeoutError:
                    break
            yield port
        finally:
            for one in waiting:
                one.close()


def test_a_connection_that_is_never_made_keeps_to_the_budget():
    """Neither refused nor accepted."""
    with full_listener() as port, pytest.raises(TimeLimitError):
        in_time(lambda: connect(settings(f"http://127.0.0.1:{port}"), 300))
    with full_listener() as port, pytest.raises(ModelError, match="took too long"):
        in_time(lambda: connect(settings(f"http://127.0.0.1:{port}")))


def test_a_connection_that_is_never_made_can_be_cancelled():
    """Before there is anything to close."""
    with full_listener() as port:
        server = http_stream.ModelServer(f"http://127.0.0.1:{port}", may_be_remote=False)
        token = CancellationToken()
        timer = threading.Timer(0.1, token.cancel)
        timer.start()
        with pytest.raises(SupersededError, match="cancelled"):
            in_time(lambda: list(server.stream("/completion", {}, 0.0, token)))
        timer.join()


@pytest.mark.parametrize("way", ["is silent", "has slow headers"])
def test_a_silent_tokenizer_can_be_cancelled(way):
    """Cancelling reaches the short questions that come before the generation."""
    with serving("llama-server", f"/tokenize {way}") as server:
        asked = http_stream.ModelServer(server.url, may_be_remote=False)
        token = CancellationToken()
        asked.limit_time(0, token)

        def cancel_once_it_hangs() -> None:
            assert wait_until(lambda: server.hanging, PATIENCE_S)
            token.cancel()

        with in_background(cancel_once_it_hangs) as cancelling:
            with pytest.raises(SupersededError, match="cancelled"):
                in_time(lambda: asked.ask("/tokenize", {"content": "x"}))
            cancelling.result()
        asked.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_writes_on_is_ended(kind):
    """What was asked for is the limit, also for a server that does not keep to it."""
    with serving(kind, "endless") as server:
        generator = connect(settings(server.url))
        text, stats = in_time(lambda: generated(generator, max_tokens=5))
        generator.close()
    assert stats.finish_reason == "length"
    assert len(text) < len("".join(PIECES)) * 100


@pytest.mark.parametrize("kind", KINDS)
def test_evaluating_a_prompt_generates_nothing(kind):
    """No token for llama-server; one for Ollama, to which none means without end."""
    with serving(kind, "endless") as server:
        generator = connect(settings(server.url))
        text, stats = in_time(lambda: generated(generator, max_tokens=0))
        assert server.is_client_gone.wait(PATIENCE_S)
        generator.close()
    (body,) = server.bodies(GENERATE[kind])
    assert (text, stats.generated_tokens, stats.finish_reason) == ("", 0, "length")
    assert body.get("n_predict", body.get("options", {}).get("num_predict")) == (
        0 if kind == "llama-server" else 1
    )


def test_counts_that_make_no_sense_are_left_out(monkeypatch):
    """Texts, lists, negative and infinite numbers where counts should be are no bug of ours."""
    for nonsense in ("many", [1], -5, float("inf"), float("nan"), None, 10**400, True):
        monkeypatch.setattr(
            "tests.support.model_server._LAST_OLLAMA",
            {"done": True, "response": 5, "prompt_eval_count": nonsense, "eval_count": nonsense}
            | {"eval_duration": nonsense},
        )
        told = {"prompt_n": nonsense, "predicted_n": nonsense, "predicted_ms": nonsense}
        last = {"content": None, "stop": True, "stop_type": nonsense, "timings": told}
        monkeypatch.setattr("tests.support.model_server._LAST_LLAMA", last)
        for kind in KINDS:
            with serving(kind) as server:
                generator = connect(settings(server.url))
                text, stats = generated(generator)
                generator.close()
            assert text == "".join(PIECES)
            assert stats.generated_tokens == len(PIECES)


@pytest.mark.process
@pytest.mark.slow
def test_the_command_keeps_to_its_budget(repository):
    """An empty answer, and what ended it."""
    with serving("llama-server", "/completion is silent") as server:
        for budget_ms in (2000, 4000):
            done = subprocess.run(
                [sys.executable, "-m", "codebuddy", "complete", "cart.py:6", "--retrieve", "never"]
                + ["--budget-ms", str(budget_ms), "--json", "--no-engine"],
                cwd=repository,
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                env={**os.environ, "CODEBUDDY_MODEL_URL": server.url},
            )
            assert done.returncode == 0, done.stderr
            answer = json.loads(done.stdout)
            assert (answer["text"], answer["finish_reason"]) == ("", "budget")


def test_a_silent_server_is_let_go_when_nobody_waits_any_more(repository, monkeypatch):
    """The path in this process: a newer request and a cancellation reach the model's silence."""
    with serving("llama-server", "/completion is silent") as server:
        monkeypatch.setenv("CODEBUDDY_MODEL_URL", server.url)
        completer = InProcessClient(None)
        call = CompletionCall(
            str(repository / "cart.py"), 6, retrieve="never", client="c", request="first"
        )
        for end in (lambda: completer.cancel("c", "first"), lambda: completer.cancel("c")):
            with in_background(lambda: completer.complete(call)) as running:
                assert wait_until(lambda: server.hanging, PATIENCE_S)
                end()
                assert isinstance(running.exception(PATIENCE_S), SupersededError)
            assert wait_until(lambda: not server.hanging, PATIENCE_S)
        server.faults.clear()
        assert completer.complete(call)["text"] == "return price * 2"
        completer.close()


@pytest.mark.slow
@pytest.mark.usefixtures("engine")
def test_the_engine_lets_go_of_a_silent_server(repository, monkeypatch):
    """A cancelled request frees the worker, and the engine goes on with the same process."""
    with serving("llama-server", "/completion is silent") as server:
        monkeypatch.setenv("CODEBUDDY_MODEL_URL", server.url)
        client = EngineClient.connect()
        call = CompletionCall(str(repository / "cart.py"), 6, retrieve="never", client="c")
        with in_background(lambda: client.complete(call)) as running:
            assert wait_until(lambda: server.hanging, PATIENCE_S)
            # Who waits behind it keeps to a budget as well.
            waiting = dataclasses.replace(call, client="d", budget_ms=BUDGET_MS)
            with pytest.raises(TimeLimitError, match="busy with other requests"):
                in_time(lambda: client.complete(waiting))
            assert server.hanging
            client.cancel("c")
            assert isinstance(running.exception(PATIENCE_S), SupersededError)
        assert wait_until(lambda: not server.hanging, PATIENCE_S)
        server.faults.clear()
        assert client.complete(call)["text"] == "return price * 2"
        server.faults.add("/completion is silent")
        timed = dataclasses.replace(call, budget_ms=3000, text="def total(x):\n\n\n\n\n    ")
        assert in_time(lambda: client.complete(timed))["finish_reason"] == "budget"
        assert client.status()["restarts"] == 0
        # The built-in generator needs no server, and lets go of it.
        assert client.complete(dataclasses.replace(call, model="echo"))["model"] == "echo"


def test_a_llama_server_that_refuses_is_not_taken_for_ollama():
    """A llama-server that wants a key or still loads says so; it is not asked for Ollama's list."""

    for status, reason in ((401, "Unauthorized"), (503, "Loading")):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"

            def serve(status: int = status, reason: str = reason) -> bytes:
                connection, _ = listener.accept()
                with connection:
                    asked = connection.recv(4096)
                    body = json.dumps({"error": {"message": reason}}).encode()
                    head = f"HTTP/1.1 {status} {reason}\r\nContent-Length: {len(body)}\r\n\r\n"
                    connection.sendall(head.encode() + body)
                return asked

            with in_background(serve) as served:
                with pytest.raises(
                    CodebuddyError, match=f"answered /props with {status}.*{reason}"
                ):
                    in_time(functools.partial(connect, settings(url)))
                assert served.result().startswith(b"GET /props")


def test_the_editor_in_the_terminal_lets_go_of_a_silent_server(repository, monkeypatch):
    """Its one thread is free again once a suggestion is not wanted any more."""
    with serving("llama-server", "/completion is silent") as server:
        monkeypatch.setenv("CODEBUDDY_MODEL_URL", server.url)

        async def work() -> str:
            backend = OwnBackend(repository, "any")
            request = SuggestionRequest(
                repository / "cart.py", "def total(x):\n    ", 2, 5, retrieve="never"
            )
            first = asyncio.ensure_future(backend.complete(request))
            assert await asyncio.to_thread(wait_until, lambda: server.hanging, PATIENCE_S)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            assert await asyncio.to_thread(wait_until, lambda: not server.hanging, PATIENCE_S)
            server.faults.clear()
            try:
                answer = await asyncio.wait_for(backend.complete(request), PATIENCE_S)
            finally:
                await asyncio.to_thread(backend.client.close)
                backend.close()
            return str(answer["text"])

        assert asyncio.run(work()) == "return price * 2"


def test_leaving_the_editor_lets_go_of_a_silent_server(repository, monkeypatch):
    """The suggestion is cancelled although the editor takes no more work: nothing is waited for."""
    with serving("llama-server", "/completion is silent") as server:
        monkeypatch.setenv("CODEBUDDY_MODEL_URL", server.url)

        async def work() -> None:
            backend = OwnBackend(repository, "any")
            request = SuggestionRequest(
                repository / "cart.py", "def total(x):\n    ", 2, 5, retrieve="never"
            )
            running = asyncio.ensure_future(backend.complete(request))
            assert await asyncio.to_thread(wait_until, lambda: server.hanging, PATIENCE_S)
            running.cancel()
            backend.close()
            with pytest.raises(asyncio.CancelledError):
                await running
            try:
                assert await asyncio.to_thread(wait_until, lambda: not server.hanging, PATIENCE_S)
            finally:
                backend.client.cancel(f"tui-{os.getpid()}-typing")
                await asyncio.to_thread(backend.client.close)

        asyncio.run(work())


def test_a_cancellation_waits_for_no_other_request(repository, monkeypatch):
    """More clients than threads wait; the one whose request runs leaves, and the next one runs."""
    with serving("llama-server", "/completion is silent") as server:
        monkeypatch.setenv("CODEBUDDY_MODEL_URL", server.url)

        async def work() -> None:
            local = InProcessClient()
            completions = AsyncClient(local)

            def started(name: str) -> asyncio.Future[Any]:
                file = str(repository / "cart.py")
                call = CompletionCall(file, 6, retrieve="never", client=name, request=name)
                return asyncio.ensure_future(completions.complete(call))

            running = started("first")
            assert await asyncio.to_thread(wait_until, lambda: server.hanging, PATIENCE_S)
            waiting = [started(f"client {number}") for number in range(20)]
            n_asked = len(server.bodies("/completion"))
            running.cancel()
            try:
                assert await asyncio.to_thread(
                    wait_until, lambda: len(server.bodies("/completion")) > n_asked, PATIENCE_S
                )
            finally:
                local.cancel("first")
                for task in waiting:
                    task.cancel()
                await asyncio.gather(running, *waiting, return_exceptions=True)
                completions.close()
                server.faults.clear()
                await asyncio.to_thread(local.close)

        asyncio.run(work())


def test_a_cancelled_line_that_is_half_there_is_no_fault_of_the_servers(repository, monkeypatch):
    """What the cut-off connection leaves is not read as an answer."""
    with serving("llama-server", "half a line") as server:
        monkeypatch.setenv("CODEBUDDY_MODEL_URL", server.url)
        local = InProcessClient()
        call = CompletionCall(str(repository / "cart.py"), 6, retrieve="never", client="c")
        with in_background(lambda: local.complete(call)) as running:
            assert wait_until(lambda: server.hanging, PATIENCE_S)
            local.cancel("c")
            assert isinstance(running.exception(PATIENCE_S), SupersededError)
        local.close()
