"""The files that a suggestion was made from beside the text: index, heads, weights.

A suggestion that is kept is right while they are as they were. Whoever makes one names them
with their stamps; whoever keeps it compares stamps, which costs a few calls of the operating
system and opens nothing: closing a database's file would end SQLite's locks on it.
"""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

# Where an answer names them: pairs of path and stamp.
KEY = "depends_on"
_MAX_REMEMBERED = 256


def stamped(files: Iterable[str]) -> list[list[str]]:
    """Each file with its stamp."""
    return [[file, _stamp(file)] for file in files]


def _stamp(file: str) -> str:
    """Device, inode, size and time of change; empty where there is no such file."""
    try:
        status = os.stat(file)  # noqa: PTH116
    except (OSError, ValueError):
        return ""
    return f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns}"


class Dependencies:
    """What the suggestions for each kind of request depend on, as the last answer told."""

    def __init__(self) -> None:
        self._files: OrderedDict[str, tuple[str, ...]] = OrderedDict()

    def learn(self, request: str, answer: Mapping[str, Any]) -> str:
        """Remember the files of an answer; a fingerprint for what it was made from.

        Args:
            request: Names the kind of request: everything but the text that tells one from
                another.
            answer: With the files and their stamps from before it was made.
        """
        named = answer.get(KEY) or []
        self._files[request] = tuple(str(file) for file, _ in named)
        self._files.move_to_end(request)
        if len(self._files) > _MAX_REMEMBERED:
            self._files.popitem(last=False)
        return _fingerprint(request, named)

    def now(self, request: str) -> str:
        """The fingerprint that an answer made from the files as they are now would have."""
        return _fingerprint(request, stamped(self._files.get(request, ())))


def _fingerprint(request: str, named: Iterable[Iterable[str]]) -> str:
    return json.dumps([request, [list(each) for each in named]])
