"""Marker file that requests a rebuild after a reader found damage."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from codebuddy import platforms

_NAME = "index.suspect"


def mark_damaged(index_folder: Path) -> None:
    """Ask the next update to build the index anew; a folder that cannot be written asks nothing."""
    with suppress(OSError):
        platforms.create_marker(index_folder / _NAME)


def is_marked_damaged(index_folder: Path) -> bool:
    """Whether a reader has met damage since the index was built."""
    return os.path.lexists(index_folder / _NAME)


def clear(index_folder: Path) -> None:
    """The index has been moved aside."""
    (index_folder / _NAME).unlink(missing_ok=True)
