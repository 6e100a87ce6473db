"""The pages that open over the main screen: help, settings, models, index, compare, review."""

from __future__ import annotations

from codebuddy.tui.backend import Backend
from codebuddy.tui.bindings import WORKSPACE_BINDINGS
from codebuddy.tui.controllers.documents import DocumentController
from codebuddy.tui.controllers.host import ControllerHost
from codebuddy.tui.controllers.navigation import NavigationController
from codebuddy.tui.controllers.settings import SettingsController
from codebuddy.tui.controllers.suggestions import SuggestionController
from codebuddy.tui.widgets.editor import EDITOR_BINDINGS


class PageController:
    """Opens pages, and does in the documents what is chosen on them.

    A page is imported when it is opened: the first paint waits for none.
    """

    def __init__(
        self,
        host: ControllerHost,
        backend: Backend,
        documents: DocumentController,
        navigation: NavigationController,
        suggester: SuggestionController,
        settings: SettingsController,
    ) -> None:
        self._host = host
        self._documents = documents
        self._navigation = navigation
        self._suggester = suggester
        self._settings = settings
        self._backend = backend

    def open_help(self) -> None:
        """All keys."""
        from codebuddy.tui.screens.help import HelpScreen

        self._host.app.push_screen(HelpScreen([*EDITOR_BINDINGS, *WORKSPACE_BINDINGS]))

    def open_settings(self) -> None:
        """The settings that matter while editing."""
        from codebuddy.tui.screens.settings import SettingsScreen

        store = self._documents.store
        self._host.app.push_screen(SettingsScreen(self._settings, store.root if store else None))

    async def open_models(self) -> None:
        """Models: pull, switch."""
        from codebuddy.tui.screens.models import ModelsScreen

        self._suggester.cancel()
        await self._host.app.push_screen_wait(ModelsScreen(self._backend))
        self._host.set_status("")

    def open_index(self) -> None:
        """Bring the index up to date."""
        from codebuddy.tui.screens.indexing import IndexScreen

        self._host.app.push_screen(IndexScreen(self._backend))

    async def compare(self) -> None:
        """Never, always and auto at the cursor."""
        document = self._documents.active
        if document is None or document.is_notebook:
            return
        from codebuddy.tui.screens.compare import CompareScreen

        self._suggester.cancel()
        document.show_ghost(None)
        request = document.suggestion_request(is_asked_for=True, alternatives=0)
        revision = document.editor.buffer.revision
        _, before, _ = document.around_cursor()
        screen = CompareScreen(self._backend, request, before, document.editor.language)
        text = await self._host.app.push_screen_wait(screen)
        if not text:
            return
        if document.editor.buffer.revision != revision:
            changed = "the text changed meanwhile; nothing was inserted"
            self._host.notify_user(changed, "warning")
            return
        document.editor.put(text)

    async def review(self) -> None:
        """What the hook says of the staged change."""
        store = self._documents.store
        if store is None:
            return
        from codebuddy.tui.screens.review import ReviewScreen

        unsaved = frozenset(each.name for each in self._documents.documents if each.is_modified)
        place = await self._host.app.push_screen_wait(ReviewScreen(store.root, unsaved))
        if place is not None:
            await self._navigation.jump(*place)
