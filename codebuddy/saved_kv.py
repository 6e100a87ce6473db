"""What models have read, as the engine keeps it on disk between two starts, and when to drop it.

A file is of all repositories at once. Its head names those whose code the model has read, by ids
that lie beside their indexes and move along with them; what has no such names may be of any.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from codebuddy import paths
from codebuddy.private_files import make_folder, open_plain, parse_json, read_file, write_file

# Touched when files went away: what a model holds in memory from before is not kept on disk.
MARKER_NAME = "forget"
# In the folder of an index.
READER_NAME = "reader-id"
# Of code whose repository nobody knows.
UNKNOWN = ""
# Of a process that was killed while it wrote, and of one that crashed on what it took up.
_LEFT_BEHIND = (".*.kv.*.tmp", "*.taken")
_READ = ("*.kv", *_LEFT_BEHIND)
_ID_BYTES = 8
_MAX_HEAD_BYTES = 4 << 20


def reader_id(index_folder: Path) -> str:
    """The id of the repository with that index, made where there is none; else `UNKNOWN`.

    Who gets a new id may have had another one, by which older files name it: they are dropped.
    """
    known = _read_id(index_folder)
    if known != UNKNOWN:
        return known
    made = secrets.token_hex(_ID_BYTES)
    try:
        make_folder(index_folder)
        write_file(index_folder / READER_NAME, made.encode())
    except OSError:
        return UNKNOWN
    forget_all()
    return made


def forget(index_folder: Path) -> None:
    """Delete what models have read of the repository with that index, or may have."""
    gone = _read_id(index_folder)
    if gone == UNKNOWN:
        forget_all()
        return
    _mark(f"{MARKER_NAME}-{gone}")
    for file in _files():
        if not _is_free_of(file, gone):
            with suppress(OSError):
                file.unlink()


def forget_all() -> None:
    """Delete what was kept, and let nobody keep what was read before now."""
    _mark(MARKER_NAME)
    for file in _files():
        with suppress(OSError):
            file.unlink()


def drop_left_behind() -> None:
    """Delete what killed processes left behind; for an engine that starts, before its workers."""
    for file in _files(_LEFT_BEHIND):
        with suppress(OSError):
            file.unlink()


def forgotten_at(reader: str) -> bytes:
    """When files of that repository went away last, or of all; empty if none ever did.

    Of `UNKNOWN`, when files of any did.
    """
    folder, names = paths.engine_state_folder(), [MARKER_NAME, f"{MARKER_NAME}-{reader}"]
    if reader == UNKNOWN:
        names = sorted(file.name for file in folder.glob(f"{MARKER_NAME}*"))
    told = []
    for name in names:
        with suppress(OSError):
            told.append(read_file(folder / name, 64))
    return b"".join(told)


def readers_of(file: Path) -> tuple[str, ...]:
    """The repositories that a file names; `UNKNOWN` where it names none."""
    try:
        with os.fdopen(open_plain(file), "rb") as stream:
            stream.readline(64)
            found = parse_json(stream.readline(_MAX_HEAD_BYTES))["readers"]
            return tuple(map(str, found)) if isinstance(found, list) else (UNKNOWN,)
    except (OSError, ValueError, KeyError, TypeError):
        return (UNKNOWN,)


def _is_free_of(file: Path, reader: str) -> bool:
    found = readers_of(file)
    return UNKNOWN not in found and reader not in found


def _files(patterns: Iterable[str] = _READ) -> Iterable[Path]:
    folder = paths.engine_state_folder()
    return [file for pattern in patterns for file in folder.glob(pattern)]


def _mark(name: str) -> None:
    folder = paths.engine_state_folder()
    with suppress(OSError):
        make_folder(folder)
        write_file(folder / name, f"{time.time_ns()}\n".encode())


def _read_id(index_folder: Path) -> str:
    try:
        found = read_file(index_folder / READER_NAME, 64).decode("ascii", "replace")
    except OSError:
        return UNKNOWN
    # What else stands there names no file.
    is_id = len(found) == 2 * _ID_BYTES and all(each in "0123456789abcdef" for each in found)
    return found if is_id else UNKNOWN
