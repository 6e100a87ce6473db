"""What the dispatcher tells a worker to stop, and how long it waits for that."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from codebuddy.engine.dispatcher import Dispatcher
from codebuddy.engine.job import Job
from codebuddy.engine.worker import ModelWorker
from codebuddy.errors import ModelError

HANG_S = 6.0


class SlowStart:
    """A worker whose process takes until `ready` to start, and notes what it is sent."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self.is_told = asyncio.Event()
        self.sent: list[str] = []
        self.answers_since: float | None = None
        self.reasons: list[str] = []

    @property
    def pid(self) -> int | None:
        """As `WorkerProcess.pid`."""
        return 1 if self.ready.is_set() else None

    async def send(self, head: dict[str, Any], _body: bytes = b"") -> None:
        """As `WorkerProcess.send`."""
        await self.ready.wait()
        self.sent.append(head["op"])
        if head["op"] == "cancel":
            self.is_told.set()

    def kill(self, reason: str) -> None:
        """As `WorkerProcess.kill`."""
        self.reasons.append(reason)


def a_dispatcher(worker: SlowStart) -> Dispatcher:
    """One that runs its jobs on `worker`."""
    made = Dispatcher(8, HANG_S, lambda job, result: job.succeed(result), lambda _: None)
    made.worker = worker  # type: ignore[assignment]
    return made


def a_job(op: str = "complete", priority: str = "ask") -> Job:
    """A request without settings."""
    return Job(op, {"settings": {}}, priority=priority)


async def _cancelled_during_the_start() -> list[str]:
    worker = SlowStart()
    dispatcher = a_dispatcher(worker)
    running = asyncio.create_task(dispatcher.run())
    background = a_job("prewarm", "background")
    dispatcher.submit(background)
    while dispatcher.running is None:
        await asyncio.sleep(0)
    # What was sent before the process is there reaches nobody.
    dispatcher.submit(a_job())
    for _ in range(8):
        await asyncio.sleep(0)
    worker.ready.set()
    await worker.is_told.wait()
    running.cancel()
    return worker.sent


def test_a_cancellation_while_the_process_starts_reaches_it():
    """A request that has to yield while the worker is started is ended as soon as it runs."""
    assert asyncio.run(_cancelled_during_the_start()) == ["prewarm", "cancel"]


def a_cancelled_job(dispatcher: Dispatcher, at: float) -> Job:
    """One that runs and was told to stop then."""
    job = a_job()
    dispatcher.running = job
    job.cancelled = at
    return job


async def _while_starting() -> list[bool]:
    worker = SlowStart()
    dispatcher = a_dispatcher(worker)
    job = a_cancelled_job(dispatcher, 100.0)
    starting = dispatcher._should_have_stopped(job, 100.0 + 9 * HANG_S)
    worker.answers_since = 120.0
    return [
        starting,
        dispatcher._should_have_stopped(job, 120.0 + HANG_S - 1),
        dispatcher._should_have_stopped(job, 120.0 + HANG_S + 1),
    ]


def test_a_worker_that_only_starts_has_not_heard_yet():
    """The time to obey counts from its first sign of life."""
    assert asyncio.run(_while_starting()) == [False, False, True]


async def _while_loading(clock: list[float]) -> list[bool]:
    worker = SlowStart()
    dispatcher = a_dispatcher(worker)
    worker.answers_since = 1.0
    job = a_cancelled_job(dispatcher, 100.0)
    found = [dispatcher._should_have_stopped(job, 100.0 + HANG_S + 1)]
    dispatcher._on_worker_message({"type": "loading", "is_over": False})
    found.append(dispatcher._should_have_stopped(job, 100.0 + 9 * HANG_S))
    # Nothing lasts for ever.
    found.append(dispatcher._should_have_stopped(job, 100.0 + 3600.0))
    clock[0] = 150.0
    dispatcher._on_worker_message({"type": "loading", "is_over": True})
    found.append(dispatcher._should_have_stopped(job, 150.0 + HANG_S - 1))
    found.append(dispatcher._should_have_stopped(job, 150.0 + HANG_S + 1))
    return found


def test_a_worker_that_loads_is_not_killed_for_going_on(monkeypatch):
    """No cancellation ends loading: the time to obey counts from its end."""
    clock = [100.0]
    monkeypatch.setattr("codebuddy.engine.dispatcher.time.monotonic", lambda: clock[0])
    assert asyncio.run(_while_loading(clock)) == [True, False, True, False, True]


async def _after_an_exit() -> bool:
    worker = SlowStart()
    dispatcher = a_dispatcher(worker)
    dispatcher._on_worker_message({"type": "loading", "is_over": False})
    dispatcher._on_worker_exit("it was killed")
    worker.answers_since = 1.0
    return dispatcher._should_have_stopped(a_cancelled_job(dispatcher, 1.0), 1e9)


def test_the_next_worker_does_not_load_what_the_last_one_did():
    """A worker that died while it loaded leaves the next one no time of its own."""
    assert asyncio.run(_after_an_exit())


class Sent:
    """A connection that only notes."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def send(self, message: dict[str, Any]) -> None:
        """As `WorkerConnection.send`."""
        self.messages.append(message)


def test_the_worker_says_when_it_loads_also_if_that_fails(tmp_path):
    """Each announcement of a loading is followed by that of its end."""
    connection = Sent()
    worker = ModelWorker(connection)  # type: ignore[arg-type]
    worker._receive({"op": "load", "id": 1}, b"")
    message = {"op": "load", "id": 1, "model": str(tmp_path / "none.gguf")}
    sources = {"environment": {}, "user_file": str(tmp_path / "none.toml")}
    with pytest.raises(ModelError):
        worker._answer({**message, "settings": sources}, b"", worker._tokens[1])
    told = [each["is_over"] for each in connection.messages if each["type"] == "loading"]
    assert told == [False, True]
