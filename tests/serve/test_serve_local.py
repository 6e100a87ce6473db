"""Completing in the protocol's own process, which is what happens without the engine."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from codebuddy import paths
from codebuddy.engine.protocol import CompletionCall
from codebuddy.errors import ModelError, SupersededError, UsageError
from codebuddy.service.async_client import AsyncClient
from codebuddy.service.in_process_client import InProcessClient
from tests.support.engine import wait_until


def call(root: Path, client: str, text: str = "x = 1\nvalue(", **more: object) -> CompletionCall:
    line = text.count("\n") + 1
    return CompletionCall(str(root / "new.py"), line, None, text, client=client, **more)  # type: ignore[arg-type]


@pytest.mark.model
def test_a_cancelled_call_stops_the_model(repository):
    """A real model that is told to stop after its first line writes no further one."""
    completer = InProcessClient("smollm2-135m")
    lines: list[str] = []

    def on_text(text: str) -> None:
        lines.append(text)
        completer.cancel("me")

    text = "def print_the_numbers_one_to_five():\n    "
    # A first text that a second may replace would be told only once it is final.
    request = call(repository, "me", text, max_tokens=200, retrieve="never")
    with pytest.raises(SupersededError):
        completer.complete(request, on_text)
    assert len(lines) == 1
    # The next call of that client is served.
    assert completer.complete(call(repository, "me", max_tokens=4))["finish_reason"]


def test_a_newer_call_of_a_client_supersedes_its_older_ones(repository):
    """Of calls that wait for their turn, only a client's newest is worked on."""
    completer = InProcessClient("echo")
    outcomes: dict[int, object] = {}
    is_running, may_go_on = threading.Event(), threading.Event()

    def hold(_text: str) -> None:
        is_running.set()
        may_go_on.wait(30)

    def complete(number: int, client: str, on_text=None) -> None:
        try:
            outcomes[number] = completer.complete(
                call(repository, client, request=f"call {number}"), on_text
            )["text"]
        except SupersededError as error:
            outcomes[number] = error

    threads = [threading.Thread(target=complete, args=(0, "other", hold))]
    threads[0].start()
    assert is_running.wait(30)
    for number in range(1, 6):
        threads.append(threading.Thread(target=complete, args=(number, "me")))
        threads[-1].start()
        assert wait_until(partial(has_arrived, completer, number), 60)
    may_go_on.set()
    for thread in threads:
        thread.join(60)
    assert outcomes[0] == "value("
    assert outcomes[5] == "value("
    assert all(isinstance(outcomes[number], SupersededError) for number in range(1, 5))


def test_cancel_names_one_call(repository):
    """A cancellation that comes late leaves the client's newer call; one that is early waits."""
    completer = InProcessClient("echo")
    is_running, may_go_on = threading.Event(), threading.Event()
    outcome: list[object] = []

    def hold(_text: str) -> None:
        is_running.set()
        may_go_on.wait(30)

    def complete() -> None:
        outcome.append(completer.complete(call(repository, "me", request="newer"), hold)["text"])

    thread = threading.Thread(target=complete)
    thread.start()
    assert is_running.wait(30)
    completer.cancel("me", "older")
    may_go_on.set()
    thread.join(60)
    assert outcome == ["value("]
    with pytest.raises(SupersededError):
        completer.complete(call(repository, "me", request="older"))
    assert completer.complete(call(repository, "me", request="next"))["text"] == "value("


def has_arrived(completer: InProcessClient, number: int) -> bool:
    """Whether the call of this number is its client's newest."""
    return f"call {number}" in [name for name, _ in list(completer._newest.values())]


def test_closing_cancels_what_runs(repository):
    """A program that ends waits for no text that nobody will read."""
    completer = InProcessClient("echo")
    is_running, may_go_on = threading.Event(), threading.Event()

    def hold(_text: str) -> None:
        is_running.set()
        assert may_go_on.wait(60)

    with ThreadPoolExecutor(2) as threads:
        running = threads.submit(completer.complete, call(repository, "me"), hold)
        assert is_running.wait(60)
        (_, token) = completer._newest["me"]
        closing = threads.submit(completer.close)
        assert wait_until(lambda: token.is_cancelled)
        may_go_on.set()
        with pytest.raises(SupersededError):
            running.result(60)
        closing.result(60)


def test_a_place_is_not_prepared_behind_a_call(repository):
    """What waits behind the switch to another model would load the old one again."""
    completer = InProcessClient("echo")
    old = call(repository, "me", model="/nowhere/old.gguf")
    prepared = threading.Event()

    def prewarm(_text: str) -> None:
        completer.prewarm(old)
        prepared.set()

    with ThreadPoolExecutor(1) as threads:
        answer = completer.complete(
            call(repository, "me"), lambda _: threads.submit(prewarm, "").result(60)
        )
    assert answer["text"] == "value("
    assert prepared.is_set()
    with pytest.raises(ModelError):
        completer.prewarm(old)


@pytest.mark.model
def test_what_was_learnt_last_is_kept_when_the_program_ends(repository):
    """Latencies are written once in a while, and at the end."""
    completions = AsyncClient(InProcessClient("smollm2-135m"))

    async def complete(name: str) -> None:
        text = f"def {name}(items):\n    return sum(items)\n" * 10 + "x = "
        await completions.complete(call(repository, "me", text, max_tokens=1, retrieve="never"))

    asyncio.run(complete("first"))
    paths.latency_file().unlink()
    asyncio.run(complete("second"))
    assert not paths.latency_file().exists()
    completions.close()
    assert paths.latency_file().is_file()


def test_a_cancelled_task_cancels_its_client_only(repository):
    """Cancelling a task of an event loop ends that client's call; a later one is served."""

    async def scene() -> str:
        completer = AsyncClient(InProcessClient("echo"))
        is_running, may_go_on = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def hold(_text: str) -> None:
            loop.call_soon_threadsafe(is_running.set)
            may_go_on.wait(30)

        first = asyncio.ensure_future(completer.complete(call(repository, "me"), hold))
        await is_running.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        may_go_on.set()
        later = await completer.complete(call(repository, "me"))
        completer.close()
        return str(later["text"])

    assert asyncio.run(scene()) == "value("


def test_errors_are_those_of_the_path(repository, tmp_path):
    """A wrong place or a file of git's own is the error that the shell shows."""
    completer = InProcessClient("echo")
    with pytest.raises(UsageError, match="no line 9"):
        completer.complete(CompletionCall(str(repository / "cart.py"), 9, 99, "x\n"))
    with pytest.raises(UsageError, match="belongs to git itself"):
        completer.complete(call(repository / ".git", "me"))
    # Without a repository there is nothing to look up, and that is no error.
    found = completer.complete(call(tmp_path, "me"))
    assert found["decision"]["reason"] == "the file is in no git repository"


def test_a_file_outside_of_any_repository_is_completed(tmp_path):
    file = tmp_path / "alone.py"
    file.write_text("import os\nprint(os.", encoding="utf-8")
    call = CompletionCall(str(file), 2, 10, file.read_text(), model="echo", priority="typing")
    answer = InProcessClient("echo").complete(call, None)
    assert not answer["decision"]["retrieve"]
    assert "no git repository" in answer["decision"]["reason"]
