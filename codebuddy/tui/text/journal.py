"""Unsaved text kept safe: written aside while it is typed, offered again after a crash.

A record lies in the repository's codebuddy folder, one file per document, readable by its
owner alone. It is gone once the text is saved or thrown away.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from codebuddy.private_files import (
    make_folder,
    read_json,
    whole_number,
    why_not_private,
    write_file,
)

_MAX_RECORD_BYTES = 96 << 20
# More lines or columns than a file that the editor opens can have.
_MAX_PLACE = 1 << 31
# `unsaved` in `tui` in the index's folder.
_OWN_LEVELS = 3
_KEPT_DAYS = 60


@dataclass(frozen=True, slots=True)
class Record:
    """Unsaved text of `path` (relative to the root); `base` is the digest it was based on."""

    path: str
    text: str
    line: int
    column: int
    base: str
    saved_at_s: float


class Journal:
    """The records of a repository; `folder` is made when the first is written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._turns = itertools.count(1)
        self._last_turns: dict[str, int] = {}

    def turn(self) -> int:
        """A number that says in which order things are to be kept and dropped."""
        return next(self._turns)

    def keep(self, record: Record, turn: int | None = None) -> None:
        """Write a record in the place of the document's last one.

        Args:
            record: What to write.
            turn: When that was asked for; now by default. Threads may come late: nothing is done
                once the document has a record, or lost it, of a later turn.

        Raises:
            OSError: It cannot be written; the last one is still there.
        """
        with self._lock:
            if self._is_due(record.path, turn):
                self._write(record)

    def _is_due(self, path: str, turn: int | None) -> bool:
        turn = self.turn() if turn is None else turn
        if turn < self._last_turns.get(path, 0):
            return False
        self._last_turns[path] = turn
        return True

    def _write(self, record: Record) -> None:
        make_folder(self._folder, levels=_OWN_LEVELS)
        write_file(self._file(record.path), json.dumps(asdict(record)).encode("ascii"))

    def drop(self, path: str, turn: int | None = None) -> None:
        """Forget a document's record; `turn` is as in `keep`."""
        with self._lock, contextlib.suppress(OSError):
            if self._is_due(path, turn) and self._is_own_folder():
                self._file(path).unlink(missing_ok=True)

    def record_of(self, path: str) -> Record | None:
        """The document's record, or `None`; a damaged one is none."""
        return _read(self._file(path)) if self._is_own_folder() else None

    def records(self) -> list[Record]:
        """All of them, the newest first; those of long ago are dropped."""
        found = []
        with contextlib.suppress(OSError):
            for file in self._folder.glob("*.json") if self._is_own_folder() else ():
                record = _read(file)
                if record is None:
                    continue
                if time.time() - record.saved_at_s > _KEPT_DAYS * 86400:
                    file.unlink(missing_ok=True)
                else:
                    found.append(record)
        # A clock that was wrong is no reason to lose text, nor to come before all other.
        now = time.time()
        return sorted(found, key=lambda record: -min(record.saved_at_s, now))

    def _is_own_folder(self) -> bool:
        """Whether no link leads there: what lies elsewhere is neither read nor dropped."""
        own = [self._folder, *self._folder.parents[: _OWN_LEVELS - 1]]
        return not any(map(why_not_private, own))

    def _file(self, path: str) -> Path:
        name = hashlib.sha256(path.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return self._folder / f"{name}.json"


def _read(file: Path) -> Record | None:
    try:
        record = Record(**read_json(file, _MAX_RECORD_BYTES))
        whole_number(record.line, 0, _MAX_PLACE)
        whole_number(record.column, 0, _MAX_PLACE)
    except (OSError, ValueError, TypeError):
        return None
    is_text = all(isinstance(each, str) for each in (record.path, record.text, record.base))
    if not is_text or type(record.saved_at_s) not in (int, float) or record.saved_at_s < 0:
        return None
    return record
