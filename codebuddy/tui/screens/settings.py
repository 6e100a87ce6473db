"""The settings screen: what is set, by what, what it means; a change is kept at once."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from codebuddy.errors import ConfigError
from codebuddy.tui import literal
from codebuddy.tui.controllers.settings import SettingsController
from codebuddy.tui.editor_settings import (
    FROM_NEXT_START,
    READ_ONLY,
    SHOWN,
    SettingLine,
    as_text,
    file_in_words,
    list_settings,
)
from codebuddy.tui.screens.dialogs import EntryScreen
from codebuddy.tui.settings_file import Value

_MAX_DIGITS = 9


class SettingsScreen(ModalScreen[None]):
    """Enter and the arrows change what is marked; Delete lets the default hold again.

    Args:
        controller: Applies and saves changes.
        root: The repository, whose own files count.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close"),
        Binding("right", "step(1)", "Next value, or one more", priority=True),
        Binding("left", "step(-1)", "Previous value, or one less", priority=True),
        Binding("delete", "take_out", "Take it out of your file", priority=True),
    ]

    def __init__(self, controller: SettingsController, root: Path | None) -> None:
        super().__init__()
        self._controller = controller
        self._root = root
        self._lines: list[SettingLine] = []
        # As listed last, before changes that are still being written.
        self._settled: dict[str, Value] = {}
        self._being_written = 0

    def compose(self) -> ComposeResult:
        """List and note."""
        title = f"settings, kept in {file_in_words()}"
        with Vertical(classes="page"):
            yield Static(literal.line(title, "bold $primary"), classes="page-title")
            yield OptionList(markup=False)
            yield Static(id="page-note", classes="page-note", markup=False)

    def on_mount(self) -> None:
        """Show them."""
        self.query_one(OptionList).focus()
        self._begin()

    @work
    async def _begin(self) -> None:
        await self._list()

    async def _list(self) -> None:
        running = self._controller.running_values()
        try:
            self._lines = await asyncio.to_thread(list_settings, self._root, running)
        except ConfigError as error:
            self._show_error(error)
            return
        self._settled = {each.key: each.value for each in self._lines}
        options = self.query_one(OptionList)
        if not options.option_count:
            options.add_options([Option(_prompt(each)) for each in self._lines])
            options.highlighted = 0
        for index in range(len(self._lines)):
            self._draw(index)

    def _draw(self, index: int) -> None:
        options = self.query_one(OptionList)
        options.replace_option_prompt_at_index(index, _prompt(self._lines[index]))

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Say what can be done with it."""
        event.stop()
        self._show_message(_hint(self._lines[event.option_index]))

    async def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """The next value; a number is asked for."""
        event.stop()
        line = self._lines[event.option_index]
        if line.is_number and not line.locked_by:
            self._ask_number(line)
        else:
            self.action_step(1)

    @work
    async def _ask_number(self, line: SettingLine) -> None:
        question = f"{line.key}, {line.low} to {line.high}"
        answer = await self.app.push_screen_wait(EntryScreen(question, as_text(line.value)))
        text = answer.strip()
        if not text:
            return
        is_number = text.isdecimal() and len(text) <= _MAX_DIGITS
        if not is_number or not line.low <= int(text) <= line.high:
            self._show_message(
                f"{line.key} must be a number from {line.low} to {line.high}", is_error=True
            )
            return
        self._change(line, int(text))

    def action_step(self, step: int) -> None:
        """The next value, or the one before."""
        line = self._marked()
        if line is not None:
            self._change(line, line.neighbour(step))

    def action_take_out(self) -> None:
        """What holds without your file holds again."""
        line = self._marked()
        if line is None:
            return
        if line.is_yours:
            self._write(line.key, None)
        else:
            self._show_message(f"{line.key} is not set in your file")

    def _marked(self) -> SettingLine | None:
        """The marked setting, if it can be changed; else why not is said."""
        index = self.query_one(OptionList).highlighted
        if index is None or index >= len(self._lines):
            return None
        line = self._lines[index]
        if line.key in READ_ONLY or line.locked_by:
            self._show_message(_hint(line), is_error=True)
            return None
        return line

    def _change(self, line: SettingLine, value: Value) -> None:
        if value == line.value:
            return
        index = SHOWN.index(line.key)
        self._lines[index] = dataclasses.replace(
            line, value=value, source="your file", is_yours=True
        )
        self._draw(index)
        self._controller.apply_setting(line.key, value)
        self._write(line.key, value)

    @work
    async def _write(self, key: str, value: Value | None) -> None:
        self._being_written += 1
        error = await self._controller.save_setting(key, value)
        self._being_written -= 1
        if self._being_written:
            # Keys come faster than the disk: the last one's end shows how things are.
            return
        if error is not None:
            self._controller.apply_setting(key, self._settled[key])
        elif value is None:
            await self._apply_what_is_set(key)
        await self._list()
        if error is not None:
            self._show_error(error)
        else:
            self._show_message(_report(next(each for each in self._lines if each.key == key)))

    async def _apply_what_is_set(self, key: str) -> None:
        try:
            lines = await asyncio.to_thread(list_settings, self._root, {})
        except ConfigError:
            # Listing them, which follows, tells it.
            return
        self._controller.apply_setting(key, next(each.value for each in lines if each.key == key))

    def _show_error(self, error: ConfigError) -> None:
        self._show_message(
            f"{error.message}{'; ' if error.hint else ''}{error.hint}", is_error=True
        )

    def _show_message(self, text: str, *, is_error: bool = False) -> None:
        style = "$error" if is_error else literal.MUTED
        self.query_one("#page-note", Static).update(literal.line(text, style))


def _prompt(line: SettingLine) -> Content:
    shown = literal.shortened(as_text(line.value), 40)
    can_change = line.key not in READ_ONLY and not line.locked_by
    value = f"◂ {shown} ▸" if can_change else f"  {shown}  "
    bounds = f" ({line.low} to {line.high})" if line.is_number else ""
    return Content("").join(
        [
            literal.line(f"{line.key:<22}", "bold"),
            literal.line(f"{value:<13} ", "$primary"),
            literal.line(line.source, literal.MUTED),
            Content("\n"),
            literal.line(f"  {line.doc.replace('`', '')}{bounds}", literal.MUTED),
        ]
    )


def _hint(line: SettingLine) -> str:
    if line.key in READ_ONLY:
        return "F6 changes the model; Esc closes"
    if line.locked_by:
        return f"{line.locked_by} is set, which wins over your file; unset it to choose here"
    number = ", Enter takes a number" if line.is_number else ""
    out = ", Delete takes it out of your file" if line.is_yours else ""
    return f"Left and Right change it{number}{out}; Esc closes"


def _report(line: SettingLine) -> str:
    """What a change came to."""
    when = "from the next start on" if line.key in FROM_NEXT_START else "from now on"
    return f"{line.key} is {as_text(line.value)} {when}"
