"""The index's database file: its tables, how it is opened, and what makes it unusable.

SQLite before 3.51.3 can corrupt a write-ahead log and never notices bit-rot, hence the
rollback journal and a checksum in every row. This module knows no row's meaning.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from codebuddy import platforms
from codebuddy.errors import IndexingError
from codebuddy.index import companions, file_checksum, sqlite_errors
from codebuddy.private_files import remedy_for, why_not_private

DATABASE_NAME = "index.db"
SCHEMA_VERSION = 2
# "cdbd", to recognize another program's database.
APPLICATION_ID = 0x63646264
BUSY_TIMEOUT_S = 10.0
# Steps of SQLite's machine, of which it takes some 100 million in a second.
_STEPS_AT_ONCE = 100_000
_STEPS_PER_BYTE = 10
_FREE_STEPS = 5_000_000
# Whether the limit ended what this thread asked last: SQLite says the same of any interrupt.
_steps = threading.local()
# A file that is exchanged while it is opened is opened again.
_OPEN_ATTEMPTS = 3

REBUILD_HINT = "run 'codebuddy index --force' to build it again"

# SQLite keeps these texts, and an index whose texts differ is not one of ours.
TABLES = {
    "meta": "CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL, crc INTEGER NOT NULL)"
    " WITHOUT ROWID",
    "files": "CREATE TABLE files (id INTEGER PRIMARY KEY, path BLOB NOT NULL,"
    " size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,"
    " inode INTEGER NOT NULL, digest BLOB NOT NULL, is_racy INTEGER NOT NULL,"
    " language TEXT NOT NULL, fallback TEXT NOT NULL, role TEXT NOT NULL,"
    " n_lines INTEGER NOT NULL,"
    " n_chunks INTEGER NOT NULL, crc INTEGER NOT NULL)",
    "details": "CREATE TABLE details (file_id INTEGER PRIMARY KEY, data BLOB NOT NULL,"
    " crc INTEGER NOT NULL)",
    "chunks": "CREATE TABLE chunks (id INTEGER PRIMARY KEY, file_id INTEGER NOT NULL,"
    " start_byte INTEGER NOT NULL, end_byte INTEGER NOT NULL, start_line INTEGER NOT NULL,"
    " end_line INTEGER NOT NULL, kind TEXT NOT NULL, symbol TEXT NOT NULL,"
    " signature TEXT NOT NULL, n_terms INTEGER NOT NULL, text BLOB NOT NULL,"
    " crc INTEGER NOT NULL)",
    "definitions": "CREATE TABLE definitions (id INTEGER PRIMARY KEY, file_id INTEGER NOT NULL,"
    " squashed TEXT NOT NULL, name TEXT NOT NULL, qualified TEXT NOT NULL, kind TEXT NOT NULL,"
    " line INTEGER NOT NULL, end_line INTEGER NOT NULL, signature TEXT NOT NULL,"
    " chunk_id INTEGER NOT NULL, crc INTEGER NOT NULL)",
    "skipped": "CREATE TABLE skipped (path BLOB PRIMARY KEY, reason TEXT NOT NULL,"
    " size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,"
    " inode INTEGER NOT NULL, digest BLOB NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID",
    "segments": "CREATE TABLE segments (id INTEGER PRIMARY KEY, n_documents INTEGER NOT NULL,"
    " document_ids BLOB NOT NULL, lengths BLOB NOT NULL, dead BLOB NOT NULL,"
    " crc INTEGER NOT NULL)",
    "postings": "CREATE TABLE postings (segment INTEGER NOT NULL, term TEXT NOT NULL,"
    " data BLOB NOT NULL, crc INTEGER NOT NULL, PRIMARY KEY (segment, term)) WITHOUT ROWID",
    "vectors": "CREATE TABLE vectors (file_id INTEGER PRIMARY KEY, first_chunk INTEGER NOT NULL,"
    " n_chunks INTEGER NOT NULL, data BLOB NOT NULL, crc INTEGER NOT NULL)",
    "files_by_path": "CREATE UNIQUE INDEX files_by_path ON files (path)",
    "chunks_by_file": "CREATE INDEX chunks_by_file ON chunks (file_id)",
    "definitions_by_file": "CREATE INDEX definitions_by_file ON definitions (file_id)",
    "definitions_by_name": "CREATE INDEX definitions_by_name"
    " ON definitions (squashed, name, file_id)",
}


class DamagedIndexError(IndexingError):
    """The index holds bytes that codebuddy did not write; it is rebuilt, never repaired."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint=REBUILD_HINT)


