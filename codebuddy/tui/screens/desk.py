"""The screen's lower half: open documents, and what is done with their files.

Opening, saving, closing, finding, recovering. Questions are asked here, the disk is
`Keeper`'s. What suggests and what is shown beside is `workspace`'s.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on, work
from textual.containers import Container
from textual.css.query import NoMatches
from textual.notifications import SeverityLevel
from textual.screen import Screen

from codebuddy.errors import CodebuddyError
from codebuddy.terminal import safe_line
from codebuddy.tui.documents import OpenDocument
from codebuddy.tui.keeper import DiskNews, Keeper
from codebuddy.tui.messages import EditRefused
from codebuddy.tui.screens.dialogs import Answer, ChoiceScreen, EntryScreen
from codebuddy.tui.text.buffer import Location
from codebuddy.tui.text.files import ChangedOnDiskError
from codebuddy.tui.text.journal import Record
from codebuddy.tui.widgets.editor import Editor
from codebuddy.tui.widgets.tab_bar import TabBar

if TYPE_CHECKING:
    from codebuddy.vcs.repository import Repository

_JOURNAL_EVERY_S = 0.7
_LOOK_EVERY_S = 1.5


class Desk(Screen[None]):
    """Documents in tabs. `keeper` is there once the repository is known."""

    def __init__(self) -> None:
        super().__init__()
        self.keeper: Keeper | None = None
        self.active: OpenDocument | None = None
        self._told_of_journal = False

    @property
    def documents(self) -> list[OpenDocument]:
        """What is open, in the order of the tabs."""
        return self.keeper.documents if self.keeper else []

    def begin(self, repository: Repository) -> None:
        """The repository is known: documents can be opened and watched."""
        self.keeper = Keeper(repository)
        self.set_interval(_JOURNAL_EVERY_S, self._keep_unsaved)
        self.set_interval(_LOOK_EVERY_S, self._look_at_disk)

    # Opening and closing

    async def open_path(
        self, path: Path, place: Location | None = None, *, is_quiet: bool = False
    ) -> OpenDocument | None:
        """Open a file in a tab, or go to the one it has; `None` if it cannot be opened."""
        if self.keeper is None:
            return None
        try:
            document, record = await self.keeper.open(path)
        except CodebuddyError as error:
            if not is_quiet:
                self.tell(error)
            return None
        if not document.editor.is_attached:
            editors = self.query_one("#editors", Container)
            document.editor.display = False
            await editors.mount(document.editor)
        self.show(document)
        if place is not None:
            document.editor.go(place)
        if document.opened.is_read_only and not is_quiet:
            self.say(f"{document.opened.reason_read_only}; it is shown read-only", "warning")
        if record is not None:
            self._offer_recovery(document, record)
        return document

    def show(self, document: OpenDocument) -> None:
        """Bring a document to the front."""
        for each in self.documents:
            each.editor.display = each is document
        changed = self.active is not document
        self.active = document
        document.editor.focus()
        self.refresh_tabs()
        if changed:
            self.document_shown()

    def document_shown(self) -> None:
        """Another document is in front; for subclasses."""

    def refresh_tabs(self) -> None:
        """Show the tabs as they are now."""
        active = self.documents.index(self.active) if self.active in self.documents else 0
        with contextlib.suppress(NoMatches):
            self.query_one(TabBar).show([each.tab() for each in self.documents], active)

    @on(TabBar.Chosen)
    def choose_tab(self, event: TabBar.Chosen) -> None:
        """A tab was clicked."""
        if event.index < len(self.documents):
            self.show(self.documents[event.index])
            if event.should_close:
                self.action_close()

    def action_step_tab(self, step: int) -> None:
        """The next or previous tab."""
        if self.active in self.documents:
            at = self.documents.index(self.active)
            self.show(self.documents[(at + step) % len(self.documents)])

    @work
    async def action_close(self) -> None:
        """Close the document; one that is not saved asks first."""
        document = self.active
        if document is None or self.keeper is None:
            return
        if document.is_modified:
            answer = await self.app.push_screen_wait(
                ChoiceScreen(
                    f"{document.path.name} is not saved",
                    [Answer("save", "Save it"), Answer("drop", "Close without saving")],
                )
            )
            if not answer or (answer == "save" and not await self.save(document)):
                return
        await self.discard(document)

    async def discard(self, document: OpenDocument) -> None:
        """Take a document off the desk, its unsaved text too."""
        if self.keeper is None:
            return
        at = self.documents.index(document)
        self.documents.remove(document)
        # Its record may be under way to the disk.
        await self.keeper.forget(document)
        await document.editor.remove()
        self.active = None
        if self.documents:
            self.show(self.documents[min(at, len(self.documents) - 1)])
        else:
            self.refresh_tabs()
            self.document_shown()

    # Saving

    @work
    async def action_save(self) -> None:
        """Save the document."""
        if self.active is not None:
            await self.save(self.active)

    async def save(self, document: OpenDocument) -> bool:
        """Save; what another program wrote is never overwritten without a word.

        Returns:
            Whether it is saved now.
        """
        if self.keeper is None:
            return False
        try:
            await self.keeper.save(document)
        except ChangedOnDiskError as error:
            answer = await self.app.push_screen_wait(
                ChoiceScreen(
                    error.message,
                    [
                        Answer("reload", "Take the file's text (undo brings mine back)"),
                        Answer("overwrite", "Overwrite it with mine"),
                        Answer("", "Do nothing"),
                    ],
                )
            )
            if not answer:
                return False
            try:
                if answer == "reload":
                    await self.keeper.reload(document)
                else:
                    await self.keeper.save(document, should_overwrite=True)
            except CodebuddyError as later:
                self.tell(later)
                return False
        except CodebuddyError as error:
            self.tell(error)
            return False
        self.refresh_tabs()
        self.document_saved(document)
        return True

    def document_saved(self, document: OpenDocument) -> None:
        """A document was saved; for subclasses."""

    def action_save_as(self) -> None:
        """Save the document under another name."""
        if self.active is not None:
            self.app.push_screen(EntryScreen("save as", self.active.name), self._named)

    def _named(self, name: str | None) -> None:
        if name and self.active is not None and name != self.active.name:
            self._save_as(self.active, name)

    @work
    async def _save_as(self, document: OpenDocument, name: str) -> None:
        if self.keeper is None:
            return
        path = self.keeper.root / name
        should_overwrite = False
        if path.exists():
            answer = await self.app.push_screen_wait(
                ChoiceScreen(f"{name} exists", [Answer("yes", "Overwrite it")])
            )
            if not answer:
                return
            should_overwrite = True
        try:
            await self.keeper.save_as(document, path, should_overwrite=should_overwrite)
        except CodebuddyError as error:
            self.tell(error)
            return
        self.refresh_tabs()
        self.document_saved(document)

    def action_new(self) -> None:
        """Open a file that need not exist yet."""
        self.app.push_screen(EntryScreen("new file"), self._named_new)

    def _named_new(self, name: str | None) -> None:
        if name and self.keeper is not None:
            self._open_new(self.keeper.root / name)

    @work
    async def _open_new(self, path: Path) -> None:
        await self.open_path(path)

    # What happens to files meanwhile

    @work(exclusive=True, group="journal")
    async def _keep_unsaved(self) -> None:
        if self.keeper is None:
            return
        try:
            await self.keeper.keep_unsaved()
        except OSError as error:
            if not self._told_of_journal:
                self._told_of_journal = True
                self.say(f"unsaved text cannot be kept safe: {error.strerror}", "warning")

    @work(exclusive=True, group="disk")
    async def _look_at_disk(self) -> None:
        if self.keeper is None:
            return
        for news in await self.keeper.look_at_disk():
            await self._take_news(news)
        self.refresh_tabs()

    async def _take_news(self, news: DiskNews) -> None:
        document = news.document
        name = document.path.name
        if self.keeper is None or document not in self.documents:
            return
        if news.is_gone or news.problem or document.is_modified:
            document.has_changed_on_disk = True
            what = "was deleted" if news.is_gone else news.problem or "was changed"
            document.editor.buffer.mark_unsaved()
            self.say(f"{name}: {what} outside; your text is kept", "warning")
            return
        try:
            await self.keeper.reload(document)
        except CodebuddyError as error:
            self.tell(error)
            return
        self.say(f"{name} was changed outside and read again")

    @work
    async def _offer_recovery(self, document: OpenDocument, record: Record) -> None:
        answer = await self.app.push_screen_wait(
            ChoiceScreen(
                f"{document.path.name} has unsaved text from the last time",
                [
                    Answer("restore", "Restore it (undo brings the file's text back)"),
                    Answer("drop", "Throw it away"),
                ],
                detail=_difference(document.editor.buffer.lines, record.text),
                can_cancel=False,
            )
        )
        if self.keeper is None:
            return
        if answer == "restore":
            document.editor.replace_text(record.text)
            document.editor.go(Location(record.line, record.column))
            self.refresh_tabs()
        elif answer == "drop":
            await self.keeper.forget(document)

    @on(EditRefused)
    def refuse_edit(self, event: EditRefused) -> None:
        """A read-only text was to be changed."""
        document = next((each for each in self.documents if each.editor is event.editor), None)
        if document is not None:
            self.say(document.opened.reason_read_only or "this text is read-only", "warning")

    # Words to the person

    def say(self, text: str, severity: SeverityLevel = "information") -> None:
        """Say something in passing."""
        self.notify(safe_line(text), severity=severity, markup=False, timeout=6)

    def tell(self, error: CodebuddyError) -> None:
        """Say what went wrong, and what can be done."""
        self.say(f"{error.message}. {error.hint}" if error.hint else error.message, "error")

    def editor_of(self, editor: object) -> OpenDocument | None:
        """The document of an editor."""
        return next((each for each in self.documents if each.editor is editor), None)

    @property
    def editor(self) -> Editor | None:
        """The editor in front."""
        return self.active.editor if self.active else None


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
