"""Messages of the Language Server Protocol taken off a byte stream, strictly.

Each has a header with exactly one `Content-Length`. Anything else ends the input as if the
editor had closed it: after a frame that cannot be read, no later byte can be trusted. It
knows nothing of what the messages say.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import BinaryIO

# A document of 32 MiB, escaped.
MAX_MESSAGE_BYTES = 128 << 20
_MAX_HEADER_LINE_BYTES = 1024
_MAX_HEADER_LINES = 16
_LENGTH = re.compile(rb"[Cc]ontent-[Ll]ength:[ \t]*(\d{1,12})[ \t]*")


class _BadFrameError(Exception):
    """A frame that cannot be read; the message says why."""


class FramedInput:
    """Stands between stdin and the protocol's reader, with `readline` and `read` as a file has.

    Args:
        stream: The editor's bytes.
        on_problem: Called with one sentence when a frame cannot be read.
    """

    def __init__(self, stream: BinaryIO, on_problem: Callable[[str], None]) -> None:
        self._stream = stream
        self._on_problem = on_problem
        self._lines: list[bytes] = []
        self._body = b""
        self.is_broken = False
        self.is_at_end = False

    def readline(self) -> bytes:
        """The next line of a header that is whole and right, or nothing at the end."""
        if not self._lines and not self.is_broken:
            try:
                self._lines = self._next_frame()
            except _BadFrameError as error:
                self.is_broken = True
                self._on_problem(str(error))
        return self._lines.pop(0) if self._lines else b""

    def read(self, size: int) -> bytes:
        """The body of the frame whose header was read last."""
        body, self._body = self._body[:size], b""
        return body

    def _next_frame(self) -> list[bytes]:
        """Read header and body; the header's lines in their plainest form, none at the end."""
        length = self._read_header()
        if length is None:
            return []
        body = self._stream.read(length)
        if len(body) < length:
            raise _BadFrameError(f"the input ended {length - len(body)} bytes inside a message")
        self._body = body
        return [b"Content-Length: %d\r\n" % length, b"\r\n"]

    def _read_header(self) -> int | None:
        lengths = []
        for number in range(_MAX_HEADER_LINES):
            line = self._stream.readline(_MAX_HEADER_LINE_BYTES)
            if not line and number == 0:
                self.is_at_end = True
                return None
            if not line.endswith(b"\n"):
                raise _BadFrameError("a header line is too long, or was cut off")
            line = line.rstrip(b"\r\n")
            if not line:
                break
            if b":" not in line:
                raise _BadFrameError("a header line holds no colon")
            if line.lower().startswith(b"content-length"):
                match = _LENGTH.fullmatch(line)
                lengths.append(int(match[1]) if match else -1)
        if len(lengths) != 1:
            raise _BadFrameError(f"a header has {len(lengths)} Content-Length lines instead of one")
        if not 0 < lengths[0] <= MAX_MESSAGE_BYTES:
            raise _BadFrameError(f"a Content-Length is not between 1 and {MAX_MESSAGE_BYTES}")
        return lengths[0]
