"""The engine's state: start time, idle time, exit reason, status report."""

from __future__ import annotations

import dataclasses
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from codebuddy import __version__, paths
from codebuddy.engine import address
from codebuddy.engine.protocol import identity
from codebuddy.engine.status import EngineStatus, RequestCounts, WorkTokens
from codebuddy.engine.supervisor import resident_bytes
from codebuddy.errors import EngineError
from codebuddy.settings import EngineSettings

if TYPE_CHECKING:
    from codebuddy.engine.request_handler import RequestHandler


class ShuttingDownError(EngineError):
    """The engine takes no more requests; another one can be started."""


class EngineState:
    """One engine's life.

    Args:
        folder: Where its socket lies.
        settings: Its own settings.
        idle_s: Seconds without a request after which it should leave.
    """

    def __init__(self, folder: Path, settings: EngineSettings, idle_s: float) -> None:
        self.identity = identity(dataclasses.asdict(settings))
        self.end_reason = ""
        self.on_end: Callable[[], None] | None = None
        self._folder = folder
        self._socket = address.identity_of(folder)
        self._settings = settings
        self._idle_s = idle_s
        self._started = self._touched = time.monotonic()

    def touch(self) -> None:
        """A request arrived."""
        self._touched = time.monotonic()

    def end(self, reason: str) -> None:
        """Take no more requests; the socket goes first, so that a client starts another engine."""
        if self.end_reason:
            return
        self.end_reason = reason
        address.withdraw(self._folder, self._socket)
        if self.on_end is not None:
            self.on_end()

    def check_not_ending(self) -> None:
        """Raises ShuttingDownError once the engine ends."""
        if self.end_reason:
            raise ShuttingDownError(f"the engine ends: {self.end_reason}")

    @property
    def idle_s(self) -> float:
        """Seconds since anybody asked for anything."""
        return time.monotonic() - self._touched

    def exit_reason(self, *, is_idle: bool) -> str:
        """Why the engine should end by itself now; empty if it should stay."""
        if address.identity_of(self._folder) != self._socket:
            return "its socket was taken away"
        if not is_idle:
            self.touch()
        if time.monotonic() - self._touched > self._idle_s:
            return f"nobody asked for anything for {self._idle_s / 60:.3g} minutes"
        return ""

    def describe(self, handler: RequestHandler) -> EngineStatus:
        """The answer of `codebuddy engine status --json`."""
        dispatcher, now = handler.dispatcher, time.monotonic()
        workers = (dispatcher.worker, handler.index.worker)
        pids = {worker.role: worker.pid for worker in workers if worker.pid is not None}
        memory = resident_bytes(list(pids.values()))
        loaded = dispatcher.loaded
        runtime = {} if loaded is None else loaded["runtime"]
        restarts = [each for worker in workers for each in worker.restarts]
        running = dispatcher.running
        return {
            "running": True,
            "version": __version__,
            "identity": self.identity,
            "pid": os.getpid(),
            "workers": pids,
            "socket": str(self._folder / address.SOCKET_NAME),
            "log": str(paths.engine_log_file()),
            "uptime_seconds": round(now - self._started, 1),
            "idle_seconds": round(now - self._touched, 1),
            "model": None if loaded is None else loaded["model"],
            "load_ms": None if loaded is None else loaded["load_ms"],
            "threads": _number(runtime.get("threads")),
            "gpu_layers": _number(runtime.get("gpu_layers")),
            "runtime": runtime,
            "adapter": handler.adapter,
            "tuning": _tuning(runtime, dispatcher.why_not_tuned),
            "memory_bytes": {
                "engine": memory.get(os.getpid(), 0),
                **{role: memory.get(pid, 0) for role, pid in pids.items()},
            },
            "requests": _requests(handler.counts),
            "tokens": _tokens(handler.counts),
            "queue": {
                "waiting": dispatcher.n_waiting,
                "running": None if running is None else running.op,
                "length": self._settings.queue_length,
            },
            "restarts": sum(worker.n_restarts for worker in workers),
            "last_restarts": sorted(restarts, key=lambda each: each["at"]),
        }


def _requests(counts: Counter[str]) -> RequestCounts:
    return {
        "requests": counts["requests"],
        "cache_hits": counts["cache_hits"],
        "joined": counts["joined"],
        "cancelled": counts["cancelled"],
        "busy": counts["busy"],
        "prewarmed": counts["prewarmed"],
        "ahead": counts["ahead"],
        "read_ahead": counts["read_ahead"],
        "searches": counts["searches"],
        "questions": counts["questions"],
        "accepted": counts["accepted"],
        "accepted_characters": counts["accepted_characters"],
    }


def _tuning(runtime: Mapping[str, object], why_not: str) -> dict[str, object]:
    """What a loaded model says of it, with the reason that it was put off for, if it was."""
    told = cast("dict[str, object]", runtime.get("tuning") or {})
    is_put_off = told and why_not and told.get("state") not in ("tuned", "off")
    return {**told, "put_off": why_not} if is_put_off else told


def _tokens(counts: Counter[str]) -> WorkTokens:
    return {
        "evaluated": counts["tokens_evaluated"],
        "reused": counts["tokens_reused"],
        "generated": counts["tokens_generated"],
    }


def _number(value: object) -> int | None:
    """A figure of a runtime; a model server's has none."""
    return value if isinstance(value, int) else None
