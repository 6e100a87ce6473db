"""The files that a suggestion was made from beside the text: index, heads, weights.

A suggestion that is kept is right while they are as they were. The maker names them with their
stamps; the cache compares stamps, which costs a few calls of the operating
system and opens nothing: closing a database's file would end SQLite's locks on it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codebuddy.completion.cache import CachedSuggestion

# Where an answer names them: pairs of path and stamp.
KEY = "depends_on"
# What stands on the screen is not exchanged while a person types it, because an index that is
# brought up to date in the background has just changed.
_ON_SCREEN_S = 60.0


def stamped(files: Iterable[Path]) -> list[list[str]]:
    """Each file with its stamp."""
    return [[str(file), _stamp(str(file))] for file in files]


def may_be_served(hit: CachedSuggestion[Any]) -> bool:
    """Whether a suggestion that was kept is still right.

    It is while the files that it was made from are unchanged, and for a minute while a person
    types what it says.
    """
    if hit.typed > 0 and hit.age_s < _ON_SCREEN_S:
        return True
    return is_current(hit.value)


def is_current(answer: Mapping[str, Any]) -> bool:
    """Whether the files that an answer was made from are as they were."""
    return all(_stamp(str(file)) == stamp for file, stamp in answer.get(KEY) or ())


def file_identity(file: Path | str | None) -> tuple[int, ...]:
    """Device, inode, size and time of change; empty where there is no such file."""
    if file is None:
        return ()
    try:
        status = os.stat(file)  # noqa: PTH116
    except (OSError, ValueError):
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _stamp(file: str) -> str:
    return " ".join(str(number) for number in file_identity(file))
