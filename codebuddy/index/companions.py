"""The files that SQLite reads beside a database, looked at before it does.

SQLite believes a rollback journal: one that names a super-journal, which only a transaction
over several attached databases writes, makes it delete the file of that name, for a reader
too. It opens a write-ahead log wherever one lies, and writes through a link that stands in
the journal's place. codebuddy attaches nothing and writes no log, so that all of these are
damage, and are taken away. File format: https://www.sqlite.org/fileformat2.html
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from codebuddy.errors import IndexingError
from codebuddy.index import file_checksum
from codebuddy.private_files import open_plain

# Ten times the index of the largest repositories that are known; more is read for minutes.
MAX_DATABASE_BYTES = 32 << 30

JOURNAL, LOG, LOG_INDEX = "-journal", "-wal", "-shm"
_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
_JOURNAL_HEADER_BYTES = 28
# Of the super-journal's record at a journal's end: length, checksum, magic.
_RECORD_END_BYTES = 16
# A journal holds each page once, and one header: far less than this beside a small database.
_JOURNAL_SLACK_BYTES = 1 << 20
_DATABASE_MAGIC = b"SQLite format 3\0"
# In the database's header: which journal its writer and its readers need; 1 is the rollback one.
_JOURNAL_KIND = slice(18, 20)
_ROLLBACK = b"\1\1"


def companion_of(file: Path, name: str) -> Path:
    """The companion `name` of a database."""
    return file.with_name(file.name + name)


def problem_before_opening(file: Path) -> str:
    """Why SQLite must not open a database as it lies there; empty if it may.

    What lies beside it and is none of codebuddy's is taken away by this; the database is left.

    Raises:
        IndexingError: Something cannot be taken away.
        OSError: A file cannot be read.
    """
    if not stat.S_ISREG(os.lstat(file).st_mode):
        return "it is no plain file"
    size, head = file_checksum.beginning(file)
    if size > MAX_DATABASE_BYTES:
        return "it is larger than an index can be"
    if head.startswith(_DATABASE_MAGIC) and head[_JOURNAL_KIND] != _ROLLBACK:
        return "it asks for a write-ahead log"
    for name in (LOG, LOG_INDEX):
        if os.path.lexists(companion_of(file, name)):
            _take_away(companion_of(file, name))
            return "a write-ahead log lay beside it"
    journal = companion_of(file, JOURNAL)
    if os.path.lexists(journal) and (reason := _wrong_with(journal, size)):
        _take_away(journal)
        return f"its journal {reason}"
    return ""


def remove_companions(file: Path) -> None:
    """Take away what a later database of this name must not be opened with.

    Raises:
        IndexingError: Something cannot be taken away.
    """
    for name in (JOURNAL, LOG, LOG_INDEX):
        _take_away(companion_of(file, name))


def _wrong_with(journal: Path, database_bytes: int) -> str:
    """Why a journal is none that a killed writer left; empty if it may be one."""
    try:
        if not stat.S_ISREG(os.lstat(journal).st_mode):
            return "was no plain file"
        with os.fdopen(open_plain(journal), "rb", buffering=0) as stream:
            size = os.fstat(stream.fileno()).st_size
            head = stream.read(_JOURNAL_HEADER_BYTES)
            stream.seek(max(0, size - _RECORD_END_BYTES))
            ending = stream.read(_RECORD_END_BYTES)
    except FileNotFoundError:
        # Its writer has just finished.
        return ""
    if size > 2 * database_bytes + _JOURNAL_SLACK_BYTES:
        return "was larger than the index"
    # SQLite believes the record in a journal that is too short for a header, too.
    if ending.endswith(_JOURNAL_MAGIC) and size >= _RECORD_END_BYTES:
        return "named another file"
    if head.startswith(_JOURNAL_MAGIC) and len(head) == _JOURNAL_HEADER_BYTES:
        # SQLite stretches the database to so many pages first.
        pages, page_bytes = int.from_bytes(head[16:20], "big"), int.from_bytes(head[24:28], "big")
        if pages * page_bytes > database_bytes:
            return "was of a larger index"
    return ""


def _take_away(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise IndexingError(
            f"{file} does not belong beside an index and cannot be taken away: {error.strerror}",
            hint="delete it",
        ) from error
