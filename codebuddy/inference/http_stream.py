"""JSON over HTTP to one model server: requests, streamed lines, cancelling by closing.

Standard library alone. Every way in which a server can fail is one sentence with its
address, and every wait for it has an end, whatever it sends or does not send. It knows no
model and no prompt.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import math
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from codebuddy.errors import (
    CodebuddyError,
    ConfigError,
    GenerationError,
    ModelError,
    ServerRefusedError,
    TimeLimitError,
)
from codebuddy.inference.timed_socket import TimedSocket, open_socket

_CONNECT_TIMEOUT_S = 3.0
# Short requests, as for tokens, are answered beside a running generation.
_ASK_TIMEOUT_S = 10.0
# A server is silent while it evaluates a prompt, on a slow machine for long, but not once it
# has begun to write.
_PREFILL_TIMEOUT_S = 300.0
_STALL_TIMEOUT_S = 60.0
_MAX_BODY_BYTES = 16 << 20
_MAX_LINE_BYTES = 1 << 20
_SHOWN_BYTES = 200


class ModelServer:
    """A server by its URL. One request at a time; `cancel` may come from any thread."""

    def __init__(self, url: str, *, may_be_remote: bool) -> None:
        """Check the URL; nothing is connected yet.

        Raises:
            ConfigError: It is no http URL, or names another machine without leave.
        """
        parts = urlsplit(url if "//" in url else f"//{url}", scheme="http")
        try:
            host, port = parts.hostname or "", parts.port
        except ValueError:
            host, port = "", None
        if parts.scheme not in ("http", "https") or not host or parts.username is not None:
            raise ConfigError(
                f"model.url is not an address of a model server: {url!r:.80}",
                hint="for example http://127.0.0.1:8080",
            )
        if not may_be_remote and not _is_loopback(host):
            raise ConfigError(
                f"model.url names another machine ({host}), and your code would be sent there",
                hint="set model.allow_remote to true if that is meant",
            )
        self.url = f"{parts.scheme}://{parts.netloc}"
        self._host, self._port, self._path = host, port, parts.path.rstrip("/")
        self._is_encrypted = parts.scheme == "https"
        self._connection: http.client.HTTPConnection | None = None
        # When all that the present request asks for has to be over.
        self._ends_at = math.inf
        self._lock = threading.Lock()
        self._active: TimedSocket | None = None
        self._is_cancelled = threading.Event()

    def close(self) -> None:
        """Close the connection that is kept for short requests."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def limit_time(self, budget_ms: float) -> None:
        """Short requests end `budget_ms` from now at the latest; 0 takes the limit away.

        They raise TimeLimitError then. A stream has a limit of its own.
        """
        self._ends_at = time.monotonic() + budget_ms / 1000 if budget_ms > 0 else math.inf

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The answer to a short request: GET without a body, else POST.

        Raises:
            ServerRefusedError: The server answers with another status than 200.
            ModelError: The server cannot be reached, is too slow, or answers nonsense.
            TimeLimitError: The time of `limit_time` is over.
            GenerationError: `cancel` was called.
        """
        self._is_cancelled.clear()
        ends_at = min(self._ends_at, time.monotonic() + _ASK_TIMEOUT_S)
        for is_last in (False, True):
            was_kept = self._connection is not None
            connection = self._connection or self._connect(ends_at, self._ends_at)
            self._connection = None
            try:
                self._activate(connection, ends_at)
                response = self._send(connection, path, body)
                content = response.read(_MAX_BODY_BYTES)
            except (http.client.HTTPException, OSError) as error:
                connection.close()
                # A connection that was kept may have been closed by the server meanwhile.
                is_stale = was_kept and not isinstance(error, TimeoutError)
                if is_stale and not is_last and not self._is_cancelled.is_set():
                    continue
                raise self._unreachable(error, self._ends_at) from error
            finally:
                self._deactivate()
            self._connection = connection
            self._check_status(response, path, content)
            return self._parsed(content)
        raise AssertionError("unreachable")

    def stream(self, path: str, body: dict[str, Any], budget_ms: float = 0.0) -> Iterator[Any]:
        """The JSON objects of a streamed answer; closing the iterator closes the connection.

        Both forms in use are taken: lines of JSON, and server-sent events. A server may be
        silent for minutes before the first one, and not for long between them.

        Raises:
            TimeLimitError: `budget_ms` are over, whatever the server does; 0 means no limit.
            GenerationError: `cancel` was called, or the server failed on the way.
            ModelError: The server cannot be reached or refuses.
        """
        self._is_cancelled.clear()
        started = time.monotonic()
        limit_at = started + budget_ms / 1000 if budget_ms > 0 else math.inf
        connection = self._connect(min(limit_at, started + _CONNECT_TIMEOUT_S), limit_at)
        response = None
        try:
            active = self._activate(connection, min(limit_at, started + _PREFILL_TIMEOUT_S))
            response = self._send(connection, path, body)
            if response.status != http.client.OK:
                self._check_status(response, path, response.read(_MAX_BODY_BYTES))
            while line := response.readline(_MAX_LINE_BYTES):
                text = line.strip().removeprefix(b"data:").strip()
                if text and text != b"[DONE]" and not text.startswith((b":", b"event:")):
                    yield self._parsed(text)
                    active.ends_at = min(limit_at, time.monotonic() + _STALL_TIMEOUT_S)
        except (http.client.HTTPException, OSError) as error:
            raise self._failed(error, limit_at) or self.broken_off(_reason(error)) from error
        finally:
            self._deactivate()
            if response is not None:
                response.close()
            connection.close()
        if self._is_cancelled.is_set():
            raise GenerationError("cancelled")

    def broken_off(self, reason: str = "its answer has no end") -> GenerationError:
        """What to raise where a stream ended too early."""
        return GenerationError(
            f"the model server {self.url} broke off: {reason}", hint="look at the server's own log"
        )

    def cancel(self) -> None:
        """End what is being asked, at once; servers stop when their client is gone."""
        self._is_cancelled.set()
        with self._lock:
            if self._active is not None:
                self._active.shutdown()

    def _connect(self, ends_at: float, limit_at: float) -> http.client.HTTPConnection:
        """A connection made before `ends_at`; `limit_at` is when the request's own time ends."""
        default_port = http.client.HTTPS_PORT if self._is_encrypted else http.client.HTTP_PORT
        port = self._port or default_port
        connection = http.client.HTTPConnection(self._host, port)
        connection.default_port = default_port
        # It would connect without any of the limits.
        connection.auto_open = 0
        try:
            connection.sock = open_socket(
                self._host,
                port,
                min(ends_at, time.monotonic() + _CONNECT_TIMEOUT_S),
                lambda: not self._is_cancelled.is_set(),
                is_encrypted=self._is_encrypted,
            )
        except OSError as error:
            raise self._unreachable(error, limit_at) from error
        return connection

    def _activate(self, connection: http.client.HTTPConnection, ends_at: float) -> TimedSocket:
        """Let `cancel` reach the connection, which has until `ends_at`."""
        active: TimedSocket = connection.sock  # type: ignore[assignment]
        active.ends_at = ends_at
        with self._lock:
            # Kept apart: http.client gives the socket away where the answer ends the connection.
            self._active = active
        if self._is_cancelled.is_set():
            active.shutdown()
        return active

    def _deactivate(self) -> None:
        with self._lock:
            self._active = None

    def _send(
        self, connection: http.client.HTTPConnection, path: str, body: dict[str, Any] | None
    ) -> http.client.HTTPResponse:
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "codebuddy"}
        connection.request("GET" if body is None else "POST", self._path + path, content, headers)
        return connection.getresponse()

    def _check_status(self, response: http.client.HTTPResponse, path: str, content: bytes) -> None:
        if response.status == http.client.OK:
            return
        text = content[:_SHOWN_BYTES].decode("utf-8", "replace").strip()
        error = ServerRefusedError(
            f"the model server {self.url} answered {path} with {response.status}: {text}",
            hint="check model.url; the server must be llama-server or Ollama",
        )
        error.status = response.status
        raise error

    def _parsed(self, content: bytes) -> Any:
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ModelError(
                f"the model server {self.url} did not answer in JSON",
                hint="check model.url; the server must be llama-server or Ollama",
            ) from error

    def _failed(self, error: Exception, limit_at: float) -> CodebuddyError | None:
        """What to raise where the failure is no fault of the server's; else `None`."""
        if self._is_cancelled.is_set():
            return GenerationError("cancelled")
        if isinstance(error, TimeoutError) and time.monotonic() >= limit_at:
            return TimeLimitError(
                f"the model server {self.url} did not answer within the time that was given",
                hint="look at the server's own log, or give more time with --budget-ms",
            )
        return None

    def _unreachable(self, error: Exception, limit_at: float) -> CodebuddyError:
        return self._failed(error, limit_at) or ModelError(
            f"the model server {self.url} cannot be reached: {_reason(error)}",
            hint="start it, correct model.url, or empty model.url to use llama.cpp in-process",
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason})"
    return str(getattr(error, "strerror", "") or error) or type(error).__name__
