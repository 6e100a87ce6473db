"""The screen's lower half: open documents, and what is done with their files.

Opening, saving, closing. Questions are asked here, the disk is `Keeper`'s. What happens to
files and unsaved text meanwhile is `watching`'s; what suggests and what is shown beside is
`workspace`'s.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from textual import on, work
from textual.containers import Container
from textual.css.query import NoMatches
from textual.notifications import SeverityLevel
from textual.screen import Screen

from codebuddy.errors import CodebuddyError
from codebuddy.terminal import safe_line
from codebuddy.tui.controllers.host import AsyncFunction
from codebuddy.tui.documents import OpenDocument
from codebuddy.tui.keeper import Keeper, absolute
from codebuddy.tui.screens.dialogs import Answer, ChoiceScreen, EntryScreen
from codebuddy.tui.text.buffer import Location
from codebuddy.tui.text.files import ChangedOnDiskError
from codebuddy.tui.text.journal import Leftover
from codebuddy.tui.widgets.editor import Editor
from codebuddy.tui.widgets.tab_bar import TabBar

if TYPE_CHECKING:
    from textual.worker import WorkType

    from codebuddy.vcs.repository import Repository

# What became of a wish to save: written, replaced by the file's text, or nothing.
Saved = Literal["saved", "reloaded", ""]


class Desk(Screen[None]):
    """Documents in tabs. `keeper` is there once the repository is known."""

    def __init__(self) -> None:
        super().__init__()
        self.keeper: Keeper | None = None
        self.active: OpenDocument | None = None
        self._asking_to_close: OpenDocument | None = None

    @property
    def documents(self) -> list[OpenDocument]:
        """What is open, in the order of the tabs."""
        return self.keeper.documents if self.keeper else []

    def begin(self, repository: Repository) -> None:
        """The repository is known: documents can be opened and watched."""
        self.keeper = Keeper(repository)

    # Opening and closing

    async def open_path(
        self, path: Path, place: Location | None = None, *, is_quiet: bool = False
    ) -> OpenDocument | None:
        """Open a file in a tab, or go to the one it has; `None` if it cannot be opened."""
        if self.keeper is None:
            return None
        try:
            document, leftovers = await self.keeper.open(path)
        except CodebuddyError as error:
            if not is_quiet:
                self.notify_error(error)
            return None
        if document not in self.documents:
            return None
        path = absolute(path)
        if path not in (document.path, document.next_path) and not is_quiet:
            name = self.keeper.name_of(path)
            self.notify_user(f"{name} is the same file as {document.name}, which is open")
        if not document.editor.is_attached:
            editors = self.query_one("#editors", Container)
            document.editor.display = False
            if leftovers:
                # What is typed now would be replaced by what is restored.
                document.editor.is_read_only = True
            await editors.mount(document.editor)
        self.show(document)
        if place is not None:
            document.editor.go(place)
        if document.opened.is_read_only and not is_quiet:
            self.notify_user(
                f"{document.opened.reason_read_only}; it is shown read-only", "warning"
            )
        self.document_opened(document, leftovers)
        return document

    def document_opened(self, document: OpenDocument, leftovers: list[Leftover]) -> None:
        """A document was opened, or gone to again; `leftovers` is unsaved text of earlier times."""

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
        if document is None or self.keeper is None or self._asking_to_close is document:
            return
        self._asking_to_close = document
        try:
            if await self._may_close(document):
                await self.discard(document)
        finally:
            self._asking_to_close = None

    async def _may_close(self, document: OpenDocument) -> bool:
        """Whether a document is saved, or is not to be; what is typed while it is saved counts."""
        while document.is_modified:
            answer = await self.app.push_screen_wait(
                ChoiceScreen(
                    f"{document.path.name} is not saved",
                    [Answer("save", "Save it"), Answer("drop", "Close without saving")],
                )
            )
            if answer == "drop":
                return True
            if not answer or await self.save(document) != "saved":
                return False
        return True

    async def discard(self, document: OpenDocument) -> None:
        """Take a document off the desk, its unsaved text too."""
        if self.keeper is None or document not in self.documents:
            return
        at = self.documents.index(document)
        # Keys that come while the disk works go to what is in front afterwards.
        self.documents.remove(document)
        document.editor.is_read_only = True
        document.editor.display = False
        self.active = None
        if self.documents:
            self.show(self.documents[min(at, len(self.documents) - 1)])
        else:
            self.refresh_tabs()
            self.document_shown()
        # Its record may be under way to the disk.
        await self.keeper.forget(document)
        await document.editor.remove()

    # Saving

    @work
    async def action_save(self) -> None:
        """Save the document."""
        if self.active is not None:
            await self.save(self.active)

    async def save(self, document: OpenDocument) -> Saved:
        """Save; what another program wrote is never overwritten without a word.

        Returns:
            What became of it. After `reloaded` what was typed is in the undo history alone.
        """
        if self.keeper is None:
            return ""
        should_overwrite = False
        while True:
            try:
                await self.keeper.save(document, should_overwrite=should_overwrite)
                break
            except ChangedOnDiskError as error:
                answer = await self._ask_what_wins(error)
                if answer != "overwrite":
                    return await self._reload(document) if answer == "reload" else ""
                should_overwrite = not self.keeper.accept_disk(document, error)
            except CodebuddyError as error:
                self.notify_error(error)
                return ""
        self.refresh_tabs()
        self.document_saved(document)
        return "saved"

    async def _ask_what_wins(self, error: ChangedOnDiskError) -> str:
        return await self.app.push_screen_wait(
            ChoiceScreen(
                error.message,
                [
                    Answer("reload", "Take the file's text (undo brings mine back)"),
                    Answer("overwrite", "Overwrite it with mine"),
                    Answer("", "Do nothing"),
                ],
            )
        )

    async def _reload(self, document: OpenDocument) -> Saved:
        """Take the file's text, and let the person see it: nothing is closed now."""
        assert self.keeper is not None
        try:
            await self.keeper.reload(document)
        except CodebuddyError as error:
            self.notify_error(error)
            return ""
        self.refresh_tabs()
        self.notify_user(f"{document.path.name} has the file's text now; Ctrl+Z brings yours back")
        return "reloaded"

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
        while True:
            try:
                await self.keeper.save_as(document, path, should_overwrite=should_overwrite)
                break
            except ChangedOnDiskError:
                answer = await self.app.push_screen_wait(
                    ChoiceScreen(f"{name} exists", [Answer("yes", "Overwrite it")])
                )
                if not answer:
                    return
                should_overwrite = True
            except CodebuddyError as error:
                self.notify_error(error)
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

    @on(Editor.EditRefused)
    def refuse_edit(self, event: Editor.EditRefused) -> None:
        """A read-only text was to be changed."""
        document = next((each for each in self.documents if each.editor is event.editor), None)
        if document is not None:
            self.notify_user(
                document.opened.reason_read_only or "this text is read-only", "warning"
            )

    # Words to the person

    def start_worker(
        self, work: AsyncFunction, *, group: str = "default", exclusive: bool = False
    ) -> None:
        """Run an async function; `exclusive` cancels others of its group."""
        self.run_worker(cast("WorkType[object]", work), group=group, exclusive=exclusive)

    def notify_user(self, text: str, severity: SeverityLevel = "information") -> None:
        """Say something in passing."""
        self.notify(safe_line(text), severity=severity, markup=False, timeout=6)

    def notify_error(self, error: CodebuddyError) -> None:
        """Say what went wrong, and what can be done."""
        self.notify_user(f"{error.message}. {error.hint}" if error.hint else error.message, "error")

    def editor_of(self, editor: object) -> OpenDocument | None:
        """The document of an editor."""
        return next((each for each in self.documents if each.editor is editor), None)

    @property
    def editor(self) -> Editor | None:
        """The editor in front."""
        return self.active.editor if self.active else None
