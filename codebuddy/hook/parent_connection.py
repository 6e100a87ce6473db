"""Messages of the review process to its parent: a line of JSON each."""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from typing import Any


class ParentConnection:
    """The writing end of the pipe. What was sent stays readable if this process dies."""

    def __init__(self, descriptor: int) -> None:
        self._stream = os.fdopen(descriptor, "wb")
        self._lock = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        """Write one line.

        Raises:
            OSError: The reader is gone.
        """
        with self._lock:
            self._stream.write(json.dumps(message).encode("ascii") + b"\n")
            self._stream.flush()

    def __enter__(self) -> ParentConnection:
        return self

    def __exit__(self, *exception: object) -> None:
        with suppress(OSError):
            self._stream.close()
