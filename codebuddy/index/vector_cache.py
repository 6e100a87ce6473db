"""Vectors of texts on disk, by the text's content and the model's digest; bounded.

It holds nothing that cannot be made again: what is damaged, locked or full is left aside, and the
vectors are computed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from codebuddy.index.vectors import Vectors

T = TypeVar("T")

# 384 numbers of two bytes each take some 20 MB.
MAX_ROWS = 20_000
_EVICTED_AT_ONCE = 2_000
_TIMEOUT_S = 0.5
_TABLE = (
    "CREATE TABLE IF NOT EXISTS vectors"
    " (key BLOB PRIMARY KEY, vector BLOB NOT NULL, number INTEGER NOT NULL) WITHOUT ROWID"
)


# Of each model that a vector is of: without it no key says which text it is of.
_SALTS = "CREATE TABLE IF NOT EXISTS salts (salt BLOB PRIMARY KEY) WITHOUT ROWID"


class VectorCache:
    """One file of vectors.

    Args:
        file: In a private folder; made where it is missing.
        fingerprint: Of the model; vectors of another one are never found.
        dim: Numbers of a vector.
    """

    def __init__(self, file: Path, fingerprint: str, dim: int) -> None:
        self._file = file
        self._salt = f"{fingerprint}\0{dim}\0".encode()
        self._dim = dim

    def get(self, texts: Sequence[str]) -> dict[int, Vectors]:
        """The vectors that are there, by the place of their text."""
        keys = [self._key(text) for text in texts]

        def look(connection: sqlite3.Connection) -> dict[bytes, Vectors]:
            there: dict[bytes, Vectors] = {}
            for key in dict.fromkeys(keys):
                row = connection.execute("SELECT vector FROM vectors WHERE key = ?", (key,))
                vector = self._vector((row.fetchone() or (None,))[0])
                if vector is not None:
                    there[key] = vector
            return there

        there = self._ask(look) or {}
        return {place: there[key] for place, key in enumerate(keys) if key in there}

    def put(self, texts: Sequence[str], vectors: npt.NDArray[np.floating[Any]]) -> None:
        """Keep them; the oldest go where there are too many."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(_SALTS)
            connection.execute("INSERT OR IGNORE INTO salts VALUES (?)", (self._salt,))
            (last,) = connection.execute("SELECT coalesce(max(number), 0) FROM vectors").fetchone()
            connection.executemany(
                "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)",
                [
                    (self._key(text), row.tobytes(), int(last) + n)
                    for n, (text, row) in enumerate(
                        zip(texts, vectors.astype(np.float16), strict=True), 1
                    )
                ],
            )
            (count,) = connection.execute("SELECT count(*) FROM vectors").fetchone()
            if count > MAX_ROWS:
                connection.execute(
                    "DELETE FROM vectors WHERE key IN"
                    " (SELECT key FROM vectors ORDER BY number LIMIT ?)",
                    (count - MAX_ROWS + _EVICTED_AT_ONCE,),
                )
            connection.commit()

        self._ask(write)

    def _key(self, text: str) -> bytes:
        return _key_of(self._salt, text)

    def _vector(self, data: object) -> Vectors | None:
        if not isinstance(data, bytes) or len(data) != 2 * self._dim:
            return None
        vector = np.frombuffer(data, np.float16).astype(np.float32)
        return vector if np.isfinite(vector).all() else None

    def _ask(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """What `work` gives, or None where the file is of no use; one that is damaged goes."""
        try:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
            os.close(os.open(self._file, flags, 0o600))
            with contextlib.closing(sqlite3.connect(self._file, timeout=_TIMEOUT_S)) as connection:
                connection.execute(_TABLE)
                return work(connection)
        except (sqlite3.OperationalError, OSError):
            # Locked, full, read-only or a link.
            return None
        except (sqlite3.DatabaseError, TypeError, ValueError):
            with contextlib.suppress(OSError):
                self._file.unlink()
            return None


def keep_only(file: Path, texts: Iterable[str]) -> None:
    """Overwrite and drop the vectors of all other texts, whatever model they are of.

    Raises:
        sqlite3.Error: It cannot be read or written, or was made before models were written down.
    """
    with contextlib.closing(sqlite3.connect(file, timeout=_TIMEOUT_S)) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        salts = [bytes(salt) for (salt,) in connection.execute("SELECT salt FROM salts")]
        dead = {bytes(key) for (key,) in connection.execute("SELECT key FROM vectors")}
        for text in texts:
            dead.difference_update(_key_of(salt, text) for salt in salts)
        connection.executemany("DELETE FROM vectors WHERE key = ?", [(key,) for key in dead])
        connection.commit()


def _key_of(salt: bytes, text: str) -> bytes:
    return hashlib.sha256(salt + text.encode("utf-8", "replace")).digest()[:20]