def checksum(*values: int | str | bytes) -> int:
    """A row's checksum over every column; bytes count through their own CRC-32."""
    # `ascii` gives the same text in every Python version, which `repr` does not.
    parts = tuple(zlib.crc32(value) if isinstance(value, bytes) else value for value in values)
    return zlib.crc32(ascii(parts).encode("ascii"))


def check(row_crc: object, what: str, *values: Any) -> None:
    """Compare a row that was read with its checksum.

    Raises:
        DamagedIndexError: They differ.
    """
    try:
        is_right = checksum(*values) == row_crc
    except (TypeError, ValueError):
        is_right = False
    if not is_right:
        raise DamagedIndexError(f"the index is damaged: {what} has a wrong checksum")


def connect(
    file: Path, *, is_writer: bool, timeout_s: float = BUSY_TIMEOUT_S
) -> sqlite3.Connection:
    """Open an existing database, verified as ours and whole.

    Args:
        file: The database.
        is_writer: Whether it is opened to write.
        timeout_s: How long to wait for another process that holds it.

    Raises:
        DamagedIndexError: It is no index, or not the one that codebuddy left there.
        IndexingError: A newer codebuddy wrote it, or it is busy or unreadable.
    """
    for _ in range(_OPEN_ATTEMPTS):
        before = _identity(file)
        try:
            return _connect_once(file, is_writer=is_writer, timeout_s=timeout_s)
        except DamagedIndexError:
            # Put in the place of another while it was opened, it was compared with the wrong file.
            if _identity(file) == before:
                raise
    raise IndexingError(
        f"the index {file} is busy: another process is replacing it", hint="try again in a moment"
    )


def _connect_once(file: Path, *, is_writer: bool, timeout_s: float) -> sqlite3.Connection:
    with translated(file, is_opening=True):
        connection = _open(file, is_writer=is_writer, timeout_s=timeout_s)
        try:
            _set_up(connection, is_writer=is_writer)
            _verify(connection, file)
        except BaseException:
            connection.close()
            raise
    return connection


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        status = file.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def create(file: Path) -> sqlite3.Connection:
    """Make an empty index in the new file `file`, for its owner alone, and open it to write."""
    with translated(file, is_opening=True):
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            connection = _open(file, is_writer=True)
            try:
                _make_tables(connection)
            except BaseException:
                connection.close()
                raise
        except BaseException:
            # Half a database would count as a damaged one.
            for each in (file.with_name(file.name + "-journal"), file):
                with suppress(OSError):
                    each.unlink()
            raise
    return connection


def _make_tables(connection: sqlite3.Connection) -> None:
    _set_up(connection, is_writer=True)
    connection.execute("BEGIN IMMEDIATE")
    for statement in TABLES.values():
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")


def has_checksum(connection: sqlite3.Connection, file: Path) -> bool:
    """Whether the last writer finished with a checksum; `connect` has compared the bytes."""
    with translated(file):
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM meta LIMIT 1").fetchone()
        found = file_checksum.is_current(file)
        connection.execute("COMMIT")
    return found


def write_checksum(connection: sqlite3.Connection, file: Path) -> None:
    """Write the file's checksum."""
    with translated(file):
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM meta LIMIT 1").fetchone()
        file_checksum.write(file)
        connection.execute("COMMIT")


def limit_steps(connection: sqlite3.Connection, n_free: int = _FREE_STEPS) -> None:
    """End what takes many more steps than reading all of the database several times.

    SQLite follows a tree whose pages lead to each other as if it had no end. It counts what
    comes until the next call, inside a transaction.

    Args:
        connection: Of the database.
        n_free: Steps that any database may take.
    """
    left = (n_free + _STEPS_PER_BYTE * size_of(connection)) // _STEPS_AT_ONCE

    def spend() -> bool:
        nonlocal left
        left -= 1
        _steps.ran_out = left < 0
        return left < 0

    connection.set_progress_handler(spend, _STEPS_AT_ONCE)


def check_structure(connection: sqlite3.Connection) -> None:
    """Let SQLite compare its trees and indexes with each other.

    Raises:
        DamagedIndexError: They disagree.
    """
    found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise DamagedIndexError(f"the index is damaged: {found}")


def size_of(connection: sqlite3.Connection) -> int:
    """Bytes of all pages, inside a transaction."""
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    return int(pages * connection.execute("PRAGMA page_size").fetchone()[0])


def identity_of(file: Path) -> tuple[int, int]:
    """What tells a database file from another one of its name.

    Raises:
        IndexingError: There is none any more.
    """
    try:
        status = file.stat()
    except OSError as error:
        raise IndexingError(
            f"the index {file} is gone", hint="run 'codebuddy index' to build it again"
        ) from error
    return status.st_dev, status.st_ino


