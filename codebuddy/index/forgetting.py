"""What else of a file's code is on disk, and goes when the file does.

The index itself zeroes what it frees (schema.py) and drops terms that no live chunk holds
(writer.py). Beside it lie vectors of the second tier, labelled holes by the path of their file,
and, for all repositories, what models have read: derived data, all of it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from codebuddy import paths
from codebuddy.index.second_tier import CACHE_NAME
from codebuddy.private_files import make_folder, read_file, write_file

# Touched when files went away: what a model holds in memory from before is not kept on disk.
MARKER_NAME = "forget"
_MAX_LABELS_BYTES = 256 << 20
_LABELS = ("head-labels.jsonl", "head-labels.*.old")
_READ = ("*.kv", "*.taken")


def leave_nothing(folder: Path, removed: Collection[str]) -> None:
    """Delete what is derived from files that are gone.

    Args:
        folder: Of the repository's index.
        removed: The paths of the files.
    """
    if not removed:
        return
    for name in (CACHE_NAME, f"{CACHE_NAME}-journal", f"{CACHE_NAME}-wal", f"{CACHE_NAME}-shm"):
        with suppress(OSError):
            (folder / name).unlink(missing_ok=True)
    for pattern in _LABELS:
        for file in folder.glob(pattern):
            with suppress(OSError):
                _drop_rows(file, removed)
    state = paths.engine_state_folder()
    with suppress(OSError):
        make_folder(state)
        write_file(state / MARKER_NAME, f"{time.time_ns()}\n".encode())
    for pattern in _READ:
        for file in state.glob(pattern):
            with suppress(OSError):
                file.unlink()


def forgotten_at() -> bytes:
    """When files went away last, in whatever repository; empty if none ever did."""
    try:
        return read_file(paths.engine_state_folder() / MARKER_NAME, 64)
    except OSError:
        return b""


def _drop_rows(file: Path, removed: Collection[str]) -> None:
    lines = read_file(file, _MAX_LABELS_BYTES).split(b"\n")
    kept = [line for line in lines if _path_of(line) not in removed]
    if len(kept) < len(lines):
        write_file(file, b"\n".join(kept), is_durable=True)


def _path_of(line: bytes) -> str:
    try:
        return str(json.loads(line)["path"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
