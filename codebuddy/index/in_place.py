"""A whole database that was built beside the one in use, put in its place."""

from __future__ import annotations

from pathlib import Path

from codebuddy import platforms
from codebuddy.errors import IndexingError
from codebuddy.index import failed_update, file_checksum, schema
from codebuddy.index.schema import DATABASE_NAME
from codebuddy.index.seeding import NEW_NAME
from codebuddy.index.writer import IndexWriter


def put_in_place(folder: Path) -> None:
    """Let the database `NEW_NAME` be the index; the caller holds the folder's lock.

    Raises:
        OSError: It cannot be moved.
        IndexingError: It cannot be opened where it is then.
    """
    file, new = folder / DATABASE_NAME, folder / NEW_NAME
    try:
        # Plays back a killed writer's journal, which would else be played into the new one.
        schema.connect(file, is_writer=True).close()
    except IndexingError:
        failed_update.remove_with_journal(file)
    file_checksum.remove(file)
    platforms.replace_durably(new, file)
    file_checksum.remove(new)
    writer = IndexWriter(file, schema.connect(file, is_writer=True))
    writer.write_checksum_and_close()
