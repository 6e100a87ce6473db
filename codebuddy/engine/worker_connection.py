"""The worker's end of its socket pair: messages in and out, a heartbeat every second.

Both kinds of worker use it. When the engine's end closes, the worker exits.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from codebuddy import platforms
from codebuddy.engine.protocol import ALIVE_EVERY_S, decode_line, encode_line, error_to_wire
from codebuddy.errors import CodebuddyError, EngineError

OnMessage = Callable[[dict[str, Any], bytes], None]


class WorkerConnection:
    """Messages from and to the engine. `send` may be called from any thread."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._stream = self._socket.makefile("rb")
        self._lock = threading.Lock()

    def serve(self, on_message: OnMessage) -> None:
        """Hand every message to `on_message`, in a thread of its own; ends with the process."""
        threading.Thread(target=self._listen, args=(on_message,), daemon=True).start()
        threading.Thread(target=self._send_heartbeats, daemon=True).start()

    def send(self, message: dict[str, Any]) -> None:
        """Send one message; exit the process if the engine is gone."""
        line = encode_line(message)
        try:
            with self._lock:
                self._socket.sendall(line)
        except OSError:
            os._exit(0)

    def send_error(self, request_id: object, error: Exception) -> None:
        """Send the error of a request; a bug is reported by its places in our code."""
        if not isinstance(error, CodebuddyError):
            # No message: it could quote what the user wrote.
            frames = traceback.extract_tb(error.__traceback__)[-6:]
            places = ", ".join(f"{frame.name}:{frame.lineno}" for frame in frames)
            self.send({"type": "log", "text": f"bug {type(error).__name__} in {places}"})
            error = EngineError(
                f"the engine met a bug of its own: {type(error).__name__}",
                hint="use --no-engine; 'codebuddy engine logs' tells where",
            )
        self.send({"type": "error", "id": request_id, **error_to_wire(error)})

    def _listen(self, on_message: OnMessage) -> None:
        try:
            while line := self._stream.readline():
                message = decode_line(line)
                size = message.pop("body_bytes", 0)
                body = self._stream.read(size) if size else b""
                if len(body) != size:
                    break
                on_message(message, body)
        except OSError:
            pass
        # Native code may be running in the main thread: nothing less ends it.
        os._exit(0)

    def _send_heartbeats(self) -> None:
        while True:
            self.send({"type": "alive"})
            time.sleep(ALIVE_EVERY_S)


def open_connection() -> WorkerConnection:
    """The connection whose descriptor this worker was started with."""
    platforms.exit_with_parent()
    return WorkerConnection(int(sys.argv[1]))
