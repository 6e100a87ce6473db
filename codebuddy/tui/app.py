"""The program in the terminal: begins, restores, ends, and lets nothing be lost on the way.

It puts the screens together and gives them what they need; what they do is theirs.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import App, SystemCommand
from textual.binding import Binding
from textual.css.query import NoMatches
from textual.driver import Driver
from textual.filter import Monochrome, NoColor
from textual.screen import Screen
from textual.worker import WorkerFailed

from codebuddy import platforms
from codebuddy.errors import CodebuddyError, DocumentError
from codebuddy.tui.bindings import WORKSPACE_BINDINGS
from codebuddy.tui.messages import GuardGone, TerminalGone
from codebuddy.tui.output_filter import NoControlCharacters
from codebuddy.tui.palette import THEMES, themes
from codebuddy.tui.screens.dialogs import Choice, ChoiceScreen
from codebuddy.tui.screens.workspace import WorkspaceScreen
from codebuddy.tui.session import SessionState, load_session, save_session
from codebuddy.tui.text.buffer import Location

if TYPE_CHECKING:
    from codebuddy.tui.backend import Backend
    from codebuddy.vcs.repository import Repository

_SAVE_SESSION_EVERY_S = 20.0


class CodebuddyApp(App[None]):
    """The application.

    Args:
        find_repository: Called in a thread after the first paint; raises what the person
            is to be told instead.
        backend: Whom to ask for suggestions, searches and models.
        start: A file to open, with a place in it.
        theme_name: One of `palette.THEMES`.
        should_restore: Whether files of the last session are opened again.
        is_automatic: Whether suggestions come by themselves.
    """

    TITLE = "codebuddy"
    CSS_PATH = "app.tcss"
    COMMAND_PALETTE_BINDING = "ctrl+k"
    ENABLE_COMMAND_PALETTE = True
    # The workspace binds what this class of Textual's binds by itself.
    BINDINGS: ClassVar = [Binding("ctrl+c", "nothing", show=False, system=True)]

    def __init__(
        self,
        find_repository: Callable[[], Repository],
        backend: Backend,
        *,
        start: tuple[Path, Location | None] | None = None,
        theme_name: str = "dark",
        should_restore: bool = True,
        is_automatic: bool = True,
    ) -> None:
        super().__init__()
        for theme in themes():
            self.register_theme(theme)
        self.theme = THEMES["terminal" if self.no_color else theme_name]
        if self.no_color:
            # Textual would turn colours into greys.
            self._filters = [each for each in self._filters if not isinstance(each, Monochrome)]
            self._filters.append(NoColor())
        self._filters.append(NoControlCharacters())
        self.backend = backend
        self.failure: Exception | None = None
        self._find_repository = find_repository
        self._start = start
        self._should_restore = should_restore
        self._is_automatic = is_automatic
        # Before that the session on disk says what was open, and is left as it is.
        self._is_restored = False
        self._is_leaving = False
        self._is_asking_to_leave = False

    @property
    def workspace(self) -> WorkspaceScreen:
        """The main screen."""
        screen = self.screen_stack[0]
        assert isinstance(screen, WorkspaceScreen)
        return screen

    def get_driver_class(self) -> type[Driver]:
        """Textual's for this system; where terminals hang up, ours, which notices."""
        if platforms.IS_WINDOWS:
            return super().get_driver_class()
        from codebuddy.tui.terminal_driver import TerminalDriver

        return TerminalDriver

    def get_default_screen(self) -> Screen[None]:
        """The workspace is the screen that everything else opens over."""
        return WorkspaceScreen(self.backend)

    def on_mount(self) -> None:
        """Paint first; everything else follows."""
        self.workspace.suggester.is_automatic = self._is_automatic
        self.call_after_refresh(self._begin)

    @work
    async def _begin(self) -> None:
        try:
            repository = await asyncio.to_thread(self._find_repository)
        except CodebuddyError as error:
            self.end_with(error)
            return
        workspace = self.workspace
        workspace.begin(repository)
        if self._should_restore:
            state = await asyncio.to_thread(load_session, self._session_folder)
            workspace.panels.restore(state)
            await workspace.document_controller.restore_session(state)
        self._is_restored = True
        workspace.start_worker(workspace.watcher.report_waiting_records)
        if self._start is not None:
            path, place = self._start
            await workspace.document_controller.open(path, place)
        self.set_interval(_SAVE_SESSION_EVERY_S, self._save_session)
        self._offer_setup()

    @work
    async def _offer_setup(self) -> None:
        """Where there is no model yet, say what works without, and offer one."""
        try:
            models = await self.backend.models()
        except CodebuddyError as error:
            self.workspace.notify_error(error)
            return
        in_use = next((each for each in models if each.is_in_use), None)
        if in_use is not None and not in_use.is_installed:
            from codebuddy.tui.screens.first_run import FirstRunScreen

            self.push_screen(FirstRunScreen(self.backend, in_use))

    @property
    def _session_folder(self) -> Path:
        store = self.workspace.store
        assert store is not None
        return store.folder

    def _session_state(self) -> SessionState:
        """What is open, and where, for the next time."""
        workspace = self.workspace
        workspace.document_controller.update_session(workspace.state)
        return workspace.state

    @work(exclusive=True, group="session")
    async def _save_session(self) -> None:
        state = self._session_state()
        with contextlib.suppress(OSError):
            await asyncio.to_thread(save_session, self._session_folder, state)

    # The end

    @work
    async def action_leave(self) -> None:
        """Leave; unsaved texts are asked about, and can wait for the next time."""
        if self._is_asking_to_leave:
            return
        self._is_asking_to_leave = True
        try:
            if await self._may_leave():
                self.exit_now()
        finally:
            self._is_asking_to_leave = False

    async def _may_leave(self) -> bool:
        workspace = self.workspace
        unsaved = [each for each in workspace.documents if each.is_modified]
        if not unsaved:
            return True
        answer = await self.push_screen_wait(
            ChoiceScreen(
                "not everything is saved",
                [
                    Choice("save", "Save all and leave"),
                    Choice("keep", "Leave; keep the unsaved text for the next time"),
                    Choice("drop", "Leave without saving"),
                    Choice("", "Stay"),
                ],
                detail="\n".join(each.name for each in unsaved[:8]),
            )
        )
        if answer == "save":
            for document in unsaved:
                # What is typed while it is saved is to be saved as well.
                while document.is_modified:
                    if await workspace.document_controller.save(document) != "saved":
                        return False
        elif answer == "keep":
            return await self._is_kept()
        elif answer == "drop":
            for document in unsaved:
                document.editor.buffer.mark_saved()
                if workspace.store is not None:
                    await workspace.store.forget(document)
        return bool(answer)

    async def _is_kept(self) -> bool:
        """Whether the unsaved text is in the journal; else the reason is shown."""
        try:
            if self.workspace.store is not None:
                await self.workspace.store.write_journal()
        except OSError as error:
            self.workspace.notify_user(f"unsaved text cannot be kept: {error.strerror}", "error")
            return False
        return True

    async def action_quit(self) -> None:
        """Textual's own word for leaving."""
        self.action_leave()

    def action_nothing(self) -> None:
        """Ctrl+C copies in the editor; elsewhere it says how to leave."""
        self.workspace.notify_user("Ctrl+Q leaves")

    @on(GuardGone)
    @on(TerminalGone)
    def exit_without_terminal(self) -> None:
        """The window was closed, the connection broke, or the parent was killed."""
        self.exit_now()

    def exit_now(self) -> None:
        """End, with unsaved text in the journal and the session saved."""
        self._is_leaving = True
        self.rescue()
        self.workspace.suggester.close()
        self.backend.close()
        self.exit()

    def rescue(self) -> None:
        """Write what must not be lost, at once; failures are reported at the end."""
        store = self.workspace.store
        if store is None:
            return
        lost = store.write_journal_now()
        store.journal.close()
        if lost and self.failure is None:
            self.failure = DocumentError(f"unsaved text is lost: {', '.join(lost)}")
        if self._is_restored:
            with contextlib.suppress(OSError):
                save_session(self._session_folder, self._session_state())

    def end_with(self, error: Exception) -> None:
        """End because of an error, which the command prints once the terminal is restored."""
        self.failure = error
        self.backend.close()
        self.exit(return_code=1)

    def _handle_exception(self, error: Exception) -> None:
        """A bug: save everything, give the terminal back, and let the command report it.

        Textual would print the traceback with the values of local variables, which hold code.
        """
        cause = error.error if isinstance(error, WorkerFailed) else error
        if self._is_leaving and isinstance(cause, NoMatches):
            # Something that waited for the disk came back when the screen was gone.
            return
        if self.failure is None:
            self.failure = self._exception = error
            self._exception_event.set()
        with contextlib.suppress(Exception):
            self.rescue()
        with contextlib.suppress(Exception):
            self.backend.close()
        self._return_code = 1
        self._close_messages_no_wait()

    # Commands

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Everything that has a key, for the command palette."""
        from codebuddy.tui.screens.help import shown_keys

        workspace = self.workspace
        if len(self.screen_stack) > 2:
            # The palette itself is one of the two.
            return
        for binding in WORKSPACE_BINDINGS:
            keys = shown_keys(binding.key)
            yield SystemCommand(
                binding.description, keys, _runner(workspace, binding.action), discover=True
            )
        for name in THEMES:
            yield SystemCommand(
                f"Theme: {name}", "", partial(workspace.settings.use_theme, name), discover=True
            )


def _runner(workspace: WorkspaceScreen, action: str) -> Callable[[], object]:
    async def run() -> None:
        await workspace.run_action(action)

    return run
