"""Settings that change while the editor runs: applied at once, saved for the next time.

What settings there are and how they are written is `editor_settings`'.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from codebuddy.errors import ConfigError
from codebuddy.tui.backend import Backend
from codebuddy.tui.controllers.host import ControllerHost
from codebuddy.tui.controllers.suggestions import SuggestionController
from codebuddy.tui.editor_settings import save_setting
from codebuddy.tui.palette import THEMES
from codebuddy.tui.settings_file import Value


class SettingsController:
    """Applies and saves settings; the theme is the app's."""

    def __init__(
        self, host: ControllerHost, suggester: SuggestionController, backend: Backend
    ) -> None:
        self._host = host
        self._suggester = suggester
        self._backend = backend
        # One thread, so that the file gets choices in the order in which they were made.
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="settings")

    def next_theme(self) -> None:
        """Take the next of our themes."""
        words = list(THEMES)
        at = words.index(self._theme_word) if self._theme_word else -1
        self.use_theme(words[(at + 1) % len(words)])

    def use_theme(self, word: str) -> None:
        """Take a theme now, and the next time."""
        self.apply_setting("tui.theme", word)
        self._host.set_status(f"theme: {word}")
        self._host.start_worker(partial(self._save_theme, word))

    def toggle_automatic(self) -> None:
        """Suggest by itself, or only when asked, until the editor ends."""
        self._suggester.is_automatic = not self._suggester.is_automatic
        self._suggester.cancel()
        how = "by themselves" if self._suggester.is_automatic else "when asked"
        self._host.set_status(f"suggestions come {how}")

    async def _save_theme(self, word: str) -> None:
        error = await self.save_setting("tui.theme", word)
        if error is not None:
            self._host.set_status(f"theme: {word}, for now: {error.message}")

    async def save_setting(self, key: str, value: Value | None) -> ConfigError | None:
        """Write a setting into the user's file, `None`: take it out; returns what went wrong."""

        def write() -> ConfigError | None:
            try:
                save_setting(key, value)
            except ConfigError as error:
                return error
            return None

        # Shielded: quitting right after a change still saves it.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._writer, write))

    def apply_setting(self, key: str, value: Value) -> None:
        """Use a value from now on, as far as it can change before the next start."""
        if key == "tui.theme":
            self._host.app.theme = THEMES[str(value)]
            return
        if key == "tui.suggest":
            self._suggester.is_automatic = value == "auto"
        # What is under way was asked for with other settings.
        self._suggester.cancel()

    def running_values(self) -> Mapping[str, Value]:
        """The values in use, which keys and options of the start may have changed."""
        return {
            "tui.theme": self._theme_word or self._host.app.theme,
            "tui.suggest": "auto" if self._suggester.is_automatic else "asked",
            "model.name": self._backend.model,
        }

    @property
    def _theme_word(self) -> str:
        return next((word for word, name in THEMES.items() if name == self._host.app.theme), "")
