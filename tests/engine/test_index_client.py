"""What the engine asks of its index worker: refreshes within a budget, and its log."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Any

from codebuddy.engine.index_client import IndexClient
from codebuddy.service.request import CompletionRequest


class HeldWorker:
    """An index worker that answers when it is let go."""

    def __init__(self, client: IndexClient) -> None:
        self.client = client
        self.messages: list[dict[str, Any]] = []

    async def send(self, head: dict[str, Any], _body: bytes = b"") -> None:
        """As `WorkerProcess.send`."""
        self.messages.append(head)

    def succeeded(self) -> None:
        """As `WorkerProcess.succeeded`."""

    def answer(self, warnings: list[str]) -> None:
        """Answer all that was asked."""
        for each in self.messages:
            result = {"warnings": warnings}
            self.client._on_message({"type": "result", "id": each["id"], "result": result})


def held() -> tuple[IndexClient, HeldWorker]:
    """A client and its worker."""
    client = IndexClient(15.0, Counter())
    worker = HeldWorker(client)
    client.worker = worker  # type: ignore[assignment]
    return client, worker


def asked(budget_ms: int | None) -> CompletionRequest:
    """A request that asks."""
    return CompletionRequest("/nowhere/a.py", 1, folder="/nowhere", budget_ms=budget_ms)


async def _within_a_budget() -> tuple[list[str], bool, bool, dict[str, Any]]:
    client, worker = held()
    warnings = await client.refresh(asked(40), {})
    goes_on = not client.is_idle
    worker.answer(["late"])
    while not client.is_idle:
        await asyncio.sleep(0)
    return warnings, goes_on, client.is_idle, worker.messages[0]["wish"]


def test_a_refresh_is_part_of_the_budget_and_goes_on_behind_it():
    """The answer does not wait for a refresh that takes longer; the next one has its result."""
    warnings, goes_on, is_over, wish = asyncio.run(_within_a_budget())
    assert (warnings, goes_on, is_over) == ([], True, True)
    assert 0 < wish["limit_s"] <= 0.02


async def _in_time(budget_ms: int | None) -> tuple[list[str], dict[str, Any]]:
    client, worker = held()
    refreshing = asyncio.ensure_future(client.refresh(asked(budget_ms), {}))
    while not worker.messages:
        await asyncio.sleep(0)
    worker.answer(["no git"])
    return await refreshing, worker.messages[0]["wish"]


def test_a_refresh_that_is_over_in_time_says_what_went_wrong():
    """Without a budget it is waited for as ever."""
    assert asyncio.run(_in_time(600_000))[0] == ["no git"]
    warnings, wish = asyncio.run(_in_time(None))
    assert warnings == ["no git"]
    assert "limit_s" not in wish


async def _late() -> list[str]:
    client, _ = held()
    return await client.refresh(asked(50), {}, arrived=-1000.0)


def test_a_request_that_is_late_already_waits_for_no_refresh():
    """What was spent before counts."""
    assert asyncio.run(_late()) == []


async def _told() -> None:
    client, _ = held()
    client._on_message({"type": "log", "text": "bug KeyError in _answer:97"})


def test_a_bug_of_the_index_worker_is_in_the_log(caplog):
    """`engine logs` tells where, as the error's hint says."""
    with caplog.at_level(logging.ERROR, logger="codebuddy.engine"):
        asyncio.run(_told())
    assert "index worker: bug KeyError in _answer:97" in caplog.text
