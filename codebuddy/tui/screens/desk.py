"""The screen's lower half: open documents in tabs, finding and going to places."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, cast

from textual import on
from textual.css.query import NoMatches
from textual.notifications import SeverityLevel
from textual.screen import Screen

from codebuddy.errors import CodebuddyError
from codebuddy.terminal import safe_line
from codebuddy.tui.backend import Backend
from codebuddy.tui.controllers.documents import DocumentController
from codebuddy.tui.controllers.find import FindController
from codebuddy.tui.controllers.host import AsyncFunction
from codebuddy.tui.controllers.navigation import NavigationController
from codebuddy.tui.controllers.watch import DocumentWatcher
from codebuddy.tui.documents import OpenDocument
from codebuddy.tui.keeper import Keeper
from codebuddy.tui.text.journal import Leftover
from codebuddy.tui.widgets.editor import Editor
from codebuddy.tui.widgets.find_bar import FindBar
from codebuddy.tui.widgets.tab_bar import TabBar

if TYPE_CHECKING:
    from textual.worker import WorkType

    from codebuddy.vcs.repository import Repository

_JOURNAL_EVERY_S = 0.7
_LOOK_EVERY_S = 1.5


class Desk(Screen[None]):
    """Documents in tabs."""

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self.backend = backend
        self.find_bar = FindBar()
        self.document_controller = DocumentController(self)
        self.find_controller = FindController(self, self.document_controller, self.find_bar)
        self.navigation = NavigationController(self, self.document_controller, backend)
        self.watcher = DocumentWatcher(self, self.document_controller)

    @property
    def documents(self) -> list[OpenDocument]:
        """What is open, in the order of the tabs."""
        return self.document_controller.documents

    @property
    def store(self) -> Keeper | None:
        """The documents' files, once the repository is known."""
        return self.document_controller.store

    @property
    def active(self) -> OpenDocument | None:
        """The document in front."""
        return self.document_controller.active

    @property
    def editor(self) -> Editor | None:
        """The editor in front."""
        return self.document_controller.editor

    @property
    def paths(self) -> list[str]:
        """The repository's files."""
        return self.navigation.paths

    def begin(self, repository: Repository) -> None:
        """The repository is known: documents can be opened and watched."""
        self.document_controller.begin(repository)
        self.set_interval(_JOURNAL_EVERY_S, self._journal_unsaved)
        self.set_interval(_LOOK_EVERY_S, self._look_at_disk)

    def _journal_unsaved(self) -> None:
        self.start_worker(self.watcher.journal_unsaved)

    def _look_at_disk(self) -> None:
        self.start_worker(self.watcher.look_at_disk)

    async def mount_editor(self, editor: Editor) -> None:
        """Add an editor to the screen."""
        await self.query_one("#editors").mount(editor)

    def document_opened(self, document: OpenDocument, leftovers: list[Leftover]) -> None:
        """Offer what is left of unsaved text of earlier times."""
        self.watcher.document_opened(document, leftovers)

    def document_shown(self) -> None:
        """Another document is in front; for subclasses."""

    def document_saved(self, document: OpenDocument) -> None:
        """A document was saved; for subclasses."""

    def set_status(self, text: str) -> None:
        """Show a text in the status row; for subclasses."""

    def refresh_tabs(self) -> None:
        """Show the tabs as they are now."""
        tabs = [each.tab() for each in self.documents]
        with contextlib.suppress(NoMatches):
            self.query_one(TabBar).show(tabs, self.document_controller.active_index)

    @on(TabBar.Chosen)
    def choose_tab(self, event: TabBar.Chosen) -> None:
        """A tab was clicked."""
        if event.index < len(self.documents):
            self.document_controller.show(self.documents[event.index])
            if event.should_close:
                self.action_close()

    def action_step_tab(self, step: int) -> None:
        """The next or previous tab."""
        self.document_controller.step(step)

    def action_close(self) -> None:
        """Close the document; one that is not saved asks first."""
        self.start_worker(self.document_controller.close_active)

    def action_save(self) -> None:
        """Save the document."""
        self.start_worker(self.document_controller.save_active)

    def action_save_as(self) -> None:
        """Save the document under another name."""
        self.document_controller.ask_new_name()

    def action_new(self) -> None:
        """Open a file that need not exist yet."""
        self.document_controller.ask_new_file()

    @on(Editor.EditRefused)
    def refuse_edit(self, event: Editor.EditRefused) -> None:
        """A read-only text was to be changed."""
        self.document_controller.refuse_edit(event.editor)

    # Finding

    def action_find(self, with_replace: bool) -> None:  # noqa: FBT001 - an action's parameter
        """Open the find bar with what is selected."""
        self.find_controller.open_bar(with_replace=with_replace)

    @on(FindBar.Wanted)
    def look_for(self, event: FindBar.Wanted) -> None:
        """Something else is looked for."""
        self.find_controller.find(event.query)

    @on(FindBar.Step)
    def step_match(self, event: FindBar.Step) -> None:
        """The next or previous match."""
        self.find_controller.step(event.step)

    def action_next_match(self, step: int) -> None:
        """Go to the next or previous match."""
        self.find_controller.step(step)

    @on(FindBar.Replace)
    def replace(self, event: FindBar.Replace) -> None:
        """Replace the current match, or all."""
        replace = self.find_controller.replace
        all_ = event.should_replace_all
        self.start_worker(partial(replace, event.by, should_replace_all=all_))

    @on(FindBar.Closed)
    def close_find(self) -> None:
        """Back to the text."""
        self.find_controller.close_bar()

    # Going to places

    def action_go_to_line(self) -> None:
        """Go to a line, or a line and column."""
        self.navigation.ask_line()

    def action_files(self) -> None:
        """Go to a file by parts of its name."""
        self.navigation.open_files_palette()

    def action_search(self) -> None:
        """Search the repository."""
        self.navigation.open_search_palette()

    def action_definition(self) -> None:
        """Go to where the name at the cursor is defined."""
        self.start_worker(self.navigation.go_to_definition, group="definition", exclusive=True)

    async def action_back(self) -> None:
        """Back to where the last jump began."""
        await self.navigation.jump_back()

    # Notifications

    def start_worker(
        self, work: AsyncFunction, *, group: str = "default", exclusive: bool = False
    ) -> None:
        """Run an async function; `exclusive` cancels others of its group."""
        self.run_worker(cast("WorkType[object]", work), group=group, exclusive=exclusive)

    def notify_user(self, text: str, severity: SeverityLevel = "information") -> None:
        """Show a notification."""
        self.notify(safe_line(text), severity=severity, markup=False, timeout=6)

    def notify_error(self, error: CodebuddyError) -> None:
        """Show an error with its hint as a notification."""
        text = f"{error.message}. {error.hint}" if error.hint else error.message
        self.notify_user(text, "error")
