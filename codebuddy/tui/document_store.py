"""Stores the open documents: opening, saving, recovery journal, disk watch.

Disk work runs in threads; every method returns at once or is awaited. No dialogs: what needs an
answer is raised or returned.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

from codebuddy import paths
from codebuddy.errors import DocumentError
from codebuddy.syntax import language_for
from codebuddy.tui.documents import EditorDocument
from codebuddy.tui.text.buffer import Location
from codebuddy.tui.text.files import (
    ChangedOnDiskError,
    OpenedFile,
    has_changed,
    open_file,
    save_file,
)
from codebuddy.tui.text.journal import Journal, Leftover
from codebuddy.tui.text.motion import indentation_unit
from codebuddy.tui.widgets.editor import Editor
from codebuddy.vcs.repository import Repository

_HEAD_CHARACTERS = 4096
_DEFAULT_TAB_WIDTH = 4


@dataclass(frozen=True, slots=True)
class DiskChange:
    """A change of a document's file on disk: other text, deleted, or unreadable.

    `revision` is that of the text when the file was looked at.
    """

    document: EditorDocument
    revision: int
    is_gone: bool = False
    problem: str = ""


class DocumentStore:
    """The documents of one repository.

    Text is typed while the disk works: what counts as saved is the text that was written, never
    the one that stands there when the disk is done.
    """

    def __init__(self, repository: Repository) -> None:
        self.root = repository.root
        self.folder = repository.index_folder / "tui"
        self.documents: list[EditorDocument] = []
        name = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:32]
        self.journal = Journal(self.folder / "unsaved", paths.spare_unsaved_folder() / name)
        self._saving = asyncio.Lock()
        self._opening = asyncio.Lock()

    def name_of(self, path: Path) -> str:
        """How a path is called: relative to the root if it lies there."""
        try:
            return path.relative_to(self.root).as_posix()
        except ValueError:
            return str(path)

    def find(self, path: Path) -> EditorDocument | None:
        """The open document of a path, or the one that is being saved there."""
        return next((each for each in self.documents if path in (each.path, each.next_path)), None)

    async def find_same(self, path: Path) -> EditorDocument | None:
        """The open document of a path or of the same file under another name."""
        path = absolute(path)
        document = self.find(path)
        if document is not None:
            return document
        documents = list(self.documents)
        names = [path, *(each.path for each in documents)]
        wanted, *known = await asyncio.to_thread(lambda: [_identity(each) for each in names])
        same = (each for each, identity in zip(documents, known, strict=True) if identity == wanted)
        return self.find(path) or next((each for each in same if each in self.documents), None)

    async def open(self, path: Path) -> tuple[EditorDocument, list[Leftover]]:
        """Open a file, or return the document that is open already.

        Returns:
            The document, and what earlier editors left of it in the journal, the newest first,
            as far as it says something else.

        Raises:
            DocumentError: It cannot be opened.
        """
        path = absolute(path)
        async with self._opening:
            document = await self.find_same(path)
            if document is not None:
                return document, []
            name = self.name_of(path)
            opened = await asyncio.to_thread(open_file, path)
            leftovers = await asyncio.to_thread(self._leftovers, name, opened.text)
            document = self.find(path)
            if document is not None:
                return document, []
            head = opened.text[:_HEAD_CHARACTERS].encode("utf-8", "replace")
            editor = Editor(opened.text, language=language_for(name, head))
            unit = indentation_unit(editor.buffer)
            editor.editing.tab_width = _DEFAULT_TAB_WIDTH if unit == "\t" else max(2, len(unit))
            editor.is_read_only = opened.is_read_only
            document = EditorDocument(name, opened, editor)
            self.documents.append(document)
            return document, leftovers

    def _leftovers(self, name: str, text: str) -> list[Leftover]:
        found = self.journal.leftovers(name)
        for each in found:
            if each.record.text == text:
                self.journal.delete_leftover(each)
        return [each for each in found if each.record.text != text]

    async def restore(self, document: EditorDocument, leftover: Leftover) -> None:
        """Take the text of a leftover; undo brings the file's text back.

        Raises:
            OSError: The journal cannot be written; the leftover stays where it is.
        """
        record = leftover.record
        is_crlf = document.opened.is_crlf
        text = record.text.replace("\r\n", "\n") if is_crlf else record.text
        document.editor.replace_text(text)
        document.editor.go(Location(record.line, record.column))
        await self._write_record(document)
        await asyncio.to_thread(self.journal.delete_leftover, leftover)

    async def save(self, document: EditorDocument, *, should_overwrite: bool = False) -> None:
        """Write a document. What is typed meanwhile stays unsaved.

        Raises:
            ChangedOnDiskError: Another program wrote the file meanwhile.
            DocumentError: It cannot be written; nothing was.
        """
        async with self._saving:
            await self._write(document, document.opened, should_overwrite=should_overwrite)

    async def _write(
        self, document: EditorDocument, target: OpenedFile, *, should_overwrite: bool
    ) -> None:
        text, state = document.editor.buffer.snapshot()
        document.opened = await asyncio.to_thread(
            save_file, target, text, should_overwrite=should_overwrite
        )
        document.has_changed_on_disk = False
        document.editor.buffer.mark_saved(state)
        if not document.is_modified:
            await self.forget(document)

    def accept_disk(self, document: EditorDocument, error: ChangedOnDiskError) -> bool:
        """Let the next save overwrite what `error` found on disk, and nothing newer.

        Returns:
            Whether that is known; else only a save that overwrites whatever is there helps.
        """
        if error.is_known:
            document.opened = replace(document.opened, on_disk=error.found)
        return error.is_known

    async def save_as(
        self, document: EditorDocument, path: Path, accepted: ChangedOnDiskError | None = None
    ) -> None:
        """Write a document to another place, which is its own from now on.

        Args:
            document: Which one.
            path: Where.
            accepted: What was found there and may be overwritten, and nothing newer.

        Raises:
            ChangedOnDiskError: Something is there, or something else than was accepted.
            DocumentError: It cannot be written, or is open in another tab.
        """
        path = absolute(path)
        other = await self.find_same(path)
        if other is not None and other is not document:
            raise DocumentError(
                f"{self.name_of(path)} is open in another tab", hint="close that one first"
            )
        before = document.name
        encoding = "utf-8" if document.opened.is_read_only else document.opened.encoding
        found = accepted.found if accepted is not None else None
        target = replace(
            document.opened, path=path, on_disk=found, reason_read_only="", encoding=encoding
        )
        should_overwrite = accepted is not None and not accepted.is_known
        document.next_path = path
        try:
            async with self._saving:
                await self._write(document, target, should_overwrite=should_overwrite)
        finally:
            document.next_path = None
        document.name = self.name_of(path)
        document.editor.is_read_only = False
        document.is_in_journal = False
        if document.name != before:
            await self._move_record(document, before)

    async def _move_record(self, document: EditorDocument, before: str) -> None:
        """Keep what was typed meanwhile under the new name before the old record goes."""
        turn = self.journal.turn()
        # The next look at the journal tells why it cannot be written.
        with contextlib.suppress(OSError):
            await self._write_record(document)
            await asyncio.to_thread(self.journal.drop, before, turn)

    async def reload(self, document: EditorDocument, *, revision: int | None = None) -> bool:
        """Take the file's text as it is now; undo brings the old one back.

        Args:
            document: Which one.
            revision: The text's revision, where no other text may be replaced.

        Returns:
            Whether it was taken; not if the text is of another revision by now.

        Raises:
            DocumentError: It cannot be read.
        """
        buffer = document.editor.buffer
        async with self._saving:
            opened = await asyncio.to_thread(open_file, document.path)
            if revision is not None and (buffer.revision != revision or document.is_modified):
                return False
            document.opened = opened
            document.has_changed_on_disk = False
            document.editor.is_read_only = opened.is_read_only
            if opened.text != buffer.text:
                document.editor.replace_text(opened.text)
            buffer.mark_saved()
            await self.forget(document)
            return True

    async def write_journal(self) -> None:
        """Write what is unsaved and new to the journal.

        Raises:
            OSError: The journal cannot be written for one of them; the others are kept.
        """
        problem: OSError | None = None
        for document in list(self.documents):
            try:
                await self._write_record(document)
            except OSError as error:
                problem = error
        if problem is not None:
            raise problem

    async def _write_record(self, document: EditorDocument) -> None:
        revision = document.editor.buffer.revision
        if not document.is_modified:
            if document.is_in_journal:
                await self.forget(document)
            return
        is_kept = document.journaled_revision == revision and document.is_in_journal
        if is_kept and await asyncio.to_thread(self.journal.has, document.name):
            return
        turn = self.journal.turn()
        await asyncio.to_thread(self.journal.write_record, document.record(), turn)
        document.journaled_revision, document.is_in_journal = revision, True

    def write_journal_now(self) -> list[str]:
        """As `write_journal`, at once, for when the program is about to end.

        Returns:
            What could not be kept, with the reason.
        """
        lost = []
        for document in self.documents:
            if not document.is_modified:
                continue
            try:
                self.journal.write_record(document.record())
            except OSError as error:
                lost.append(f"{document.name} ({error.strerror})")
        return lost

    async def forget(self, document: EditorDocument) -> None:
        """Drop a document's record."""
        document.is_in_journal = False
        await asyncio.to_thread(self.journal.drop, document.name, self.journal.turn())

    async def check_disk(self) -> list[DiskChange]:
        """Which files other programs changed since the last look."""
        changes: list[DiskChange] = []
        for document in list(self.documents):
            opened = document.opened
            if document.has_changed_on_disk or self._saving.locked():
                continue
            revision = document.editor.buffer.revision
            if not await asyncio.to_thread(has_changed, opened):
                continue
            if document.opened is opened:
                changes.append(await asyncio.to_thread(_disk_change_of, document, revision))
        return changes


def _disk_change_of(document: EditorDocument, revision: int) -> DiskChange:
    try:
        opened = open_file(document.path)
    except DocumentError as error:
        return DiskChange(document, revision, problem=error.message)
    return DiskChange(document, revision, is_gone=opened.on_disk is None)


def absolute(path: Path) -> Path:
    """`path` with its folders in order; links stay links.

    Raises:
        DocumentError: It cannot be a path.
    """
    if "\0" in str(path):
        raise DocumentError("a file's name cannot contain a NUL character")
    return Path(os.path.abspath(path))  # noqa: PTH100


def _identity(path: Path) -> tuple[int, int] | str:
    """What two names of one file have in common."""
    try:
        status = path.stat()
    except OSError:
        return os.path.realpath(path)
    # Where the system gives no inode number, names are compared.
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path)
