"""The main screen: files, editor, receipt and status, and what connects them.

Keys are listed in `BINDINGS`, from which the help screen is made. What is decided about
suggestions is `Suggester`'s, what is shown where is here.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, Vertical
from textual.widgets import Static

from codebuddy.tui import literal
from codebuddy.tui.backend import Backend
from codebuddy.tui.controllers.settings import SettingsController
from codebuddy.tui.documents import OpenDocument
from codebuddy.tui.screens.suggestions import SuggestingDesk
from codebuddy.tui.session import SessionState
from codebuddy.tui.widgets.editor import EDITOR_BINDINGS
from codebuddy.tui.widgets.file_tree import FileTree, as_folders
from codebuddy.tui.widgets.receipt_panel import ReceiptPanel
from codebuddy.tui.widgets.status_bar import StatusBar
from codebuddy.tui.widgets.tab_bar import TabBar

if TYPE_CHECKING:
    from codebuddy.vcs.repository import Repository

_FILES = Binding.Group("Files")
_CODE = Binding.Group("Code")
_VIEW = Binding.Group("View")

# Narrower or lower than this, side panels go unless they were asked for.
_TREE_FROM_WIDTH = 100
_RECEIPT_FROM_WIDTH = 140
_PANELS_FROM_HEIGHT = 8
_TABS_FROM_HEIGHT = 7
_LIST_FILES_EVERY_S = 5.0

_WELCOME = """\
codebuddy

Ctrl+P  go to a file          Ctrl+T  search the repository
Ctrl+N  new file              F1      all keys
Ctrl+K  all commands          Ctrl+Q  leave

