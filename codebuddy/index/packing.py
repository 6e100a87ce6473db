"""Texts of the index, packed small, and unpacked without trust in what they claim to be."""

from __future__ import annotations

import zlib

from codebuddy.index.schema import DamagedIndexError

_MAX_UNPACKED_BYTES = 1 << 28


def pack_text(source: bytes) -> bytes:
    """A chunk's bytes, small."""
    return zlib.compress(source, 6)


def unpack_bytes(data: bytes) -> bytes:
    """Unpack what is far below the limit unless somebody planted it."""
    unpacking = zlib.decompressobj()
    found = unpacking.decompress(data, _MAX_UNPACKED_BYTES)
    if not unpacking.eof:
        raise DamagedIndexError("the index is damaged: a packed column has no end")
    return found


def unpack_text(data: bytes, n_bytes: int) -> str:
    """A chunk's text; bytes that are not UTF-8 are shown as the replacement character."""
    # Bounded, so that a planted index cannot unpack into gigabytes.
    source = zlib.decompressobj().decompress(data, n_bytes + 1)
    if len(source) != n_bytes:
        raise DamagedIndexError("the index is damaged: a chunk's text has the wrong length")
    return source.decode("utf-8", "replace")
