"""Unsaved text kept safe: written aside while it is typed, offered again after a crash.

A record lies in the repository's codebuddy folder, one file per document and running editor,
readable by its owner alone. An editor replaces and drops its own records only. What one that
ended left behind stays until a person takes it or throws it away; one that cannot be read is
put aside, never deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from codebuddy import platforms
from codebuddy.private_files import (
    make_folder,
    open_plain,
    read_json,
    whole_number,
    why_not_private,
    write_file,
)

# The largest file that is opened, each byte of it escaped in JSON, and as much again typed.
_MAX_RECORD_BYTES = 512 << 20
# A record takes less to be written.
_UNFINISHED_FOR_S = 3600.0
# More lines or columns than a file that the editor opens can have.
_MAX_PLACE = 1 << 31
# `unsaved` in `tui` in codebuddy's folder.
_OWN_LEVELS = 3
_SUFFIX, _DAMAGED_SUFFIX = ".json", ".damaged"


@dataclass(frozen=True, slots=True)
class Record:
    """Unsaved text of `path` (relative to the root); `base` is the digest it was based on."""

    path: str
    text: str
    line: int
    column: int
    base: str
    saved_at_s: float


@dataclass(frozen=True, slots=True)
class Leftover:
    """A record of an editor that ended, and the file that holds it."""

    record: Record
    file: Path


class Journal:
    """The records of a repository; `folder` is made when the first is written.

    Args:
        folder: Where they lie.
        spare: Where they are written while `folder` cannot be.
    """

    def __init__(self, folder: Path, spare: Path | None = None) -> None:
        self._folders = [folder] if spare is None else [folder, spare]
        self._lock = threading.Lock()
        self._turns = itertools.count(1)
        self._last_turns: dict[str, int] = {}
        self._editor = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._running = contextlib.ExitStack()
        self._is_marked = False

    def turn(self) -> int:
        """A number that says in which order things are to be kept and dropped."""
        return next(self._turns)

    def write_record(self, record: Record, turn: int | None = None) -> None:
        """Write a record in the place of the document's last one of this editor.

        Args:
            record: What to write.
            turn: When that was asked for; now by default. Threads may come late: nothing is done
                once the document has a record, or lost it, of a later turn.

        Raises:
            OSError: It cannot be written anywhere; the last one is still there.
        """
        with self._lock:
            if self._is_due(record.path, turn):
                self._mark_running()
                self._write_somewhere(record)

    def _is_due(self, path: str, turn: int | None) -> bool:
        turn = self.turn() if turn is None else turn
        if turn < self._last_turns.get(path, 0):
            return False
        self._last_turns[path] = turn
        return True

    def _write_somewhere(self, record: Record) -> None:
        files = self._own_files(record.path)
        for place, file in enumerate(files):
            try:
                _write(file, record)
            except OSError:
                if place + 1 == len(files):
                    raise
            else:
                for other in files:
                    if other != file:
                        _unlink(other)
                return

    def drop(self, path: str, turn: int | None = None) -> None:
        """Forget this editor's record of a document; `turn` is as in `write_record`."""
        with self._lock:
            if self._is_due(path, turn):
                for file in self._own_files(path):
                    _unlink(file)

    def has(self, path: str) -> bool:
        """Whether this editor's record of a document is there."""
        return any(file.is_file() for file in self._own_files(path))

    def record_of(self, path: str) -> Record | None:
        """The newest record of a document, this editor's own or one left behind, or `None`."""
        own = [_read(file) for file in self._own_files(path)]
        left = [leftover.record for leftover in self.leftovers(path)]
        return max([*filter(None, own), *left], key=_age_key, default=None)

    def leftovers(self, path: str) -> list[Leftover]:
        """What editors that ended left of a document, the newest first."""
        found = [each for each in self._all(_digest(path)) if not self._is_in_use(each.file)]
        return sorted(found, key=lambda each: _age_key(each.record), reverse=True)

    def delete_leftover(self, leftover: Leftover) -> None:
        """Forget what an editor left behind."""
        _unlink(leftover.file)

    def waiting(self) -> list[str]:
        """The documents of which editors that ended left something.

        What they left besides, an empty mark or a record that was never finished, is taken away.
        """
        self._sweep()
        left = [each.record.path for each in self._all() if not self._is_in_use(each.file)]
        return sorted(set(left))

    def is_kept_elsewhere(self, path: str) -> bool:
        """Whether another running editor has unsaved text of a document."""
        others = [each for each in self._all(_digest(path)) if _editor_of(each.file)]
        others = [each for each in others if _editor_of(each.file) != self._editor]
        return any(self._is_in_use(each.file) for each in others)

    def put_aside(self, path: str) -> list[Path]:
        """Give records of a document that cannot be read another name; where they are now."""
        moved = []
        for file in self._files(_digest(path)):
            if self._is_in_use(file) or not _is_damaged(file):
                continue
            with contextlib.suppress(OSError):
                name = f"{file.stem}.{secrets.token_hex(4)}{_DAMAGED_SUFFIX}"
                moved.append(file.rename(file.with_name(name)))
        return moved

    def records(self) -> list[Record]:
        """All of them, those of running editors too, the newest first."""
        return sorted((each.record for each in self._all()), key=_age_key, reverse=True)

    def close(self) -> None:
        """This editor ends: what it leaves is offered to the next one."""
        with self._lock:
            self._is_marked = True
            self._running.close()
            with contextlib.suppress(OSError):
                self._mark_of(self._editor).unlink(missing_ok=True)

    # Files

    def _all(self, digest: str = "") -> Iterator[Leftover]:
        for file in self._files(digest):
            record = _read(file)
            if record is not None:
                yield Leftover(record, file)

    def _files(self, digest: str) -> list[Path]:
        found: list[Path] = []
        for folder in self._own_folders():
            with contextlib.suppress(OSError):
                found += sorted(folder.glob(f"{digest}*{_SUFFIX}"))
        return found

    def _own_files(self, path: str) -> list[Path]:
        name = f"{_digest(path)}.{self._editor}{_SUFFIX}"
        return [folder / name for folder in self._own_folders() or self._folders]

    def _own_folders(self) -> list[Path]:
        """The folders that no link leads out of: what lies elsewhere is not read or dropped."""
        return [folder for folder in self._folders if not any(map(why_not_private, _own(folder)))]

    # Who is running: an editor holds a lock as long as it lives, however it ends

    def _mark_of(self, editor: str) -> Path:
        return self._folders[0].with_name("running") / editor

    def _mark_running(self) -> None:
        if self._is_marked:
            return
        self._is_marked = True
        mark = self._mark_of(self._editor)
        # Where nothing can be locked, another editor may offer this one's text; `has` notices
        # if it throws it away.
        with contextlib.suppress(OSError):
            make_folder(mark.parent, levels=_OWN_LEVELS)
            self._running.enter_context(platforms.exclusive_lock(mark, 0.0))

    def _is_in_use(self, file: Path) -> bool:
        """Whether the editor that wrote a record runs, this one included."""
        editor = _editor_of(file)
        if editor == self._editor:
            return True
        mark = self._mark_of(editor)
        # Records of earlier versions name no editor. Another editor of this process has ended.
        if not editor or editor.startswith(f"{os.getpid()}-") or not mark.is_file():
            return False
        try:
            with platforms.exclusive_lock(mark, 0.0):
                mark.unlink(missing_ok=True)
        except TimeoutError:
            return True
        except OSError:
            return False
        return False

    def _sweep(self) -> None:
        with contextlib.suppress(OSError):
            for mark in self._mark_of(self._editor).parent.iterdir():
                if mark.name != self._editor and mark.is_file():
                    with contextlib.suppress(OSError), platforms.exclusive_lock(mark, 0.0):
                        mark.unlink(missing_ok=True)
        for folder in self._own_folders():
            with contextlib.suppress(OSError):
                for unfinished in folder.glob(".*.tmp"):
                    if time.time() - unfinished.stat().st_mtime > _UNFINISHED_FOR_S:
                        _unlink(unfinished)


def _digest(path: str) -> str:
    return hashlib.sha256(path.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _editor_of(file: Path) -> str:
    """The editor in the name of a record's file; empty where there is none."""
    return file.name.removesuffix(_SUFFIX).partition(".")[2]


def _own(folder: Path) -> list[Path]:
    """The parts of a journal's folder that are codebuddy's own."""
    return [folder, *folder.parents[: _OWN_LEVELS - 1]]


def _age_key(record: Record) -> float:
    # A clock that was wrong is no reason to come before all others.
    return min(record.saved_at_s, time.time())


def _write(file: Path, record: Record) -> None:
    make_folder(file.parent, levels=_OWN_LEVELS)
    write_file(file, json.dumps(asdict(record)).encode("ascii"), is_durable=True)


def _unlink(file: Path) -> None:
    with contextlib.suppress(OSError):
        file.unlink(missing_ok=True)


def _is_damaged(file: Path) -> bool:
    """Whether a file can be read, and is no record."""
    try:
        os.close(open_plain(file))
    except OSError:
        return False
    return _read(file) is None


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
