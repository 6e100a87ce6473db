"""What the tests of the engine share: raw requests over its socket, and looking at processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from codebuddy.engine import address
from codebuddy.engine.client import EngineClient
from codebuddy.engine.protocol import CompletionCall

MODEL_SECONDS = 120.0


def wait_until(is_so: Callable[[], object], seconds: float = 60.0) -> bool:
    """Whether something comes true in time."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def raw(content: bytes, seconds: float = 15.0) -> bytes:
    """All that the engine answers to these bytes, until it closes the connection."""
    connection = address.connect(5.0)
    assert connection is not None
    connection.settimeout(seconds)
    with connection:
        try:
            connection.sendall(content)
            return read_all(connection)
        except ConnectionError:
            return b""


def read_all(connection: socket.socket) -> bytes:
    """What comes until the other side closes."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionError:
        pass
    return b"".join(parts)


def post(path: str, body: bytes, more: str = "") -> bytes:
    """A POST as bytes."""
    head = f"POST {path} HTTP/1.1\r\nHost: engine\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def call(root: Path, file: str = "cart.py", line: int = 6, **more: Any) -> CompletionCall:
    """A call for the shop's unfinished line, answered by echo unless said otherwise."""
    fields: dict[str, Any] = {"model": "echo", "retrieve": "never"} | more
    return CompletionCall(str(root / file), line, **fields)


def typing(root: Path, text: str, line: int, column: int | None = None, **more: Any) -> Any:
    """A call as an editor makes it while somebody types."""
    more = {"client": "editor", "priority": "typing"} | more
    return call(root, "cart.py", line, text=text, column=column, **more)


def engine_pid() -> int:
    """The process of the engine that runs."""
    return int(EngineClient.connect(may_start=False).status()["pid"])


def worker_pid(role: str = "model") -> int:
    """The process of one of its workers."""
    return int(EngineClient.connect(may_start=False).status()["workers"][role])


def is_gone(pid: int) -> bool:
    """Whether no such process lives; one that nobody has reaped yet is gone too."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def codebuddy(
    folder: Path, *arguments: str, stdin: bytes | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The command, run in `folder`."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "codebuddy", *arguments],
        cwd=folder,
        capture_output=True,
        input=stdin,
        env={**os.environ, **environment},
        timeout=120,
    )
    out, told = done.stdout.decode(), done.stderr.decode()
    return subprocess.CompletedProcess(done.args, done.returncode, out, told)


def json_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The command's answer."""
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
