"""Supervises a worker process: start on demand, watchdog, restart, exit reason.

Native code (llama.cpp, tree-sitter) runs in workers alone, so that an abort, a kill for
memory or a hang costs one request and a restart. Messages are `protocol`'s, over a pair of
sockets. It does not know what the workers do.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from codebuddy import platforms
from codebuddy.engine.protocol import decode_line, encode_message
from codebuddy.engine.status import Restart
from codebuddy.errors import CodebuddyError, EngineError

# A suggestion's chunks or a thousand search results, on one line.
_MAX_LINE_BYTES = 64 << 20
# The last words of native code; others may quote what a user wrote and are dropped.
_STDERR_TAIL_LINES = re.compile(
    rb"GGML_ASSERT|ggml|terminate called|Fatal Python error|out of memory"
)
_MAX_CRASHES_IN_A_ROW = 3
# Importing takes a second, and more on a crowded machine; nothing is said before.
_START_LIMIT_S = 60.0
# From the end of its messages to its own end.
_CLOSED_TIMEOUT_S = 2.0
# Writing the KV cache takes about a second.
_QUIT_TIMEOUT_S = 6.0
_FIRST_PAUSE_S = 30.0
_LONGEST_PAUSE_S = 600.0

OnMessage = Callable[[dict[str, Any]], None]
OnEnd = Callable[[str], None]

_log = logging.getLogger("codebuddy.engine")


class WorkerProcess:
    """One worker, over its lives.

    Args:
        role: For the log and for errors: `model` or `index`.
        module: What it runs.
        hang_s: Seconds without a sign of life after which it is killed.
        on_message: Takes each message but the signs of life.
        on_end: Called with the reason whenever it ends.
    """

    def __init__(
        self, role: str, module: str, hang_s: float, on_message: OnMessage, on_end: OnEnd
    ) -> None:
        self.role = role
        self.restarts: deque[Restart] = deque(maxlen=10)
        self.n_restarts = 0
        self._module = module
        self._hang_s = hang_s
        self._on_message = on_message
        self._on_end = on_end
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_message_at = 0.0
        self._stderr_tail = b""
        self._kill_reason = ""
        self._answers_since: float | None = None
        self._is_closing = False
        self._crashes_in_a_row = 0
        self._paused_until = 0.0
        self._start_lock = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """Its process id while it lives."""
        return self._process.pid if self._process is not None else None

    @property
    def answers_since(self) -> float | None:
        """When it gave its first sign of life, on the monotonic clock; `None` until then."""
        return self._answers_since

    async def send(self, head: Mapping[str, Any], body: bytes = b"") -> None:
        """Send one message, starting the worker if it does not live.

        Raises:
            EngineError: It crashed too often lately, or cannot be started.
        """
        async with self._start_lock:
            if self._process is None:
                await self._start()
            writer = self._writer
        assert writer is not None
        with contextlib.suppress(ConnectionError):
            # The end of a worker that dies meanwhile is reported by `_watch`.
            writer.write(encode_message({**head, "body_bytes": len(body)}, body))
            await writer.drain()

    def succeeded(self) -> None:
        """It finished something: earlier crashes count no more."""
        self._crashes_in_a_row = 0

    def kill(self, reason: str) -> None:
        """End it at once."""
        if self._process is not None and self._process.returncode is None:
            self._kill_reason = self._kill_reason or reason
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def close(self) -> None:
        """End it for good and wait until it is gone."""
        process = self._process
        self._is_closing = True
        if process is not None:
            await self.send({"op": "quit"})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _QUIT_TIMEOUT_S)
            self.kill("it did not end by itself")
            await process.wait()
        for task in self._tasks:
            task.cancel()

    async def _start(self) -> None:
        pause_s = self._paused_until - time.monotonic()
        if pause_s > 0:
            reason = self.restarts[-1]["reason"] if self.restarts else "it crashed"
            raise EngineError(
                f"the {self.role} worker crashed {self._crashes_in_a_row} times in a row "
                f"({reason}) and is not started for another {pause_s:.0f} s",
                hint="use --no-engine, or another model; 'codebuddy engine logs' says more",
            )
        ours, its = socket.socketpair()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *platforms.python_command(self._module, str(its.fileno())),
                env=platforms.child_environment(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=(its.fileno(),),
            )
        except OSError as error:
            ours.close()
            raise EngineError(
                f"the {self.role} worker cannot be started: {error.strerror}"
            ) from error
        finally:
            its.close()
        reader, self._writer = await asyncio.open_connection(sock=ours, limit=_MAX_LINE_BYTES)
        self._last_message_at = time.monotonic()
        self._stderr_tail = b""
        self._kill_reason = ""
        self._answers_since = None
        _log.info("%s worker started: process %d", self.role, self._process.pid)
        for work in (
            self._watch(self._process),
            self._listen_to_stderr(self._process),
            self._supervise(self._process, reader, self._writer),
        ):
            task = asyncio.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _supervise(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Pass its messages on until it ends, then say why it did."""
        try:
            while line := await reader.readline():
                self._last_message_at = time.monotonic()
                self._answers_since = self._answers_since or self._last_message_at
                message = decode_line(line)
                if message.get("type") != "alive":
                    self._on_message(message)
        except (ValueError, CodebuddyError):
            self.kill("it sent something that is no message")
        except OSError:
            # It died with words of ours unread; why, its exit status says.
            pass
        writer.close()
        # Killing an ended process would take its exit status away from its waiter.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _CLOSED_TIMEOUT_S)
        if process.returncode is None:
            # It closed its end; what still runs of it is of no use.
            self.kill("it closed its end")
        await process.wait()
        reason = self._reason(process.returncode or 0)
        self._process = self._writer = self._answers_since = None
        self._note_end(process.pid, reason)
        self._on_end(reason)

    async def _listen_to_stderr(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        with contextlib.suppress(ValueError, OSError):
            while line := await process.stderr.readline():
                if _STDERR_TAIL_LINES.search(line):
                    self._stderr_tail = line[:300]

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Kill it when it gives no sign of life; a tick that is itself late proves nothing."""
        tick_s = min(1.0, self._hang_s / 4)
        limit_s = max(self._hang_s, _START_LIMIT_S)
        while process.returncode is None:
            before = time.monotonic()
            await asyncio.sleep(tick_s)
            now = time.monotonic()
            if now - before > tick_s + 1.0:
                # This process was stopped, or the machine slept: give it a new chance.
                self._last_message_at = now
                continue
            may_be_silent_s = limit_s if self._answers_since is None else self._hang_s
            if now - self._last_message_at > may_be_silent_s:
                self.kill(f"it gave no sign of life for {now - self._last_message_at:.0f} s")

    def _reason(self, returncode: int) -> str:
        if self._kill_reason and returncode in (-signal.SIGKILL, 0):
            return self._kill_reason
        words = self._stderr_tail.decode("utf-8", "replace").strip()
        said = f": {words}" if words else ""
        if returncode < 0:
            name = signal.Signals(-returncode).name
            memory = ", perhaps for want of memory" if -returncode == signal.SIGKILL else ""
            return f"ended by {name}{memory}{said}"
        return f"ended with code {returncode}{said}"

    def _note_end(self, pid: int, reason: str) -> None:
        if self._is_closing:
            return
        _log.warning("%s worker %d is gone: %s", self.role, pid, reason)
        self.n_restarts += 1
        self.restarts.append({"worker": self.role, "reason": reason, "at": int(time.time())})
        self._crashes_in_a_row += 1
        over = self._crashes_in_a_row - _MAX_CRASHES_IN_A_ROW
        if over >= 0:
            pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**over)
            self._paused_until = time.monotonic() + pause_s


def resident_bytes(pids: list[int]) -> dict[int, int]:
    """Memory that each of these processes holds; those that are gone are left out."""
    import psutil

    found = {}
    for pid in [os.getpid(), *pids]:
        with contextlib.suppress(psutil.Error):
            found[pid] = int(psutil.Process(pid).memory_info().rss)
    return found
