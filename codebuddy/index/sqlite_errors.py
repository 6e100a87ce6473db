"""What SQLite's errors mean for an index: damage, or something that leaves it as it is.

Only damage lets an update throw an index away, so that everything else must not count as it:
a full disk, a lock, a folder that cannot be written, a database closed meanwhile.
"""

from __future__ import annotations

import errno
import sqlite3
import threading
from pathlib import Path

from codebuddy.errors import IndexingError

# The bytes are not what SQLite or codebuddy wrote. A violated constraint is an index of the
# database that disagrees with its table: codebuddy never inserts what is there.
_DAMAGE = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_FORMAT,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
    }
)
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_CLOSED_TO_US = frozenset(
    {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
    }
)
_STOPPED = frozenset({sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_ABORT})
# Misuse is what a closed connection and a wrong thread give, where Python does not notice first.
_MISUSE = frozenset({sqlite3.SQLITE_MISUSE, sqlite3.SQLITE_RANGE})
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FULL_HINT = "free some space and run 'codebuddy index' again"


def is_damage(error: Exception) -> bool:
    """Whether the error alone proves that the database's bytes are wrong."""
    return _code(error) in _DAMAGE


def is_ctrl_c(error: Exception) -> bool:
    """Whether Ctrl-C came in the progress handler, whose exceptions SQLite makes an interrupt.

    Nothing else interrupts the main thread's statements but the limit of steps, which its
    handler notes.
    """
    is_main = threading.current_thread() is threading.main_thread()
    return is_main and _code(error) == sqlite3.SQLITE_INTERRUPT


def explained(file: Path, error: Exception) -> IndexingError | None:
    """The error as one that leaves the index alone.

    `None` where it is damage, and where it may be: then a look at the file decides.
    """
    if isinstance(error, MemoryError):
        return _out_of_memory(file)
    code = _code(error)
    if code in _BUSY:
        return IndexingError(
            f"the index {file} is busy: another process is writing it",
            hint="try again in a moment",
        )
    if code == sqlite3.SQLITE_FULL:
        return IndexingError(f"the disk is full while writing the index {file}", hint=_FULL_HINT)
    if code in _CLOSED_TO_US:
        return IndexingError(
            f"the index {file} cannot be opened: {error}",
            hint="check the rights of its folder",
        )
    if code == sqlite3.SQLITE_IOERR:
        return IndexingError(
            f"the index {file} cannot be read or written: {error}",
            hint="check the disk's free space and health",
        )
    if code == sqlite3.SQLITE_NOMEM:
        return _out_of_memory(file)
    if code in _STOPPED:
        return IndexingError(f"the work on the index {file} was interrupted", hint="try again")
    if code in _MISUSE or (code < 0 and not isinstance(error, sqlite3.OperationalError)):
        return IndexingError(f"the index {file} was closed while it was in use", hint="try again")
    return None


def of_system(file: Path, error: OSError) -> IndexingError:
    """What the system refuses beside SQLite."""
    if error.errno in _NO_ROOM:
        return IndexingError(f"the disk is full while writing the index {file}", hint=_FULL_HINT)
    return IndexingError(
        f"the index {file} cannot be used: {error.strerror or error}",
        hint="make its folder writable, or set XDG_CACHE_HOME to one that is",
    )


def is_failed_write(error: IndexingError) -> bool:
    """Whether there was no room, or the disk failed: what was committed before is whole."""
    cause = error.__cause__
    if isinstance(cause, OSError):
        return cause.errno in _NO_ROOM or cause.errno == errno.EIO
    return isinstance(cause, sqlite3.Error) and _code(cause) in {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
    }


def unexplained(file: Path, error: Exception) -> IndexingError:
    """What SQLite refuses although the file is whole."""
    return IndexingError(
        f"the index {file} cannot be used: {error}",
        hint="try again; if it says so again, run 'codebuddy index --force'",
    )


def _code(error: Exception) -> int:
    """SQLite's primary code; -1 where Python itself refused."""
    code = getattr(error, "sqlite_errorcode", None)
    return -1 if code is None else int(code) & 0xFF


def _out_of_memory(file: Path) -> IndexingError:
    return IndexingError(
        f"there is not enough memory to use the index {file}",
        hint="end other programs, or set index.jobs lower",
    )
