"""Rows as they come from the database: checked for damage, and for what no update wrote.

A checksum proves that a row is as it was written, not who wrote it. SQLite keeps values of any
type in any column, so that types and bounds are looked at here, before anything counts on
them, and before anything is written: no file may bring rows that make an index look damaged.
It runs no SQL.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any, get_args

from codebuddy.index import schema
from codebuddy.index.file_role import FileRole
from codebuddy.index.schema import DamagedIndexError
from codebuddy.syntax.languages import NOTEBOOK, language_for

# Ids are counted up from 1, line numbers are those of files that were read as a whole. An id and a
# file's chunks behind it must stay within the bits that an index has among many (`shards`).
MAX_ID = 1 << 39
_MAX_LINE = 1 << 40
# More than ten times what chunk.py cuts.
_MAX_CHUNK_BYTES = 1 << 16
_MAX_DIM_DIGITS = 6

_TYPES = {"INTEGER": int, "TEXT": str, "BLOB": bytes}
_ROLES = frozenset(get_args(FileRole))
_COLUMN = re.compile(r"[(,] ?([a-z_]+) (INTEGER|TEXT|BLOB)\b")
# By table: the types of all its columns, in their order.
_COLUMNS = {
    name: tuple(_TYPES[kind] for _, kind in _COLUMN.findall(text))
    for name, text in schema.TABLES.items()
    if text.startswith("CREATE TABLE")
}
_TEXT_COLUMNS = {
    name: tuple(place for place, kind in enumerate(kinds) if kind is str)
    for name, kinds in _COLUMNS.items()
}
_ID_COLUMNS = {
    "files": (0,),
    "details": (0,),
    "chunks": (0, 1),
    "definitions": (0, 1, 9),
    "segments": (0,),
    "postings": (0,),
    "vectors": (0, 1),
}


def check(table: str, what: str, row: tuple[Any, ...]) -> None:
    """Compare a whole row of `table`, the checksum last, with the checksum and its columns.

    Raises:
        DamagedIndexError: It is not as codebuddy writes it.
    """
    schema.check(row[-1], what, *row[:-1])
    if not _has_columns(table, row):
        raise _implausible(what)


def check_file(row: tuple[Any, ...]) -> None:
    """As `check`, of a row of `files`."""
    check("files", f"file {row[0]}", row)
    if not _is_file(row):
        raise _implausible(f"file {row[0]}")


def check_chunk(row: tuple[Any, ...]) -> None:
    """As `check`, of a row of `chunks`; what its file says of its lines is for `check_lines`."""
    check("chunks", f"chunk {row[0]}", row)
    if not _is_chunk(row):
        raise _implausible(f"chunk {row[0]}")


def check_lines(row: tuple[Any, ...], path: bytes) -> None:
    """Check the lines of a row of `chunks`, which is one by `check_chunk`.

    Args:
        row: The row.
        path: Of its file.

    Raises:
        DamagedIndexError: It has more lines than its text can have.
    """
    if not _has_lines(row, path):
        raise _implausible(f"chunk {row[0]}")


def check_definition(row: tuple[Any, ...]) -> None:
    """As `check`, of a row of `definitions`."""
    check("definitions", f"definition {row[0]}", row)
    if not _is_definition(row):
        raise _implausible(f"definition {row[0]}")


def can_be_read_back(
    file: tuple[Any, ...],
    chunks: Iterable[tuple[Any, ...]],
    definitions: Iterable[tuple[Any, ...]],
) -> bool:
    """Whether the rows of a file that is to be written are such as the checks of readers take.

    Args:
        file: Its columns from the path on.
        chunks: Those of its chunks from the first byte on.
        definitions: Those of its definitions from the normalized name on.
    """
    head, end = (1, 1), (0,)
    as_file = (1, *file, 0)
    return (
        (_has_columns("files", as_file) and _is_file(as_file))
        and all(
            _has_columns("chunks", row) and _is_chunk(row) and _has_lines(row, file[0])
            for row in (head + each + end for each in chunks)
        )
        and all(
            _has_columns("definitions", row) and _is_definition(row)
            for row in (head + each + end for each in definitions)
        )
    )


def _has_columns(table: str, row: tuple[Any, ...]) -> bool:
    """Whether a row's values are of the types of its columns, its texts UTF-8, its ids ids."""
    return (
        tuple(map(type, row)) == _COLUMNS[table]
        and all(is_utf8(row[place]) for place in _TEXT_COLUMNS[table])
        and all(0 <= row[place] <= MAX_ID for place in _ID_COLUMNS.get(table, ()))
    )


def _is_file(row: tuple[Any, ...]) -> bool:
    _, path, size, _, _, _, _, is_racy, _, _, role, n_lines, n_chunks, _ = row
    counts = is_racy in (0, 1) and min(size, n_lines, n_chunks) >= 0
    return bool(counts) and role in _ROLES and is_path(path)


def _is_chunk(row: tuple[Any, ...]) -> bool:
    start, end, first, last = row[2:6]
    has_bytes = start >= 0 and 0 <= end - start <= _MAX_CHUNK_BYTES
    return bool(has_bytes and 1 <= first <= last <= _MAX_LINE)


def _has_lines(row: tuple[Any, ...], path: bytes) -> bool:
    start, end, first, last = row[2:6]
    # Lines of a notebook are those of its JSON, between which anything may stand.
    return bool(last <= first + end - start) or language_for(os.fsdecode(path)) == NOTEBOOK


def _is_definition(row: tuple[Any, ...]) -> bool:
    line, end_line = row[6:8]
    return bool(1 <= line <= end_line <= _MAX_LINE)


def check_vectors(row: tuple[Any, ...]) -> None:
    """As `check`, of a row of `vectors`."""
    check("vectors", f"vectors of file {row[0]}", row)
    if not 0 <= row[2] <= len(row[3]):
        raise _implausible(f"vectors of file {row[0]}")


def is_path(path: object) -> bool:
    """Whether `path` can be that of a file of a repository: relative, and leading nowhere else."""
    if type(path) is not bytes or not path or b"\0" in path:
        return False
    if path.startswith(b"/") or path.endswith(b"/") or b"//" in path:
        return False
    # Most have no part that begins with a dot.
    may_climb = path.startswith(b".") or b"/." in path
    return not may_climb or not {b".", b".."}.intersection(path.split(b"/"))


def check_number(value: object, what: str, largest: int = MAX_ID) -> int:
    """A number that was read without its row.

    Raises:
        DamagedIndexError: It is none from 0 to `largest`.
    """
    if type(value) is not int or not 0 <= value <= largest:
        raise _implausible(what)
    return value


def check_space(value: bytes) -> tuple[str, int]:
    """The key of the encoder and the dimension of its vectors, as the writer keeps them.

    Raises:
        DamagedIndexError: There is no dimension.
    """
    key, _, dim = value.decode("utf-8", "replace").rpartition(" ")
    is_number = dim.isascii() and dim.isdecimal() and len(dim) <= _MAX_DIM_DIGITS
    if not is_number or int(dim) == 0:
        raise DamagedIndexError("the index is damaged: its encoder has no dimension")
    return key, int(dim)


def is_utf8(text: str) -> bool:
    """Whether `text` holds no halves of characters."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _implausible(what: str) -> DamagedIndexError:
    return DamagedIndexError(f"the index is damaged: {what} is none that codebuddy wrote")
