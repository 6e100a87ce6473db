"""What stays of an update that failed: whole commits, nothing half done, and a true word of it."""

from __future__ import annotations

import os
from contextlib import closing, suppress
from pathlib import Path

from codebuddy.errors import IndexingError
from codebuddy.index import companions, file_checksum, sqlite_errors
from codebuddy.index.schema import DATABASE_NAME
from codebuddy.index.store import Store


def with_what_is_left(error: IndexingError, folder: Path) -> IndexingError:
    """The error, its hint saying whether there is an index to search."""
    n_files = 0
    with suppress(IndexingError):
        store = Store.open(folder / DATABASE_NAME)
        with closing(store), store.snapshot():
            n_files = store.count_files()
    left = "what was indexed stays usable" if n_files else "nothing is indexed yet"
    return IndexingError(error.message, hint=f"{error.hint}; {left}")


def unusable(folder: Path, error: OSError) -> IndexingError:
    """A failure of the system's in the index's folder; a file that must not be there is named."""
    named = Path(os.fsdecode(error.filename)) if error.filename else folder
    if named != folder and os.path.lexists(named) and (named.is_symlink() or not named.is_file()):
        return IndexingError(
            f"{named} is not what codebuddy left there: {error.strerror}", hint="delete it"
        )
    return sqlite_errors.of_system(folder, error)


def remove_if_empty(file: Path) -> None:
    """Take away a new index that nothing was committed to: there is none yet."""
    with suppress(IndexingError, OSError):
        store = Store.open(file)
        with closing(store), store.snapshot():
            is_empty = not store.count_files()
        if is_empty:
            remove_with_journal(file)


def remove_with_journal(file: Path) -> None:
    """Delete a database, its checksum file and what a killed writer left of it."""
    file_checksum.remove(file)
    companions.remove_companions(file)
    file.unlink(missing_ok=True)
