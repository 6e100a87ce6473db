"""The screen's part that watches: unsaved text is kept safe, files that change are noticed.

What is found is told or asked here; the disk is `Keeper`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual import work

from codebuddy.errors import CodebuddyError
from codebuddy.tui.documents import OpenDocument
from codebuddy.tui.keeper import DiskNews
from codebuddy.tui.screens.desk import Desk
from codebuddy.tui.screens.dialogs import Answer, ChoiceScreen
from codebuddy.tui.text.journal import Leftover

if TYPE_CHECKING:
    from codebuddy.vcs.repository import Repository

_JOURNAL_EVERY_S = 0.7
_LOOK_EVERY_S = 1.5
_NAMED = 3


class WatchingDesk(Desk):
    """A desk whose unsaved text is written to the journal and whose files are watched."""

    def __init__(self) -> None:
        super().__init__()
        self._told_of_journal = False
        self._is_keeping = False
        self._is_looking = False

    def begin(self, repository: Repository) -> None:
        """The repository is known: documents can be opened and watched."""
        super().begin(repository)
        self.set_interval(_JOURNAL_EVERY_S, self._keep_unsaved)
        self.set_interval(_LOOK_EVERY_S, self._look_at_disk)

    # A slow disk is waited for: a look or a record that is cut off would never be finished.

    @work
    async def _keep_unsaved(self) -> None:
        if self.keeper is None or self._is_keeping:
            return
        self._is_keeping = True
        try:
            await self.keeper.keep_unsaved()
            self._told_of_journal = False
        except OSError as error:
            if not self._told_of_journal:
                self._told_of_journal = True
                self.notify_user(f"unsaved text cannot be kept safe: {error.strerror}", "warning")
        finally:
            self._is_keeping = False

    @work
    async def _look_at_disk(self) -> None:
        if self.keeper is None or self._is_looking:
            return
        self._is_looking = True
        try:
            for news in await self.keeper.look_at_disk():
                await self._take_news(news)
        finally:
            self._is_looking = False
        self.refresh_tabs()

    async def _take_news(self, news: DiskNews) -> None:
        document = news.document
        name = document.path.name
        if self.keeper is None or document not in self.documents:
            return
        if not (news.is_gone or news.problem or document.is_modified):
            try:
                if await self.keeper.reload(document, revision=news.revision):
                    self.notify_user(f"{name} was changed outside and read again")
                    return
            except CodebuddyError as error:
                self.notify_error(error)
                return
            if not document.is_modified:
                # It was saved meanwhile: the next look tells what is there.
                return
        document.has_changed_on_disk = True
        what = "was deleted" if news.is_gone else news.problem or "was changed"
        document.editor.buffer.mark_unsaved()
        self.notify_user(f"{name}: {what} outside; your text is kept", "warning")

    # What earlier editors left

    def document_opened(self, document: OpenDocument, leftovers: list[Leftover]) -> None:
        """Offer what is left of unsaved text, and tell of what cannot be offered."""
        if leftovers:
            self._offer_recovery(document, leftovers)
        self._tell_of_others(document)

    @work
    async def _tell_of_others(self, document: OpenDocument) -> None:
        if self.keeper is None:
            return
        journal, name = self.keeper.journal, document.name
        for file in await asyncio.to_thread(journal.put_aside, name):
            self.notify_user(
                f"unsaved text of {name} cannot be read; it is kept as {file}", "warning"
            )
        if await asyncio.to_thread(journal.is_kept_elsewhere, name):
            self.notify_user(f"{name} has unsaved text in another codebuddy that runs", "warning")

    @work
    async def tell_of_waiting(self) -> None:
        """Name the files that are not open and of which unsaved text waits."""
        if self.keeper is None:
            return
        waiting = await asyncio.to_thread(self.keeper.journal.waiting)
        names = [each for each in waiting if self.keeper.find(self.keeper.root / each) is None]
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            told = f"{', '.join(names[:_NAMED])}{more}"
            self.notify_user(f"unsaved text from an earlier time is offered when you open {told}")

    @work
    async def _offer_recovery(self, document: OpenDocument, leftovers: list[Leftover]) -> None:
        """Ask about each until one is taken; the others are offered the next time."""
        try:
            for leftover in leftovers:
                answer = await self.app.push_screen_wait(
                    ChoiceScreen(
                        f"{document.path.name} has unsaved text from the last time",
                        [
                            Answer("restore", "Restore it (undo brings the file's text back)"),
                            Answer("drop", "Throw it away"),
                        ],
                        detail=_difference(document.editor.buffer.lines, leftover.record.text),
                        can_cancel=False,
                    )
                )
                if self.keeper is None or document not in self.documents:
                    return
                if answer == "restore":
                    await self._restore(document, leftover)
                    return
                if answer == "drop":
                    await asyncio.to_thread(self.keeper.journal.throw_away, leftover)
        finally:
            document.editor.is_read_only = document.opened.is_read_only

    async def _restore(self, document: OpenDocument, leftover: Leftover) -> None:
        assert self.keeper is not None
        # Typing goes on at once.
        document.editor.is_read_only = document.opened.is_read_only
        try:
            await self.keeper.restore(document, leftover)
        except OSError as error:
            self.notify_user(f"unsaved text cannot be kept safe: {error.strerror}", "warning")
        self.refresh_tabs()


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
