"""What else of a file's code is on disk, and goes when the file does.

The index itself zeroes what it frees (schema.py) and drops terms that no live chunk holds
(writer.py). Beside it lie vectors of the second tier and unfinished trainings, and elsewhere what
models have read: derived data, all of it. Labelled holes stay: they hold a
path and numbers, no code, and took hours.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from codebuddy import platforms, saved_kv
from codebuddy.errors import IndexingError
from codebuddy.index.schema import DATABASE_NAME
from codebuddy.index.second_tier import CACHE_NAME
from codebuddy.index.store import Store

# Stands beside the index from before files leave it until nothing of them is left, so that a
# kill in between is made up for by the next update.
BEGUN_NAME = "index.forgetting"
# Of an adapter's training, alone and with others, and of its audit: samples are texts. Their lock
# is training/own/keeping.py's.
_UNFINISHED, _TRAINING_LOCK = ("unfinished-*", "federated-*", "audit-*"), "training.lock"


def begin(folder: Path) -> None:
    """Note in the index's folder that files are about to leave it."""
    platforms.create_marker(folder / BEGUN_NAME)


def leave_nothing(folder: Path, adapters: Path | None) -> None:
    """Delete what is derived from files that are gone, if any left since the last call.

    Args:
        folder: Of the repository's index, which is up to date.
        adapters: Where the repository's adapters lie.
    """
    begun = folder / BEGUN_NAME
    if not begun.exists():
        return
    _forget_vectors(folder)
    if adapters is not None and adapters.is_dir():
        # A training that runs deletes its work itself.
        with suppress(OSError), platforms.exclusive_lock(adapters / _TRAINING_LOCK, 0.0):
            for pattern in _UNFINISHED:
                for work in adapters.glob(pattern):
                    shutil.rmtree(work, ignore_errors=True)
    saved_kv.forget(folder)
    with suppress(OSError):
        begun.unlink()


def _forget_vectors(folder: Path) -> None:
    """Drop the second tier's vectors of texts that are in no chunk; all, where that fails."""
    # Numpy is not loaded before it is needed.
    from codebuddy.index.vector_cache import keep_only

    cache = folder / CACHE_NAME
    if not cache.is_file():
        return
    try:
        keep_only(cache, _live_texts(folder / DATABASE_NAME))
    except (IndexingError, OSError, sqlite3.Error, TypeError):
        for name in (CACHE_NAME, *(f"{CACHE_NAME}-{end}" for end in ("journal", "wal", "shm"))):
            with suppress(OSError):
                (folder / name).unlink(missing_ok=True)


def _live_texts(database: Path) -> Iterator[str]:
    from codebuddy.index.second_tier import body_text, head_text

    with closing(Store.open(database)) as store:
        for stored in store.files():
            for chunk in store.chunks_of(stored):
                yield head_text(chunk)
                yield body_text(chunk)
