"""Starting and ending the engine's process, so that there is never a second one.

An engine holds the lifetime lock from before it makes its socket until it is gone; the
system gives the lock free however it ends, so a socket without the lock is stale and a
process id in a file is never believed. Standard library only; the engine itself is
`daemon.py`.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

from codebuddy import platforms
from codebuddy.engine import address
from codebuddy.engine.protocol import decode_line, error_from_wire
from codebuddy.errors import CodebuddyError, EngineError

_DAEMON_MODULE = "codebuddy.engine.daemon"
_MAX_WORD_BYTES = 64 << 10
_POLL_S = 0.02
# A drained engine ends by itself; one that does not answer is given this long, then killed.
_ANSWER_TIMEOUT_S = 3.0


def start(timeout_s: float) -> socket.socket:
    """A connection to the engine, which is started unless another process just did.

    Raises:
        EngineError: It cannot be started, or not within `timeout_s`.
    """
    folder = address.prepare_folder()
    deadline = time.monotonic() + timeout_s
    try:
        with platforms.exclusive_lock(folder / address.START_LOCK_NAME, timeout_s):
            connection = address.connect(timeout_s)
            if connection is not None:
                return connection
            _spawn(folder, max(0.1, deadline - time.monotonic()))
            connection = address.connect(timeout_s)
    except TimeoutError as error:
        raise EngineError(f"the engine did not start within {timeout_s:.0f} s") from error
    except OSError as error:
        raise EngineError(f"the engine cannot be started: {error.strerror or error}") from error
    if connection is None:
        raise EngineError("the engine ended as soon as it had started", hint="codebuddy doctor")
    return connection


def _spawn(folder: Path, timeout_s: float) -> None:
    """Start the service and wait for its word.

    Raises:
        EngineError: It says what is wrong, or nothing in time.
        OSError: No process can be started.
    """
    ours, its = os.pipe()
    try:
        command = platforms.python_command(_DAEMON_MODULE, str(folder), str(its))
        try:
            platforms.spawn_service(command, _environment(), its)
        finally:
            os.close(its)
        readable, _, _ = select.select([ours], [], [], timeout_s)
        word = os.read(ours, _MAX_WORD_BYTES) if readable else b""
    finally:
        os.close(ours)
    if not readable:
        raise EngineError(f"the engine did not start within {timeout_s:.0f} s")
    if not word:
        raise EngineError("the engine ended while it started", hint="codebuddy engine logs")
    answer = decode_line(word)
    if "error" in answer:
        raise error_from_wire(answer["error"])


def _environment() -> dict[str, str]:
    """A child's, with nothing that git leaked."""
    return {
        name: value
        for name, value in platforms.child_environment().items()
        if not name.startswith(("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_PREFIX"))
    }


def is_running(folder: Path) -> bool:
    """Whether an engine lives, which is whether its lifetime lock is held."""
    lock = folder / address.LIFETIME_LOCK_NAME
    if not lock.exists():
        return False
    try:
        with platforms.exclusive_lock(lock, 0.0):
            return False
    except TimeoutError:
        return True
    except OSError:
        return False


def stop(ask: Callable[[socket.socket], None], timeout_s: float) -> bool:
    """End the engine: ask it to drain; kill it if it does not answer.

    Args:
        ask: Sends the request to stop over a connection.
        timeout_s: How long running requests may still take.

    Returns:
        Whether one ran.

    Raises:
        EngineError: It still lives after `timeout_s`.
    """
    from codebuddy import paths

    folder = paths.runtime_folder()
    connection = address.connect(_ANSWER_TIMEOUT_S)
    if connection is None and not is_running(folder):
        return False
    if connection is not None:
        peer = platforms.peer_of(connection)
        try:
            ask(connection)
        except CodebuddyError:
            _kill(folder, peer)
    deadline = time.monotonic() + timeout_s
    while is_running(folder):
        if time.monotonic() >= deadline:
            raise EngineError(f"the engine still runs after {timeout_s:.0f} s")
        time.sleep(_POLL_S)
    return True


def _kill(folder: Path, peer: tuple[int, int] | None) -> None:
    """Kill the process that the system names at the socket's other end, if an engine lives."""
    if peer is None or not hasattr(os, "pidfd_open"):
        raise EngineError("the engine does not answer", hint="end its process yourself")
    try:
        # Opened before the lock is asked for: the id cannot pass to another process between.
        descriptor = os.pidfd_open(peer[0])
    except OSError:
        return
    try:
        if is_running(folder):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    finally:
        os.close(descriptor)


def report_to_starter(descriptor: int, error: CodebuddyError | None) -> None:
    """Report the daemon's start to its starter; one that has exited does not matter."""
    from codebuddy.engine.protocol import error_to_wire

    word = {"ready": True} if error is None else {"error": error_to_wire(error)}
    try:
        os.write(descriptor, json.dumps(word).encode("ascii") + b"\n")
        os.close(descriptor)
    except OSError:
        return
