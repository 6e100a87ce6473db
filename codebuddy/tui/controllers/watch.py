"""Keeps unsaved text in the journal, offers what earlier editors left there, watches the files.

Notifications and dialogs are shown here; `DocumentStore` reads and writes files.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from codebuddy.errors import CodebuddyError
from codebuddy.tui.controllers.documents import DocumentController, DocumentHost
from codebuddy.tui.document_store import DiskChange
from codebuddy.tui.documents import EditorDocument
from codebuddy.tui.screens.dialogs import Choice, ChoiceScreen
from codebuddy.tui.text.journal import Leftover

_NAMED = 3


class DocumentWatcher:
    """What happens to unsaved text and to files while documents are open.

    A slow disk is waited for: a look or a record that is cut off would never be finished.
    """

    def __init__(self, host: DocumentHost, documents: DocumentController) -> None:
        self._host = host
        self._documents = documents
        self._has_reported_journal = False
        self._is_writing_journal = False
        self._is_checking_disk = False

    async def journal_unsaved(self) -> None:
        """Write what is unsaved to the journal."""
        store = self._documents.store
        if store is None or self._is_writing_journal:
            return
        self._is_writing_journal = True
        try:
            await store.write_journal()
            self._has_reported_journal = False
        except OSError as error:
            if not self._has_reported_journal:
                self._has_reported_journal = True
                self._warn(f"unsaved text cannot be kept safe: {error.strerror}")
        finally:
            self._is_writing_journal = False

    async def check_disk(self) -> None:
        """Take over what other programs wrote, or tell of it."""
        store = self._documents.store
        if store is None or self._is_checking_disk:
            return
        self._is_checking_disk = True
        try:
            for news in await store.check_disk():
                await self._handle_disk_change(news)
        finally:
            self._is_checking_disk = False
        self._host.refresh_tabs()

    async def _handle_disk_change(self, news: DiskChange) -> None:
        store, document = self._documents.store, news.document
        name = document.path.name
        if store is None or document not in self._documents.documents:
            return
        if not (news.is_gone or news.problem or document.is_modified):
            try:
                if await store.reload(document, revision=news.revision):
                    self._host.notify_user(f"{name} was changed outside and read again")
                    return
            except CodebuddyError as error:
                self._host.notify_error(error)
                return
            if not document.is_modified:
                # It was saved meanwhile: the next check shows its state.
                return
        document.has_changed_on_disk = True
        what = "was deleted" if news.is_gone else news.problem or "was changed"
        document.editor.buffer.mark_unsaved()
        self._warn(f"{name}: {what} outside; your text is kept")

    # What earlier editors left

    def document_opened(self, document: EditorDocument, leftovers: list[Leftover]) -> None:
        """Offer leftovers of unsaved text, and report those that cannot be offered."""
        if leftovers:
            self._host.start_worker(partial(self._offer_recovery, document, leftovers))
        self._host.start_worker(partial(self._report_other_editors, document))

    async def _report_other_editors(self, document: EditorDocument) -> None:
        if self._documents.store is None:
            return
        journal, name = self._documents.store.journal, document.name
        for file in await asyncio.to_thread(journal.put_aside, name):
            self._warn(f"unsaved text of {name} cannot be read; it is kept as {file}")
        if await asyncio.to_thread(journal.is_kept_elsewhere, name):
            self._warn(f"{name} has unsaved text in another codebuddy that runs")

    async def report_waiting_records(self) -> None:
        """Name the files that are not open and of which unsaved text waits."""
        store = self._documents.store
        if store is None:
            return
        waiting = await asyncio.to_thread(store.journal.waiting)
        names = [each for each in waiting if store.find(store.root / each) is None]
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            listed = f"{', '.join(names[:_NAMED])}{more}"
            self._host.notify_user(
                f"unsaved text from an earlier time is offered when you open {listed}"
            )

    async def _offer_recovery(self, document: EditorDocument, leftovers: list[Leftover]) -> None:
        """Ask about each until one is taken; the others are offered the next time."""
        try:
            for leftover in leftovers:
                answer = await self._host.app.push_screen_wait(
                    ChoiceScreen(
                        f"{document.path.name} has unsaved text from the last time",
                        [
                            Choice("restore", "Restore it (undo brings the file's text back)"),
                            Choice("drop", "Throw it away"),
                        ],
                        detail=_difference(document.editor.buffer.lines, leftover.record.text),
                        can_cancel=False,
                    )
                )
                store = self._documents.store
                if store is None or document not in self._documents.documents:
                    return
                if answer == "restore":
                    await self._restore(document, leftover)
                    return
                if answer == "drop":
                    await asyncio.to_thread(store.journal.delete_leftover, leftover)
        finally:
            document.editor.is_read_only = document.opened.is_read_only

    async def _restore(self, document: EditorDocument, leftover: Leftover) -> None:
        assert self._documents.store is not None
        # Typing goes on at once.
        document.editor.is_read_only = document.opened.is_read_only
        try:
            await self._documents.store.restore(document, leftover)
        except OSError as error:
            self._warn(f"unsaved text cannot be kept safe: {error.strerror}")
        self._host.refresh_tabs()

    def _warn(self, text: str) -> None:
        self._host.notify_user(text, "warning")


def _difference(lines: Sequence[str], text: str) -> str:
    """The first lines of `text` that are not those of the file, with their number."""
    kept = text.split("\n")
    same = next(
        (
            number
            for number, pair in enumerate(zip(lines, kept, strict=False))
            if pair[0] != pair[1]
        ),
        min(len(lines), len(kept)),
    )
    shown = "\n".join(line[:70] for line in kept[same : same + 5])
    return f"from line {same + 1}:\n{shown}" if shown.strip() else f"shorter from line {same + 1}"
