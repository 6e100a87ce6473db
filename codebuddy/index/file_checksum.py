"""Checksum of the whole database file, in a file beside it, rewritten after each update.

A row's own checksum cannot detect that a damaged B-tree no longer reaches the row. This one can:
opening an index whose file checksum is current compares every byte. A killed writer leaves an
outdated checksum; readers then rely on the rows' checksums, and the next update checks everything
before it writes a new one.

It knows nothing of tables. SQLite's file locks are lost when a process closes any
descriptor of the file, so those that are opened here stay open, one a database.
"""

from __future__ import annotations

import errno
import os
import threading
import zlib
from pathlib import Path
from typing import IO

from codebuddy.private_files import open_plain, read_file, write_file

_BLOCK_BYTES = 1 << 20
# Where SQLite's file format keeps the number that every commit changes.
_CHANGE_COUNTER = slice(24, 28)
_HEADER_BYTES = 100
_MAX_CHECKSUM_BYTES = 200

_descriptors: dict[tuple[int, int], int] = {}
_lock = threading.Lock()


def write(file: Path) -> None:
    """Write the checksum of `file`, in a transaction that excludes writers, if it is outdated."""
    if is_current(file):
        return
    put(file, _state(file, with_crc=True))


def put(file: Path, state: tuple[int, int, int]) -> None:
    """Record that state of `file`: change counter, size in bytes, CRC-32."""
    counter, size, crc = state
    write_file(_place(file), f"{counter} {size} {crc}\n".encode("ascii"))


def copy(file: Path, new: Path) -> tuple[int, int, int] | None:
    """Copy `file` to the file `new`, which must not be there, in a transaction.

    Returns:
        The state to record for the copy; `None` where the original has no checksum.

    Raises:
        OSError: It cannot be read or written, or its bytes do not match its checksum.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(new, flags, 0o600), "wb") as stream:
        state = _state(file, with_crc=True, into=stream)
    if _recorded_state(file)[:2] != list(state[:2]):
        return None
    if _recorded_state(file) != list(state):
        raise OSError(errno.EIO, "its bytes have changed")
    return state


def remove(file: Path) -> None:
    """Delete the checksum, before the file is exchanged for another."""
    _place(file).unlink(missing_ok=True)


def check(file: Path) -> bool | None:
    """Whether the bytes match the checksum; `None` without one of this state.

    To be called inside a transaction, which keeps writers away.
    """
    if not is_current(file):
        return None
    return _recorded_state(file) == list(_state(file, with_crc=True))


def is_current(file: Path) -> bool:
    """Whether the checksum is of the file's present state, by SQLite's own change counter."""
    counter, size, _ = _state(file, with_crc=False)
    return _recorded_state(file)[:2] == [counter, size]


def beginning(file: Path) -> tuple[int, bytes]:
    """The file's size, and its first bytes: more than SQLite's header has."""
    with _lock:
        descriptor = _descriptor(file)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return os.fstat(descriptor).st_size, os.read(descriptor, _HEADER_BYTES)


def _recorded_state(file: Path) -> list[int]:
    try:
        content = read_file(_place(file), _MAX_CHECKSUM_BYTES)
        return [int(number) for number in content.decode("ascii").split()]
    except (OSError, ValueError):
        return []


def _place(file: Path) -> Path:
    return file.with_suffix(".seal")


def _state(file: Path, *, with_crc: bool, into: IO[bytes] | None = None) -> tuple[int, int, int]:
    """Change counter, size in bytes, and CRC-32 if asked for; the bytes go `into` a copy."""
    with _lock:
        descriptor = _descriptor(file)
        os.lseek(descriptor, 0, os.SEEK_SET)
        size = crc = 0
        counter = -1
        while block := os.read(descriptor, _BLOCK_BYTES):
            if counter < 0:
                counter = int.from_bytes(block[_CHANGE_COUNTER], "big")
                if not with_crc:
                    return counter, os.fstat(descriptor).st_size, 0
            crc = zlib.crc32(block, crc)
            size += len(block)
            if into is not None:
                into.write(block)
        return counter, size, crc


def _descriptor(file: Path) -> int:
    status = file.lstat()
    key = (status.st_dev, status.st_ino)
    if key not in _descriptors:
        # Of databases that are gone nobody else holds a lock that counts.
        for old in [each for each, held in _descriptors.items() if not os.fstat(held).st_nlink]:
            os.close(_descriptors.pop(old))
        _descriptors[key] = open_plain(file)
    return _descriptors[key]
