"""What a person sets while working: it holds at once where it can, and is kept for next time.

What settings there are and how they are written is `own_settings`'.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from textual import work

from codebuddy.errors import ConfigError
from codebuddy.tui.backend import Backend
from codebuddy.tui.own_settings import keep_setting
from codebuddy.tui.palette import THEMES
from codebuddy.tui.screens.suggestions import SuggestingDesk
from codebuddy.tui.settings_file import Value


class ChoosingDesk(SuggestingDesk):
    """A desk that remembers what is chosen."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        # One thread, so that the file gets choices in the order in which they were made.
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="settings")

    def action_settings(self) -> None:
        """The settings that matter while editing."""
        from codebuddy.tui.screens.settings import SettingsScreen

        self.app.push_screen(SettingsScreen(self, self.keeper.root if self.keeper else None))

    def action_next_theme(self) -> None:
        """The next of our themes."""
        words = list(THEMES)
        at = list(THEMES.values()).index(self.app.theme) if self._theme_word else -1
        self.use_theme(words[(at + 1) % len(words)])

    def use_theme(self, word: str) -> None:
        """Take a theme now, and the next time."""
        self.hold("tui.theme", word)
        self.remark(f"theme: {word}")
        self._remember_theme(word)

    @work
    async def _remember_theme(self, word: str) -> None:
        error = await self.keep("tui.theme", word)
        if error is not None:
            self.remark(f"theme: {word}, for now: {error.message}")

    async def keep(self, key: str, value: Value | None) -> ConfigError | None:
        """Write a choice into the user's file, or take it out of there; what was in the way."""

        def write() -> ConfigError | None:
            try:
                keep_setting(key, value)
            except ConfigError as error:
                return error
            return None

        # Whoever leaves right behind a choice has it kept too.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._writer, write))

    def hold(self, key: str, value: Value) -> None:
        """Let a choice hold from now on, where it can before the next start."""
        if key == "tui.theme":
            self.app.theme = THEMES[str(value)]
            return
        if key == "tui.suggest":
            self.suggester.is_automatic = value == "auto"
        # What is under way was asked for with other settings.
        self.suggester.cancel()

    def running_values(self) -> Mapping[str, Value]:
        """What holds at the moment; keys and options of the start may have changed it."""
        return {
            "tui.theme": self._theme_word or self.app.theme,
            "tui.suggest": "auto" if self.suggester.is_automatic else "asked",
            "model.name": self.backend.model,
        }

    @property
    def _theme_word(self) -> str:
        return next((word for word, name in THEMES.items() if name == self.app.theme), "")
