"""JSON over HTTP to one model server: requests, streamed lines, cancelling by closing.

Standard library alone. Every way in which a server can fail is one sentence with its
address. It knows no model and no prompt.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from codebuddy.errors import ConfigError, GenerationError, ModelError

_CONNECT_TIMEOUT_S = 3.0
# A server is silent while it evaluates a prompt, on a slow machine for long.
_READ_TIMEOUT_S = 300.0
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
        self._lock = threading.Lock()
        self._streaming: socket.socket | None = None
        self._is_cancelled = threading.Event()

    def close(self) -> None:
        """Close the connection that is kept for short requests."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The answer to a short request: GET without a body, else POST.

        Raises:
            ModelError: The server cannot be reached, refuses, or answers nonsense.
        """
        for is_last in (False, True):
            connection = self._connection or self._connect()
            try:
                response = self._send(connection, path, body)
                content = response.read(_MAX_BODY_BYTES)
            except (http.client.HTTPException, OSError) as error:
                connection.close()
                was_kept, self._connection = self._connection is not None, None
                # A connection that was kept may have been closed by the server meanwhile.
                if was_kept and not is_last:
                    continue
                raise self._unreachable(error) from error
            self._connection = connection
            self._check_status(response, path, content)
            return self._parsed(content)
        raise AssertionError("unreachable")

    def stream(self, path: str, body: dict[str, Any]) -> Iterator[Any]:
        """The JSON objects of a streamed answer; closing the iterator closes the connection.

        Both forms in use are taken: lines of JSON, and server-sent events.

        Raises:
            GenerationError: `cancel` was called, or the server failed on the way.
            ModelError: The server cannot be reached or refuses.
        """
        self._is_cancelled.clear()
        connection = self._connect()
        response = None
        with self._lock:
            # Kept apart: http.client gives the socket away where the answer ends the connection.
            self._streaming = connection.sock
        try:
            response = self._send(connection, path, body)
            if response.status != http.client.OK:
                self._check_status(response, path, response.read(_MAX_BODY_BYTES))
            while line := response.readline(_MAX_LINE_BYTES):
                text = line.strip().removeprefix(b"data:").strip()
                if text and text != b"[DONE]" and not text.startswith((b":", b"event:")):
                    yield self._parsed(text)
        except (http.client.HTTPException, OSError) as error:
            if self._is_cancelled.is_set():
                raise GenerationError("cancelled") from error
            raise self.broken_off(_reason(error)) from error
        finally:
            with self._lock:
                self._streaming = None
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
        """End the running stream at once; servers stop when their client is gone."""
        self._is_cancelled.set()
        with self._lock:
            if self._streaming is not None:
                with contextlib.suppress(OSError):
                    self._streaming.shutdown(socket.SHUT_RDWR)

    def _connect(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._is_encrypted else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=_CONNECT_TIMEOUT_S)
        try:
            connection.connect()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._unreachable(error) from error
        connection.sock.settimeout(_READ_TIMEOUT_S)
        return connection

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
        raise ModelError(
            f"the model server {self.url} answered {path} with {response.status}: {text}",
            hint="check model.url; the server must be llama-server or Ollama",
        )

    def _parsed(self, content: bytes) -> Any:
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ModelError(
                f"the model server {self.url} did not answer in JSON",
                hint="check model.url; the server must be llama-server or Ollama",
            ) from error

    def _unreachable(self, error: Exception) -> ModelError:
        return ModelError(
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
