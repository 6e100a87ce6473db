"""Keeps the open documents and their files in step: opening, saving, the journal, the watch.

Disk work is done in threads; every method here returns to the caller's loop at once or is
awaited. It asks a person nothing: what needs an answer is raised or returned.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, replace
from pathlib import Path

from codebuddy.errors import DocumentError
from codebuddy.syntax import language_for
from codebuddy.tui.documents import OpenDocument
from codebuddy.tui.text.files import has_changed, open_file, save_file
from codebuddy.tui.text.journal import Journal, Record
from codebuddy.tui.text.motion import indentation_unit
from codebuddy.tui.widgets.editor import Editor
from codebuddy.vcs.repository import Repository

_HEAD_CHARACTERS = 4096
_DEFAULT_TAB_WIDTH = 4


@dataclass(frozen=True, slots=True)
class DiskNews:
    """What the watch found of a document: another text, gone, or no text any more."""

    document: OpenDocument
    is_gone: bool
    text: str | None
    problem: str = ""


class Keeper:
    """The documents of one repository."""

    def __init__(self, repository: Repository) -> None:
        self.root = repository.root
        self.folder = repository.index_folder / "tui"
        self.documents: list[OpenDocument] = []
        self.journal = Journal(self.folder / "unsaved")
        self._saving = asyncio.Lock()

    def name_of(self, path: Path) -> str:
        """How a path is called: relative to the root if it lies there."""
        try:
            return path.relative_to(self.root).as_posix()
        except ValueError:
            return str(path)

    def find(self, path: Path) -> OpenDocument | None:
        """The open document of a path."""
        return next((each for each in self.documents if each.path == path), None)

    async def open(self, path: Path) -> tuple[OpenDocument, Record | None]:
        """Open a file, or return the document that is open already.

        Returns:
            The document, and the journal's record of unsaved text if it says something else.

        Raises:
            DocumentError: It cannot be opened.
        """
        path = Path(os.path.abspath(path))  # noqa: PTH100 - links stay links
        document = self.find(path)
        if document is not None:
            return document, None
        name = self.name_of(path)
        opened = await asyncio.to_thread(open_file, path)
        record = await asyncio.to_thread(self.journal.record_of, name)
        document = self.find(path)
        if document is not None:
            return document, None
        head = opened.text[:_HEAD_CHARACTERS].encode("utf-8", "replace")
        editor = Editor(opened.text, language=language_for(name, head))
        unit = indentation_unit(editor.buffer)
        editor.editing.tab_width = _DEFAULT_TAB_WIDTH if unit == "\t" else max(2, len(unit))
        editor.is_read_only = opened.is_read_only
        document = OpenDocument(name, opened, editor)
        self.documents.append(document)
        if record is not None and record.text == opened.text:
            await asyncio.to_thread(self.journal.drop, name, self.journal.turn())
            record = None
        return document, record

    async def save(self, document: OpenDocument, *, should_overwrite: bool = False) -> None:
        """Write a document.

        Raises:
            ChangedOnDiskError: Another program wrote the file meanwhile.
            DocumentError: It cannot be written; nothing was.
        """
        async with self._saving:
            buffer = document.editor.buffer
            revision, text = buffer.revision, buffer.text
            document.opened = await asyncio.to_thread(
                save_file, document.opened, text, should_overwrite=should_overwrite
            )
            document.has_changed_on_disk = False
            if buffer.revision == revision:
                buffer.mark_saved()
                await self.forget(document)

    async def save_as(self, document: OpenDocument, path: Path, *, should_overwrite: bool) -> None:
        """Write a document to another place, which is its own from now on.

        Raises:
            ChangedOnDiskError: Something is there.
            DocumentError: It cannot be written.
        """
        before = document.name
        target = replace(
            document.opened, path=path, on_disk=None, reason_read_only="", encoding="utf-8"
        )
        async with self._saving:
            text = document.editor.buffer.text
            document.opened = await asyncio.to_thread(
                save_file, target, text, should_overwrite=should_overwrite
            )
        document.name = self.name_of(path)
        document.editor.is_read_only = False
        document.editor.buffer.mark_saved()
        await asyncio.to_thread(self.journal.drop, before, self.journal.turn())

    async def reload(self, document: OpenDocument) -> None:
        """Take the file's text as it is now; undo brings the old one back.

        Raises:
            DocumentError: It cannot be read.
        """
        opened = await asyncio.to_thread(open_file, document.path)
        document.opened = opened
        document.has_changed_on_disk = False
        document.editor.is_read_only = opened.is_read_only
        if opened.text != document.editor.buffer.text:
            document.editor.replace_text(opened.text)
        document.editor.buffer.mark_saved()
        await self.forget(document)

    async def keep_unsaved(self) -> None:
        """Write what is unsaved and new to the journal.

        Raises:
            OSError: The journal cannot be written.
        """
        for document in list(self.documents):
            revision = document.editor.buffer.revision
            if not document.is_modified:
                if document.is_in_journal:
                    await self.forget(document)
                continue
            if document.journaled_revision == revision and document.is_in_journal:
                continue
            turn = self.journal.turn()
            await asyncio.to_thread(self.journal.keep, document.record(), turn)
            document.journaled_revision, document.is_in_journal = revision, True

    def keep_unsaved_now(self) -> None:
        """As `keep_unsaved`, at once, for when the program is about to end."""
        for document in self.documents:
            if document.is_modified:
                self.journal.keep(document.record())

    async def forget(self, document: OpenDocument) -> None:
        """Drop a document's record."""
        document.is_in_journal = False
        await asyncio.to_thread(self.journal.drop, document.name, self.journal.turn())

    async def look_at_disk(self) -> list[DiskNews]:
        """Which files other programs changed since the last look."""
        news: list[DiskNews] = []
        for document in list(self.documents):
            opened = document.opened
            if document.has_changed_on_disk or self._saving.locked():
                continue
            if not await asyncio.to_thread(has_changed, opened):
                continue
            if document.opened is opened:
                news.append(await asyncio.to_thread(_news_of, document))
        return news


def _news_of(document: OpenDocument) -> DiskNews:
    try:
        opened = open_file(document.path)
    except DocumentError as error:
        return DiskNews(document, is_gone=False, text=None, problem=error.message)
    return DiskNews(document, opened.on_disk is None, opened.text)