def move_aside(file: Path) -> Path:
    """Rename a database that cannot be used, in the place of the last such one."""
    aside = file.with_name(file.name + ".damaged")
    try:
        file.replace(aside)
        file_checksum.remove(file)
    except OSError as error:
        raise IndexingError(
            f"the damaged index {file} cannot be moved to {aside.name}: {error.strerror}",
            hint=f"make its folder writable, or delete both {file.name} and {aside.name} there",
        ) from error
    # A journal left behind would be played back into the next database.
    companions.remove_companions(file)
    return aside


@contextmanager
def translated(file: Path, *, is_opening: bool = False) -> Iterator[None]:
    """SQLite's and the system's errors as ours: as damage only what is proven to be.

    While it is opened, what SQLite cannot read is damage; later the file is checked.
    """
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError, MemoryError) as error:
        if getattr(_steps, "ran_out", False):
            _steps.ran_out = False
            raise DamagedIndexError(
                f"the index {file} is damaged: reading it leads in circles"
            ) from error
        if sqlite_errors.is_ctrl_c(error):
            raise KeyboardInterrupt from error
        # SQLite quotes damaged text in its messages, which Python then cannot decode.
        known = sqlite_errors.explained(file, error)
        if known is None and not is_opening and not sqlite_errors.is_damage(error):
            known = None if is_damaged(file) else sqlite_errors.unexplained(file, error)
        if known is None:
            known = DamagedIndexError(f"the index {file} is damaged: {error}")
        raise known from error
    except zlib.error as error:
        raise DamagedIndexError(f"the index {file} is damaged: {error}") from error
    except OSError as error:
        raise sqlite_errors.of_system(file, error) from error


def is_damaged(file: Path) -> bool:
    """Whether the file, opened afresh, shows damage; one that is busy or gone does not."""
    try:
        connection = connect(file, is_writer=False, timeout_s=0.0)
    except DamagedIndexError:
        return True
    except IndexingError:
        return False
    try:
        check_structure(connection)
    except (DamagedIndexError, sqlite3.Error, UnicodeDecodeError) as error:
        if sqlite_errors.is_ctrl_c(error):
            raise KeyboardInterrupt from error
        return isinstance(error, DamagedIndexError) or sqlite_errors.is_damage(error)
    finally:
        connection.close()
    return False


def _open(file: Path, *, is_writer: bool, timeout_s: float = BUSY_TIMEOUT_S) -> sqlite3.Connection:
    if reason := why_not_private(file.parent):
        raise IndexingError(
            f"the index in {file.parent} is not used: {reason}", hint=remedy_for(file.parent)
        )
    if reason := companions.problem_before_opening(file):
        raise DamagedIndexError(f"the index {file} is damaged: {reason}")
    # Readers, too, must be able to play back a killed writer's journal.
    can_write = os.access(file, os.W_OK) and platforms.is_writable_folder(file.parent)
    mode = "rw" if is_writer or can_write else "ro"
    connection = sqlite3.connect(
        f"{file.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=timeout_s,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.text_factory = _text
    return connection


def _text(raw: bytes) -> str:
    # Damaged bytes must reach the checksum instead of failing here.
    return raw.decode("utf-8", "surrogateescape")


def _set_up(connection: sqlite3.Connection, *, is_writer: bool) -> None:
    settings = ["trusted_schema = OFF", "cell_size_check = ON", "temp_store = MEMORY"]
    if is_writer:
        # Spilling would lock readers out for a whole batch instead of the moment of its commit.
        settings += [
            "journal_mode = DELETE",
            "synchronous = FULL",
            "cache_spill = OFF",
            # What a deleted file's rows held is not to stay in freed pages.
            "secure_delete = ON",
            "cache_size = -32768",
        ]
    else:
        settings.append("query_only = ON")
    for setting in settings:
        connection.execute(f"PRAGMA {setting}").fetchall()


def _verify(connection: sqlite3.Connection, file: Path) -> None:
    connection.execute("BEGIN")
    limit_steps(connection)
    found = dict(
        connection.execute("SELECT name, sql FROM sqlite_master WHERE sql NOT NULL").fetchall()
    )
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if application == APPLICATION_ID and version > SCHEMA_VERSION:
        raise IndexingError(
            f"the index {file} was written by a newer codebuddy",
            hint="use that one, or delete the index to build it again",
        )
    if application != APPLICATION_ID or version != SCHEMA_VERSION or found != TABLES:
        raise DamagedIndexError(f"{file} is not an index of this codebuddy")
    if file.stat().st_size != size_of(connection):
        raise DamagedIndexError(f"the index {file} is damaged: it is cut off")
    if file_checksum.check(file) is False:
        raise DamagedIndexError(f"the index {file} is damaged: its bytes have changed")
    connection.execute("COMMIT")
