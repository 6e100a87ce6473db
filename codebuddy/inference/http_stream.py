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
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from codebuddy.cancellation import CancellationToken
from codebuddy.errors import (
    CodebuddyError,
    ConfigError,
    GenerationError,
    ModelError,
    ServerRefusedError,
    SupersededError,
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
    """A server by its URL. One request at a time."""

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
        if not may_be_remote and not is_loopback(host):
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
        self._cancellation = CancellationToken()

    def close(self) -> None:
        """Close the connection that is kept for short requests."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def limit_time(self, budget_ms: float, cancellation: CancellationToken | None = None) -> None:
        """Short requests end `budget_ms` from now at the latest; 0 takes the limit away.

        They raise TimeLimitError then, and SupersededError once `cancellation` is cancelled.
        A stream has limits of its own.
        """
        self._cancellation = cancellation or CancellationToken()
        self._ends_at = time.monotonic() + budget_ms / 1000 if budget_ms > 0 else math.inf

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The answer to a short request: GET without a body, else POST.

        Raises:
            ServerRefusedError: The server answers with another status than 200.
            ModelError: The server cannot be reached, is too slow, or answers nonsense.
            TimeLimitError: The time of `limit_time` is over.
            SupersededError: The token of `limit_time` is cancelled.
        """
        cancellation = self._cancellation
        ends_at = min(self._ends_at, time.monotonic() + _ASK_TIMEOUT_S)
        for is_last in (False, True):
            was_kept = self._connection is not None
            kept, self._connection = self._connection, None
            connection = kept or self._connect(ends_at, self._ends_at, cancellation)
            active = _until(connection, ends_at)
            try:
                with cancellation.on_cancel(active.shutdown):
                    response = self._send(connection, path, body)
                    content = response.read(_MAX_BODY_BYTES)
            except (http.client.HTTPException, OSError) as error:
                connection.close()
                # A connection that was kept may have been closed by the server meanwhile.
                is_stale = was_kept and not isinstance(error, TimeoutError)
                if is_stale and not is_last and not cancellation.is_cancelled:
                    continue
                raise self._unreachable(error, self._ends_at, cancellation) from error
            # A server that closes after its answer leaves nothing to keep.
            self._connection = connection if connection.sock is not None else None
            cancellation.check()
            self._check_status(response, path, content)
            return self._parsed(content)
        raise AssertionError("unreachable")

    def stream(
        self,
        path: str,
        body: dict[str, Any],
        budget_ms: float = 0.0,
        cancellation: CancellationToken | None = None,
    ) -> Iterator[Any]:
        """The JSON objects of a streamed answer; closing the iterator closes the connection.

        Both forms in use are taken: lines of JSON, and server-sent events. A server may be
        silent for minutes before the first one, and not for long between them.

        Raises:
            TimeLimitError: `budget_ms` are over, whatever the server does; 0 means no limit.
            SupersededError: `cancellation` is cancelled.
            GenerationError: The server failed on the way.
            ModelError: The server cannot be reached or refuses.
        """
        cancellation = cancellation or CancellationToken()
        started = time.monotonic()
        limit_at = started + budget_ms / 1000 if budget_ms > 0 else math.inf
        connect_by = min(limit_at, started + _CONNECT_TIMEOUT_S)
        connection = self._connect(connect_by, limit_at, cancellation)
        active = _until(connection, min(limit_at, started + _PREFILL_TIMEOUT_S))
        response = None
        try:
            with cancellation.on_cancel(active.shutdown):
                response = self._send(connection, path, body)
                if response.status != http.client.OK:
                    self._check_status(response, path, response.read(_MAX_BODY_BYTES))
                while line := response.readline(_MAX_LINE_BYTES):
                    # Else it may be a line that was cut off.
                    cancellation.check()
                    text = line.strip().removeprefix(b"data:").strip()
                    if text and text != b"[DONE]" and not text.startswith((b":", b"event:")):
                        yield self._parsed(text)
                        active.ends_at = min(limit_at, time.monotonic() + _STALL_TIMEOUT_S)
        except (http.client.HTTPException, OSError) as error:
            failure = _failed(self.url, error, limit_at, cancellation)
            raise failure or self.broken_off(_reason(error)) from error
        finally:
            if response is not None:
                response.close()
            connection.close()
        cancellation.check()

    def broken_off(self, reason: str = "its answer has no end") -> GenerationError:
        """What to raise where a stream ended too early."""
        return GenerationError(
            f"the model server {self.url} broke off: {reason}", hint="look at the server's own log"
        )

    def _connect(
        self, ends_at: float, limit_at: float, cancellation: CancellationToken
    ) -> http.client.HTTPConnection:
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
                lambda: not cancellation.is_cancelled,
                is_encrypted=self._is_encrypted,
            )
        except OSError as error:
            raise self._unreachable(error, limit_at, cancellation) from error
        return connection

    def _send(
        self, connection: http.client.HTTPConnection, path: str, body: dict[str, Any] | None
    ) -> http.client.HTTPResponse:
        # A byte that is no UTF-8 stands in a text as a lone surrogate, which llama-server refuses.
        text = "" if body is None else json.dumps(body, ensure_ascii=False)
        content = None if body is None else text.encode("utf-8", "replace")
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

    def _unreachable(
        self, error: Exception, limit_at: float, cancellation: CancellationToken
    ) -> CodebuddyError:
        return _failed(self.url, error, limit_at, cancellation) or ModelError(
            f"the model server {self.url} cannot be reached: {_reason(error)}",
            hint="start it, correct model.url, or empty model.url to use llama.cpp in-process",
        )


def _until(connection: http.client.HTTPConnection, ends_at: float) -> TimedSocket:
    """The connection's socket, which has until `ends_at`.

    Kept by the caller: http.client gives it away where the answer ends the connection.
    """
    active: TimedSocket = connection.sock  # type: ignore[assignment]
    active.ends_at = ends_at
    return active


def _failed(
    url: str, error: Exception, limit_at: float, cancellation: CancellationToken
) -> CodebuddyError | None:
    """What to raise where the failure is no fault of the server's; else `None`."""
    if cancellation.is_cancelled:
        return SupersededError("the request was cancelled")
    if isinstance(error, TimeoutError) and time.monotonic() >= limit_at:
        return TimeLimitError(
            f"the model server {url} did not answer within the time that was given",
            hint="look at the server's own log, or give more time with --budget-ms",
        )
    return None


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine."""
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