Type, and suggestions come by themselves. Tab takes one."""


def _key(keys: str, action: str, text: str, group: Binding.Group) -> Binding:
    return Binding(keys, action, text, show=False, group=group)


def _entry_key(keys: str, action: str, text: str, group: Binding.Group) -> Binding:
    """One behind which people go on typing: it comes first, so that no letter of what follows
    goes into the text.
    """
    return Binding(keys, action, text, show=False, group=group, priority=True)


class Workspace(SuggestingDesk):
    """Everything a person works with; other screens open over it."""

    KEYS: ClassVar[list[Binding]] = [
        _entry_key("ctrl+p", "files", "Go to a file", _FILES),
        _entry_key("ctrl+n", "new", "New file", _FILES),
        _key("ctrl+s", "save", "Save", _FILES),
        _entry_key("alt+s", "save_as", "Save as", _FILES),
        _key("ctrl+w", "close", "Close", _FILES),
        _key("ctrl+pagedown,alt+right_square_bracket", "step_tab(1)", "Next tab", _FILES),
        _key("ctrl+pageup", "step_tab(-1)", "Previous tab", _FILES),
        _key("ctrl+q", "leave", "Leave", _FILES),
        _entry_key("ctrl+t", "search", "Search the repository", _CODE),
        _key("f12,alt+full_stop", "definition", "Go to the definition", _CODE),
        _key("alt+left", "back", "Back to where it was jumped from", _CODE),
        _entry_key("ctrl+f", "find(False)", "Find in this file", _CODE),
        _entry_key("ctrl+r", "find(True)", "Replace in this file", _CODE),
        _key("f3", "next_match(1)", "Next match", _CODE),
        _key("shift+f3", "next_match(-1)", "Previous match", _CODE),
        _entry_key("ctrl+g", "go_to_line", "Go to a line", _CODE),
        _key("f5", "compare", "Compare: never, always, auto", _CODE),
        _key("f8", "review", "Review what is staged", _CODE),
        _key("f2,ctrl+b", "toggle_tree", "Show or hide the files", _VIEW),
        _key("f4", "toggle_receipt", "Show or hide the receipt", _VIEW),
        _key("f6", "models", "Models", _VIEW),
        _key("f7", "index", "Index", _VIEW),
        _key("f9", "toggle_automatic", "Suggest by itself, or only when asked", _VIEW),
        _key("f10,alt+comma", "settings", "Settings", _VIEW),
        _key("alt+t", "next_theme", "Next theme", _VIEW),
        _key("alt+0", "focus_tree", "Go to the list of files", _VIEW),
        _key("f1", "help", "All keys", _VIEW),
    ]

    BINDINGS: ClassVar[list[BindingType]] = [*KEYS]

    def __init__(self, backend: Backend, state: SessionState) -> None:
        super().__init__(backend)
        self.state = state
        self.settings = SettingsController(self, self.suggester, backend)
        self._repository: Repository | None = None

    def compose(self) -> ComposeResult:
        """Files, tabs and editors, receipt, status."""
        with Horizontal(id="body"):
            yield FileTree("files")
            with Vertical(id="middle"):
                yield TabBar()
                with Container(id="editors"):
                    yield Static(literal.lines(_WELCOME, literal.MUTED), id="welcome")
                yield self.find_bar
            yield ReceiptPanel()
        yield StatusBar()

    def on_mount(self) -> None:
        """Show what there is."""
        self.find_bar.display = False
        self._lay_out()
        self.refresh_status()

    def begin(self, repository: Repository) -> None:
        """The repository is known: its files are shown and watched."""
        super().begin(repository)
        self._repository = repository
        self._list_files()
        self.set_interval(_LIST_FILES_EVERY_S, self._list_files)

    @work(exclusive=True, group="list-files")
    async def _list_files(self) -> None:
        if self._repository is not None and await self.navigation.list_files(self._repository):
            folders = await asyncio.to_thread(as_folders, self.paths)
            # The editor may have been left meanwhile: then there is no tree any more.
            for tree in self.query(FileTree):
                tree.show(folders)

    # Layout

    def on_resize(self, _event: events.Resize) -> None:
        """Panels come and go with the room there is."""
        self._lay_out()

    def _lay_out(self) -> None:
        width, height = self.app.size
        is_high = height >= _PANELS_FROM_HEIGHT
        tree, receipt = self.state.shows_tree, self.state.shows_receipt
        wide_tree = width >= _TREE_FROM_WIDTH if tree is None else tree
        wide_receipt = width >= _RECEIPT_FROM_WIDTH if receipt is None else receipt
        self.query_one(FileTree).display = is_high and wide_tree and width >= 40
        self.query_one(ReceiptPanel).display = is_high and wide_receipt and width >= 60
        self.query_one(TabBar).display = height >= _TABS_FROM_HEIGHT

    def action_toggle_tree(self) -> None:
        """Show or hide the files."""
        self.state.shows_tree = not self.query_one(FileTree).display
        self._lay_out()
        self._focus_editor()

    def action_toggle_receipt(self) -> None:
        """Show or hide the receipt."""
        self.state.shows_receipt = not self.query_one(ReceiptPanel).display
        self._lay_out()
        self._focus_editor()

    def action_focus_tree(self) -> None:
        """Go to the files, and back."""
        tree = self.query_one(FileTree)
        if tree.has_focus:
            self._focus_editor()
            return
        self.state.shows_tree = True
        self._lay_out()
        tree.focus()
        if self.active is not None:
            tree.reveal(self.active.name)

    def _focus_editor(self) -> None:
        if self.editor is not None:
            self.editor.focus()

    # Documents

    @on(FileTree.Opened)
    async def open_from_tree(self, event: FileTree.Opened) -> None:
        """A file was chosen in the tree."""
        if self.store is not None:
            await self.document_controller.open(self.store.root / event.path)

    def document_shown(self) -> None:
        """Another document is in front."""
        self.suggester.cancel()
        self.query_one("#welcome").display = self.active is None
        if self.active is not None:
            self.suggester.moved(self.active)
        self.refresh_status()

    def document_saved(self, document: OpenDocument) -> None:
        """Say so, quietly."""
        self.set_status(f"saved {document.path.name}")

    def session_state(self) -> SessionState:
        """What is to be restored the next time."""
        self.document_controller.update_session(self.state)
        return self.state

    # Other screens

    def action_help(self) -> None:
        """All keys."""
        from codebuddy.tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen([*EDITOR_BINDINGS, *self.KEYS]))

    @work
    async def action_models(self) -> None:
        """Models: pull, switch."""
        from codebuddy.tui.screens.models import ModelsScreen

        self.suggester.cancel()
        await self.app.push_screen_wait(ModelsScreen(self.backend))
        self.set_status("")

    def action_settings(self) -> None:
        """The settings that matter while editing."""
        from codebuddy.tui.screens.settings import SettingsScreen

        root = self.store.root if self.store else None
        self.app.push_screen(SettingsScreen(self.settings, root))

    def action_next_theme(self) -> None:
        """The next of our themes."""
        self.settings.next_theme()

    def action_index(self) -> None:
        """Bring the index up to date."""
        from codebuddy.tui.screens.indexing import IndexScreen

        self.app.push_screen(IndexScreen(self.backend))

    @work
    async def action_compare(self) -> None:
        """Never, always and auto at the cursor."""
        document = self.active
        if document is None or document.is_notebook:
            return
        from codebuddy.tui.screens.compare import CompareScreen

        self.suggester.cancel()
        document.show_ghost(None)
        wish = document.wish(is_asked_for=True, alternatives=0)
        revision = document.editor.buffer.revision
        _, before, _ = document.around_cursor()
        language = document.editor.language
        text = await self.app.push_screen_wait(CompareScreen(self.backend, wish, before, language))
        if not text:
            return
        if document.editor.buffer.revision != revision:
            self.notify_user("the text changed meanwhile; nothing was inserted", "warning")
            return
        document.editor.put(text)

    @work
    async def action_review(self) -> None:
        """What the hook says of the staged change."""
        if self.store is None:
            return
        from codebuddy.tui.screens.review import ReviewScreen

        unsaved = frozenset(each.name for each in self.documents if each.is_modified)
        place = await self.app.push_screen_wait(ReviewScreen(self.store.root, unsaved))
        if place is not None:
            await self.navigation.jump(*place)

    async def action_leave(self) -> None:
        """Leave the program."""
        await self.app.run_action("app.leave")
