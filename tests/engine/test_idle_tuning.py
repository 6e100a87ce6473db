"""When the engine measures its model: once, idle for long, and while nobody wants anything."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from codebuddy.engine.dispatcher import Dispatcher
from codebuddy.engine.idle_tuning import IDLE_S, IdleTuner
from codebuddy.engine.job import Job
from codebuddy.engine.status import LoadedModel
from codebuddy.errors import EngineError, SupersededError

LOADED = {
    "model": "m",
    "load_ms": 1.0,
    "runtime": {"backend": "llama.cpp", "tuning": {"state": "none yet"}},
}


def loaded(**tuning: str) -> LoadedModel:
    """A model with that to say of its tuning."""
    return cast("LoadedModel", {**LOADED, "runtime": {"backend": "llama.cpp", "tuning": tuning}})


@contextlib.asynccontextmanager
async def a_dispatcher() -> AsyncIterator[Dispatcher]:
    """One that takes jobs and runs none."""
    yield Dispatcher(8, 15, lambda *_: None, lambda _: None)


def waiting(dispatcher: Dispatcher) -> list[Job]:
    """What would run."""
    jobs = []
    while (job := dispatcher._queue.take()) is not None:
        jobs.append(job)
    return jobs


async def asked(told: LoadedModel | None, idle_s: float, mode: str = "auto") -> list[str]:
    """What one tick asks for."""
    async with a_dispatcher() as dispatcher:
        dispatcher.loaded = told
        IdleTuner(dispatcher, mode).tick(idle_s)
        return [job.op for job in waiting(dispatcher)]


@pytest.mark.parametrize(
    ("told", "idle_s", "mode", "expected"),
    [
        (loaded(state="none yet"), IDLE_S + 1, "auto", ["tune"]),
        (loaded(state="none of this machine and build"), IDLE_S + 1, "auto", ["tune"]),
        (loaded(state="begun"), IDLE_S + 1, "auto", ["tune"]),
        (loaded(state="none yet"), IDLE_S - 1, "auto", []),
        (loaded(state="none yet"), IDLE_S + 1, "off", []),
        (loaded(state="tuned"), IDLE_S + 1, "auto", []),
        (loaded(state="off"), IDLE_S + 1, "auto", []),
        (cast("LoadedModel", {**LOADED, "runtime": {}}), IDLE_S + 1, "auto", []),
        (None, IDLE_S + 1, "auto", []),
    ],
)
def test_it_measures_once_and_when_nobody_wants_anything(told, idle_s, mode, expected):
    """A model that is not of this machine, and one that was measured, are left alone."""
    assert asyncio.run(asked(told, idle_s, mode)) == expected


async def _after(error: Exception) -> list[str]:
    async with a_dispatcher() as dispatcher:
        dispatcher.loaded = loaded(state="none yet")
        tuner = IdleTuner(dispatcher, "auto")
        tuner.tick(IDLE_S + 1)
        tuner.tick(IDLE_S + 1)
        [job] = waiting(dispatcher)
        job.fail(cast("Any", error))
        tuner.tick(IDLE_S + 1)
        return [each.op for each in waiting(dispatcher)] + [dispatcher.why_not_tuned]


def test_what_a_request_ended_is_begun_again_and_what_was_refused_is_not():
    """Under full load it waits for ten minutes; one who typed may pause again soon."""
    assert asyncio.run(_after(SupersededError("typing"))) == ["tune", ""]
    assert asyncio.run(_after(EngineError("busy"))) == ["busy"]


@pytest.mark.parametrize("priority", ["typing", "ask", "background"])
def test_any_request_ends_it(priority):
    """Also one in the background: the place behind a suggestion is worth more."""

    async def run() -> bool:
        async with a_dispatcher() as dispatcher:
            measuring = Job("tune", {}, client="tune", priority="background")
            dispatcher.running = measuring
            dispatcher.submit(Job("complete", {}, client="editor", priority=priority))
            return measuring.is_finished and measuring.cancelled is not None

    assert asyncio.run(run())
