"""One request to the engine and the lines of its answer. Standard library only.

It takes a socket that is connected already and closes it; who listens there, and what an
answer means, is `client.py`'s matter.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
from collections.abc import Iterator, Mapping
from typing import Any

from codebuddy.engine.protocol import (
    ALIVE_EVERY_S,
    IDENTITY_HEADER,
    decode_line,
    encode_message,
    error_from_wire,
)
from codebuddy.errors import EngineError, UsageError

# The engine says that it lives every second; after so many missed ones it is dead or hung.
SILENCE_TIMEOUT_S = 10 * ALIVE_EVERY_S


class IdentityMismatchError(Exception):
    """The engine is of another version, or has other settings of its own."""


class EngineExitedError(EngineError):
    """The engine closed the connection without a word, or said that it ends."""


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a socket that is connected already."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__("engine")
        self.sock = connection

    def connect(self) -> None:
        """Nothing: it is connected. A second request would need another one."""
        if self.sock is None:
            raise EngineError("the engine closed the connection")


def exchange(
    connection: socket.socket,
    method: str,
    path: str,
    head: Mapping[str, Any],
    body: bytes,
    own_identity: str,
    silence_s: float = SILENCE_TIMEOUT_S,
) -> Iterator[dict[str, Any]]:
    """Send one request and yield the lines of its answer.

    Raises:
        EngineError: The engine is silent, or gone before the answer's end.
        CodebuddyError: What a refusal (400, 429) says.
    """
    connection.settimeout(silence_s)
    channel = _UnixConnection(connection)
    try:
        headers = {"Connection": "close", "Content-Type": "application/x-ndjson"}
        if own_identity:
            headers[IDENTITY_HEADER] = own_identity
        content = encode_message(head, body) if method == "POST" else b""
        with contextlib.suppress(ConnectionError):
            # A refusal does not wait for the body, whose sending then fails.
            channel.request(method, path, body=content or None, headers=headers)
        try:
            response = channel.getresponse()
        except ConnectionError as error:
            raise EngineExitedError("the engine closed the connection without an answer") from error
        with response:
            if response.status == http.client.CONFLICT:
                raise IdentityMismatchError
            if response.status == http.client.SERVICE_UNAVAILABLE:
                raise EngineExitedError("the engine ended before it answered")
            while line := response.readline():
                event = _event_of(line)
                if response.status >= http.client.BAD_REQUEST:
                    raise error_from_wire(event)
                yield event
    except TimeoutError as error:
        raise EngineError(
            f"the engine gave no sign of life for {silence_s:.0f} s",
            hint="codebuddy engine stop",
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise EngineError("the engine ended before its answer did", hint="try again") from error
    finally:
        channel.close()


def _event_of(line: bytes) -> dict[str, Any]:
    try:
        return decode_line(line)
    except UsageError as error:
        raise EngineError("the engine's answer cannot be read") from error
