"""The editor without a terminal: the real app driven by key presses, with the echo generator."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from textual.command import Command, CommandList, CommandPalette
from textual.pilot import Pilot
from textual.widgets import Input

from codebuddy.tui.app import CodebuddyApp
from codebuddy.tui.backend import Backend
from codebuddy.tui.documents import EditorDocument
from codebuddy.tui.screens.workspace import WorkspaceScreen
from codebuddy.tui.text.buffer import Location
from codebuddy.tui.widgets.editor import Editor
from codebuddy.vcs.repository import open_repository
from tests.support.backends import OwnBackend

_NAMES = {" ": "space", "_": "underscore", "(": "left_parenthesis", ")": "right_parenthesis"}
_PATIENCE_S = 30.0


class Journey:
    """One run of the app, with the words that tests are written in."""

    def __init__(self, app: CodebuddyApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def workspace(self) -> WorkspaceScreen:
        """The main screen."""
        return self.app.workspace

    @property
    def document(self) -> EditorDocument:
        """The document in front."""
        assert self.workspace.active is not None
        return self.workspace.active

    @property
    def name(self) -> str:
        """The name of the document in front; empty if there is none."""
        return self.workspace.active.name if self.workspace.active else ""

    @property
    def editor(self) -> Editor:
        """The editor in front."""
        editor = self.workspace.document_controller.editor
        assert editor is not None
        return editor

    @property
    def text(self) -> str:
        """The text in front."""
        return self.editor.buffer.text

    async def press(self, *keys: str) -> None:
        """Press keys."""
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        """Type a text."""
        await self.pilot.press(*[_NAMES.get(character, character) for character in text])

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for something to become true."""
        for _ in range(int(_PATIENCE_S / 0.02)):
            if condition():
                return
            await self.pilot.pause(0.02)
        raise AssertionError("it did not come true")

    async def run_command(self, words: str, title: str) -> None:
        """Run a command from the palette, once `words` brought it to the top of the list."""
        await self.press("ctrl+k")
        await self.type(words)
        await self.until(lambda: self._first_command(words) == title)
        await self.press("enter")

    def _first_command(self, words: str) -> str | None:
        """The command that Enter would run; None while the palette still gathers."""
        palette = self.app.screen
        if not isinstance(palette, CommandPalette):
            return None
        gathering = palette._GATHER_COMMANDS_GROUP
        is_gathering = any(each.group == gathering for each in self.app.workers)
        if is_gathering or palette.query_one(Input).value != words:
            return None
        commands = palette.query_one(CommandList)
        if commands.highlighted is None:
            return None
        chosen = commands.get_option_at_index(commands.highlighted)
        return chosen.hit.text if isinstance(chosen, Command) else None

    async def ghost(self) -> str:
        """The text of the suggestion, once there is one that is whole."""
        await self.until(lambda: self.editor.ghost and not self.editor.ghost.is_growing)
        assert self.editor.ghost is not None
        return self.editor.ghost.text

    def screen_text(self) -> str:
        """Everything on the screen, row by row."""
        screen = self.app.screen
        rows = screen._compositor.render_strips(self.app.size)
        return "\n".join("".join(segment.text for segment in strip) for strip in rows)

    def shows(self, text: str) -> bool:
        """Whether a text is on the screen."""
        return text in self.screen_text()


@contextlib.asynccontextmanager
async def journey(
    root: Path,
    file: str | None = "cart.py",
    *,
    at: tuple[int, int] = (0, 0),
    size: tuple[int, int] = (120, 36),
    backend: Backend | None = None,
    should_restore: bool = False,
    is_automatic: bool = True,
    theme: str = "dark",
) -> AsyncIterator[Journey]:
    """Run the app in `root` with a file open and the cursor `at` a 0-based place."""
    app = CodebuddyApp(
        lambda: open_repository(root),
        backend or OwnBackend(root, "echo"),
        start=(root / file, Location(*at)) if file else None,
        should_restore=should_restore,
        is_automatic=is_automatic,
        theme_name=theme,
    )
    async with app.run_test(size=size, notifications=True) as pilot:
        one = Journey(app, pilot)
        await one.until(lambda: app.workspace.store is not None)
        if file:
            await one.until(lambda: one.workspace.active is not None)
            await one.until(lambda: one.editor.has_focus or len(app.screen_stack) > 1)
        try:
            yield one
        finally:
            one.workspace.suggester.close()
            app.backend.close()
            await asyncio.sleep(0)
    if app.failure is not None:
        raise app.failure
