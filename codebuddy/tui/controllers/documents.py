"""The open documents and what is done with their files: opening, saving, closing.

Questions are asked here, the disk is `DocumentStore`'s.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from codebuddy.errors import CodebuddyError
from codebuddy.tui.controllers.host import ControllerHost
from codebuddy.tui.document_store import DocumentStore, absolute
from codebuddy.tui.documents import EditorDocument
from codebuddy.tui.screens.dialogs import Choice, ChoiceScreen, EntryScreen
from codebuddy.tui.session import OpenFileState, SessionState
from codebuddy.tui.text.buffer import Location
from codebuddy.tui.text.files import ChangedOnDiskError
from codebuddy.tui.text.journal import Leftover
from codebuddy.tui.widgets.editor import Editor

if TYPE_CHECKING:
    from codebuddy.vcs.repository import Repository

# What saving did: wrote the text, replaced it by the file's, or nothing.
Saved = Literal["saved", "reloaded", ""]


class DocumentHost(ControllerHost, Protocol):
    """A screen that shows the documents."""

    async def mount_editor(self, editor: Editor) -> None:
        """Add an editor to the screen."""
        ...

    def refresh_tabs(self) -> None:
        """Show the tabs as they are now."""
        ...

    def document_opened(self, document: EditorDocument, leftovers: list[Leftover]) -> None:
        """A document was opened, or gone to again; `leftovers` is unsaved text of earlier times."""
        ...

    def document_shown(self) -> None:
        """Another document is in front, or none."""
        ...


class DocumentController:
    """Documents in tabs; `active` is in front. `store` is there once the repository is known."""

    def __init__(self, host: DocumentHost) -> None:
        self.store: DocumentStore | None = None
        self.active: EditorDocument | None = None
        self._host = host
        self._asking_to_close: EditorDocument | None = None

    @property
    def documents(self) -> list[EditorDocument]:
        """What is open, in the order of the tabs."""
        return self.store.documents if self.store else []

    @property
    def editor(self) -> Editor | None:
        """The editor in front."""
        return self.active.editor if self.active else None

    @property
    def active_index(self) -> int:
        """The tab in front; 0 if there is none."""
        return self.documents.index(self.active) if self.active in self.documents else 0

    def document_of(self, editor: object) -> EditorDocument | None:
        """The document of an editor."""
        return next((each for each in self.documents if each.editor is editor), None)

    def suggestible(self, editor: object, *, should_notify: bool = False) -> EditorDocument | None:
        """The document of an editor, unless it is a notebook, in whose JSON nothing is suggested.

        With `should_notify` the person learns that.
        """
        document = self.document_of(editor)
        if document is None or not document.is_notebook:
            return document
        if should_notify:
            self._host.notify_user(
                "nothing is suggested in a notebook's JSON; for a cell:"
                f" codebuddy complete {document.name}:LINE --apply"
            )
        return None

    def begin(self, repository: Repository) -> None:
        """The repository is known: documents can be opened."""
        self.store = DocumentStore(repository)

    # Opening and closing

    async def open(
        self, path: Path, place: Location | None = None, *, is_quiet: bool = False
    ) -> EditorDocument | None:
        """Open a file in a tab, or go to the one it has; `None` if it cannot be opened."""
        if self.store is None:
            return None
        try:
            document, leftovers = await self.store.open(path)
        except CodebuddyError as error:
            if not is_quiet:
                self._host.notify_error(error)
            return None
        if document not in self.documents:
            return None
        path = absolute(path)
        if path not in (document.path, document.next_path) and not is_quiet:
            name = self.store.name_of(path)
            self._host.notify_user(f"{name} is the same file as {document.name}, which is open")
        if not document.editor.is_attached:
            document.editor.display = False
            if leftovers:
                # What is typed now would be replaced by what is restored.
                document.editor.is_read_only = True
            await self._host.mount_editor(document.editor)
        self.show(document)
        if place is not None:
            document.editor.go(place)
        if document.opened.is_read_only and not is_quiet:
            reason = document.opened.reason_read_only
            self._host.notify_user(f"{reason}; it is shown read-only", "warning")
        self._host.document_opened(document, leftovers)
        return document

    def show(self, document: EditorDocument) -> None:
        """Bring a document to the front."""
        for each in self.documents:
            each.editor.display = each is document
        changed = self.active is not document
        self.active = document
        document.editor.focus()
        self._host.refresh_tabs()
        if changed:
            self._host.document_shown()

    def focus(self) -> None:
        """Give the keys to the document in front."""
        if self.editor is not None:
            self.editor.focus()

    def step(self, step: int) -> None:
        """Show the document so many tabs on, round and round."""
        if self.active in self.documents:
            self.show(self.documents[(self.active_index + step) % len(self.documents)])

    async def close_active(self) -> None:
        """Close the document; one that is not saved asks first."""
        document = self.active
        if document is None or self.store is None or self._asking_to_close is document:
            return
        self._asking_to_close = document
        try:
            if await self._may_close(document):
                await self.discard(document)
        finally:
            self._asking_to_close = None

    async def _may_close(self, document: EditorDocument) -> bool:
        """Whether a document is saved, or is not to be; what is typed while it is saved counts."""
        while document.is_modified:
            answer = await self._host.app.push_screen_wait(
                ChoiceScreen(
                    f"{document.path.name} is not saved",
                    [Choice("save", "Save it"), Choice("drop", "Close without saving")],
                )
            )
            if answer == "drop":
                return True
            if not answer or await self.save(document) != "saved":
                return False
        return True

    async def discard(self, document: EditorDocument) -> None:
        """Close a document, its unsaved text too."""
        if self.store is None or document not in self.documents:
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
            self._host.refresh_tabs()
            self._host.document_shown()
        # Its record may be under way to the disk.
        await self.store.forget(document)
        await document.editor.remove()

    # Saving

    async def save_active(self) -> None:
        """Save the document in front."""
        if self.active is not None:
            await self.save(self.active)

    async def save(self, document: EditorDocument) -> Saved:
        """Save; what another program wrote is overwritten only if the person says so.

        Returns:
            What it did. After `reloaded` what was typed is in the undo history alone.
        """
        if self.store is None:
            return ""
        should_overwrite = False
        while True:
            try:
                await self.store.save(document, should_overwrite=should_overwrite)
                break
            except ChangedOnDiskError as error:
                answer = await self._ask_what_wins(error)
                if answer != "overwrite":
                    return await self._reload(document) if answer == "reload" else ""
                should_overwrite = not self.store.accept_disk(document, error)
            except CodebuddyError as error:
                self._host.notify_error(error)
                return ""
        self._report_saved(document)
        return "saved"

    def _report_saved(self, document: EditorDocument) -> None:
        self._host.refresh_tabs()
        self._host.set_status(f"saved {document.path.name}")

    async def _ask_what_wins(self, error: ChangedOnDiskError) -> str:
        return await self._host.app.push_screen_wait(
            ChoiceScreen(
                error.message,
                [
                    Choice("reload", "Take the file's text (undo brings mine back)"),
                    Choice("overwrite", "Overwrite it with mine"),
                    Choice("", "Do nothing"),
                ],
            )
        )

    async def _reload(self, document: EditorDocument) -> Saved:
        """Take the file's text, and let the person see it: nothing is closed now."""
        assert self.store is not None
        try:
            await self.store.reload(document)
        except CodebuddyError as error:
            self._host.notify_error(error)
            return ""
        self._host.refresh_tabs()
        undo = "Ctrl+Z brings yours back"
        if document.opened.is_read_only:
            reason = document.opened.reason_read_only
            self._host.notify_user(f"{reason}; it is shown read-only; {undo}", "warning")
        else:
            self._host.notify_user(f"{document.path.name} has the file's text now; {undo}")
        return "reloaded"

    def ask_new_name(self) -> None:
        """Save the document in front under a name that is asked for."""
        if self.active is not None:
            self._host.app.push_screen(EntryScreen("save as", self.active.name), self._named)

    def _named(self, name: str | None) -> None:
        if name and self.active is not None and name != self.active.name:
            self._host.start_worker(partial(self._save_as, self.active, name))

    async def _save_as(self, document: EditorDocument, name: str) -> None:
        if self.store is None:
            return
        path = self._named_path(name)
        accepted: ChangedOnDiskError | None = None
        while True:
            try:
                await self.store.save_as(document, path, accepted)
                break
            except ChangedOnDiskError as error:
                if not error.is_gone:
                    changed = f"{name} was changed by another program meanwhile"
                    text = f"{name} exists" if accepted is None else changed
                    answer = await self._host.app.push_screen_wait(
                        ChoiceScreen(text, [Choice("yes", "Overwrite it")])
                    )
                    if not answer:
                        return
                accepted = error
            except CodebuddyError as error:
                self._host.notify_error(error)
                return
        self._report_saved(document)

    def ask_new_file(self) -> None:
        """Open a file that need not exist yet; its name is asked for."""
        self._host.app.push_screen(EntryScreen("new file"), self._named_new)

    def _named_new(self, name: str | None) -> None:
        if name and self.store is not None:
            self._host.start_worker(partial(self.open, self._named_path(name)))

    def _named_path(self, name: str) -> Path:
        """Where a name that was typed leads: from the folder that is open, or from home (`~/`)."""
        assert self.store is not None
        try:
            return self.store.root / Path(name).expanduser()
        except RuntimeError:  # A home that is not there: `~nobody`.
            return self.store.root / name

    def refuse_edit(self, editor: Editor) -> None:
        """Tell why a read-only text does not change."""
        document = self.document_of(editor)
        if document is not None:
            reason = document.opened.reason_read_only or "this text is read-only"
            self._host.notify_user(reason, "warning")

    # The session

    def update_session(self, state: SessionState) -> None:
        """Note in `state` what is open, and where."""
        files = []
        for document in self.documents:
            cursor = document.editor.editing.cursor
            top = document.editor.scroll_offset.y
            files.append(OpenFileState(document.name, cursor.line, cursor.column, top))
        state.files = files
        if self.active in self.documents:
            state.active = self.active_index

    async def restore_session(self, state: SessionState) -> None:
        """Open what was open the last time."""
        if self.store is None:
            return
        for each in state.files:
            document = await self.open(self.store.root / each.path, is_quiet=True)
            if document is not None:
                document.editor.go(Location(each.line, each.column), each.top)
        if 0 <= state.active < len(self.documents):
            self.show(self.documents[state.active])
