"""The bytes of a GGUF header, read as they are asked for, and bounded."""

from __future__ import annotations

import os
import struct

# A header of 262,000 tokens with scores, types and merges takes about 15 MB.
_MAX_HEADER_BYTES = 64 << 20
_READ_BYTES = 1 << 20

SCALARS = {
    kind: struct.Struct(f"<{code}")
    for kind, code in {
        0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
    }.items()
}  # fmt: skip


class DamagedError(Exception):
    """The header breaks a rule; the text says which."""


class Reader:
    """The first bytes of a file, read as they are asked for, never beyond its end or the cap."""

    def __init__(self, descriptor: int, file_bytes: int) -> None:
        self._descriptor = descriptor
        self.file_bytes = file_bytes
        self.data = bytearray()
        self.offset = 0

    def need(self, count: int) -> None:
        """Have `count` more bytes at hand from the offset on."""
        end = self.offset + count
        if end <= len(self.data):
            return
        if end > self.file_bytes:
            raise DamagedError("its header goes beyond the end of the file")
        if end > _MAX_HEADER_BYTES:
            raise DamagedError(f"its header is larger than {_MAX_HEADER_BYTES >> 20} MiB")
        while len(self.data) < end:
            piece = os.read(self._descriptor, max(_READ_BYTES, end - len(self.data)))
            if not piece:
                raise DamagedError("it became shorter while it was read")
            self.data += piece

    def scalar(self, layout: struct.Struct) -> int | float | bool:
        """One number."""
        self.need(layout.size)
        value: int | float | bool = layout.unpack_from(self.data, self.offset)[0]
        self.offset += layout.size
        return value

    def u32(self) -> int:
        """One unsigned 32-bit number."""
        return int(self.scalar(SCALARS[4]))

    def u64(self) -> int:
        """One unsigned 64-bit number."""
        return int(self.scalar(SCALARS[10]))

    def string(self, what: str, max_bytes: int) -> bytes:
        """One length-prefixed string of at most `max_bytes`."""
        length = self.u64()
        if length > max_bytes:
            raise DamagedError(f"{what} claims to be {length} bytes long")
        self.need(length)
        start = self.offset
        self.offset += length
        return bytes(self.data[start : self.offset])

    def skip(self, count: int) -> None:
        """Pass over `count` bytes."""
        self.need(count)
        self.offset += count

    def skip_strings(self, count: int) -> None:
        """Pass over `count` length-prefixed strings; the one loop that has to be quick."""
        unpack, data = SCALARS[10].unpack_from, self.data
        offset = self.offset
        for _ in range(count):
            if offset + 8 > len(data):
                self.offset = offset
                self.need(8)
            offset += 8 + unpack(data, offset)[0]
            if offset > len(data):
                self.offset = len(data)
                self.need(offset - len(data))
        self.offset = offset
