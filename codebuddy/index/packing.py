"""Texts of the index, packed small, and unpacked without trust in what they claim to be.

A kilobyte can unpack to a megabyte: the caller limits the size.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

from codebuddy.index.schema import DamagedIndexError
from codebuddy.private_files import parse_json


def pack_text(source: bytes) -> bytes:
    """A chunk's bytes, small."""
    return zlib.compress(source, 6)


def pack_json(value: Any, max_bytes: int) -> bytes | None:
    """A value, small, in ASCII; `None` if `unpack_json` would refuse it."""
    content = json.dumps(value, separators=(",", ":")).encode("ascii")
    return zlib.compress(content, 6) if len(content) <= max_bytes else None


def unpack_bytes(data: bytes, max_bytes: int) -> bytes:
    """What was packed, if it is no more than `max_bytes`.

    Raises:
        DamagedIndexError: It is more, or nothing that was packed.
    """
    unpacking = zlib.decompressobj()
    try:
        found = unpacking.decompress(data, max_bytes + 1)
    except zlib.error as error:
        raise DamagedIndexError("the index is damaged: a packed column is none") from error
    if not unpacking.eof or unpacking.unused_data or len(found) > max_bytes:
        raise DamagedIndexError("the index is damaged: a packed column has no end")
    return found


def unpack_text(data: bytes, n_bytes: int) -> str:
    """A chunk's text; bytes that are not UTF-8 are shown as the replacement character."""
    source = unpack_bytes(data, n_bytes)
    if len(source) != n_bytes:
        raise DamagedIndexError("the index is damaged: a chunk's text has the wrong length")
    return source.decode("utf-8", "replace")


def unpack_json(data: bytes, max_bytes: int) -> Any:
    """The value of `pack_json`; what it is made of is for the caller to check.

    Raises:
        DamagedIndexError: It is none.
    """
    try:
        return parse_json(unpack_bytes(data, max_bytes))
    except ValueError as error:
        raise DamagedIndexError("the index is damaged: a packed column is no JSON") from error


def is_list_of(value: object, kind: type, max_items: int) -> bool:
    """Whether `value` is a list of up to so many things of exactly this type."""
    return (
        isinstance(value, list)
        and len(value) <= max_items
        and all(type(each) is kind for each in value)
    )
