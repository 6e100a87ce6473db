"""The main screen: composes files, editor, receipt and status, and routes keys and messages.

Textual sends both to widgets alone; what is done about them is the controllers'.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Horizontal, Vertical
from textual.notifications import SeverityLevel
from textual.screen import Screen

from codebuddy.errors import CodebuddyError
from codebuddy.terminal import safe_line
from codebuddy.tui.backend import Backend
from codebuddy.tui.bindings import WORKSPACE_BINDINGS
from codebuddy.tui.controllers.documents import DocumentController
from codebuddy.tui.controllers.find import FindController
from codebuddy.tui.controllers.host import AsyncFunction
from codebuddy.tui.controllers.navigation import NavigationController
from codebuddy.tui.controllers.pages import PageController
from codebuddy.tui.controllers.panels import PanelLayout
from codebuddy.tui.controllers.settings import SettingsController
from codebuddy.tui.controllers.suggestion_status import SuggestionStatus
from codebuddy.tui.controllers.suggestions import SuggestionController
from codebuddy.tui.controllers.watch import DocumentWatcher
from codebuddy.tui.document_store import DocumentStore
from codebuddy.tui.documents import EditorDocument
from codebuddy.tui.session import SessionState
from codebuddy.tui.session_statistics import SessionStatistics
from codebuddy.tui.text.journal import Leftover
from codebuddy.tui.widgets.editor import Editor
from codebuddy.tui.widgets.editor_view import EditorView
from codebuddy.tui.widgets.file_tree import FileTree
from codebuddy.tui.widgets.find_bar import FindBar
from codebuddy.tui.widgets.receipt_panel import ReceiptPanel
from codebuddy.tui.widgets.status_bar import StatusBar
from codebuddy.tui.widgets.tab_bar import TabBar
from codebuddy.tui.widgets.welcome import Welcome

if TYPE_CHECKING:
    from textual.worker import WorkType

    from codebuddy.vcs.repository import Repository

_JOURNAL_EVERY_S = 0.7
_CHECK_DISK_EVERY_S = 1.5
_LIST_FILES_EVERY_S = 5.0


class WorkspaceScreen(Screen[None]):
    """Everything a person works with; other screens open over it."""

    BINDINGS: ClassVar[list[BindingType]] = [*WORKSPACE_BINDINGS]

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self.backend = backend
        self.state = state = SessionState()
        self.statistics = SessionStatistics()
        self._tree = FileTree("files")
        self._tab_bar = TabBar()
        self._welcome = Welcome()
        self._find_bar = FindBar()
        self._receipt_panel = ReceiptPanel()
        self._status_bar = StatusBar()
        self.panels = PanelLayout(self, state, self._tree, self._tab_bar, self._receipt_panel)
        self.document_controller = documents = DocumentController(self)
        self.watcher = DocumentWatcher(self, documents)
        self.find_controller = FindController(self, documents, self._find_bar)
        self.navigation = NavigationController(self, documents, backend, self._tree)
        self.status = SuggestionStatus(self.refresh_status, self._receipt_panel.show)
        self.suggester = suggester = SuggestionController(backend, self.status, self.statistics)
        self.settings = settings = SettingsController(self, suggester, backend)
        self._pages = PageController(self, backend, documents, self.navigation, suggester, settings)

    @property
    def store(self) -> DocumentStore | None:
        """The documents' files, once the repository is known."""
        return self.document_controller.store

    @property
    def documents(self) -> list[EditorDocument]:
        """What is open, in the order of the tabs."""
        return self.document_controller.documents

    @property
    def active(self) -> EditorDocument | None:
        """The document in front."""
        return self.document_controller.active

    def compose(self) -> ComposeResult:
        """Files, tabs and editors, receipt, status."""
        with Horizontal(id="body"):
            yield self._tree
            with Vertical(id="middle"):
                yield self._tab_bar
                with Container(id="editors"):
                    yield self._welcome
                yield self._find_bar
            yield self._receipt_panel
        yield self._status_bar

    def on_mount(self) -> None:
        """Show what there is, and how long a person has been waiting."""
        self._find_bar.display = False
        self.panels.apply()
        self.refresh_status()
        self.set_interval(1.0, self._count_seconds)

    def begin(self, repository: Repository) -> None:
        """The repository is known: its files are shown and watched, documents can be opened."""
        self.document_controller.begin(repository)
        self.navigation.begin(repository)
        watcher = self.watcher
        self.set_interval(_JOURNAL_EVERY_S, partial(self.start_worker, watcher.journal_unsaved))
        self.set_interval(_CHECK_DISK_EVERY_S, partial(self.start_worker, watcher.check_disk))
        self._list_files()
        self.set_interval(_LIST_FILES_EVERY_S, self._list_files)

    def _list_files(self) -> None:
        self.start_worker(self.navigation.list_files, group="list-files", exclusive=True)

    # What the controllers ask of their host

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

    def set_status(self, text: str) -> None:
        """Show a text in the status row, until the next key."""
        self.status.set_text(text)

    def refresh_status(self) -> None:
        """Show the last row as things are now."""
        if self.is_mounted:
            content = self.status.content(self.active, self.suggester, self.backend.model)
            self._status_bar.show(content, self.statistics)

    def _count_seconds(self) -> None:
        if self.status.is_waiting_long(self.suggester):
            self.refresh_status()

    def refresh_tabs(self) -> None:
        """Show the tabs as they are now; marks stand in them and in the status row."""
        tabs = [each.tab() for each in self.documents]
        self._tab_bar.show(tabs, self.document_controller.active_index)
        self.refresh_status()

    async def mount_editor(self, editor: Editor) -> None:
        """Add an editor to the screen."""
        await self.query_one("#editors").mount(editor)

    def document_opened(self, document: EditorDocument, leftovers: list[Leftover]) -> None:
        """Offer what is left of unsaved text of earlier times."""
        self.watcher.document_opened(document, leftovers)

    def document_shown(self) -> None:
        """Another document is in front."""
        self.suggester.cancel()
        self._welcome.display = self.active is None
        if self.active is not None:
            self.suggester.moved(self.active)
        self.refresh_status()

    # Panels

    def on_resize(self, _event: events.Resize) -> None:
        """Panels come and go with the room there is."""
        self.panels.apply()

    def action_toggle_tree(self) -> None:
        """Show or hide the files."""
        self.panels.toggle_tree()
        self.document_controller.focus()

    def action_toggle_receipt(self) -> None:
        """Show or hide the receipt."""
        self.panels.toggle_receipt()
        self.document_controller.focus()

    def action_focus_tree(self) -> None:
        """Go to the files, and back."""
        if self._tree.has_focus:
            self.document_controller.focus()
        else:
            self.panels.focus_tree(self.active.name if self.active else "")

    # Documents

    @on(FileTree.Opened)
    async def open_from_tree(self, event: FileTree.Opened) -> None:
        """A file was chosen in the tree."""
        await self.navigation.open_file(event.path)

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

    # Finding and going to places

    def action_find(self, with_replace: bool) -> None:  # noqa: FBT001 - an action's parameter
        """Open the find bar with what is selected."""
        self.find_controller.open_bar(with_replace=with_replace)

    @on(FindBar.Wanted)
    def find_matches(self, event: FindBar.Wanted) -> None:
        """Something else is looked for."""
        self.find_controller.search(event.query)

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
        self.find_controller.replace(event.by, should_replace_all=event.should_replace_all)

    @on(FindBar.Closed)
    def close_find(self) -> None:
        """Back to the text."""
        self.find_controller.close_bar()

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

    @on(ReceiptPanel.ChunkChosen)
    async def go_to_chunk(self, event: ReceiptPanel.ChunkChosen) -> None:
        """Jump to a chunk of the receipt."""
        await self.navigation.jump(event.path, event.line)

    # Suggestions

    @on(EditorView.Changed)
    def editor_changed(self, event: EditorView.Changed) -> None:
        """Typing goes on; so does asking."""
        self.status.clear_text()
        document = self.document_controller.suggestible(event.editor)
        if document is not None:
            self.suggester.changed(document, is_typing=event.is_typing)
        self.refresh_tabs()

    @on(EditorView.Moved)
    def editor_moved(self, event: EditorView.Moved) -> None:
        """Nothing is suggested where nothing was typed."""
        self.status.clear_text()
        document = self.document_controller.suggestible(event.editor)
        if document is not None:
            self.suggester.moved(document)
        self.refresh_status()

    @on(Editor.GhostUsed)
    def ghost_used(self, event: Editor.GhostUsed) -> None:
        """Count what became of a suggestion; the engine learns what was accepted."""
        if event.how == "accepted":
            self.backend.accepted(event.text)
        document = self.document_controller.document_of(event.editor)
        is_whole = event.editor.ghost is None
        self.suggester.ghost_used(document, event.how, event.text, is_whole=is_whole)
        self.refresh_status()

    @on(Editor.SuggestionAsked)
    def suggestion_asked(self, event: Editor.SuggestionAsked) -> None:
        """A key asked for one."""
        document = self.document_controller.suggestible(event.editor, should_notify=True)
        if document is not None and not document.opened.is_read_only:
            self.suggester.ask(document, should_vary=event.should_vary)

    # Settings and other screens

    def action_toggle_automatic(self) -> None:
        """Suggest by itself, or only when asked."""
        self.settings.toggle_automatic()

    def action_next_theme(self) -> None:
        """The next of our themes."""
        self.settings.next_theme()

    def action_settings(self) -> None:
        """The settings that matter while editing."""
        self._pages.open_settings()

    def action_help(self) -> None:
        """All keys."""
        self._pages.open_help()

    def action_models(self) -> None:
        """Models: pull, switch."""
        self.start_worker(self._pages.open_models)

    def action_index(self) -> None:
        """Bring the index up to date."""
        self._pages.open_index()

    def action_compare(self) -> None:
        """Never, always and auto at the cursor."""
        self.start_worker(self._pages.compare)

    def action_review(self) -> None:
        """What the hook says of the staged change."""
        self.start_worker(self._pages.review)

    async def action_leave(self) -> None:
        """Leave the program."""
        await self.app.run_action("app.leave")
